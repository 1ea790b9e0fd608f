package config

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

// maxRepairs bounds how many syntax errors of a file are reported.
const maxRepairs = 20

// document is one file, or the part of one that repeats what stands before.
type document struct {
	file  string
	text  string // as it was read; all spans are ranges of it
	order int    // of the file

	tree map[string]any
	root *node

	// partial: something could not be read, so what is missing proves nothing.
	partial bool
	// repeat: the sections of this document stand elsewhere already. They are checked and not used.
	repeat bool
	// secrets are ranges that must not be shown.
	secrets []span
}

// parse reads a file. Errors do not end it: what cannot be read is blanked out and the rest is read again. A table that is
// defined for a second time becomes a document of its own.
func parse(file File, order int, found *findings) []*document {
	doc := &document{file: file.Path, text: strings.TrimPrefix(string(file.Text), "\xef\xbb\xbf"), order: order}
	docs := []*document{doc}
	text := doc.text
	for range maxRepairs {
		doc.tree = map[string]any{}
		_, err := toml.Decode(text, &doc.tree)
		x := scan(text)
		doc.root = x.root
		if err == nil {
			for _, r := range x.repeats { // the library is lenient about a few
				doc.repeated(r, found)
			}
			return docs
		}
		bad, ok := errors.AsType[toml.ParseError](err)
		if !ok {
			found.add(doc, span{}, err.Error(), "")
			break
		}
		at := min(max(bad.Position.Start, 0), max(len(text)-1, 0))
		for at > 0 && !utf8.RuneStart(text[at]) { // the end of the file may be in a character
			at--
		}
		var gone span
		if r, ok := x.repeatAt(at); ok {
			doc.repeated(r, found)
			gone = x.extent(r.name)
			if e, _ := x.at(at); e.header {
				docs = append(docs, doc.second(text, gone, found)...)
			}
		} else {
			gone = doc.syntaxError(x, bad, at, found)
			doc.partial = true
		}
		if strings.TrimSpace(gone.in(text)) == "" {
			break
		}
		text = text[:gone.start] + blanked(gone.in(text)) + text[gone.end:]
	}
	doc.tree, doc.root, doc.partial = nil, nil, true
	return docs
}

// second reads a part of the text that defines a table again.
func (d *document) second(text string, part span, found *findings) []*document {
	alone := blanked(text[:part.start]) + part.in(text)
	again := &findings{}
	docs := parse(File{Path: d.file, Text: []byte(alone)}, d.order, again)
	for _, q := range docs {
		q.text, q.partial, q.repeat = d.text, true, true
	}
	found.list = append(found.list, again.list...)
	return docs
}

// blanked keeps length and lines.
func blanked(text string) string {
	b := []byte(text)
	for i, c := range b {
		if c != '\n' {
			b[i] = ' '
		}
	}
	return string(b)
}

// extent is what goes when the name at this place goes: one assignment, or a header with all that belongs to it.
func (x *index) extent(name span) span {
	for i, e := range x.exprs {
		if e.name != name {
			continue
		}
		if !e.header {
			return e.span
		}
		return span{e.span.start, x.bodyEnd(i)}
	}
	e, _ := x.at(name.start) // inside an inline table: all of it
	return e.span
}

// bodyEnd gives where the table of the header at i ends: at the next one that is no part of it.
func (x *index) bodyEnd(i int) int {
	for _, e := range x.exprs[i+1:] {
		if e.header && !isBelow(e.path, x.exprs[i].path) {
			return e.span.start
		}
	}
	return len(x.text)
}

func isBelow(path, table []string) bool {
	if len(path) <= len(table) || len(table) == 0 {
		return false
	}
	for i, name := range table {
		if path[i] != name {
			return false
		}
	}
	return true
}
