package differ

import (
	"bytes"
	"io"
)

// Options says what a Reader looks for.
type Options struct {
	Spec        Spec // Records, Key (for "@key") and Single are looked at
	MaxRecord   int  // bytes of the largest record; 0: 16 MiB; at most 1 GiB
	MaxEnvelope int  // bytes of all that is not the list, and of a document that must be read whole; 0: 16 MiB
}

// Record is one record of an answer. Its slices are valid until the next call of Next, and must not be written to.
type Record struct {
	Raw    []byte // the exact bytes
	Member []byte // the member's name, unescaped, when the list is an object of records
}

const (
	defaultLimit = 16 << 20
	maxLimit     = 1 << 30
	bufferSize   = 64 << 10
	bufferStart  = 8 << 10 // of the buffer: very many lists are short
	keptMemory   = 1 << 20 // of a buffer, for the next document
)

// Reader cuts the records out of one JSON document while it passes: it holds the largest record and a buffer, never the
// list. On the way it checks the whole document, as strictly as encoding/json; a byte order mark before it is skipped.
//
// The list is the first value that Spec.Records leads to, as gjson finds it. When Records is not plain (it has a query, a
// modifier or a wildcard), the document is read whole first, up to MaxEnvelope.
//
// With the key "@key" the list is an object whose members are the records; an empty array stands for an empty
// object, because that is how PHP writes it.
type Reader struct {
	opts  Options
	input input
	scan  scanner
	step  func(*Reader) (Record, outcome)

	envelope []byte
	frames   []frame       // containers around the list that are open
	todo     string        // steps from the next value to the list
	found    bool          // Records has led to a value
	misfit   *NotListError // set when that value is not a list

	inList   bool // the next thing is an element of the list, or its end
	inObject bool // the list is an object
	first    bool // no element of the list was read
	member   []byte

	err error // final
}

// outcome says how a step of the Reader ended.
type outcome uint8

const (
	moved   outcome = iota // something was consumed, or the Reader has ended with err
	starved                // the buffer ends inside of what is being read
	cut                    // a record was read
)

// NewReader makes a Reader of one document.
func NewReader(src io.Reader, o Options) *Reader {
	r := &Reader{}
	r.Renew(src, o)
	return r
}

// Renew makes the Reader what NewReader gives, with the memory that it has.
func (r *Reader) Renew(src io.Reader, o Options) {
	if o.MaxRecord <= 0 {
		o.MaxRecord = defaultLimit
	}
	if o.MaxEnvelope <= 0 {
		o.MaxEnvelope = defaultLimit
	}
	if o.Spec.Records.IsZero() {
		o.Spec.Records = Self()
	}
	o.MaxRecord, o.MaxEnvelope = min(o.MaxRecord, maxLimit), min(o.MaxEnvelope, maxLimit)
	if o.Spec.Single {
		o.MaxEnvelope = max(o.MaxEnvelope, o.MaxRecord)
	}
	if cap(r.envelope) > keptMemory {
		r.envelope = nil
	}
	r.opts, r.input.size = o, bufferStart
	r.Reset(src)
}

// Reset makes the Reader ready for another document, with the same options and the same memory.
func (r *Reader) Reset(src io.Reader) {
	*r = Reader{opts: r.opts, envelope: r.envelope[:0], frames: r.frames[:0], member: r.member[:0], input: r.input.reset(src)}
	r.step = (*Reader).begin
}

// Next gives the next record. When all records were read, and the rest of the document is there and valid, it returns io.EOF.
// Other errors are *SyntaxError, *NotFoundError, *NotListError, *TooLargeError and those of the source. Records that were
// returned before an error are sound, but they are not a complete list.
func (r *Reader) Next() (Record, error) {
	for r.err == nil {
		rec, got := r.step(r)
		switch got {
		case cut:
			return rec, nil
		case starved:
			r.starve()
		case moved:
		}
	}
	return Record{}, r.err
}

// Envelope gives, once Next has returned io.EOF, *NotFoundError or *NotListError, the document with the list replaced
// by []; of a single record, the document. It is valid until Reset.
func (r *Reader) Envelope() []byte { return r.envelope }

