package differ

import (
	"bytes"
	"cmp"
	"encoding/binary"
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
	prefix   uint64 // first bytes of the name, so that most names compare without being looked at
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
	const itemSize = 40
	if cap(t.items)*itemSize+cap(t.texts) > scratchLimit {
		*t = tree{}
	}
}

// parse reads a record, a valid JSON text.
func (t *tree) parse(s *Shape, record []byte) {
	t.src, t.texts, t.items, t.stack = record, t.texts[:0], t.items[:0], t.stack[:0]
	t.value(space(record, 0), s.rules, !s.selects)
	t.items = append(t.items, t.stack[:1]...) // the root stays when nothing of it is selected
}

// value reads the value at i and puts its item on the stack, if the value is selected: all of it when keep is set, otherwise
// because a part of it is.
func (t *tree) value(i int, r *rule, keep bool) (end int, selected bool) {
	pos, kind := len(t.stack), Value{Raw: t.src[min(i, len(t.src)):]}.Kind()
	t.stack = append(t.stack, item{from: at(i), kind: kind})
	switch kind {
	case Object:
		end = t.members(i+1, r, keep)
	case Array:
		end = t.elements(i+1, r, keep)
	default:
		end = skip(t.src, i)
	}
	kids := t.stack[pos+1:]
	it := &t.stack[pos]
	it.to, it.kids, it.n = at(end), at(len(t.items)), at(len(kids))
	t.items = append(t.items, kids...)
	if selected = keep || len(kids) > 0; selected {
		pos++
	}
	t.stack = t.stack[:pos]
	return end, selected
}

// child is value where rule r holds.
func (t *tree) child(i int, r *rule, keep bool) (end int, selected bool) {
	keep = keep || r != nil && r.kept
	if r != nil && r.ignored || !keep && (r == nil || !r.selects) {
		return skip(t.src, i), false
	}
	return t.value(i, r, keep)
}

// members puts the members of an object on the stack, sorted.
func (t *tree) members(i int, r *rule, keep bool) (end int) {
	base := len(t.stack)
	b := t.src
	for i = space(b, i); i < len(b) && b[i] == '"'; i = next(b, i) {
		quote := skipString(b, i+1)
		if quote < i+2 {
			break // not JSON
		}
		name, own := t.spell(i+1, quote-1)
		end, selected := t.child(afterColon(b, quote), memberRule(r, b[i+1:quote-1]), keep)
		if i = end; selected {
			it := &t.stack[len(t.stack)-1]
			it.name, it.own = name, own
			it.prefix = prefix(t.name(it))
		}
	}
	t.sort(t.stack[base:])
	return min(i+1, len(b))
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

// elements puts the elements of an array on the stack.
func (t *tree) elements(i int, r *rule, keep bool) (end int) {
	base, gaps := len(t.stack), 0
	b := t.src
	i = space(b, i)
	for n := 0; i < len(b) && b[i] != ']'; n++ {
		pos := len(t.stack)
		end, selected := t.child(i, r.item(n), keep)
		switch i = next(b, end); {
		case selected && gaps > 0:
			t.stack = slices.Insert(t.stack, pos, slices.Repeat([]item{{kind: Null}}, gaps)...)
			gaps = 0
		case !selected && r.hasGaps(keep):
			gaps++
		}
	}
	if r != nil && r.unordered {
		t.sortElements(t.stack[base:])
	}
	return min(i+1, len(b))
}

// hasGaps says whether an element that is not selected leaves a null behind, so that the ones after it keep their index. That is
// so when rules speak of an index.
func (r *rule) hasGaps(keep bool) bool { return !keep && r != nil && len(r.items) > 0 }

// sort sorts members by name; those of the same name stay in order.
func (t *tree) sort(kids []item) {
	const few = 16
	if len(kids) > few {
		slices.SortFunc(kids, func(a, b item) int { return t.compare(&a, &b) })
		return
	}
	for i := 1; i < len(kids); i++ {
		for k := i; k > 0 && t.compare(&kids[k-1], &kids[k]) > 0; k-- {
			kids[k-1], kids[k] = kids[k], kids[k-1]
		}
	}
}

func (t *tree) compare(a, b *item) int {
	if a.prefix != b.prefix {
		return cmp.Compare(a.prefix, b.prefix)
	}
	if c := bytes.Compare(t.name(a), t.name(b)); c != 0 {
		return c
	}
	return cmp.Compare(a.from, b.from)
}

// prefix gives the first eight bytes of a canonical text as a number that compares as they do. Such texts have no zero bytes.
func prefix(text []byte) uint64 {
	if len(text) >= 8 {
		return binary.BigEndian.Uint64(text)
	}
	var p uint64
	for i, c := range text {
		p |= uint64(c) << (56 - 8*i)
	}
	return p
}

// sortElements sorts elements by their canonical form.
func (t *tree) sortElements(kids []item) {
	for i := range kids {
		start := len(t.texts)
		t.texts = t.append(t.texts, &kids[i])
		kids[i].name, kids[i].own = span{at(start), at(len(t.texts))}, true
		kids[i].prefix = prefix(t.texts[start:])
	}
	t.sort(kids)
}
