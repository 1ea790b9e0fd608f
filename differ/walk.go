package differ

import "io"

// frame is an object or array around the list that the Reader is inside of.
type frame struct {
	object bool
	first  bool   // nothing of it was read
	n      int    // elements of an array that were read
	steps  string // from here to the list
}

func (f *frame) closing() byte {
	if f.object {
		return '}'
	}
	return ']'
}

// value reads the value that the path has led to so far.
func (r *Reader) value() (Record, outcome) {
	b := r.input.buf
	i := space(b, r.input.pos)
	r.input.pos = i
	if i >= len(b) {
		return r.fail(i, wantValue)
	}
	switch c := b[i]; {
	case r.todo == "":
		return r.target(c)
	case c == '{' || c == '[':
		r.frames = append(r.frames, frame{object: c == '{', first: true, steps: r.todo})
		r.input.pos++
		r.step = (*Reader).sibling
		return r.keep(c)
	}
	return r.swallow(i, 0)
}

// target reads what the path leads to.
func (r *Reader) target(c byte) (Record, outcome) {
	spec := &r.opts.Spec
	switch {
	case spec.Single:
		return r.single(c)
	case c == '[' && !spec.byMember(), c == '{' && spec.byMember():
		r.input.pos++
		r.beginList(c)
		return r.keep('[', ']')
	}
	start := r.input.pos
	rec, got := r.swallow(start, 0)
	if got != moved || r.err != nil {
		return rec, got
	}
	r.found = true
	if value := r.input.buf[start:r.input.pos]; !spec.byMember() || !isEmptyArray(value) {
		r.misfit = r.notList(Value{Raw: value}.Kind())
	}
	return Record{}, moved
}

// beginList follows the opening bracket of the list.
func (r *Reader) beginList(bracket byte) {
	r.found, r.inList, r.first, r.inObject = true, true, true, bracket == '{'
	r.step = (*Reader).element
}

func isEmptyArray(value []byte) bool {
	return value[0] == '[' && value[space(value, 1)] == ']'
}

func (r *Reader) notList(kind ValueKind) *NotListError {
	e := &NotListError{Path: r.opts.Spec.Records, Kind: kind, Wanted: Array}
	switch {
	case r.opts.Spec.Single:
		e.Wanted = Missing
	case r.opts.Spec.byMember():
		e.Wanted = Object
	}
	return e
}

// single reads the one record.
func (r *Reader) single(c byte) (Record, outcome) {
	start := r.input.pos
	rec, got := r.swallow(start, 0)
	if got != moved || r.err != nil {
		return rec, got
	}
	r.found = true
	if c == 'n' {
		r.misfit = r.notList(Null)
		return Record{}, moved
	}
	end := r.input.pos
	if end-start > r.opts.MaxRecord {
		return r.stop(&TooLargeError{What: "record", Limit: r.opts.MaxRecord, Offset: r.input.base + int64(start)})
	}
	return Record{Raw: r.input.buf[start:end:end]}, cut
}

// swallow reads a value that is not on the way to the list; the envelope keeps it together with what stands before it from
// start on, of which head bytes were scanned.
func (r *Reader) swallow(start, head int) (Record, outcome) {
	b := r.input.buf
	end := r.scan.value(b, start+head, len(r.frames))
	if end < 0 {
		return r.broken()
	}
	if end == len(b) && (len(r.frames) > 0 || !r.input.eof || r.input.err != nil) {
		return r.fail(end, r.wantAround()) // a number may go on
	}
	r.input.pos = end
	r.step = (*Reader).sibling
	return r.keep(b[start:end]...)
}

// sibling reads the next member or element around the list, or the end of what is around it.
func (r *Reader) sibling() (Record, outcome) {
	if len(r.frames) == 0 {
		return r.tail()
	}
	f := &r.frames[len(r.frames)-1]
	b := r.input.buf
	i := space(b, r.input.pos)
	if i >= len(b) {
		return r.fail(i, f.wants())
	}
	if b[i] == f.closing() {
		r.input.pos = i + 1
		closing := f.closing()
		r.frames = r.frames[:len(r.frames)-1]
		return r.keep(closing)
	}
	if !f.first {
		if b[i] != ',' {
			return r.fail(i, f.wants())
		}
		i = space(b, i+1)
	}
	if f.object {
		return r.memberOf(f, i)
	}
	return r.elementOf(f, i)
}

// wants says what should come next.
func (f *frame) wants() want {
	switch {
	case !f.first:
		return f.wantsMore()
	case f.object:
		return wantName
	}
	return wantValue
}

// wantsMore says what should come after a member or an element.
func (f *frame) wantsMore() want {
	if f.object {
		return wantCommaOrBrace
	}
	return wantCommaOrBracket
}

// wantAround says what should come after a value around the list.
func (r *Reader) wantAround() want {
	if n := len(r.frames); n > 0 {
		return r.frames[n-1].wantsMore()
	}
	return wantEnd
}

// memberOf reads a member whose name begins at i.
func (r *Reader) memberOf(f *frame, i int) (Record, outcome) {
	b := r.input.buf
	colon := r.scan.name(b, i)
	if colon < 0 {
		return r.broken()
	}
	name, _, rest := firstStep(f.steps)
	if !r.found && isName(b[i:skipString(b, i+1)], name) {
		return r.follow(f, rest, i, colon)
	}
	return r.pass(f, i, colon-i)
}

// elementOf reads an element that begins at i.
func (r *Reader) elementOf(f *frame, i int) (Record, outcome) {
	if _, index, rest := firstStep(f.steps); !r.found && f.n == index {
		return r.follow(f, rest, i, i)
	}
	return r.pass(f, i, 0)
}

// follow goes on to a value on the path, in front of which stands b[from:to].
func (r *Reader) follow(f *frame, rest string, from, to int) (Record, outcome) {
	head := r.input.buf[from:to]
	first := f.first
	f.first = false
	f.n++
	r.todo, r.input.pos = rest, to
	r.step = (*Reader).value
	if !first {
		if _, got := r.keep(','); r.err != nil {
			return Record{}, got
		}
	}
	return r.keep(head...)
}

// pass reads a value that is not on the path.
func (r *Reader) pass(f *frame, start, head int) (Record, outcome) {
	kept := len(r.envelope)
	if !f.first {
		if rec, got := r.keep(','); r.err != nil {
			return rec, got
		}
	}
	rec, got := r.swallow(start, head)
	if got == starved {
		r.envelope = r.envelope[:kept]
		return rec, got
	}
	f.first = false
	f.n++
	return rec, got
}

// keep appends to the envelope.
func (r *Reader) keep(b ...byte) (Record, outcome) {
	if len(r.envelope)+len(b) > r.opts.MaxEnvelope {
		return r.stop(r.tooLarge(r.input.pos))
	}
	r.envelope = append(r.envelope, b...)
	return Record{}, moved
}

// tail reads what follows the document: nothing but white space.
func (r *Reader) tail() (Record, outcome) {
	b := r.input.buf
	i := space(b, r.input.pos)
	r.input.pos = i
	if i < len(b) {
		return r.fail(i, wantEnd)
	}
	if !r.input.eof {
		return Record{}, starved
	}
	return r.stop(r.verdict())
}

// verdict is the error that a complete and valid document ends with.
func (r *Reader) verdict() error {
	switch {
	case r.input.err != nil:
		return r.input.err
	case !r.found:
		return &NotFoundError{Path: r.opts.Spec.Records, Has: lists(r.envelope)}
	case r.misfit != nil:
		r.misfit.Has = lists(r.envelope)
		return r.misfit
	}
	return io.EOF
}
