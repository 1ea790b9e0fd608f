package decode

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// node is an element of a document that is read as a whole.
type node struct {
	name     string
	names    []string // of members, in order
	values   map[string][]any
	children []*node
	texts    []string // between children
	null     bool
}

// modelOf decodes a document in the simplest way: with all of it in memory.
func modelOf(t *testing.T, in []byte, o Options) any {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(in, []byte("\xef\xbb\xbf"))))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	doc := &node{texts: []string{""}}
	stack := []*node{doc}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("encoding/xml refuses what has passed: %v", err)
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			n := newNode(&token)
			top.children = append(top.children, n)
			top.texts = append(top.texts, "")
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.texts[len(top.texts)-1] += string(token)
		}
	}
	forced := append(slices.Clone(o.ForceArray), o.Records)
	return map[string]any{doc.children[0].name: asList(doc.children, doc.children[0].name, o.Records, forced)}
}

func newNode(s *xml.StartElement) *node {
	n := &node{name: s.Name.Local, values: map[string][]any{}, texts: []string{""}}
	for _, a := range s.Attr {
		name := "@" + a.Name.Local
		switch {
		case a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns":
			continue
		case a.Name.Space == schemaInstance || a.Name.Space == "xsi":
			if a.Name.Local == "nil" {
				n.null = strings.TrimSpace(a.Value) == "true" || strings.TrimSpace(a.Value) == "1"
			}
			if a.Name.Local != "type" {
				continue
			}
			n.names = append(n.names, "xsi:type")
		}
		n.names = append(n.names, name)
		n.values[name] = append(n.values[name], a.Value)
	}
	return n
}

// asList gives the value of all siblings of one name, at path.
func asList(list []*node, path, records string, forced []string) any {
	if strings.HasPrefix(records, path+".") { // on the way to the list: they are one
		list = []*node{merged(list)}
	}
	var values []any
	for _, n := range list {
		values = append(values, n.value(path, records, forced))
	}
	if len(values) == 1 && !slices.Contains(forced, path) {
		return values[0]
	}
	return values
}

func merged(list []*node) *node {
	all := &node{name: list[0].name, values: map[string][]any{}}
	for _, n := range list {
		all.names = append(all.names, n.names...)
		for name, values := range n.values {
			all.values[name] = append(all.values[name], values...)
		}
		all.children = append(all.children, n.children...)
		all.texts = append(all.texts, n.texts...)
		all.null = all.null || n.null
	}
	return all
}

func (n *node) text() string {
	runs := slices.DeleteFunc(slices.Clone(n.texts), func(run string) bool { return strings.Trim(run, " \t\r\n") == "" })
	return strings.Join(runs, "")
}

func (n *node) value(path, records string, forced []string) any {
	object := map[string]any{}
	for name, values := range n.values {
		if object[name] = values; len(values) == 1 {
			object[name] = values[0]
		}
	}
	for _, c := range n.children {
		if _, known := object[c.name]; known {
			continue
		}
		var same []*node
		for _, other := range n.children {
			if other.name == c.name {
				same = append(same, other)
			}
		}
		object[c.name] = asList(same, path+"."+c.name, records, forced)
	}
	text := n.text()
	listed := records != "" && strings.HasPrefix(records, path+".") && hasAt(n, strings.TrimPrefix(records, path+"."))
	if null := n.null && !listed; !null && text == "" {
		for _, f := range forced {
			name, ok := strings.CutPrefix(f, path+".")
			if ok && !strings.Contains(name, ".") && object[name] == nil {
				object[name] = []any{}
			}
		}
	}
	onlyType := len(n.names) == 2 && n.names[0] == "xsi:type" && len(object) == 1 && len(n.children) == 0
	switch {
	case len(object) > 0 && !onlyType && text != "":
		object[textMember] = text
	case len(object) > 0 && !onlyType:
		if n.null && len(n.children) == 0 {
			object[textMember] = nil
		}
	case text != "" || !n.null:
		return text
	default:
		return nil
	}
	return object
}

// hasAt says whether there is an element at a path below n.
func hasAt(n *node, path string) bool {
	name, rest, more := strings.Cut(path, ".")
	for _, c := range n.children {
		if c.name == name && (!more || hasAt(c, rest)) {
			return true
		}
	}
	return false
}
