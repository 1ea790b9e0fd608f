package differ

import "maps"

// rule is what a Shape says of one place in a record and of the places below it. No rule means that nothing special is said.
type rule struct {
	kept      bool // Fields has this path: all of the value is kept
	selects   bool // Fields has paths below this one
	ignored   bool // Ignore has this path
	unordered bool // Unordered has this path

	members map[string]*rule // of an object, by name
	others  *rule            // of all other members, from *
	items   map[int]*rule    // of an array, by index
	rest    *rule            // of all other elements, from # and *
}

// member gives the rule for a member.
func (r *rule) member(name []byte) *rule {
	if r == nil {
		return nil
	}
	if m := r.members[string(name)]; m != nil {
		return m
	}
	return r.others
}

// memberRule gives the rule for the member whose name has the given content, which may have escapes.
func memberRule(r *rule, content []byte) *rule {
	if r != nil && hasEscape(content) {
		content = appendText(nil, content)
	}
	return r.member(content)
}

// item gives the rule for an element.
func (r *rule) item(n int) *rule {
	if r == nil {
		return nil
	}
	if m := r.items[n]; m != nil {
		return m
	}
	return r.rest
}

// add puts leaf at the end of a path, and passing on the way there.
func (r *rule) add(path []component, leaf, passing rule) {
	r.join(&passing)
	if len(path) == 0 {
		r.join(&leaf)
		return
	}
	c, path := path[0], path[1:]
	if c.wild {
		r.rest = grown(r.rest)
		r.rest.add(path, leaf, passing)
		if c.name == "*" {
			r.others = grown(r.others)
			r.others.add(path, leaf, passing)
		}
		return
	}
	if r.members == nil {
		r.members, r.items = map[string]*rule{}, map[int]*rule{}
	}
	r.members[c.name] = grown(r.members[c.name])
	r.members[c.name].add(path, leaf, passing)
	if c.isIndex() {
		_, index, _ := firstStep(string(appendStep(nil, c.name, true)))
		r.items[index] = grown(r.items[index])
		r.items[index].add(path, leaf, passing)
	}
}

func grown(r *rule) *rule {
	if r == nil {
		return &rule{}
	}
	return r
}

// join adds the flags of o.
func (r *rule) join(o *rule) {
	r.kept = r.kept || o.kept
	r.selects = r.selects || o.selects
	r.ignored = r.ignored || o.ignored
	r.unordered = r.unordered || o.unordered
}

// settle makes the rules for names and indexes contain what wildcards say of the same places, so that each place has one rule.
func (r *rule) settle() {
	for name, m := range r.members {
		r.members[name] = merged(m, r.others)
	}
	for n, m := range r.items {
		r.items[n] = merged(m, r.rest)
	}
	for m := range maps.Values(r.members) {
		m.settle()
	}
	for m := range maps.Values(r.items) {
		m.settle()
	}
	if r.others != nil {
		r.others.settle()
	}
	if r.rest != nil {
		r.rest.settle()
	}
}

// merged gives a rule that says what a and b say. Neither is changed; the result shares nothing with them.
func merged(a, b *rule) *rule {
	if a == nil && b == nil {
		return nil
	}
	a, b = grown(a), grown(b)
	m := &rule{others: merged(a.others, b.others), rest: merged(a.rest, b.rest)}
	m.join(a)
	m.join(b)
	m.members = mergedMaps(a.members, b.members)
	m.items = mergedMaps(a.items, b.items)
	return m
}

func mergedMaps[K comparable](a, b map[K]*rule) map[K]*rule {
	if len(a)+len(b) == 0 {
		return nil
	}
	m := make(map[K]*rule, len(a)+len(b))
	for k, r := range a {
		m[k] = merged(r, b[k])
	}
	for k, r := range b {
		if m[k] == nil {
			m[k] = merged(nil, r)
		}
	}
	return m
}
