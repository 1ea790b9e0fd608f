package decode

import (
	"bytes"
	"fmt"
)

// field is one field of a row. The zero value stands for one that cannot be told yet, because more has to be read.
type field struct {
	text    []byte // as it stands there, without the quotes around it
	quoted  bool
	doubled bool // quotes in it are doubled
	next    int  // where the next field or row begins
	last    bool // of its row
}

// value gives what the field means.
func (f *field) value() []byte {
	if !f.doubled {
		return f.text
	}
	return bytes.ReplaceAll(f.text, []byte(`""`), []byte(`"`))
}

func allQuoted(list []field) bool {
	for i := range list {
		if !list[i].quoted {
			return false
		}
	}
	return true
}

// field reads the field that begins at i.
func (t *table) field(b []byte, i int) (field, error) {
	if i < len(b) && b[i] == '"' {
		return t.quoted(b, i)
	}
	end := i
	for end < len(b) && b[end] != t.delim && b[end] != lineEnd {
		end++
	}
	switch {
	case end == len(b) && !t.in.eof:
		return field{}, nil
	case end < len(b) && b[end] == t.delim:
		return field{text: b[i:end], next: end + 1}, nil
	}
	return field{text: bytes.TrimSuffix(b[i:end], []byte{'\r'}), next: min(end+1, len(b)), last: true}, nil
}

// quoted reads a field that begins with a quote, at i.
func (t *table) quoted(b []byte, i int) (field, error) {
	doubled := false
	for end := i + 1; ; end++ {
		n := bytes.IndexByte(b[end:], '"')
		if n < 0 {
			break
		}
		end += n + 1
		if end < len(b) && b[end] == '"' {
			doubled = true
			continue
		}
		f, err := t.behind(b, end)
		f.text, f.quoted, f.doubled = b[i+1:end-1], true, doubled
		return f, err
	}
	if t.in.eof {
		return field{}, t.wrong(i, "the quote that opens a field here is never closed", true)
	}
	return field{}, nil
}

// behind looks at what follows the closing quote of a field, from i.
func (t *table) behind(b []byte, i int) (field, error) {
	switch n := emptyLine(b[i:], t.in.eof); {
	case i < len(b) && b[i] == t.delim:
		return field{next: i + 1}, nil
	case n > 0:
		return field{next: i + n, last: true}, nil
	case i == len(b) && t.in.eof:
		return field{next: i, last: true}, nil
	case n < 0:
		return field{}, nil
	}
	return field{}, t.wrong(i, fmt.Sprintf("%q follows the closing quote of a field, where %q or the end of the row should be", b[i], t.delim), false)
}
