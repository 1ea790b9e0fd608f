package decode

import "strings"

// splitPath gives the names at the beginning of a gjson path, and the part that is more than a name: "feed.entry" and
// "#.link" of "feed.entry.#.link".
func splitPath(path string) (names []string, rest string) {
	if path == "@this" {
		return nil, ""
	}
	path = strings.TrimPrefix(path, "@this.")
	for path != "" {
		name, size := firstName(path)
		if name == "" {
			return names, path
		}
		names = append(names, name)
		path = path[size:]
		if len(path) > 1 {
			path = path[1:]
		}
	}
	return names, ""
}

// firstName gives the name that a path begins with, and how long it is there; nothing when it begins with something else: an index, a
// query, a modifier, a wildcard, an attribute.
func firstName(path string) (name string, size int) {
	if strings.IndexByte("#@!{[0123456789", path[0]) >= 0 {
		return "", 0
	}
	var b strings.Builder
	for size < len(path) {
		c := path[size]
		switch c {
		case '.', '|':
			return b.String(), size
		case '*', '?':
			return "", 0
		case '\\':
			if size++; size == len(path) {
				return "", 0
			}
			c = path[size]
		}
		b.WriteByte(c)
		size++
	}
	return b.String(), size
}

// listNames gives the names that lead to the list of a records path; none when it leads elsewhere.
func listNames(path string) []string {
	names, rest := splitPath(path)
	if rest != "" && strings.IndexByte("#0123456789", rest[0]) < 0 {
		return nil
	}
	return names
}

// branch is a place in a document that paths lead to; nil is a place that none leads to.
type branch struct {
	name   string
	below  []*branch
	list   bool     // elements here are always an array
	stream bool     // and are written as they come
	way    *element // not nil: the streamed list is below; the one element that all elements here make up
}

func (b *branch) child(name string) *branch {
	if b == nil {
		return nil
	}
	for _, c := range b.below {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (b *branch) streams() bool { return b != nil && b.stream }

// grow gives the branch at the end of a path, and those before it.
func (b *branch) grow(names []string) (end *branch, before []*branch) {
	for _, name := range names {
		before = append(before, b)
		next := b.child(name)
		if next == nil {
			next = &branch{name: name}
			b.below = append(b.below, next)
		}
		b = next
	}
	return b, before
}
