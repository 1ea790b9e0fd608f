package decode

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// tree makes an object of an XML document; the comment of the package says what becomes of what. The elements of the list are
// written as they end, all else is held until the document has ended.
type tree struct {
	in   *meter
	dec  *xml.Decoder
	most int // bytes that may be held

	doc   *element   // what stands around the root
	open  []*element // from doc to the innermost
	spare []*element // by depth, to be used again
	way   []*branch  // from that of doc to that of the list's parent; empty: nothing is streamed

	out    []byte
	listed bool     // the list was begun
	fault  *element // of SOAP, that is open
	record int      // depth of the list's element that is open; 0: none
}

func newTree(src io.Reader, o Options) *tree {
	in := &meter{src: src, most: o.MaxBuffer}
	root := &branch{}
	t := &tree{in: in, dec: xml.NewDecoder(bufio.NewReaderSize(in, chunkSize)), most: o.MaxBuffer, doc: &element{branch: root}}
	// The charset was converted before, whatever the declaration says.
	t.dec.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for _, path := range o.ForceArray {
		names, _ := splitPath(path)
		end, _ := root.grow(names)
		end.list = true
	}
	if names := listNames(o.Records); len(names) > 0 {
		end, way := root.grow(names)
		end.list, end.stream = true, true
		for _, b := range way {
			b.way = &element{name: b.name, branch: b}
		}
		t.way, t.doc = way, root.way
	}
	t.open = append(t.open, t.doc)
	return t
}

func (t *tree) next() ([]byte, error) {
	t.out = t.out[:0]
	for len(t.out) < chunkSize {
		t.in.refill()
		token, err := t.dec.Token()
		if err == io.EOF { //nolint:errorlint // a wrapped io.EOF is a failure of the source
			return t.out, t.finish()
		}
		if err == nil {
			err = t.take(token)
		}
		if err != nil {
			return t.out, t.explain(err)
		}
	}
	return t.out, nil
}

func (t *tree) take(token xml.Token) error {
	top := t.open[len(t.open)-1]
	switch token := token.(type) {
	case xml.StartElement:
		if err := t.start(top, &token); err != nil {
			return err
		}
	case xml.EndElement:
		return t.end(top)
	case xml.CharData:
		if top == t.doc {
			return t.around(token)
		}
		top.addText(token)
	default: // a comment, a processing instruction, a document type: not data
		return nil
	}
	return t.checkHeld()
}

// around looks at text outside of the root.
func (t *tree) around(text []byte) error {
	if len(bytes.Trim(text, " \t\r\n")) > 0 {
		return t.wrong("there is text outside of the root element")
	}
	return nil
}

func (t *tree) start(parent *element, s *xml.StartElement) error {
	const deepest = 1000
	switch {
	case parent == t.doc && t.doc.seen:
		return t.wrong("there is a second root element, " + s.Name.Local)
	case len(t.open) > deepest:
		return t.wrong(fmt.Sprintf("elements stand in each other more than %d deep", deepest))
	}
	t.doc.seen = true
	parent.endRun()
	e := t.element(s.Name.Local, parent.branch.child(s.Name.Local))
	e.seen = true
	e.attributes(s.Attr)
	switch {
	case t.isFault(s.Name):
		t.fault = e
	case e.branch.streams():
		t.record = len(t.open)
	}
	t.open = append(t.open, e)
	return nil
}

// element gives an element to fill: on the way to the list always the same one.
func (t *tree) element(name string, b *branch) *element {
	if b != nil && b.way != nil {
		return b.way
	}
	depth := len(t.open)
	for len(t.spare) <= depth {
		t.spare = append(t.spare, &element{})
	}
	e := t.spare[depth]
	e.reset(name, b)
	return e
}

func (t *tree) end(e *element) error {
	e.endRun()
	t.open = t.open[:len(t.open)-1]
	parent := t.open[len(t.open)-1]
	switch {
	case e == t.fault:
		return newFault(e)
	case e.branch.streams():
		t.record = 0
		t.beginRecord()
		t.out = e.appendTo(t.out)
	case e.branch == nil || e.branch.way == nil:
		parent.addElement(e)
	}
	return t.checkHeld()
}

// checkHeld adds up what is held.
func (t *tree) checkHeld() error {
	size, what, from := 0, "record", t.record
	if t.record == 0 {
		what = "answer without its records"
		for _, b := range t.way {
			size += b.way.size
		}
	}
	for _, e := range t.open[from:] {
		if e.branch == nil || e.branch.way == nil {
			size += e.size
		}
	}
	if size <= t.most {
		return nil
	}
	line, _ := t.dec.InputPos()
	return &TooLargeError{What: what, Limit: int64(t.most), Line: line}
}

func (t *tree) wrong(what string) error {
	line, _ := t.dec.InputPos()
	return &SyntaxError{Format: "xml", Line: line, Offset: t.dec.InputOffset(), What: what}
}

// explain makes our error of one of the decoder. Those of the source are passed on.
func (t *tree) explain(err error) error {
	if t.in.err != nil {
		return t.in.err
	}
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		const cut = "unexpected EOF"
		e := &SyntaxError{Format: "xml", Line: syntax.Line, Offset: t.dec.InputOffset(), What: syntax.Msg}
		if e.Truncated = strings.HasPrefix(syntax.Msg, cut); e.Truncated {
			e.What = "the document has no end"
		}
		return e
	}
	if text, ok := strings.CutPrefix(err.Error(), "xml: "); ok {
		return t.wrong(text)
	}
	return err
}

// meter limits what one token takes, since the decoder holds it.
type meter struct {
	src  io.Reader
	most int
	left int
	err  error // of the source, or that too much was taken
}

func (m *meter) refill() { m.left = m.most + chunkSize } // which may be read ahead

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		m.err = &TooLargeError{What: "tag, text or comment", Limit: int64(m.most)}
		return 0, m.err
	}
	n, err := m.src.Read(p[:min(len(p), m.left)])
	m.left -= n
	if err != nil && err != io.EOF {
		m.err = err
	}
	return n, err
}
