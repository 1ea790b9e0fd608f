package config

import (
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// The TOML library gives values but no positions of keys, so a second reading of the same text finds out where things
// stand. It trusts that the library accepts the text, or at least the part before its first error: it only splits and
// never judges, apart from what is defined twice.

// span is a range of bytes of a text.
type span struct{ start, end int }

func (s span) empty() bool         { return s.end <= s.start }
func (s span) holds(pos int) bool  { return s.start <= pos && pos < s.end }
func (s span) in(of string) string { return of[s.start:s.end] }

// node is where one value stands.
type node struct {
	key      span // of its name; empty for elements of a list
	value    span // of the value after "="; empty for a table that was opened in another way
	header   span // of "[a.b]", when such a line opened it
	children map[string]*node
	elems    []*node
	state    nodeState
}

// nodeState is how a node came to be: it decides what may be added to it.
type nodeState uint8

const (
	implied  nodeState = iota // as part of the name of another table
	dotted                    // as part of a dotted key
	headed                    // by a header
	valued                    // by "="
	repeated                  // by [[ ]]
)

func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	return n.children[name]
}

func (n *node) elem(i int) *node {
	if n == nil || i < 0 || i >= len(n.elems) {
		return nil
	}
	return n.elems[i]
}

// ensure gives the child of this name, made if need be.
func (n *node) ensure(k key, state nodeState) *node {
	if c, ok := n.children[k.name]; ok {
		return c
	}
	if n.children == nil {
		n.children = map[string]*node{}
	}
	c := &node{key: k.span, state: state}
	n.children[k.name] = c
	return c
}

// last is the table that a header means when it names a list of tables.
func (n *node) last() *node {
	if n.state == repeated && len(n.elems) > 0 {
		return n.elems[len(n.elems)-1]
	}
	return n
}

// place is the best range to point at when the node as a whole is meant.
func (n *node) place() span {
	switch {
	case n == nil:
		return span{}
	case !n.value.empty():
		return n.value
	case !n.header.empty():
		return n.header
	}
	return n.key
}

// origin is where its definition begins.
func (n *node) origin() span {
	if n == nil || n.header.empty() {
		return n.named()
	}
	return n.header
}

// named is where its name stands.
func (n *node) named() span {
	if n == nil || n.key.empty() {
		return n.place()
	}
	return n.key
}

// key is one part of a dotted name.
type key struct {
	name string
	span span
}

// expr is one header or one "key = value".
type expr struct {
	span   span
	path   []string // of the table it opens or the key it sets, from the root
	name   span     // the dotted name as a whole
	header bool
}

// repeat is a name that something before it has defined.
type repeat struct {
	name  span
	whole span // the header that the name stands in, or the name
	first *node
}

type index struct {
	text    string
	pos     int
	root    *node
	table   *node
	path    []string // of table
	exprs   []expr
	repeats []repeat
}

// scan reads a text.
func scan(text string) *index {
	x := &index{text: text, root: &node{state: headed}}
	x.table = x.root
	for {
		x.blank(true)
		if x.done() {
			return x
		}
		if x.text[x.pos] == '[' {
			x.header()
		} else {
			x.assignment()
		}
		x.rest()
	}
}

// repeatAt gives the repeated name that stands at pos.
func (x *index) repeatAt(pos int) (repeat, bool) {
	for _, r := range x.repeats {
		if r.name.holds(pos) {
			return r, true
		}
	}
	return repeat{}, false
}

// at gives the expression that stands at pos or is the last to begin before it.
func (x *index) at(pos int) (expr, bool) {
	for _, e := range slices.Backward(x.exprs) {
		if e.span.start <= pos {
			return e, true
		}
	}
	return expr{}, false
}

func (x *index) header() {
	start := x.pos
	many := strings.HasPrefix(x.text[x.pos:], "[[")
	x.pos++
	if many {
		x.pos++
	}
	keys := x.keys()
	name := nameSpan(keys, x.pos)
	for range 2 {
		if x.peek() == ']' {
			x.pos++
		}
	}
	e := expr{span: span{start, x.pos}, name: name, path: names(keys), header: true}
	if len(keys) > 0 {
		x.open(keys, many, e)
	}
	x.path = e.path
	x.exprs = append(x.exprs, e)
}

// open makes the table of a header the current one.
func (x *index) open(keys []key, many bool, e expr) {
	n := x.root
	for _, k := range keys[:len(keys)-1] {
		n = n.ensure(k, implied)
		if n.state == valued {
			x.again(e.name, e.span, n)
		}
		n = n.last()
	}
	k := keys[len(keys)-1]
	_, known := n.children[k.name]
	n = n.ensure(k, implied)
	switch {
	case many && known && n.state != repeated, !many && n.state != implied:
		x.again(e.name, e.span, n)
	case !many:
		n.state, n.header, n.key = headed, e.span, k.span
	}
	if many {
		n.state = repeated
		n.elems = append(n.elems, &node{key: k.span, header: e.span, state: headed})
	}
	x.table = n.last()
}

func (x *index) again(name, whole span, first *node) {
	x.repeats = append(x.repeats, repeat{name: name, whole: whole, first: first})
}

func (x *index) assignment() {
	start := x.pos
	keys := x.keys()
	name := nameSpan(keys, x.pos)
	x.assign(x.table, keys)
	x.pos = max(x.pos, start+1)
	x.exprs = append(x.exprs, expr{
		span: span{start, x.pos}, name: name, path: append(slices.Clip(x.path), names(keys)...),
	})
}

// assign reads "= value" for the keys below a table.
func (x *index) assign(table *node, keys []key) {
	n, first := table, (*node)(nil)
	for i, k := range keys {
		_, known := n.children[k.name]
		n = n.ensure(k, dotted)
		if known && first == nil && (i == len(keys)-1 || n.state == valued) {
			first = n
		}
	}
	if first != nil {
		name := nameSpan(keys, x.pos)
		x.again(name, name, first)
	}
	x.blank(false)
	if x.peek() == '=' {
		x.pos++
	}
	x.blank(false)
	if first != nil || len(keys) == 0 {
		n = &node{} // what is defined twice keeps its first position
	}
	n.state = valued
	x.value(n)
}

func names(keys []key) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.name
	}
	return out
}

func nameSpan(keys []key, pos int) span {
	if len(keys) == 0 {
		return span{pos, pos}
	}
	return span{keys[0].span.start, keys[len(keys)-1].span.end}
}

// unquote lets the library read the escapes of a quoted key.
func unquote(quoted string) string {
	var v struct {
		K string `toml:"k"`
	}
	if _, err := toml.Decode("k = "+quoted, &v); err != nil {
		return strings.Trim(quoted, `"`)
	}
	return v.K
}
