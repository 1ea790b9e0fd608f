package differ

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deep a document may nest, as in encoding/json.
const maxDepth = 10_000

// want says what the grammar of RFC 8259 asks for where a text goes wrong.
type want uint8

const (
	wantValue want = iota
	wantName
	wantColon
	wantCommaOrBrace
	wantCommaOrBracket
	wantDigit
	wantEscape
	wantHex
	wantQuote
	wantLiteral
	wantDepth
	wantEnd
)

// String completes "unexpected character …".
func (w want) String() string {
	return [...]string{
		wantValue:          "where a value should begin",
		wantName:           "where a member's name should begin",
		wantColon:          "where the colon after a member's name should be",
		wantCommaOrBrace:   "after a member, where a comma or a closing brace should be",
		wantCommaOrBracket: "after an element, where a comma or a closing bracket should be",
		wantDigit:          "in a number, where a digit should be",
		wantEscape:         "after a backslash in a string",
		wantHex:            "in a \\u escape, where four hexadecimal digits should be",
		wantQuote:          "in a string, where control characters must be escaped",
		wantLiteral:        "in a word that is not true, false or null",
		wantDepth:          "that opens one level of nesting too many",
		wantEnd:            "after the end of the document",
	}[w]
}

// scanner checks values against the grammar of RFC 8259, as strictly as encoding/json. Its methods take a position in b and give
// the one after what they were asked to scan, or -1: then at and want tell why, and at == len(b) means that b ended before
// the grammar was hurt.
type scanner struct {
	at   int
	want want
}

func (s *scanner) fail(i int, w want) int {
	s.at, s.want = i, w
	return -1
}

// space skips white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// value scans the value at i, which may have white space before it. A number that b ends with counts as complete.
func (s *scanner) value(b []byte, i, depth int) int {
	if i < len(b) && b[i] <= ' ' {
		i = space(b, i)
	}
	if i >= len(b) {
		return s.fail(i, wantValue)
	}
	switch b[i] {
	case '"':
		return s.str(b, i+1)
	case '{':
		if depth >= maxDepth {
			return s.fail(i, wantDepth)
		}
		return s.object(b, i+1, depth+1)
	case '[':
		if depth >= maxDepth {
			return s.fail(i, wantDepth)
		}
		return s.array(b, i+1, depth+1)
	case 't':
		return s.literal(b, i, "true")
	case 'f':
		return s.literal(b, i, "false")
	case 'n':
		return s.literal(b, i, "null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number(b, i)
	}
	return s.fail(i, wantValue)
}

// object scans the rest of an object whose brace is open.
func (s *scanner) object(b []byte, i, depth int) int {
	if i = space(b, i); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i = s.name(b, i); i < 0 {
			return -1
		}
		if i < len(b) && b[i] == '"' {
			i = s.str(b, i+1)
		} else {
			i = s.value(b, i, depth)
		}
		if i < 0 {
			return -1
		}
		if i < len(b) && b[i] <= ' ' {
			i = space(b, i)
		}
		if i >= len(b) {
			return s.fail(i, wantCommaOrBrace)
		}
		if b[i] == '}' {
			return i + 1
		}
		if b[i] != ',' {
			return s.fail(i, wantCommaOrBrace)
		}
		i++
		if i < len(b) && b[i] <= ' ' {
			i = space(b, i)
		}
	}
}

// name scans the name of a member, at whose quote i should be, and the colon.
func (s *scanner) name(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return s.fail(i, wantName)
	}
	if i = s.str(b, i+1); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == ':' {
		return i + 1
	}
	if i = space(b, i); i >= len(b) || b[i] != ':' {
		return s.fail(i, wantColon)
	}
	return i + 1
}

// array scans the rest of an array whose bracket is open.
func (s *scanner) array(b []byte, i, depth int) int {
	if i = space(b, i); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = s.value(b, i, depth); i < 0 {
			return -1
		}
		if i = space(b, i); i >= len(b) {
			return s.fail(i, wantCommaOrBracket)
		}
		if b[i] == ']' {
			return i + 1
		}
		if b[i] != ',' {
			return s.fail(i, wantCommaOrBracket)
		}
		i++
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, in the high bit of each byte, the bytes of w that end the plain run of a string: a quote, a backslash, a
// control character. Only the lowest mark is exact.
func special(w uint64) uint64 {
	// c^2 < 0x21 holds for the control characters and the quote (0x22) alone.
	y := w ^ ones*'\\'
	return (((w^ones*0x02)-ones*0x21)&^w | (y-ones)&^y) & highs
}

// str scans the rest of a string whose quote is open.
func (s *scanner) str(b []byte, i int) int {
	for i+8 <= len(b) {
		m := special(binary.LittleEndian.Uint64(b[i:]))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if b[i] == '"' {
			return i + 1
		}
		if b[i] != '\\' {
			return s.fail(i, wantQuote)
		}
		if i = s.escape(b, i+1); i < 0 {
			return -1
		}
	}
	return s.tail(b, i)
}

// tail is str for the last bytes of b.
func (s *scanner) tail(b []byte, i int) int {
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			if i = s.escape(b, i+1); i < 0 {
				return -1
			}
		case c < ' ':
			return s.fail(i, wantQuote)
		default:
			i++
		}
	}
	return s.fail(len(b), wantQuote)
}

// escape scans the rest of an escape whose backslash was read.
func (s *scanner) escape(b []byte, i int) int {
	if i >= len(b) {
		return s.fail(i, wantEscape)
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for range 4 {
			if i++; i >= len(b) || !isHex(b[i]) {
				return s.fail(i, wantHex)
			}
		}
		return i + 1
	}
	return s.fail(i, wantEscape)
}

func isHex(c byte) bool {
	return c-'0' < 10 || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func (s *scanner) literal(b []byte, i int, word string) int {
	for k := range len(word) {
		if i+k >= len(b) || b[i+k] != word[k] {
			return s.fail(i+k, wantLiteral)
		}
	}
	return i + len(word)
}

// number scans a number whose first character is known to be a minus or a digit.
func (s *scanner) number(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = s.digits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = s.digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return s.digits(b, i)
	}
	return i
}

// digits scans one digit or more.
func (s *scanner) digits(b []byte, i int) int {
	start := i
	for i < len(b) && b[i]-'0' < 10 {
		i++
	}
	if i == start {
		return s.fail(i, wantDigit)
	}
	return i
}
