package guess

import (
	"slices"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// field is a place in the records where plain values stand.
type field struct {
	names  []string
	path   differ.Path
	count  int // records that have a value here
	values map[string]bool
	of     []string // by record
	kinds  [differ.Array + 1]int
	first  string
	length int // of all values together
	dates  int
	points int // numbers with a fraction
}

func (f *field) name() string { return f.names[len(f.names)-1] }

// everywhere says whether each of n records has a value here.
func (f *field) everywhere(n int) bool { return f.count == n }

func (f *field) unique() bool { return len(f.values) == f.count }

const (
	mostRecords  = 20_000 // that are looked at
	deepestField = 3
)

// fields lists where plain values stand, in the order of their first appearance.
func fields(records []*node) []*field {
	byPath := map[string]*field{}
	var all []*field
	var look func(n *node, names []string, record int)
	look = func(n *node, names []string, record int) {
		if n.kind == differ.Object && len(names) < deepestField {
			for i, name := range n.names {
				look(n.kids[i], append(slices.Clip(names), name), record)
			}
			return
		}
		if !n.scalar() || n.text == "" || len(names) == 0 {
			return
		}
		key := strings.Join(names, "\x00")
		f := byPath[key]
		if f == nil {
			f = &field{names: names, path: differ.MemberPath(names...), values: map[string]bool{}, of: make([]string, min(len(records), mostRecords)), first: n.text}
			byPath[key] = f
			all = append(all, f)
		}
		f.take(n, record)
	}
	for i, r := range records[:min(len(records), mostRecords)] {
		look(r, nil, i)
	}
	return slices.DeleteFunc(all, func(f *field) bool { return f.path.IsZero() })
}

func (f *field) take(n *node, record int) {
	if f.of[record] != "" {
		return // a member that comes twice
	}
	f.count++
	f.values[n.text] = true
	f.of[record] = n.text
	f.kinds[n.kind]++
	f.length += len(n.text)
	if timeForm(n.text) != "" {
		f.dates++
	}
	if isNumber(n.text) && strings.ContainsAny(n.text, ".eE") {
		f.points++
	}
}

// isNumber says whether a text is a number, which is what XML, CSV and careful APIs make of numbers.
func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil && text[0] != '+' && !strings.ContainsAny(text, "xXiInNpP_")
}
