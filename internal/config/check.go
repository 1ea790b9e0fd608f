package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/deltahook/deltahook/internal/setting"
)

func (f *findings) warn(doc *document, at span, message, hint string) {
	f.add(doc, at, message, hint)
	f.list[len(f.list)-1].warning = true
}

// check reports what a section says of itself, each problem where its key stands: in the section, in [defaults], or at the
// header when the key is missing.
func (l *loader) check(own, defaults *binding, problems setting.Problems) {
	for _, p := range problems {
		if own.follows(p) || defaults != nil && defaults.follows(p) {
			continue
		}
		doc, at, ok := own.locate(p.Key, defaults)
		if !ok {
			continue
		}
		l.found.list = append(l.found.list, finding{doc: doc, span: at, message: p.Message, hint: p.Hint, warning: p.Warning})
	}
	l.warnOfLiterals(own, problems)
}

// locate gives the place of a key. It is not ok when the key is missing and may stand in a part that could not be read.
func (b *binding) locate(path []string, defaults *binding) (doc *document, at span, ok bool) {
	n, depth := b.find(path)
	if depth == len(path) && depth > 0 {
		return b.doc, n.place(), true
	}
	if defaults != nil {
		if n, depth := defaults.find(path); depth == len(path) && depth > 0 {
			return defaults.doc, n.place(), true
		}
	}
	if b.doc.partial {
		return nil, span{}, false
	}
	return b.doc, n.origin(), true
}

// find follows a path as far as it goes.
func (b *binding) find(path []string) (n *node, depth int) {
	n = b.root
	for i, name := range path {
		next := n.child(name)
		if m := b.moved[joined(path[:i+1])]; m != nil {
			next = m
		}
		if next == nil {
			if k, err := strconv.Atoi(name); err == nil {
				next = n.elem(k)
			}
		}
		if next == nil {
			return n, i
		}
		n = next
	}
	return n, len(path)
}

// follows says whether a problem only follows from one that was reported already: for the same key or a part of it, or,
// when the whole section is meant, for a key that the message names.
func (b *binding) follows(p setting.Problem) bool {
	words := strings.FieldsFunc(p.Message, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) })
	return slices.ContainsFunc(b.spoken, func(s []string) bool {
		if len(p.Key) == 0 {
			return slices.Contains(words, s[0])
		}
		return overlap(s, p.Key)
	})
}

// overlap says whether one of the paths begins with the other.
func overlap(a, b []string) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

// warnOfLiterals warns of secrets that stand in the file, unless the section did so.
func (l *loader) warnOfLiterals(b *binding, problems setting.Problems) {
	for _, lit := range b.literals {
		if !slices.ContainsFunc(problems, func(p setting.Problem) bool {
			return p.Warning && len(p.Key) > 0 && overlap(p.Key, lit.path)
		}) {
			l.found.warn(b.doc, lit.at, "the secret itself stands in the configuration", referenceHint)
		}
	}
}
