package decode

import (
	"bytes"
	"encoding/xml"
	"slices"
	"strings"
)

const (
	schemaInstance = "http://www.w3.org/2001/XMLSchema-instance"
	textMember     = "#text"
	typeMember     = "@type"
)

// element is an element of a document and what came of it so far.
type element struct {
	name    string
	branch  *branch
	seen    bool
	members []member       // in the order of their first values
	index   map[string]int // of members, when there are many
	values  []value        // of all members
	json    []byte         // of all values
	text    []byte
	run     int  // where the text began that no child has interrupted yet
	typed   bool // the first member that was added is xsi:type
	null    bool // xsi:nil
	size    int  // bytes that all this takes
}

// member is a member of the object that an element becomes.
type member struct {
	name        string
	first, last int // of its values
	count       int
}

// value is one value of a member, a part of the element's json.
type value struct {
	from, to int
	next     int // of the same member
}

// reset makes an element ready for another one, with the same memory unless that has grown large.
func (e *element) reset(name string, b *branch) {
	const (
		manyBytes = 1 << 20
		many      = 1 << 12
	)
	if cap(e.json) > manyBytes || cap(e.text) > manyBytes || cap(e.members) > many || cap(e.values) > many || len(e.index) > many {
		*e = element{}
	}
	clear(e.index)
	*e = element{
		name: name, branch: b, members: e.members[:0], index: e.index, values: e.values[:0], json: e.json[:0], text: e.text[:0],
	}
}

// attributes adds the attributes, without those that only serve the notation.
func (e *element) attributes(attrs []xml.Attr) {
	for _, a := range attrs {
		switch {
		case a.Name.Space == "xmlns", a.Name.Space == "" && a.Name.Local == "xmlns":
		case a.Name.Space == schemaInstance || a.Name.Space == "xsi":
			e.instance(a)
		default:
			e.addString("@"+a.Name.Local, a.Value)
		}
	}
}

// instance looks at an attribute of XML Schema: nil and type say something about the element, the others about the schema.
func (e *element) instance(a xml.Attr) {
	switch a.Name.Local {
	case "nil":
		value := strings.TrimSpace(a.Value)
		e.null = value == "true" || value == "1"
	case "type":
		e.typed = len(e.members) == 0
		e.addString(typeMember, a.Value)
	}
}

func (e *element) addString(name, text string) {
	from := len(e.json)
	e.json = appendQuoted(e.json, []byte(text))
	e.add(name, from)
}

// addElement adds a child.
func (e *element) addElement(child *element) {
	from := len(e.json)
	e.json = child.appendTo(e.json)
	e.add(child.name, from)
}

// add makes what was appended to the json a value.
func (e *element) add(name string, from int) {
	const (
		perMember = 96
		perValue  = 32
	)
	at := len(e.values)
	e.values = append(e.values, value{from: from, to: len(e.json)})
	e.size += len(e.json) - from + perValue
	if i := e.find(name); i >= 0 {
		m := &e.members[i]
		e.values[m.last].next = at
		m.last = at
		m.count++
		return
	}
	if len(e.index) > 0 {
		e.index[name] = len(e.members)
	}
	e.members = append(e.members, member{name: name, first: at, last: at, count: 1})
	e.size += len(name) + perMember
}

// find gives the index of a member, -1 when there is none.
func (e *element) find(name string) int {
	const few = 16
	if len(e.members) <= few {
		return slices.IndexFunc(e.members, func(m member) bool { return m.name == name })
	}
	if len(e.index) == 0 {
		e.index = make(map[string]int, 2*len(e.members))
		for i := range e.members {
			e.index[e.members[i].name] = i
		}
	}
	if i, ok := e.index[name]; ok {
		return i
	}
	return -1
}

// addText adds a piece of text.
func (e *element) addText(text []byte) {
	e.text = append(e.text, text...)
	e.size += len(text)
}

// endRun drops the text since the last child when there is only white space in it.
func (e *element) endRun() {
	if run := e.text[e.run:]; len(bytes.Trim(run, " \t\r\n")) == 0 {
		e.size -= len(run)
		e.text = e.text[:e.run]
	}
	e.run = len(e.text)
}

// appendTo appends the element as JSON: text, an object, or null.
func (e *element) appendTo(dst []byte) []byte {
	lacking := e.lacking()
	switch {
	case len(lacking) > 0, len(e.members) > 0 && (!e.typed || len(e.values) > 1):
	case e.null && len(e.text) == 0:
		return append(dst, "null"...)
	default:
		return appendQuoted(dst, e.text)
	}
	return append(e.appendMembers(append(dst, '{'), "", lacking), '}')
}

// appendMembers appends what is inside of the braces, the first member behind sep.
func (e *element) appendMembers(dst []byte, sep string, lacking []*branch) []byte {
	name := func(n string) {
		dst = append(appendQuoted(append(dst, sep...), []byte(n)), ':')
		sep = ","
	}
	for i := range e.members {
		name(e.members[i].name)
		dst = e.appendValues(dst, &e.members[i])
	}
	switch {
	case len(e.text) > 0:
		name(textMember)
		dst = appendQuoted(dst, e.text)
	case e.null && len(lacking) == 0 && e.isLeaf():
		name(textMember)
		dst = append(dst, "null"...)
	}
	for _, b := range lacking {
		name(b.name)
		dst = append(dst, "[]"...)
	}
	return dst
}

func (e *element) appendValues(dst []byte, m *member) []byte {
	v := e.values[m.first]
	if b := e.branch.child(m.name); m.count == 1 && (b == nil || !b.list) {
		return append(dst, e.json[v.from:v.to]...)
	}
	dst = append(dst, '[')
	for n := range m.count {
		if n > 0 {
			v = e.values[v.next]
			dst = append(dst, ',')
		}
		dst = append(dst, e.json[v.from:v.to]...)
	}
	return append(dst, ']')
}

// isLeaf says whether the element has no children.
func (e *element) isLeaf() bool {
	for i := range e.members {
		if e.members[i].name[0] != '@' {
			return false
		}
	}
	return true
}

// lacking gives the lists that paths ask for and the element does not have. Where there is text, or null, there is no list: it
// may be a message.
func (e *element) lacking() (lists []*branch) {
	if e.branch == nil || e.branch.name == "" || e.null || len(e.text) > 0 {
		return nil
	}
	for _, b := range e.branch.below {
		if b.list && e.find(b.name) < 0 {
			lists = append(lists, b)
		}
	}
	return lists
}
