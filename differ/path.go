package differ

import (
	"fmt"
	"unsafe"

	"github.com/tidwall/gjson"
)

// Path is a checked gjson path. The zero value is no path. Two paths are equal (==) when they are spelled alike.
type Path struct{ text string }

// PathError says why a text is not a usable path.
type PathError struct {
	Path    string // as it was given
	Problem string // what is wrong, one lower-case clause
	Suggest string // the spelling that was probably meant; empty when there is no guess
}

// Error names the path and what is wrong with it.
func (e *PathError) Error() string { return fmt.Sprintf("path %q: %s", e.Path, e.Problem) }

// NextStep gives the spelling that was probably meant.
func (e *PathError) NextStep() string {
	if e.Suggest == "" {
		return ""
	}
	return fmt.Sprintf("write %q", e.Suggest)
}

// ParsePath checks a gjson path.
func ParsePath(text string) (Path, error) {
	if text == "" {
		return Path{}, &PathError{Path: text, Problem: "is empty", Suggest: "@this"}
	}
	return Path{text: text}, nil
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
func (p Path) String() string { return p.text }

// IsZero says whether no path was given.
func (p Path) IsZero() bool { return p.text == "" }

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
func (p Path) MarshalText() ([]byte, error) { return []byte(p.text), nil }

// Get gives the value at the path of a valid JSON text, without copying it: the value is valid as long as json is.
func (p Path) Get(json []byte) Value {
	if len(json) == 0 || p.text == "" {
		return Value{}
	}
	raw := gjson.Get(unsafe.String(unsafe.SliceData(json), len(json)), p.text).Raw //nolint:gosec // read only, and the value does not outlive json
	if raw == "" {
		return Value{}
	}
	return Value{Raw: unsafe.Slice(unsafe.StringData(raw), len(raw))} //nolint:gosec // as above
}

// Has says whether there is a value at the path; null is a value.
func (p Path) Has(json []byte) bool { return p.Get(json).Exists() }

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
