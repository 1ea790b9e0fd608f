package decode

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

const (
	delimiters = ",;\t|" // that are looked for
	autoDelim  = "auto"
)

// begin reads what stands before the first row of data: Excel's sep= line and the header row. Only a table with configured
// columns may have nothing at all.
func (t *table) begin() error {
	if len(t.opts.Delimiter) == 1 {
		t.delim = t.opts.Delimiter[0]
	}
	line, err := t.firstLine()
	if err != nil {
		return err
	}
	if sep := separatorOf(line); sep != 0 {
		if t.delim == 0 {
			t.delim = sep
		}
		t.consume(len(line))
		if line, err = t.firstLine(); err != nil {
			return err
		}
	}
	if err := t.notTable(); err != nil {
		return err
	}
	if t.delim == 0 {
		if err := t.detect(line); err != nil {
			return err
		}
	}
	names, err := t.columns()
	t.setHeads(names)
	return err
}

func (t *table) setHeads(names []string) {
	for i, name := range names {
		opening := byte(',')
		if i == 0 {
			opening = '{'
		}
		t.heads = append(t.heads, append(appendQuoted([]byte{opening}, []byte(name)), ':'))
	}
}

// firstLine gives the next line that is not empty, with its end, and with the line ends inside of its quotes. It is empty when
// there is none.
func (t *table) firstLine() ([]byte, error) {
	for {
		b := t.in.rest()
		if n := emptyLine(b, t.in.eof); n > 0 {
			t.consume(n)
			continue
		} else if n == 0 {
			if n := t.lineLength(b); n > 0 {
				return b[:n], nil
			}
		}
		if t.in.eof {
			return b, nil
		}
		if err := t.in.more(); err != nil {
			return nil, err
		}
	}
}

// lineLength gives the length of the line at the beginning of b with its end, 0 when b has no end of it.
func (t *table) lineLength(b []byte) int {
	length := 0
	t.outside(b, func(i int, c byte) bool {
		if c == lineEnd {
			length = i + 1
		}
		return length == 0
	})
	return length
}

// outside calls f with the bytes that are not inside of quotes until f returns false. As long as the delimiter is not known, each
// one that may be it begins a field.
func (t *table) outside(b []byte, f func(i int, c byte) bool) {
	quoted, start := false, true // start: a quote here opens a field, or is the second of a pair
	for i, c := range b {
		switch {
		case c == '"' && (quoted || start):
			quoted = !quoted
			start = !quoted
			continue
		case !quoted && !f(i, c):
			return
		}
		start = c == t.delim || t.delim == 0 && strings.IndexByte(delimiters, c) >= 0
	}
}

// separatorOf gives the delimiter from the line by which Excel is told it, sep=; — 0 when line is not that line.
func separatorOf(line []byte) byte {
	const prefix = "sep="
	line = bytes.Trim(line, "\r\n\"")
	if len(line) != len(prefix)+1 || !strings.EqualFold(string(line[:len(prefix)]), prefix) || !isDelimiter(line[len(prefix)]) {
		return 0
	}
	return line[len(prefix)]
}

// notTable finds what would otherwise pass as a table: a page, a message in JSON or XML, nothing.
func (t *table) notTable() error {
	b := t.in.rest()
	switch title, ok := LooksLikeHTML(b); {
	case ok:
		return t.wrong(0, strings.TrimSuffix(fmt.Sprintf("it begins like an HTML page: %q", title), `: ""`), false)
	case len(t.opts.Columns) > 0:
		return nil
	case len(b) == 0:
		return t.wrong(0, "there is no header row", true)
	case bytes.IndexByte([]byte("<{["), b[0]) >= 0:
		return t.wrong(0, fmt.Sprintf("a header row does not begin with %q; is it XML or JSON?", b[0]), false)
	}
	return nil
}

// detect finds the delimiter: the one that the header row has most often, or that fits the number of configured columns.
func (t *table) detect(line []byte) error {
	var counts [len(delimiters)]int
	t.outside(line, func(_ int, c byte) bool {
		if i := strings.IndexByte(delimiters, c); i >= 0 {
			counts[i]++
		}
		return true
	})
	want := slices.Max(counts[:])
	if len(t.opts.Columns) > 0 && len(line) > 0 {
		want = len(t.opts.Columns) - 1
	}
	at := slices.Index(counts[:], want)
	if at < 0 || want > 0 && slices.Contains(counts[at+1:], want) {
		return t.wrong(0, "the delimiter cannot be told from this line; configure it", false)
	}
	t.delim = delimiters[at]
	return nil
}
