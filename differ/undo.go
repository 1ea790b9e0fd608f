package differ

import "slices"

// Undo gives the record as it was before an update: record is what it became. Members may stand in another order than they did, and
// what a Shape ignores is as it became; in all that counts for the Shape which made the Delta, it is the old record.
func (d *Delta) Undo(record []byte) []byte {
	if slices.Contains(d.Changed, self) {
		return d.Was(self).Raw
	}
	u := undoer{src: record}
	if i := space(record, 0); i < len(record) && record[i] == '{' && len(d.Changed) > 0 {
		u.object(i, d.edits())
		return u.out
	}
	return record
}

// edit is what has to be done to a value: put the old one in its place, or look into it.
type edit struct {
	name string
	leaf bool
	old  []byte // nil: there was none
	done bool
	kids []*edit
}

// edits makes a tree of the changed paths.
func (d *Delta) edits() *edit {
	root := &edit{}
	for _, path := range d.Changed {
		e := root
		for _, name := range names(path) {
			e = e.child(name)
		}
		e.leaf, e.old = true, d.Was(path).Raw
	}
	return root
}

func (e *edit) child(name string) *edit {
	if n := len(e.kids); n > 0 && e.kids[n-1].name == name { // paths are sorted
		return e.kids[n-1]
	}
	if k := e.find(name); k != nil {
		return k
	}
	k := &edit{name: name}
	e.kids = append(e.kids, k)
	return k
}

func (e *edit) find(name string) *edit {
	for _, k := range e.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

// names splits a path of a Delta, see differ.enter: names with special characters escaped, joined by dots.
func names(path string) []string {
	if path == `\` {
		return []string{""}
	}
	var list []string
	var name []byte
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path):
			i++
			name = append(name, path[i])
		case c == '.':
			list, name = append(list, string(name)), nil
		default:
			name = append(name, c)
		}
	}
	return append(list, string(name))
}

type undoer struct{ src, out []byte }

// object writes the object at i with its edits, and gives where it ends.
func (u *undoer) object(i int, e *edit) (end int) {
	b := u.src
	u.out = append(u.out, '{')
	first := len(u.out)
	for i = space(b, i+1); i < len(b) && b[i] == '"'; {
		quote := skipString(b, i+1)
		i = next(b, u.member(i, quote, afterColon(b, quote), e, first))
	}
	for _, k := range e.kids {
		if k.leaf && !k.done && k.old != nil { // it is gone
			u.comma(first)
			u.out = append(append(appendJSONString(u.out, []byte(k.name)), ':'), k.old...)
		}
	}
	u.out = append(u.out, '}')
	return min(i+1, len(b))
}

// member writes the member whose name stands from start to quote, and gives where its value at i ends.
func (u *undoer) member(start, quote, i int, e *edit, first int) (end int) {
	b := u.src
	k := e.find(Value{Raw: b[start:quote]}.Text())
	switch {
	case k == nil || !k.leaf && (i >= len(b) || b[i] != '{'):
		u.comma(first)
		end = skip(b, i)
		u.out = append(u.out, b[start:end]...)
		return end
	case k.leaf:
		if k.old != nil && !k.done {
			u.comma(first)
			u.out = append(append(u.out, b[start:i]...), k.old...)
		}
		k.done = true
		return skip(b, i)
	}
	u.comma(first)
	u.out = append(u.out, b[start:i]...)
	return u.object(i, k)
}

// comma separates a member from the one before it.
func (u *undoer) comma(first int) {
	if len(u.out) > first {
		u.out = append(u.out, ',')
	}
}
