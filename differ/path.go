package differ

import (
	"fmt"
	"strings"
	"unique"
)

// Path is a checked gjson path. The zero value is no path. Two paths are equal (==) when they are spelled alike.
//
// The syntax is that of gjson: members and array indexes joined by dots ("data.items", "items.0.id"), special characters
// escaped by a backslash ("fav\.movie"), and where gjson has them wildcards, queries, modifiers and multipaths. One
// spelling is added: an OData annotation stands as it is ("@odata.nextLink", "value@odata.count"), though gjson wants its dots
// escaped.
//
// When an object has several members of one name, the first that leads on counts, as in gjson.
//
// Many sources have the same paths: what a path is is kept once.
type Path struct{ of unique.Handle[path] }

// path is what a Path is.
type path struct {
	text  string
	code  string // of a plain path its steps, see steps.go; of others the spelling for gjson
	plain bool   // members and indexes only; no steps at all lead to the document itself
}

func makePath(p path) Path { return Path{unique.Make(p)} }

// is gives what the path is; the zero path is nothing.
func (p Path) is() path {
	if p == (Path{}) {
		return path{}
	}
	return p.of.Value()
}

// Self is the path of the whole document, spelled "@this".
func Self() Path { return makePath(path{text: self, plain: true}) }

const self = "@this"

// PathError says why a text is not a usable path.
type PathError struct {
	Path    string // as it was given
	Problem string // what is wrong, a lower-case clause after "the path …"
	Suggest string // the spelling that was probably meant; empty when there is no guess
}

// Error names the path and what is wrong with it.
func (e *PathError) Error() string { return fmt.Sprintf("the path %q %s", e.Path, e.Problem) }

// NextStep gives the spelling that was probably meant; empty when there is no guess.
func (e *PathError) NextStep() string {
	if e.Suggest == "" {
		return ""
	}
	return fmt.Sprintf("write %q", e.Suggest)
}

// ParsePath checks a gjson path. The library itself never refuses a path, it finds nothing; so what other languages would write
// (JSONPath, jq, JSON Pointer) and what is not balanced is a *PathError here.
func ParsePath(text string) (Path, error) {
	if err := checkPath(text); err != nil {
		return Path{}, err
	}
	if steps, plain := plainSteps(text); plain {
		return makePath(path{text: text, code: steps, plain: true}), nil
	}
	return makePath(path{text: text, code: escapeAnnotations(text)}), nil
}

// MustPath is ParsePath for paths that stand in code; it panics when the path is wrong.
func MustPath(text string) Path {
	p, err := ParsePath(text)
	if err != nil {
		panic(err)
	}
	return p
}

// String gives the path as it was written.
func (p Path) String() string { return p.is().text }

// IsZero says whether no path was given.
func (p Path) IsZero() bool { return p == (Path{}) }

// UnmarshalText is ParsePath.
func (p *Path) UnmarshalText(text []byte) error {
	parsed, err := ParsePath(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// MarshalText gives the path as it was written.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Get gives the value at the path of a valid JSON text, usually without copying: the value must not be written to, and is
// valid as long as json is. The zero path finds nothing.
func (p Path) Get(json []byte) Value {
	switch is := p.is(); {
	case is.plain:
		return get(json, is.code)
	case is.text == "":
		return Value{}
	case !reaches(is.text, json):
		return Value{} // gjson would look for brackets inside a string
	default:
		return gjsonGet(json, is.code)
	}
}

// Has says whether there is a value at the path; null is a value.
func (p Path) Has(json []byte) bool { return p.Get(json).Exists() }

// reaches says whether gjson may be asked: a scalar has no members, only modifiers, literals and multipaths apply to it.
func reaches(text string, json []byte) bool {
	i := space(json, 0)
	return i < len(json) && (json[i] == '{' || json[i] == '[' || strings.IndexByte("@!{[", text[0]) >= 0)
}

// Paths is one path or a list of them.
type Paths []Path

// SetStrings takes a list of paths.
func (p *Paths) SetStrings(texts []string) error {
	list := make(Paths, len(texts))
	for i, text := range texts {
		if err := list[i].UnmarshalText([]byte(text)); err != nil {
			return err
		}
	}
	*p = list
	return nil
}

// UnmarshalText takes one path.
func (p *Paths) UnmarshalText(text []byte) error { return p.SetStrings([]string{string(text)}) }
