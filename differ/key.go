package differ

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// KeyError says that a record has no usable key.
type KeyError struct {
	Path    Path
	Kind    ValueKind // what is there
	Problem string    // what is wrong with it: "missing", "null", "an object", "empty", "not valid UTF-8", …
	Members []string  // names of the members that the record has, some of them when it has many
}

// Error names the path and what is wrong.
func (e *KeyError) Error() string {
	return fmt.Sprintf("a record has no usable key: %s is %s", e.Path, e.Problem)
}

// NextStep lists what could be the key.
func (e *KeyError) NextStep() string {
	if len(e.Members) == 0 {
		return ""
	}
	return "set key to one of the record's members: " + strings.Join(e.Members, ", ")
}

// KeyOf gives the text of a record's key; see AppendKey.
func (s *Spec) KeyOf(rec Record) (string, error) {
	key, err := s.AppendKey(nil, rec)
	return string(key), err
}

// AppendKey appends the text of a record's key to dst; it does not allocate when dst has room. A number gives its digits as they
// stand (9007199254740993, 1.10), a string its content, true and false their names: the keys 1 and "1" are the same key, 1
// and 1.0 are not. A key of several paths is the JSON array of its parts as text: ["01","4711"].
//
// The error is a *KeyError: each part must be there and be a string, a number or a boolean; it must be valid UTF-8 without
// NUL; and a key of one part must not be empty. A single record without a key path has the key "@this".
func (s *Spec) AppendKey(dst []byte, rec Record) ([]byte, error) {
	switch {
	case len(s.Key) == 1:
		return appendOnlyKey(dst, s.Key[0], rec)
	case len(s.Key) > 1:
		return appendKeys(dst, s.Key, rec)
	case s.Single:
		return append(dst, self...), nil
	}
	return dst, keyError(Path{}, rec, "not configured")
}

func appendOnlyKey(dst []byte, p Path, rec Record) ([]byte, error) {
	start := len(dst)
	dst, problem := appendPart(dst, p, rec)
	if problem == "" && len(dst) == start {
		problem = "empty"
	}
	if problem != "" {
		return dst[:start], keyError(p, rec, problem)
	}
	return dst, nil
}

func appendKeys(dst []byte, paths Paths, rec Record) ([]byte, error) {
	start := len(dst)
	var scratch [64]byte
	dst = append(dst, '[')
	for i, p := range paths {
		if i > 0 {
			dst = append(dst, ',')
		}
		part, problem := appendPart(scratch[:0], p, rec)
		if problem != "" {
			return dst[:start], keyError(p, rec, problem)
		}
		dst = appendJSONString(dst, part)
	}
	return append(dst, ']'), nil
}

// appendPart appends the text at one path and says what is wrong with it.
func appendPart(dst []byte, p Path, rec Record) (key []byte, problem string) {
	if p.String() == memberKey {
		return appendChecked(dst, rec.Member)
	}
	v := p.Get(rec.Raw)
	switch kind := v.Kind(); kind {
	case String:
		content := v.content()
		if hasEscape(content) && hasLoneSurrogate(content) {
			return dst, "not valid Unicode: it has half of a surrogate pair"
		}
		start := len(dst)
		dst = appendText(dst, content)
		return dst, textProblem(dst[start:])
	case Number, Bool:
		return append(dst, v.Raw...), ""
	default:
		return dst, kind.String()
	}
}

func appendChecked(dst, text []byte) (key []byte, problem string) {
	return append(dst, text...), textProblem(text)
}

// textProblem says why a text cannot be a key. Stores and JSON encoders would change or refuse such texts.
func textProblem(text []byte) string {
	switch {
	case !utf8.Valid(text):
		return "not valid UTF-8"
	case bytes.IndexByte(text, 0) >= 0:
		return "a string with a NUL character"
	}
	return ""
}

// hasLoneSurrogate says whether the content of a string has half of a surrogate pair.
func hasLoneSurrogate(content []byte) bool {
	for {
		i := bytes.IndexByte(content, '\\')
		if i < 0 {
			return false
		}
		var r rune
		if r, content = readEscape(content[i:]); utf16.IsSurrogate(r) {
			return true
		}
	}
}

func keyError(p Path, rec Record, problem string) error {
	kind := p.Get(rec.Raw).Kind()
	if p.String() == memberKey {
		kind = String
	}
	return &KeyError{Path: p, Kind: kind, Problem: problem, Members: memberNames(rec.Raw)}
}

// memberNames gives the first names of an object's members, unescaped.
func memberNames(object []byte) []string {
	const enough = 20
	var names []string
	i := space(object, 0)
	if i >= len(object) || object[i] != '{' {
		return nil
	}
	for i = space(object, i+1); i < len(object) && object[i] == '"' && len(names) < enough; i = next(object, i) {
		end := skipString(object, i+1)
		names = append(names, Value{Raw: object[i:end]}.Text())
		i = skip(object, afterColon(object, end))
	}
	return names
}

// AppendKeyIn appends the text of a key inside a partition: the JSON array whose first part is the partition, followed by the
// parts of the key. A composite key is such an array already.
func AppendKeyIn(dst []byte, partition string, key []byte, composite bool) []byte {
	dst = append(appendJSONString(append(dst, '['), []byte(partition)), ',')
	if composite {
		return append(dst, key[1:]...)
	}
	return append(appendJSONString(dst, key), ']')
}
