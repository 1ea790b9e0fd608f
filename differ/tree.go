package differ

import (
	"bytes"
	"cmp"
	"slices"
)

// tree is a parsed record, as far as it counts for a Shape: what is ignored or not selected is left out, members are sorted
// by name and the elements of unordered arrays by their canonical form. Its memory is used again for the next record.
type tree struct {
	src   []byte
	texts []byte // names in canonical spelling that differ from src, and sort keys of elements
	items []item // the members or elements of one container stand together; the root is the last
	stack []item // those of containers that are still open
}

// item is a member or an element, or the root.
type item struct {
	name     span
	from, to uint32 // raw value in src; nothing for a null that stands for an element that is not selected
	kids, n  uint32 // members or elements in items
	kind     ValueKind
	own      bool // name is in texts
}

type span struct{ from, to uint32 }

// at makes a position compact.
func at(i int) uint32 { return uint32(i) } //nolint:gosec // the Reader's records are limited to 1 GiB

func (t *tree) root() *item { return &t.items[len(t.items)-1] }

func (t *tree) kidsOf(it *item) []item { return t.items[it.kids : it.kids+it.n] }

// name gives the canonical content of a member's name.
func (t *tree) name(it *item) []byte {
	if it.own {
		return t.texts[it.name.from:it.name.to]
	}
	return t.src[it.name.from:it.name.to]
}

func (t *tree) raw(it *item) []byte { return t.src[it.from:it.to] }

// trim gives large memory back.
func (t *tree) trim() {
	t.src = nil
	const itemSize = 32
	if cap(t.items)*itemSize+cap(t.texts) > scratchLimit {
		*t = tree{}
	}
}

// parse reads a record, a valid JSON text.
func (t *tree) parse(s *Shape, record []byte) {
	t.src, t.texts, t.items, t.stack = record, t.texts[:0], t.items[:0], t.stack[:0]
	it, _, _ := t.value(space(record, 0), s.rules, !s.selects)
	t.items = append(t.items, it)
}

// value reads the value at i. Keep says that all of it is selected; otherwise selected says whether a part of it was.
func (t *tree) value(i int, r *rule, keep bool) (it item, end int, selected bool) {
	it = item{from: at(i), kind: Value{Raw: t.src[min(i, len(t.src)):]}.Kind()}
	switch it.kind {
	case Object:
		end, selected = t.members(&it, i+1, r, keep)
	case Array:
		end, selected = t.elements(&it, i+1, r, keep)
	default:
		end = skip(t.src, i)
	}
	it.to = at(end)
	return it, end, selected || keep
}

// child reads the value at i, for which rule r holds.
func (t *tree) child(i int, r *rule, keep bool) (it item, end int, selected bool) {
	keep = keep || r != nil && r.kept
	if r != nil && r.ignored || !keep && (r == nil || !r.selects) {
		return it, skip(t.src, i), false
	}
	return t.value(i, r, keep)
}

func (t *tree) members(object *item, i int, r *rule, keep bool) (end int, selected bool) {
	base := len(t.stack)
	b := t.src
	for i = space(b, i); i < len(b) && b[i] == '"'; i = next(b, i) {
		quote := skipString(b, i+1)
		if quote < i+2 {
			break // not JSON
		}
		name, own := t.spell(i+1, quote-1)
		it, end, selected := t.child(afterColon(b, quote), memberRule(r, b[i+1:quote-1]), keep)
		if i = end; selected {
			it.name, it.own = name, own
			t.stack = append(t.stack, it)
		}
	}
	t.sort(t.stack[base:])
	return min(i+1, len(b)), t.settle(object, base)
}

// spell gives where the canonical spelling of a name is.
func (t *tree) spell(from, to int) (name span, own bool) {
	content := t.src[from:to]
	if !hasEscape(content) {
		return span{at(from), at(to)}, false
	}
	start := len(t.texts)
	t.texts = appendContent(t.texts, content)
	return span{at(start), at(len(t.texts))}, true
}

func (t *tree) elements(array *item, i int, r *rule, keep bool) (end int, selected bool) {
	base, gaps := len(t.stack), 0
	b := t.src
	i = space(b, i)
	for n := 0; i < len(b) && b[i] != ']'; n++ {
		it, end, selected := t.child(i, r.item(n), keep)
		switch i = next(b, end); {
		case selected:
			for ; gaps > 0; gaps-- {
				t.stack = append(t.stack, item{kind: Null})
			}
			t.stack = append(t.stack, it)
		case r.hasGaps(n, keep):
			gaps++
		}
	}
	if r != nil && r.unordered {
		t.sortElements(t.stack[base:])
	}
	return min(i+1, len(b)), t.settle(array, base)
}

// hasGaps says whether an element that is not selected leaves a null behind, so that the ones after it keep their index. That is
// so when fields select by index.
func (r *rule) hasGaps(n int, keep bool) bool {
	if keep || r == nil || len(r.items) == 0 {
		return false
	}
	m := r.item(n)
	return m == nil || !m.ignored
}

// settle moves what was read since base to its place.
func (t *tree) settle(it *item, base int) (some bool) {
	kids := t.stack[base:]
	it.kids, it.n = at(len(t.items)), at(len(kids))
	t.items = append(t.items, kids...)
	t.stack = t.stack[:base]
	return len(kids) > 0
}

// sort sorts members by name; those of the same name stay in order.
func (t *tree) sort(kids []item) {
	for i := 1; i < len(kids); i++ {
		if t.compare(kids[i-1], kids[i]) > 0 {
			slices.SortFunc(kids, t.compare)
			return
		}
	}
}

func (t *tree) compare(a, b item) int {
	if c := bytes.Compare(t.name(&a), t.name(&b)); c != 0 {
		return c
	}
	return cmp.Compare(a.from, b.from)
}

// sortElements sorts elements by their canonical form.
func (t *tree) sortElements(kids []item) {
	for i := range kids {
		start := len(t.texts)
		t.texts = t.append(t.texts, &kids[i])
		kids[i].name, kids[i].own = span{at(start), at(len(t.texts))}, true
	}
	t.sort(kids)
}
