package guess

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/deltahook/deltahook/differ"
)

// node is a JSON value whose members are in order.
type node struct {
	kind  differ.ValueKind
	text  string   // of a scalar: its content; numbers as they stand
	names []string // of an object
	kids  []*node  // members or elements
}

const deepest = 256

var errDeep = errors.New("the answer is nested too deeply")

// parse reads one whole document.
func parse(document []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	n, err := read(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind the document")
	}
	return n, nil
}

func read(d *json.Decoder, depth int) (*node, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := t.(type) {
	case json.Delim:
		if depth > deepest {
			return nil, errDeep
		}
		return readContainer(d, v, depth)
	case string:
		return &node{kind: differ.String, text: v}, nil
	case json.Number:
		return &node{kind: differ.Number, text: v.String()}, nil
	case bool:
		return &node{kind: differ.Bool, text: strconv.FormatBool(v)}, nil
	}
	return &node{kind: differ.Null}, nil
}

func readContainer(d *json.Decoder, open json.Delim, depth int) (*node, error) {
	n := &node{kind: differ.Array}
	if open == '{' {
		n.kind = differ.Object
	}
	for d.More() {
		if n.kind == differ.Object {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			n.names = append(n.names, fmt.Sprint(name))
		}
		kid, err := read(d, depth+1)
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, kid)
	}
	_, err := d.Token() // the closing bracket
	return n, err
}

// member gives the first member of an object with this name; nil when there is none.
func (n *node) member(name string) *node {
	for i, have := range n.names {
		if have == name {
			return n.kids[i]
		}
	}
	return nil
}

// at follows names.
func (n *node) at(names ...string) *node {
	for _, name := range names {
		if n == nil {
			return nil
		}
		n = n.member(name)
	}
	return n
}

func (n *node) scalar() bool {
	return n.kind == differ.String || n.kind == differ.Number || n.kind == differ.Bool
}

// allOf says whether a container has kids, all of this kind.
func (n *node) allOf(kind differ.ValueKind) bool {
	for _, k := range n.kids {
		if k.kind != kind {
			return false
		}
	}
	return len(n.kids) > 0
}
