package config

import "strings"

func (x *index) done() bool { return x.pos >= len(x.text) }

// peek gives the next byte; 0 at the end.
func (x *index) peek() byte {
	if x.done() {
		return 0
	}
	return x.text[x.pos]
}

// blank skips white space; with lines also line ends and comments.
func (x *index) blank(lines bool) {
	for !x.done() {
		switch c := x.text[x.pos]; {
		case c == ' ' || c == '\t' || lines && (c == '\n' || c == '\r'):
			x.pos++
		case lines && c == '#':
			x.rest()
		default:
			return
		}
	}
}

// rest skips to the end of the line.
func (x *index) rest() {
	if i := strings.IndexByte(x.text[x.pos:], '\n'); i >= 0 {
		x.pos += i
		return
	}
	x.pos = len(x.text)
}

// keys reads a dotted name.
func (x *index) keys() []key {
	var keys []key
	for {
		x.blank(false)
		start := x.pos
		name := x.name()
		if x.pos == start {
			return keys
		}
		keys = append(keys, key{name: name, span: span{start, x.pos}})
		x.blank(false)
		if x.peek() != '.' {
			return keys
		}
		x.pos++
	}
}

// name reads one part of a dotted name.
func (x *index) name() string {
	start := x.pos
	switch x.peek() {
	case '"':
		x.quoted('"')
		return unquote(x.text[start:x.pos])
	case '\'':
		x.quoted('\'')
		return strings.Trim(x.text[start:x.pos], "'")
	}
	for !x.done() && !strings.ContainsRune(" \t\r\n.=[]{},#\"'", rune(x.text[x.pos])) {
		x.pos++
	}
	return x.text[start:x.pos]
}

// quoted skips a string of one line.
func (x *index) quoted(quote byte) {
	for x.pos++; !x.done() && x.text[x.pos] != '\n'; x.pos++ {
		switch x.text[x.pos] {
		case '\\':
			if quote == '"' {
				x.pos++
			}
		case quote:
			x.pos++
			return
		}
	}
	x.pos = min(x.pos, len(x.text))
}

// quotedLines skips a string of several lines, whose delimiter is three times the quote.
func (x *index) quotedLines(quote byte) {
	end := strings.Repeat(string(quote), 3)
	for x.pos += 3; !x.done(); x.pos++ {
		if quote == '"' && x.text[x.pos] == '\\' {
			x.pos++
			continue
		}
		if !strings.HasPrefix(x.text[x.pos:], end) {
			continue
		}
		x.pos += 3
		for range 2 { // one or two quotes may stand right before the delimiter
			if x.peek() == quote {
				x.pos++
			}
		}
		return
	}
	x.pos = min(x.pos, len(x.text))
}

// value reads a value and what is inside it.
func (x *index) value(n *node) {
	start := x.pos
	switch c := x.peek(); c {
	case '"', '\'':
		if strings.HasPrefix(x.text[x.pos:], strings.Repeat(string(c), 3)) {
			x.quotedLines(c)
		} else {
			x.quoted(c)
		}
	case '[':
		x.list(n)
	case '{':
		x.inline(n)
	default:
		x.bare()
	}
	n.value = span{start, x.pos}
}

// bare skips a number, a date or a word.
func (x *index) bare() {
	start := x.pos
	for !x.done() && !strings.ContainsRune(",]}#\r\n", rune(x.text[x.pos])) {
		x.pos++
	}
	x.pos = start + len(strings.TrimRight(x.text[start:x.pos], " \t"))
}

func (x *index) list(n *node) {
	for x.pos++; ; {
		x.blank(true)
		switch x.peek() {
		case 0:
			if x.done() {
				return
			}
			x.pos++
		case ']':
			x.pos++
			return
		case ',', '}', '=':
			x.pos++
		default:
			elem := &node{state: valued}
			n.elems = append(n.elems, elem)
			x.value(elem)
		}
	}
}

func (x *index) inline(n *node) {
	for x.pos++; ; {
		x.blank(true)
		switch x.peek() {
		case 0:
			if x.done() {
				return
			}
			x.pos++
		case '}':
			x.pos++
			return
		case ',', ']', '[', '{', '=':
			x.pos++
		default:
			x.assign(n, x.keys())
		}
	}
}
