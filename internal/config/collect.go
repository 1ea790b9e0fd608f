package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// loader puts a configuration together from documents.
type loader struct {
	config  *Config
	secrets *setting.Secrets
	found   *findings

	docs  []*document
	list  []*part          // in the order of files and lines
	parts map[string]*part // by label, the first of each

	layouts layouts
	// vague: something that may be a source or a webhook could not be read.
	vague bool
}

// part is one table that a section is made of.
type part struct {
	kind, name string // the name is empty where there is one section of a kind
	doc        *document
	tree       map[string]any
	node       *node
	again      bool // there is another one of the same name before it
}

func (p *part) label() string {
	if p.name == "" {
		return "[" + p.kind + "]"
	}
	if p.kind == kindHost {
		return fmt.Sprintf("[%s.%q]", p.kind, p.name)
	}
	return "[" + p.kind + "." + p.name + "]"
}

// tables lists the tables that a configuration may have, as they are written.
func tables() []string {
	return []string{"[source.NAME]", "[webhook.NAME]", `[host."NAME"]`, "[defaults]", "[store]", "[admin]", "[log]", "[alerts]"}
}

// collect finds the sections of a document.
func (l *loader) collect(doc *document) {
	l.docs = append(l.docs, doc)
	l.vague = l.vague || doc.partial && !doc.repeat
	for _, word := range inOrder(doc.tree, doc.root) {
		n := doc.root.child(word)
		kind := word
		if !isKind(kind) {
			if kind = l.unknownTable(word, doc, n); kind == "" {
				continue
			}
		}
		tree, ok := doc.tree[word].(map[string]any)
		switch {
		case !ok:
			l.vague = true
			l.found.add(doc, n.named(), word+" is "+kindOf(doc.tree[word])+", not a table", "write "+headerOf(kind))
		case isNamed(kind):
			l.named(kind, doc, tree, n)
		default:
			l.part(&part{kind: kind, doc: doc, tree: tree, node: n})
		}
	}
}

func isKind(word string) bool {
	switch word {
	case kindSource, kindWebhook, kindHost, kindDefaults, kindStore, kindAdmin, kindLog, kindAlerts:
		return true
	}
	return false
}

// isNamed says whether there may be several sections of a kind.
func isNamed(kind string) bool { return kind == kindSource || kind == kindWebhook || kind == kindHost }

func headerOf(kind string) string {
	switch {
	case kind == kindHost:
		return `[host."NAME"]`
	case isNamed(kind):
		return "[" + kind + ".NAME]"
	}
	return "[" + kind + "]"
}

// named finds the sections below [source] or [webhook].
func (l *loader) named(kind string, doc *document, tree map[string]any, n *node) {
	stray := ""
	for _, name := range inOrder(tree, n) {
		if _, ok := tree[name].(map[string]any); !ok && stray == "" {
			stray = name
			l.vague = true
			hint := "write " + headerOf(kind) + " above it"
			if kind != kindHost {
				hint += "; the name is the key of the stored state"
			}
			if _, list := tree[name].([]map[string]any); list {
				hint = fmt.Sprintf("write [%s.%s] in single brackets: each has a name of its own", kind, name)
			}
			l.found.add(doc, n.child(name).named(), fmt.Sprintf("%q stands in [%s], which has no name", name, kind), hint)
		}
	}
	for _, name := range inOrder(tree, n) {
		sub, ok := tree[name].(map[string]any)
		if !ok || stray != "" && isPartOf(kind, name) {
			continue
		}
		p := &part{kind: kind, name: name, doc: doc, tree: sub, node: n.child(name)}
		l.checkName(p)
		l.part(p)
	}
}

// isPartOf says whether [source.NAME] without a name was meant to be a table of a source.
func isPartOf(kind, name string) bool {
	t, ok := fieldType(typeOf(kind), name)
	return ok && isTable(t)
}

func (l *loader) checkName(p *part) {
	if p.kind == kindHost { // the section knows better
		return
	}
	if isName(p.name) {
		return
	}
	hint := "a name is made of a-z, 0-9, _ and -, begins with a letter and has at most 63 characters"
	if better := validName(p.name); better != "" {
		hint = fmt.Sprintf("write [%s.%s]; %s", p.kind, better, hint)
	}
	l.found.add(p.doc, p.node.named(), fmt.Sprintf("%q is not a name", p.name), hint)
}

// isName says whether a text matches ^[a-z][a-z0-9_-]{0,62}$.
func isName(text string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return text != "" && len(text) <= 63 && strings.Contains(letters, text[:1]) && strings.Trim(text, letters+"0123456789_-") == ""
}

// validName makes a name of a text, or nothing when too little of it is left.
func validName(text string) string {
	name := regexp.MustCompile(`[^a-z0-9_-]+`).ReplaceAllString(strings.ToLower(text), "-")
	name = strings.Trim(strings.TrimLeft(name, "0123456789_-"), "-")
	return name[:min(len(name), 63)]
}

// part takes a section on. The same one in another file is reported, and checked all the same.
func (l *loader) part(p *part) {
	l.list = append(l.list, p)
	first, there := l.parts[p.label()]
	if !there && !p.doc.repeat {
		l.parts[p.label()] = p
		return
	}
	p.again = true
	if !p.doc.repeat {
		l.found.add(p.doc, p.node.origin(), p.label()+" is already defined in "+first.doc.where(first.node.origin()), onceHint(p.kind))
	}
}

// unknownTable reports a name that is no table, and gives the kind that was probably meant.
func (l *loader) unknownTable(word string, doc *document, n *node) (kind string) {
	if _, ok := doc.tree[word].(map[string]any); !ok {
		l.found.add(doc, n.named(), fmt.Sprintf("unknown key %q outside of all tables", word), strayHint(word))
		return ""
	}
	kinds := []string{kindSource, kindWebhook, kindHost, kindDefaults, kindStore, kindAdmin, kindLog, kindAlerts}
	kind = Suggest(word, kinds)
	for _, s := range synonyms(word) {
		if kind == "" && isKind(s) {
			kind = s
		}
	}
	hint := allowed("tables allowed here: ", tables())
	if kind != "" {
		hint = "did you mean " + headerOf(kind) + "?"
	}
	l.vague = l.vague || kind == ""
	l.found.add(doc, n.named(), fmt.Sprintf("unknown table [%s]", word), hint)
	return kind
}

// strayHint says where a key that stands before the first header belongs.
func strayHint(word string) string {
	for _, kind := range []string{kindSource, kindWebhook, kindHost, kindStore, kindAdmin, kindLog, kindAlerts} {
		if _, ok := fieldType(typeOf(kind), word); ok {
			return fmt.Sprintf("write %s above it", headerOf(kind))
		}
	}
	return allowed("all keys stand in tables: ", tables())
}

// typeOf gives the struct of a kind of section.
func typeOf(kind string) reflect.Type {
	switch kind {
	case kindWebhook:
		return reflect.TypeFor[emitter.Webhook]()
	case kindHost:
		return reflect.TypeFor[poller.Host]()
	case kindStore:
		return reflect.TypeFor[Store]()
	case kindAdmin:
		return reflect.TypeFor[Admin]()
	case kindLog:
		return reflect.TypeFor[Log]()
	case kindAlerts:
		return reflect.TypeFor[Alerts]()
	}
	return reflect.TypeFor[poller.Source]()
}