// begin skips the byte order mark.
func (r *Reader) begin() (Record, outcome) {
	if !r.input.eof && len(r.input.rest()) < 3 {
		return Record{}, starved
	}
	if bytes.HasPrefix(r.input.rest(), []byte("\xef\xbb\xbf")) {
		r.input.pos += 3
	}
	if records := r.opts.Spec.Records.is(); records.plain {
		r.todo, r.step = records.code, (*Reader).value
	} else {
		r.step = (*Reader).whole
	}
	return Record{}, moved
}

// element reads one record of the list.
func (r *Reader) element() (Record, outcome) {
	b, i := r.input.buf, space(r.input.buf, r.input.pos)
	switch {
	case i < len(b) && b[i] == r.closing():
		return r.endList(i)
	case r.first:
	case i < len(b) && b[i] == ',':
		i = space(b, i+1)
	default:
		return r.fail(i, r.wantClosing())
	}
	name := i
	if r.inObject {
		if i = r.scan.name(b, i); i < 0 {
			return r.broken()
		}
		i = space(b, i)
	}
	end := r.scan.value(b, i, len(r.frames)+1)
	if end < 0 {
		return r.broken()
	}
	if end == len(b) {
		return r.fail(end, r.wantClosing()) // a number may go on
	}
	return r.record(name, i, end)
}

// record hands out an element whose name and value begin at the given positions.
func (r *Reader) record(name, from, end int) (Record, outcome) {
	b := r.input.buf
	if end-from > r.opts.MaxRecord {
		return r.stop(r.tooLarge(from))
	}
	rec := Record{Raw: b[from:end:end]}
	if r.inObject {
		rec.Member = r.memberName(b[name:from])
	}
	r.first, r.input.pos = false, end
	return rec, cut
}

// memberName gives the name in front of a member's value.
func (r *Reader) memberName(head []byte) []byte {
	quoted := head[:skipString(head, 1)]
	content := quoted[1 : len(quoted)-1]
	if !hasEscape(content) {
		return content
	}
	r.member = appendText(r.member[:0], content)
	return r.member
}

func (r *Reader) closing() byte {
	if r.inObject {
		return '}'
	}
	return ']'
}

func (r *Reader) wantClosing() want {
	if r.inObject {
		return wantCommaOrBrace
	}
	return wantCommaOrBracket
}

func (r *Reader) endList(i int) (Record, outcome) {
	r.input.pos = i + 1
	r.inList, r.step = false, (*Reader).sibling
	return Record{}, moved
}

// stop ends the Reader with an error.
func (r *Reader) stop(err error) (Record, outcome) {
	r.err = err
	return Record{}, moved
}

// fail ends the Reader because of what stands at i in the buffer.
func (r *Reader) fail(i int, w want) (Record, outcome) {
	r.scan.fail(i, w)
	return r.broken()
}

// broken follows a scan that failed: either the buffer ended, or the document is wrong.
func (r *Reader) broken() (Record, outcome) {
	if r.scan.at >= len(r.input.buf) {
		return Record{}, starved
	}
	const enough = 16
	near := r.input.buf[r.scan.at:]
	return r.stop(&SyntaxError{
		Offset: r.input.base + int64(r.scan.at),
		What:   r.scan.want.String(),
		Near:   string(bytes.ToValidUTF8(near[:min(enough, len(near))], []byte("?"))),
	})
}

// starve reads on, or ends the Reader when there is nothing more to read.
func (r *Reader) starve() {
	switch in := &r.input; {
	case in.err != nil:
		r.err = in.err
	case in.eof:
		r.err = &SyntaxError{Offset: in.base + int64(len(in.buf)), What: r.scan.want.String(), Truncated: true}
	case len(in.rest()) > r.limit():
		r.err = r.tooLarge(in.pos)
	default:
		in.fill()
	}
}

// limit is how much may be held at once of what is being read.
func (r *Reader) limit() int {
	if r.inList {
		return r.opts.MaxRecord
	}
	return r.opts.MaxEnvelope
}

func (r *Reader) tooLarge(i int) error {
	e := &TooLargeError{What: "record", Limit: r.limit(), Offset: r.input.base + int64(i)}
	switch {
	case r.inList || r.opts.Spec.Single:
	case r.opts.Spec.Records.is().plain:
		e.What = "answer without its records"
	default:
		e.What = "answer"
	}
	return e
}
