package differ

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/tidwall/gjson"
)

// The functions of this file walk through JSON that is known to be valid, without checking it. With other texts they
// find something or nothing, but never read past the end.

// get finds the value at the steps of a plain path.
func get(json []byte, steps string) Value {
	i := space(json, 0)
	if i >= len(json) {
		return Value{}
	}
	if from, to, ok := find(json, i, steps); ok {
		return Value{Raw: json[from:to]}
	}
	return Value{}
}

// find looks for the value at steps inside the value at i. When there is none, to is the end of the value at i.
func find(b []byte, i int, steps string) (from, to int, ok bool) {
	if steps == "" {
		return i, skip(b, i), true
	}
	if i < len(b) {
		switch b[i] {
		case '{':
			return findMember(b, i+1, steps)
		case '[':
			return findElement(b, i+1, steps)
		}
	}
	return 0, skip(b, i), false
}

func findMember(b []byte, i int, steps string) (from, to int, ok bool) {
	name, _, rest := firstStep(steps)
	for i = space(b, i); i < len(b) && b[i] == '"'; i = next(b, i) {
		end := skipString(b, i+1)
		hit := isName(b[i:end], name)
		if i = afterColon(b, end); !hit {
			i = skip(b, i)
			continue
		}
		if from, to, ok = find(b, i, rest); ok {
			return from, to, true
		}
		i = to
	}
	return 0, min(i+1, len(b)), false
}

func findElement(b []byte, i int, steps string) (from, to int, ok bool) {
	_, index, rest := firstStep(steps)
	i = space(b, i)
	for n := 0; i < len(b) && b[i] != ']'; n++ {
		if n == index {
			if from, to, ok = find(b, i, rest); ok {
				return from, to, true
			}
			i = next(b, to)
			continue
		}
		i = next(b, skip(b, i))
	}
	return 0, min(i+1, len(b)), false
}

// next goes from the end of a member or an element to the beginning of the next, or to the closing bracket.
func next(b []byte, i int) int {
	if i = space(b, i); i < len(b) && b[i] == ',' {
		return space(b, i+1)
	}
	return i
}

// afterColon goes from the end of a member's name to the beginning of its value.
func afterColon(b []byte, i int) int {
	if i = space(b, i); i < len(b) {
		i++
	}
	return space(b, i)
}

// isName says whether a quoted string is name.
func isName(quoted []byte, name string) bool {
	if len(quoted) < 2 {
		return false
	}
	content := quoted[1 : len(quoted)-1]
	if string(content) == name {
		return !hasEscape(content)
	}
	return len(content) > len(name) && hasEscape(content) && string(appendText(nil, content)) == name
}

// skip goes to the end of the value at i.
func skip(b []byte, i int) int {
	if i >= len(b) {
		return i
	}
	switch b[i] {
	case '"':
		return skipString(b, i+1)
	case '{', '[':
		return skipNested(b, i)
	}
	for i++; i < len(b); i++ {
		if c := b[i]; c == ',' || c == '}' || c == ']' || c <= ' ' {
			break
		}
	}
	return i
}

// skipString goes to the end of a string whose quote is open.
func skipString(b []byte, i int) int {
	for {
		if i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			m := equal(w, '"') | equal(w, '\\')
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
		}
		switch {
		case i >= len(b):
			return len(b)
		case b[i] == '"':
			return i + 1
		case b[i] == '\\':
			i++
		}
		i++
	}
}

// skipNested goes to the end of the object or array at i.
func skipNested(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		if i+8 <= len(b) {
			m := structural(binary.LittleEndian.Uint64(b[i:]))
			if m == 0 {
				i += 7
				continue
			}
			i += bits.TrailingZeros64(m) >> 3
		}
		switch b[i] {
		case '"':
			i = skipString(b, i+1) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(b)
}

// equal marks, in the high bit of each byte, the bytes of w that are c. Only the lowest mark is exact.
func equal(w uint64, c byte) uint64 {
	x := w ^ ones*uint64(c)
	return (x - ones) &^ x & highs
}

// structural marks quotes and brackets, as equal does. [ and ] differ from { and } in one bit.
func structural(w uint64) uint64 {
	v := w &^ (ones * 0x20)
	return equal(w, '"') | equal(v, '[') | equal(v, ']')
}

// gjsonGet finds the value at a path that is not plain.
func gjsonGet(json []byte, path string) Value {
	if len(json) == 0 {
		return Value{}
	}
	text := unsafe.String(unsafe.SliceData(json), len(json)) //nolint:gosec // gjson takes strings; a copy of the document would cost more than the look-up
	raw := gjson.Get(text, path).Raw
	if raw == "" {
		return Value{}
	}
	b := unsafe.Slice(unsafe.StringData(raw), len(raw)) //nolint:gosec // a part of json, or a new text; nobody writes to a Value
	return Value{Raw: b[space(b, 0):endOf(b)]}
}

// endOf gives the end of b without the white space there.
func endOf(b []byte) int {
	n := len(b)
	for n > 0 && space(b[:n], n-1) == n {
		n--
	}
	return n
}

// offsetIn gives where part begins inside whole, or -1 when it is elsewhere in memory.
func offsetIn(whole, part []byte) int {
	w, p := uintptr(unsafe.Pointer(unsafe.SliceData(whole))), uintptr(unsafe.Pointer(unsafe.SliceData(part))) //nolint:gosec // compared only
	if p < w || p+uintptr(len(part)) > w+uintptr(len(whole)) {
		return -1
	}
	return int(p - w)
}
