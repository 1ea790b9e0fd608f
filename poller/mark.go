package poller

import (
	"strings"
	"time"
)

// mark is how far a source was read: a time, or the text of a number or an id. The zero mark is none.
type mark struct {
	at   time.Time
	text string
}

func (m mark) none() bool { return m.at.IsZero() && m.text == "" }

// String gives a mark as it is stored and shown.
func (m mark) String() string {
	if m.at.IsZero() {
		return m.text
	}
	return m.at.UTC().Format(time.RFC3339Nano)
}

// markKind says how marks are compared and calculated with.
type markKind uint8

const (
	timeMarks markKind = iota
	numberMarks
	textMarks
)

// parse reads what String gave; the zero mark when it cannot.
func (k markKind) parse(text string) mark {
	if k != timeMarks {
		return mark{text: text}
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return mark{}
	}
	return mark{at: at}
}

// later gives the later of two marks; any is later than none.
func (k markKind) later(a, b mark) mark {
	if b.none() || !a.none() && k.compare(a, b) >= 0 {
		return a
	}
	return b
}

func (k markKind) compare(a, b mark) int {
	switch k {
	case timeMarks:
		return a.at.Compare(b.at)
	case numberMarks:
		return compareNumbers(a.text, b.text)
	case textMarks:
	}
	return strings.Compare(a.text, b.text)
}

// compareNumbers compares whole numbers of any length, as wholeNumber gives them.
func compareNumbers(a, b string) int {
	minusA, minusB := strings.HasPrefix(a, "-"), strings.HasPrefix(b, "-")
	switch {
	case minusA && !minusB:
		return -1
	case minusB && !minusA:
		return 1
	case minusA:
		return compareNumbers(b[1:], a[1:])
	case len(a) != len(b):
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// wholeNumber gives the one spelling of a whole number.
func wholeNumber(text string) (string, bool) {
	const longest = 100
	digits, minus := strings.CutPrefix(text, "-")
	if digits == "" || len(digits) > longest || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	digits = strings.TrimLeft(digits, "0")
	switch {
	case digits == "":
		return "0", true
	case minus:
		return "-" + digits, true
	}
	return digits, true
}
