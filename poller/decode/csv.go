package decode

import (
	"bytes"
	"fmt"
	"io"
)

// table makes an array of objects of the rows of a CSV answer (RFC 4180). The decoder of the standard library is not used because it
// changes line ends inside of quotes and holds all that follows a quote which is never closed.
//
// A quote counts only at the beginning of a field. Rows end with LF or CRLF; the last one may have no end, so that a row that is
// cut inside of its last field is noticed only if that is quoted, and not cut between two quotes that mean one.
type table struct {
	in      window
	opts    CSV
	delim   byte
	heads   [][]byte // what stands before the values of a row: `{"id":`, `,"name":`
	fields  []field  // of the row that was cut
	out     []byte
	begun   bool
	some    bool // there was a row
	quoting bool // all fields of the row that was cut are quoted
	endless bool // the last row needs a line end
}

func newTable(src io.Reader, o Options) *table {
	return &table{in: newWindow(src, o.MaxBuffer, "row"), opts: o.CSV, endless: o.Endless}
}

func (t *table) next() ([]byte, error) {
	t.out = t.out[:0]
	if !t.begun {
		if err := t.begin(); err != nil {
			return nil, err
		}
		t.begun, t.out = true, append(t.out, '[')
	}
	for len(t.out) < chunkSize {
		style := t.quoting
		n, err := t.row()
		if err == nil && n > 0 {
			err = t.check(n, style)
		}
		if err != nil {
			return t.out, err
		}
		if n == 0 {
			return append(t.out, ']'), io.EOF
		}
		t.write()
		t.consume(n)
	}
	return t.out, nil
}

// check looks whether a row of n bytes is one of the table, where all fields of the row before were quoted or not.
func (t *table) check(n int, quoted bool) error {
	got, want := len(t.fields), len(t.heads)
	rest := t.in.rest()
	open := t.in.eof && n == len(rest) && rest[n-1] != lineEnd
	switch {
	case got < want && open:
		return t.wrong(0, fmt.Sprintf("the last row ends after %d of %d fields", got, want), true)
	case got != want:
		return t.wrong(0, fmt.Sprintf("the row has %d fields, but there are %d columns", got, want), false)
	case open && t.endless:
		return t.wrong(0, "the last row has no line end, and the answer has no length: it may have been cut off; the server has to send one of both", true)
	case open && quoted && got > 1 && allQuoted(t.fields[:got-1]) && rest[n-1] == t.delim:
		return t.wrong(0, "the last row ends behind a delimiter, and all fields of the row before are quoted", true)
	}
	return nil
}

// write appends the row as an object.
func (t *table) write() {
	if t.some {
		t.out = append(t.out, ',')
	}
	t.some = true
	for i := range t.fields {
		t.out = append(t.out, t.heads[i]...)
		t.out = appendQuoted(t.out, t.fields[i].value())
	}
	t.out = append(t.out, '}')
}

func (t *table) consume(n int) {
	t.in.line += bytes.Count(t.in.rest()[:n], []byte{lineEnd})
	t.in.pos += n
}

// row cuts the next row that is not empty and gives its length; 0 at the end. The fields are valid until more is read.
func (t *table) row() (int, error) {
	for {
		b := t.in.rest()
		if n := emptyLine(b, t.in.eof); n > 0 {
			t.consume(n)
			continue
		} else if n == 0 {
			if n, err := t.cut(b); err != nil {
				return 0, err
			} else if n > 0 {
				return n, t.in.fits(n)
			}
		}
		if t.in.eof {
			return 0, nil
		}
		if err := t.in.more(); err != nil {
			return 0, err
		}
	}
}

// emptyLine gives the length of an empty line at the beginning of b, 0 when there is none, -1 when b is too short to tell.
func emptyLine(b []byte, eof bool) int {
	switch {
	case len(b) == 0:
		return -1
	case b[0] == lineEnd:
		return 1
	case b[0] != '\r':
		return 0
	case len(b) > 1 && b[1] == lineEnd:
		return 2
	case len(b) > 1:
		return 0
	case eof:
		return 1
	}
	return -1
}

// cut splits the row at the beginning of b into fields and gives its length; 0 when b ends inside of it.
func (t *table) cut(b []byte) (int, error) {
	const most = 1 << 14 // columns, as many as a sheet of Excel can have
	t.fields = t.fields[:0]
	for i := 0; ; {
		f, err := t.field(b, i)
		if err != nil || f.next == 0 {
			return 0, err
		}
		t.fields = append(t.fields, f)
		if i = f.next; f.last {
			t.quoting = allQuoted(t.fields)
			return i, nil
		}
		if len(t.fields) > most {
			return 0, t.wrong(i, fmt.Sprintf("the row has more than %d fields", most), false)
		}
	}
}

// wrong makes an error of what stands at i of the window.
func (t *table) wrong(i int, what string, truncated bool) error {
	return &SyntaxError{
		Format: "csv", What: what, Truncated: truncated,
		Line: t.in.line + bytes.Count(t.in.rest()[:i], []byte{lineEnd}), Offset: t.in.offset() + int64(i),
	}
}
