package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// sheet is a table that fits a number of columns: texts that may be cut are cut, and what still is too wide goes on in a second,
// indented line.
type sheet struct {
	header []string
	rows   [][]string
	widths []int
	limit  int // columns; 0: as many as there are
}

const (
	gap       = 3 // between two columns
	shortest  = 8
	continued = 4 // indent of a second line
)

// table writes aligned columns, without a header when there is none. Cells must not hold colours: they would count as width.
func (a *app) table(header []string, rows [][]string) error {
	s := &sheet{header: header, rows: make([][]string, len(rows)), limit: a.columns}
	for i, row := range rows {
		for _, cell := range row {
			s.rows[i] = append(s.rows[i], oneLine(cell))
		}
	}
	return s.write(a.stdout)
}

func (s *sheet) write(w io.Writer) error {
	lines := s.rows
	if len(s.header) > 0 {
		lines = append([][]string{s.header}, s.rows...)
	}
	for _, line := range lines {
		for i, cell := range line {
			if i == len(s.widths) {
				s.widths = append(s.widths, 0)
			}
			s.widths[i] = max(s.widths[i], columnsOf(cell))
		}
	}
	s.shrink()
	for _, line := range lines {
		if _, err := io.WriteString(w, s.line(line)); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// shrink makes columns whose texts may be cut narrower, the widest first, until all fit or nothing more can be cut.
func (s *sheet) shrink() {
	for over := s.total() - s.limit; s.limit > 0 && over > 0; over = s.total() - s.limit {
		widest := -1
		for i := range s.widths {
			if s.cuttable(i) && s.widths[i] > shortest && (widest < 0 || s.widths[i] > s.widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		s.widths[widest] = max(shortest, s.widths[widest]-over)
	}
}

// cuttable says whether the texts of a column may be cut: ids and names are copied from a table, texts are not.
func (s *sheet) cuttable(i int) bool {
	return i < len(s.header) && slices.Contains([]string{"KEY", "NOTE", "REASON", "MESSAGE"}, s.header[i])
}

func (s *sheet) total() int {
	n := gap * (len(s.widths) - 1)
	for _, width := range s.widths {
		n += width
	}
	return n
}

// line writes one row, in as many lines as it takes.
func (s *sheet) line(cells []string) string {
	var b strings.Builder
	at := 0
	for i, cell := range cells {
		width, start := s.widths[i], at
		if i > 0 {
			start += gap
		}
		if s.limit > 0 && i > 0 && start+min(width, columnsOf(cell)) > s.limit {
			trimEnd(&b)
			b.WriteString("\n" + strings.Repeat(" ", continued))
			at, start = continued, continued
		}
		b.WriteString(strings.Repeat(" ", start-at))
		if s.limit > 0 && s.cuttable(i) {
			width = min(width, max(s.limit-start, shortest))
			cell = cut(cell, width)
		}
		b.WriteString(cell + strings.Repeat(" ", max(width-columnsOf(cell), 0)))
		at = start + max(width, columnsOf(cell))
	}
	trimEnd(&b)
	b.WriteByte('\n')
	return b.String()
}

func trimEnd(b *strings.Builder) {
	text := strings.TrimRight(b.String(), " ")
	b.Reset()
	b.WriteString(text)
}

// cut shortens a text to a number of columns.
func cut(text string, width int) string {
	if columnsOf(text) <= width {
		return text
	}
	n := 0
	for i, r := range text {
		if n += columnsOfRune(r); n > width-1 {
			return text[:i] + "…"
		}
	}
	return text
}

// columnsOf is how many columns of a terminal a text takes.
func columnsOf(text string) int {
	n := 0
	for _, r := range text {
		n += columnsOfRune(r)
	}
	return n
}

// columnsOfRune follows UAX #11: East Asian wide characters and emoji take two columns, marks that combine take none.
func columnsOfRune(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r < 0x1100:
		return 1
	}
	for _, wide := range [][2]rune{
		{0x1100, 0x115f},
		{0x2e80, 0x303e},
		{0x3041, 0x33ff},
		{0x3400, 0x4dbf},
		{0x4e00, 0x9fff},
		{0xa000, 0xa4cf},
		{0xac00, 0xd7a3},
		{0xf900, 0xfaff},
		{0xfe30, 0xfe6f},
		{0xff00, 0xff60},
		{0xffe0, 0xffe6},
		{0x1f300, 0x1f64f},
		{0x1f680, 0x1f6ff},
		{0x1f900, 0x1faff},
		{0x20000, 0x3fffd},
	} {
		if r >= wide[0] && r <= wide[1] {
			return 2
		}
	}
	return 1
}
