package differ

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// oracle says, slowly and in its own way, what of a decoded value counts, as one comparable text.
type oracle struct{ fields, ignore, unordered [][]component }

func newOracle(s Spec) oracle {
	parts := func(paths []Path) (list [][]component) {
		for _, p := range paths {
			c, _ := components(p.String())
			list = append(list, c)
		}
		return list
	}
	return oracle{fields: parts(s.Fields), ignore: parts(s.Ignore), unordered: parts(s.Unordered)}
}

// place is a step to a value: a member's name or an element's index.
type place struct {
	name  string
	index int // -1 for a member
}

func (p place) is(c component) bool {
	switch {
	case c.wild && c.name == "*":
		return true
	case c.wild:
		return p.index >= 0
	case p.index >= 0:
		n, err := strconv.Atoi(c.name)
		return err == nil && !c.escaped && n == p.index
	}
	return p.name == c.name
}

// leads says whether pattern is path (rest 0), begins with it (rest > 0) or neither (-1).
func leads(path []place, pattern []component) (rest int) {
	if len(pattern) < len(path) {
		return -1
	}
	for i, p := range path {
		if !p.is(pattern[i]) {
			return -1
		}
	}
	return len(pattern) - len(path)
}

func (o *oracle) any(patterns [][]component, path []place, ok func(rest int) bool) bool {
	return slices.ContainsFunc(patterns, func(c []component) bool { return ok(leads(path, c)) })
}

func exact(rest int) bool { return rest == 0 }

// reduce gives what counts of a value; ok is false when nothing does.
func (o *oracle) reduce(v any, path []place, keep bool) (text string, ok bool) {
	if o.any(o.ignore, path, exact) {
		return "", false
	}
	keep = keep || o.any(o.fields, path, exact)
	switch v := v.(type) {
	case map[string]any:
		return o.object(v, path, keep)
	case []any:
		return o.array(v, path, keep)
	}
	b, _ := json.Marshal(v)
	return string(b), keep
}

func (o *oracle) object(v map[string]any, path []place, keep bool) (text string, ok bool) {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if e, ok := o.reduce(v[name], append(slices.Clip(path), place{name, -1}), keep); ok {
			parts = append(parts, strconv.Quote(name)+":"+e)
		}
	}
	return "{" + strings.Join(parts, ",") + "}", keep || len(parts) > 0
}

func (o *oracle) array(v []any, path []place, keep bool) (text string, ok bool) {
	var parts []string
	gaps := 0
	for i, e := range v {
		at := append(slices.Clip(path), place{"", i})
		text, ok := o.reduce(e, at, keep)
		switch {
		case ok:
			for ; gaps > 0; gaps-- {
				parts = append(parts, "null")
			}
			parts = append(parts, text)
		case !keep && o.byIndex(path):
			gaps++
		}
	}
	if o.any(o.unordered, path, exact) {
		slices.Sort(parts)
	}
	return "[" + strings.Join(parts, ",") + "]", keep || len(parts) > 0
}

// byIndex says whether a rule goes on from path by an index.
func (o *oracle) byIndex(path []place) bool {
	for _, c := range slices.Concat(o.fields, o.ignore, o.unordered) {
		if rest := leads(path, c); rest > 0 && c[len(path)].isIndex() {
			return true
		}
	}
	return false
}
