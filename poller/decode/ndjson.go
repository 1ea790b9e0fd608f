package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

const (
	lineEnd         = '\n'
	recordSeparator = 0x1e
	blank           = " \t\r\n\x1e"
)

// lines makes an array of records that stand on one line each, or behind a record separator each (RFC 7464).
type lines struct {
	in    window
	out   []byte
	begun bool
	some  bool // there was a record
	sep   byte
	seen  int // bytes of in.rest() without a separator
}

func newLines(src io.Reader, o Options) *lines {
	return &lines{in: newWindow(src, o.MaxBuffer, "record"), sep: lineEnd}
}

func (l *lines) next() ([]byte, error) {
	l.out = l.out[:0]
	if !l.begun {
		if err := l.begin(); err != nil {
			return nil, err
		}
	}
	for len(l.out) < chunkSize {
		all, err := l.cut()
		if err == nil && len(all) == 0 {
			return append(l.out, ']'), io.EOF
		}
		if err == nil {
			err = l.take(all)
		}
		if err != nil {
			return l.out, err
		}
	}
	return l.out, nil
}

func (l *lines) begin() error {
	l.begun = true
	l.out = append(l.out, '[')
	if err := l.in.more(); err != nil {
		return err
	}
	if bytes.HasPrefix(bytes.TrimLeft(l.in.rest(), " \t\r\n"), []byte{recordSeparator}) {
		l.sep = recordSeparator
	}
	return nil
}

// cut gives what comes up to the next separator and with it; nothing at the end.
func (l *lines) cut() ([]byte, error) {
	for {
		rest := l.in.rest()
		if i := bytes.IndexByte(rest[l.seen:], l.sep); i >= 0 {
			return rest[:l.seen+i+1], nil
		}
		if l.in.eof {
			return rest, nil
		}
		l.seen = len(rest)
		if err := l.in.more(); err != nil {
			return nil, err
		}
	}
}

// take consumes what was cut, which is a record unless it is blank.
func (l *lines) take(all []byte) error {
	if err := l.in.fits(len(all)); err != nil {
		return err
	}
	if rec := bytes.Trim(all, blank); len(rec) > 0 {
		if !json.Valid(rec) {
			return l.invalid(all, rec)
		}
		if l.some {
			l.out = append(l.out, ',')
		}
		l.out, l.some = append(l.out, rec...), true
	}
	l.in.pos += len(all)
	l.in.line += bytes.Count(all, []byte{lineEnd})
	l.seen = 0
	return nil
}

// invalid says what is wrong with a record. Only at the end of the answer is it taken for cut off; an answer that is cut
// exactly behind a record cannot be told from a shorter one.
func (l *lines) invalid(all, rec []byte) error {
	head := len(all) - len(bytes.TrimLeft(all, blank))
	e := &SyntaxError{Format: "ndjson", Line: l.in.line + bytes.Count(all[:head], []byte{lineEnd}), Offset: l.in.offset() + int64(head)}
	// No text goes on with a NUL, so that the error is behind a record that is only not complete.
	var found *json.SyntaxError
	if !errors.As(json.Unmarshal(append(bytes.Clone(rec), 0), new(json.RawMessage)), &found) {
		return e
	}
	at := found.Offset - 1
	e.Offset += at
	switch {
	case at < int64(len(rec)):
		e.What = found.Error()
	case l.in.eof && len(all) == len(l.in.rest()) && all[len(all)-1] != lineEnd:
		e.What, e.Truncated = "the last record has no end", true
	default:
		e.What = "the record does not end on its line"
	}
	return e
}
