package differ

import (
	"fmt"
	"slices"
)

// lists names the arrays of a valid document, for a message that says what the path of the records could be; when there are
// none, the members of the document.
func lists(doc []byte) []string {
	const levels = 4
	l := lister{}
	i := space(doc, 0)
	if i >= len(doc) {
		return nil
	}
	switch doc[i] {
	case '[':
		l.array(doc, i, nil)
	case '{':
		l.object(doc, i, nil, levels)
	}
	if len(l.found) > 0 {
		return l.found
	}
	names := memberNames(doc)
	for n, name := range names {
		names[n] = escapeName(name)
	}
	return names
}

type lister struct{ found []string }

const enoughLists = 8

func (l *lister) object(b []byte, i int, path []byte, levels int) {
	for i = space(b, i+1); i < len(b) && b[i] == '"' && len(l.found) < enoughLists; {
		end := skipString(b, i+1)
		name := appendText(nil, b[i+1:end-1])
		at := path
		if len(path) > 0 {
			at = append(slices.Clip(path), '.')
		}
		at = appendEscapedName(slices.Clip(at), name)
		i = afterColon(b, end)
		switch {
		case b[i] == '[':
			l.array(b, i, at)
		case b[i] == '{' && levels > 1:
			l.object(b, i, at, levels-1)
		}
		i = next(b, skip(b, i))
	}
}

func (l *lister) array(b []byte, i int, path []byte) {
	if len(path) == 0 {
		path = []byte(self)
	}
	n, what := 0, "value"
	for i = space(b, i+1); i < len(b) && b[i] != ']'; i = next(b, skip(b, i)) {
		if n++; b[i] == '{' {
			what = "object"
		}
	}
	if n != 1 {
		what += "s"
	}
	l.found = append(l.found, fmt.Sprintf("%s (%d %s)", path, n, what))
}
