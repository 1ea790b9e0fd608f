package differ

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// Diff says how a record changed from old to new. Both must be JSON texts; the error says which is not. The Delta is empty
// exactly when the canonical forms are equal.
//
// Changed has the gjson paths of what is new, gone or different, special characters of names escaped. Objects that are on both
// sides are looked into, everything else changes as a whole; so does a name that an object has several times. A record
// that is not an object changes at "@this". So that the paths of a hostile record stay in proportion to it, objects below the
// 64th level change as a whole, and all objects inside the record do when the paths become several times longer than the records.
func (s *Shape) Diff(old, new []byte) (Delta, error) {
	if err := check("old", old); err != nil {
		return Delta{}, err
	}
	if err := check("new", new); err != nil {
		return Delta{}, err
	}
	const levels, perByte, slack = 64, 4, 64 << 10
	d := differ{levels: levels, budget: perByte*(len(old)+len(new)) + slack}
	d.old.parse(s, old)
	d.new.parse(s, new)
	if d.compare(d.old.root(), d.new.root(), 0); d.budget < 0 {
		d.levels, d.changes = 1, nil
		d.compare(d.old.root(), d.new.root(), 0)
	}
	return d.delta(), nil
}

// check says whether a record is a JSON text.
func check(which string, record []byte) error {
	var s scanner
	end := s.value(record, 0, 0)
	if end >= 0 {
		if end = space(record, end); end == len(record) {
			return nil
		}
		s.fail(end, wantEnd)
	}
	return fmt.Errorf("the %s record is not JSON: %s at byte %d", which, s.want, s.at)
}

// differ compares two trees of one Shape.
type differ struct {
	old, new tree
	path     []byte // of what is being compared
	changes  []change
	levels   int // how deep objects are looked into
	budget   int // bytes of paths that are left
}

// change is one path that changed.
type change struct {
	path     string
	from, to uint32 // raw old value; the same when there was none
}

func (d *differ) compare(a, b *item, level int) {
	if a.kind == Object && b.kind == Object && level < d.levels {
		d.objects(a, b, level+1)
		return
	}
	if !same(&d.old, a, &d.new, b) {
		d.add(a, level)
	}
}

// objects goes through the members of both in order of name.
func (d *differ) objects(a, b *item, level int) {
	left, right := d.old.kidsOf(a), d.new.kidsOf(b)
	above := len(d.path)
	for len(left) > 0 || len(right) > 0 {
		var name []byte
		if d.order(left, right) <= 0 {
			name = d.old.name(&left[0])
		} else {
			name = d.new.name(&right[0])
		}
		was, is := d.old.named(left, name), d.new.named(right, name)
		left, right = left[len(was):], right[len(is):]
		d.enter(name, level)
		d.members(was, is, level)
		d.path = d.path[:above]
	}
}

// enter lengthens the path by a name, which is in canonical spelling.
func (d *differ) enter(name []byte, level int) {
	if level > 1 {
		d.path = append(d.path, '.')
	}
	if hasEscape(name) {
		name = appendText(nil, name)
	}
	d.path = appendEscapedName(d.path, name)
}

// order says which side has the next name: negative for the left one, positive for the right one, zero for both.
func (d *differ) order(left, right []item) int {
	switch {
	case len(right) == 0:
		return -1
	case len(left) == 0:
		return 1
	}
	return bytes.Compare(d.old.name(&left[0]), d.new.name(&right[0]))
}

// named gives the members at the beginning of kids that have the name.
func (t *tree) named(kids []item, name []byte) []item {
	n := 0
	for n < len(kids) && bytes.Equal(t.name(&kids[n]), name) {
		n++
	}
	return kids[:n]
}

// members compares the members of one name, of which there is usually one on each side.
func (d *differ) members(was, is []item, level int) {
	switch {
	case len(was) == 1 && len(is) == 1:
		d.compare(&was[0], &is[0], level)
	case len(was) == 0:
		d.add(&item{}, level)
	case !d.same(was, is):
		d.add(&was[0], level)
	}
}

func (d *differ) same(was, is []item) bool {
	if len(was) != len(is) {
		return false
	}
	for i := range was {
		if !same(&d.old, &was[i], &d.new, &is[i]) {
			return false
		}
	}
	return true
}

// add notes that the value at the path changed.
func (d *differ) add(old *item, level int) {
	if d.budget -= len(d.path); d.budget < 0 && d.levels > 1 {
		return
	}
	path := string(d.path)
	switch {
	case level == 0:
		path = self
	case path == "":
		path = `\` // how gjson spells a name that is empty
	}
	d.changes = append(d.changes, change{path: path, from: old.from, to: old.to})
}

// delta puts the changes into their two orders.
func (d *differ) delta() Delta {
	if len(d.changes) == 0 {
		return Delta{}
	}
	var delta Delta
	for _, c := range d.changes {
		delta.Changed = append(delta.Changed, c.path)
	}
	slices.Sort(delta.Changed)
	slices.SortFunc(d.changes, func(a, b change) int { return cmp.Compare(a.from, b.from) })
	delta.Previous = append(delta.Previous, '{')
	for _, c := range d.changes {
		if c.from == c.to {
			continue // there was nothing
		}
		if len(delta.Previous) > 1 {
			delta.Previous = append(delta.Previous, ',')
		}
		delta.Previous = append(appendJSONString(delta.Previous, []byte(c.path)), ':')
		delta.Previous = append(delta.Previous, d.old.src[c.from:c.to]...)
	}
	delta.Previous = append(delta.Previous, '}')
	return delta
}
