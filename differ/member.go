package differ

import (
	"slices"
	"strings"
)

// MemberPath gives the path that leads through members of these names, spelled as people write it: only what would mean
// something else is escaped. It is the path of the whole document when there are no names.
func MemberPath(names ...string) Path {
	if len(names) == 0 {
		return Self()
	}
	plain := make([]string, len(names))
	for i, name := range names {
		plain[i] = spelled(name, i == 0)
	}
	if p, err := ParsePath(strings.Join(plain, ".")); err == nil && p.leads(names) {
		return p
	}
	for i, name := range names {
		plain[i] = escapeName(name)
	}
	p, err := ParsePath(strings.Join(plain, "."))
	if err != nil {
		return Path{} // an empty name: no path leads there
	}
	return p
}

// spelled leaves an attribute (@id), which reads better so, unless a modifier of gjson is called alike.
func spelled(name string, first bool) string {
	attribute, ok := strings.CutPrefix(name, "@")
	if !ok || first && isModifier(attribute) {
		return escapeName(name)
	}
	return "@" + escapeName(attribute)
}

func isModifier(name string) bool {
	switch name {
	case "key", "this", "reverse", "ugly", "pretty", "flatten", "join", "valid", "keys", "values", "tostr", "fromstr", "group", "dig":
		return true
	}
	return false
}

// leads says whether the path finds what stands below members of these names.
func (p Path) leads(names []string) bool {
	document := []byte("1")
	for _, name := range slices.Backward(names) {
		document = append(append(appendJSONString([]byte("{"), []byte(name)), ':'), append(document, '}')...)
	}
	return string(p.Get(document).Raw) == "1"
}
