package differ

import (
	"iter"
	"strconv"
)

// Value is one JSON value inside a valid text. The zero value is no value.
type Value struct {
	Raw []byte // the exact bytes, without white space around them; nil when there is no value
}

// ValueKind says what a value is.
type ValueKind uint8

// The kinds of values. Missing is no value at all.
const (
	Missing ValueKind = iota
	Null
	Bool
	Number
	String
	Object
	Array
)

// String gives the name of the kind as it stands in messages: "a string", "null", "missing".
func (k ValueKind) String() string {
	switch k {
	case Missing:
		return "missing"
	case Null:
		return "null"
	case Bool:
		return "a boolean"
	case Number:
		return "a number"
	case String:
		return "a string"
	case Object:
		return "an object"
	case Array:
		return "an array"
	}
	return "unknown"
}

// Exists says whether there is a value; null is one.
func (v Value) Exists() bool { return len(v.Raw) > 0 }

// Kind says what the value is.
func (v Value) Kind() ValueKind {
	if len(v.Raw) == 0 {
		return Missing
	}
	switch v.Raw[0] {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

// IsArray says whether the value is an array.
func (v Value) IsArray() bool { return v.Kind() == Array }

// IsObject says whether the value is an object.
func (v Value) IsObject() bool { return v.Kind() == Object }

// Text gives the content of a string, unescaped, and the raw text of any other value: a number is never rounded.
func (v Value) Text() string {
	return string(v.bytes())
}

// bytes is Text without a copy, unless the string has escapes.
func (v Value) bytes() []byte {
	if v.Kind() != String {
		return v.Raw
	}
	content := v.content()
	if hasEscape(content) {
		return appendText(nil, content)
	}
	return content
}

// content is what stands between the quotes of a string.
func (v Value) content() []byte {
	if len(v.Raw) < 2 {
		return nil
	}
	return v.Raw[1 : len(v.Raw)-1]
}

// Bool says whether the value is true.
func (v Value) Bool() bool { return string(v.Raw) == "true" }

// Elements gives the elements of an array, in order; of anything else none.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if !v.IsArray() {
			return
		}
		b := v.Raw
		for i := space(b, 1); i < len(b) && b[i] != ']'; {
			end := skip(b, i)
			if !yield(Value{Raw: b[i:end]}) {
				return
			}
			i = next(b, end)
		}
	}
}

// Int gives the value of an integer; ok is false when the value is no integer or does not fit.
func (v Value) Int() (n int64, ok bool) {
	n, err := strconv.ParseInt(string(v.Raw), 10, 64)
	if err != nil {
		return 0, false
	}
	return n, true
}
