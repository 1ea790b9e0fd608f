package differ

import "strings"

// Shape is a compiled Spec: what of a record is kept, what counts, and which arrays have no order. It is immutable and
// safe for concurrent use.
//
// Its paths are names, indexes, # (each element of an array) and * (each member or element), joined by dots.
type Shape struct {
	rules   *rule // nil: no rules
	selects bool  // there are fields
}

// Compile checks Fields, Ignore and Unordered and prepares them. The error is a *PathError.
func (s *Spec) Compile() (*Shape, error) {
	root := &rule{}
	for _, set := range []struct {
		paths         []Path
		leaf, passing rule
	}{
		{s.Fields, rule{kept: true}, rule{selects: true}},
		{s.Ignore, rule{ignored: true}, rule{}},
		{s.Unordered, rule{unordered: true}, rule{}},
	} {
		for _, p := range set.paths {
			parts, err := shapeParts(p)
			if err != nil {
				return nil, err
			}
			root.add(parts, set.leaf, set.passing)
		}
	}
	if root.ignored {
		return nil, &PathError{Path: self, Problem: "is the whole record, which cannot be ignored"}
	}
	if len(s.Fields)+len(s.Ignore)+len(s.Unordered) == 0 {
		return &Shape{}, nil
	}
	root.settle()
	return &Shape{rules: root, selects: root.selects && !root.kept}, nil
}

// shapeParts gives the components of a path, when a Shape understands it.
func shapeParts(p Path) ([]component, error) {
	if p.String() == self {
		return nil, nil
	}
	parts, ok := components(strings.TrimPrefix(p.String(), self+"."))
	for _, c := range parts {
		ok = ok && (!c.wild || c.name == "#" || c.name == "*")
	}
	if !ok || p.IsZero() {
		return nil, &PathError{Path: p.String(), Problem: "has more than names, indexes, # and *, which is all that can be used for fields, ignore and unordered"}
	}
	return parts, nil
}
