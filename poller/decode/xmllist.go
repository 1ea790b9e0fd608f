package decode

import (
	"io"
	"slices"
)

// beginRecord writes what stands before an element of the list.
func (t *tree) beginRecord() {
	if t.listed {
		t.out = append(t.out, ',')
		return
	}
	t.listed = true
	for i, b := range t.way {
		t.out = append(t.out, '{')
		t.out = append(appendQuoted(t.out, []byte(t.below(i, b).name)), ':')
	}
	t.out = append(t.out, '[')
}

// below gives the branch on the way behind the i-th, which is b.
func (t *tree) below(i int, b *branch) *branch {
	if i+1 < len(t.way) {
		return t.way[i+1]
	}
	return b.below[slices.IndexFunc(b.below, (*branch).streams)]
}

// finish writes what was held. It returns io.EOF when all is well.
func (t *tree) finish() error {
	if !t.doc.seen {
		line, _ := t.dec.InputPos()
		return &SyntaxError{Format: "xml", Line: line, Offset: t.dec.InputOffset(), What: "there is no element", Truncated: true}
	}
	if t.listed {
		t.finishList()
		return io.EOF
	}
	for i := len(t.way) - 1; i > 0; i-- {
		if e := t.way[i].way; e.seen {
			t.way[i-1].way.addElement(e)
		}
	}
	t.out = t.doc.appendTo(t.out)
	return io.EOF
}

// finishList ends the list and, from the inside out, the objects around it.
func (t *tree) finishList() {
	t.out = append(t.out, ']')
	for _, b := range slices.Backward(t.way) {
		e := b.way
		e.null = false
		lacking := slices.DeleteFunc(e.lacking(), (*branch).streams)
		t.out = append(e.appendMembers(t.out, ",", lacking), '}')
	}
}
