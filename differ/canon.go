package differ

import "bytes"

// AppendCanonical appends the canonical form of a record, a valid JSON text. Two records are the same exactly when their
// canonical forms are: members are sorted by name (those of one name keep their order), white space is dropped, strings are
// spelled in one way, numbers are left as they are (1.10 is not 1.1), what is ignored or not among the fields is left out, and
// the elements of unordered arrays are sorted.
func (s *Shape) AppendCanonical(dst, record []byte) []byte {
	var t tree
	t.parse(s, record)
	return t.append(dst, t.root())
}

// append appends the canonical form of an item.
func (t *tree) append(dst []byte, it *item) []byte {
	switch it.kind {
	case Object:
		dst = append(dst, '{')
		kids := t.kidsOf(it)
		for i := range kids {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, '"')
			dst = append(dst, t.name(&kids[i])...)
			dst = append(dst, '"', ':')
			dst = t.append(dst, &kids[i])
		}
		return append(dst, '}')
	case Array:
		dst = append(dst, '[')
		kids := t.kidsOf(it)
		for i := range kids {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = t.append(dst, &kids[i])
		}
		return append(dst, ']')
	case String:
		dst = append(dst, '"')
		dst = appendContent(dst, Value{Raw: t.raw(it)}.content())
		return append(dst, '"')
	case Null:
		return append(dst, "null"...)
	default:
		return append(dst, t.raw(it)...)
	}
}

// same says whether two items, of trees of the same Shape, have the same canonical form.
func same(t *tree, a *item, u *tree, b *item) bool {
	switch {
	case a.kind != b.kind || a.n != b.n:
		return false
	case a.kind == String:
		return sameText(Value{Raw: t.raw(a)}.content(), Value{Raw: u.raw(b)}.content())
	case a.kind != Object && a.kind != Array:
		return a.kind == Null || bytes.Equal(t.raw(a), u.raw(b))
	}
	left, right := t.kidsOf(a), u.kidsOf(b)
	for i := range left {
		if a.kind == Object && !bytes.Equal(t.name(&left[i]), u.name(&right[i])) || !same(t, &left[i], u, &right[i]) {
			return false
		}
	}
	return true
}

func sameText(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	return (hasEscape(a) || hasEscape(b)) && bytes.Equal(appendContent(nil, a), appendContent(nil, b))
}
