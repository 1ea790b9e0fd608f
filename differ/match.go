package differ

import (
	"bytes"
	"cmp"
	"strings"
	"unicode/utf8"
)

// Match says whether the condition holds for a valid JSON text.
func (c Condition) Match(json []byte) bool {
	if c.IsZero() {
		return false
	}
	is := c.is()
	v := is.path.Get(json)
	switch is.op {
	case truthy:
		return isTruthy(v)
	case equals:
		return is.value.equals(v)
	case unequal:
		return !is.value.equals(v)
	case like:
		return is.value.like(v)
	case notLike:
		return !is.value.like(v)
	default:
		order, ok := is.value.order(v)
		return ok && is.op.accepts(order)
	}
}

// accepts says whether the operator holds when the left side compares to the right one as order says.
func (op operator) accepts(order int) bool {
	switch op {
	case less:
		return order < 0
	case lessOrEqual:
		return order <= 0
	case greater:
		return order > 0
	case greaterOrEqual:
		return order >= 0
	default:
		return false
	}
}

func isTruthy(v Value) bool {
	switch v.Kind() {
	case Bool:
		return v.Bool()
	case String:
		return len(v.content()) > 0
	case Number:
		d, _ := parseDecimal(string(v.Raw))
		return !d.isZero()
	case Object, Array:
		return true
	case Missing, Null:
	}
	return false
}

func (o *operand) equals(v Value) bool {
	switch kind := v.Kind(); {
	case o.kind == Null:
		return kind == Null || kind == Missing
	case !isComparable(kind):
		return false
	}
	if order, ok := o.numeric(v); ok {
		return order == 0
	}
	return string(v.bytes()) == o.text
}

// order compares the value with the operand: negative when the value is less.
func (o *operand) order(v Value) (order int, ok bool) {
	if kind := v.Kind(); kind != Number && kind != String {
		return 0, false
	}
	if order, ok = o.numeric(v); ok {
		return order, true
	}
	if v.Kind() == Number || o.kind == Number {
		return 0, false
	}
	switch text := v.bytes(); {
	case string(text) < o.text:
		return -1, true
	case string(text) > o.text:
		return 1, true
	}
	return 0, true
}

// numeric compares as numbers when one side is a number and the other one is or holds one.
func (o *operand) numeric(v Value) (order int, ok bool) {
	if o.kind != Number && v.Kind() != Number {
		return 0, false
	}
	left, ok := parseDecimal(string(v.bytes()))
	if !ok {
		return 0, false
	}
	right, ok := parseDecimal(o.text)
	return left.compare(right), ok
}

func (o *operand) like(v Value) bool {
	return isComparable(v.Kind()) && glob(o.text, v.bytes())
}

func isComparable(kind ValueKind) bool { return kind == String || kind == Number || kind == Bool }

// glob says whether text matches a pattern, in which a star stands for any characters and a question mark for one; a backslash
// takes the next character literally. It takes time in proportion to the product of the lengths at most.
func glob(pattern string, text []byte) bool {
	retry, from := -1, 0 // after the last star; where the text that it stands for ends
	p, t := 0, 0
	for t < len(text) || p < len(pattern) {
		if p < len(pattern) && pattern[p] == '*' {
			p++
			retry, from = p, t
			continue
		}
		if np, nt := globStep(pattern[p:], text[t:]); np > 0 {
			p, t = p+np, t+nt
			continue
		}
		if retry < 0 || from >= len(text) {
			return false
		}
		_, size := utf8.DecodeRune(text[from:])
		from += size
		p, t = retry, from
	}
	return true
}

// globStep matches one character, and gives the lengths of it in the pattern and the text; zero when it does not match.
func globStep(pattern string, text []byte) (np, nt int) {
	if pattern == "" || len(text) == 0 {
		return 0, 0
	}
	if pattern[0] == '?' {
		_, size := utf8.DecodeRune(text)
		return 1, size
	}
	escape := 0
	if pattern[0] == '\\' && len(pattern) > 1 {
		escape = 1
	}
	if pattern[escape] != text[0] {
		return 0, 0
	}
	return escape + 1, 1
}

// decimal is a number as JSON writes it, without loss: 0.d₁d₂d₃… × 10^exponent, where the digits come from two texts.
type decimal struct {
	negative bool
	whole    string // digits before the point, without leading zeros
	fraction string // digits after it; without leading zeros when whole is empty
	exponent int64
}

// parseDecimal reads a JSON number; ok is false for any other text.
func parseDecimal(text string) (d decimal, ok bool) {
	var s scanner
	if text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') || s.number([]byte(text), 0) != len(text) {
		return d, false
	}
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
	}
	mantissa, d.negative = strings.CutPrefix(mantissa, "-")
	d.whole, d.fraction, _ = strings.Cut(mantissa, ".")
	d.whole = strings.TrimLeft(d.whole, "0")
	d.exponent = parseExponent(exponent)
	if d.whole != "" {
		d.exponent += int64(len(d.whole))
		return d, true
	}
	significant := strings.TrimLeft(d.fraction, "0")
	d.exponent -= int64(len(d.fraction) - len(significant))
	d.fraction = significant
	return d, true
}

// parseExponent reads digits with a sign. What is beyond any number of digits that a text could have is cut off there.
func parseExponent(text string) (e int64) {
	const limit = 1 << 56
	for _, c := range []byte(strings.TrimLeft(text, "+-")) {
		e = min(e*10+int64(c-'0'), limit)
	}
	if strings.HasPrefix(text, "-") {
		return -e
	}
	return e
}

func (d *decimal) isZero() bool {
	return d.whole == "" && d.fraction == ""
}

// compare orders decimals by their value.
func (d *decimal) compare(o decimal) int {
	switch {
	case d.isZero() && o.isZero():
		return 0
	case d.sign() != o.sign():
		return cmp.Compare(d.sign(), o.sign())
	}
	order := cmp.Compare(d.exponent, o.exponent)
	if order == 0 {
		order = bytes.Compare(d.digits(), o.digits())
	}
	return order * d.sign()
}

func (d *decimal) sign() int {
	switch {
	case d.isZero():
		return 0
	case d.negative:
		return -1
	}
	return 1
}

// digits gives all digits from the first that is not zero to the last that is not.
func (d *decimal) digits() []byte {
	return bytes.TrimRight(append([]byte(d.whole), d.fraction...), "0")
}
