package guess

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// list is a place where the records may be.
type list struct {
	names   []string // of the members that lead there
	inner   []string // inside each element: where the record is, as in edges.#.node
	node    *node
	records []*node
	member  bool // an object of records; their names are the keys
	lone    bool // of xml: one element, of which nobody can say whether it may be repeated
	score   int
}

func (l *list) path() differ.Path {
	p := differ.MemberPath(l.names...)
	if len(l.inner) == 0 {
		return p
	}
	if inner, err := differ.ParsePath(p.String() + ".#." + differ.MemberPath(l.inner...).String()); err == nil {
		return inner
	}
	return p
}

// finder looks for lists in a document.
type finder struct {
	xml     bool
	hint    string // what the records are probably called: the last part of the URL
	found   []*list
	empty   []string // paths of arrays without elements
	scalars []*list  // arrays of plain values
	matrix  []string // paths of arrays of arrays
}

const deepestList = 8

func (f *finder) look(n *node, names []string) {
	if len(names) > deepestList {
		return
	}
	switch n.kind {
	case differ.Array:
		f.array(n, names)
	case differ.Object:
		if f.isMap(n) {
			f.add(&list{names: names, node: n, records: n.kids, member: true, score: -15})
		}
		for i, name := range n.names {
			if name == "" {
				continue // no path leads there
			}
			f.look(n.kids[i], append(slices.Clip(names), name))
			f.lone(n.kids[i], append(slices.Clip(names), name), len(n.kids))
		}
	case differ.Missing, differ.Null, differ.Bool, differ.Number, differ.String:
	}
}

func (f *finder) array(n *node, names []string) {
	path := differ.MemberPath(names...).String()
	switch {
	case len(n.kids) == 0:
		f.empty = append(f.empty, path)
	case n.allOf(differ.Object):
		l := &list{names: names, node: n, records: n.kids}
		if len(names) > 0 && plain(names[len(names)-1]) == "edges" && n.kids[0].member("node") != nil {
			l.unwrap("node")
		}
		f.add(l)
	case n.allOf(differ.Array):
		f.matrix = append(f.matrix, path)
	case n.kids[0].scalar():
		f.scalars = append(f.scalars, &list{names: names, node: n, records: n.kids})
	}
}

// unwrap takes the records out of what is only around them.
func (l *list) unwrap(name string) {
	records := make([]*node, 0, len(l.records))
	for _, r := range l.records {
		inner := r.member(name)
		if inner == nil || inner.kind != differ.Object {
			return
		}
		records = append(records, inner)
	}
	l.records, l.inner = records, []string{name}
}

// lone finds the list of one element that XML cannot show: <contacts><contact/></contacts>.
func (f *finder) lone(n *node, names []string, siblings int) {
	if !f.xml || n.kind != differ.Object || len(names) < 2 {
		return
	}
	name, parent := plain(names[len(names)-1]), plain(names[len(names)-2])
	if singular(parent) == name || strings.Contains(parent, "list") && siblings == 1 || in(name, "item entry record row response") && siblings <= 2 {
		f.add(&list{names: names, node: n, records: []*node{n}, lone: true, score: -10})
	}
}

// isMap says whether an object is a list whose keys are names: at least two members, all objects of about the same members.
func (f *finder) isMap(n *node) bool {
	if len(n.kids) < 2 || !n.allOf(differ.Object) {
		return false
	}
	first, alike := n.kids[0], 0
	for _, k := range n.kids[1:] {
		common := 0
		for _, name := range k.names {
			if slices.Contains(first.names, name) {
				common++
			}
		}
		if all := len(first.names) + len(k.names) - common; common > 0 && common*2 >= all {
			alike++
		}
	}
	return alike*10 >= (len(n.kids)-1)*8
}

const (
	goodLists = "data results result items records value values hits edges nodes content entries entry list rows row objects elements resources documents docs features response item record collection"
	badLists  = "included links link tags errors warnings meta schema fields columns facets aggregations permissions actions author authors breadcrumbs parameters params headers extensions namespaces"
)

func (f *finder) add(l *list) {
	n := len(l.records)
	if n > 1 {
		l.score += 10
	}
	l.score += min(3*bits.Len(uint(n)), 30) - 6*len(l.names)
	width := 0
	for _, r := range l.records {
		width += len(r.kids)
	}
	l.score += min(width/n, 10)
	if len(l.names) > 0 {
		name := plain(l.names[len(l.names)-1])
		switch {
		case f.hint != "" && (name == f.hint || singular(name) == singular(f.hint)):
			l.score += 50
		case in(name, goodLists):
			l.score += 40
		case in(name, badLists):
			l.score -= 60
		}
	}
	f.found = append(f.found, l)
}

// locate finds the list, or the single object that the answer is.
func (g *Guess) locate(root *node, a *Answer) error {
	if err := rpcError(root); err != nil {
		return err
	}
	f := &finder{xml: g.Response.Format == "xml", hint: plain(SourceName(a.URL.Path))}
	f.look(root, nil)
	slices.SortStableFunc(f.found, func(x, y *list) int { return y.score - x.score })
	switch {
	case len(f.found) > 0 && f.tellsErrors(f.found[0]):
		return errorsError(f.found[0])
	case len(f.found) > 0 && (f.found[0].score > -20 || len(f.empty) == 0):
		g.list = f.found[0]
		g.describe(f)
	case len(f.empty) > 0:
		return emptyError(f.empty[0])
	case len(f.scalars) > 0 && (root.kind == differ.Array || len(root.kids) == 1):
		g.values(f.scalars[0])
	case len(f.matrix) > 0:
		return &setting.HintedError{
			Message: fmt.Sprintf("the list at %q holds arrays, not objects: such records have no names to make a key of", f.matrix[0]),
			Hint:    "ask the API for objects, or for CSV",
		}
	case root.kind == differ.Array:
		return &setting.HintedError{
			Message: "the list at \"@this\" has other things beside objects in it",
			Hint:    "ask the API for objects alone: what is none has no key, and a poll with such records is never complete",
		}
	default:
		g.single(root)
	}
	g.Records, g.Count = g.list.path(), len(g.list.records)
	return nil
}

// tellsErrors says whether the best list is that of what went wrong: GraphQL answers 200 to everything.
func (f *finder) tellsErrors(l *list) bool {
	if len(l.names) == 0 {
		return false
	}
	name := plain(l.names[len(l.names)-1])
	return in(name, "errors error faults") && singular(name) != singular(f.hint)
}

func errorsError(l *list) error {
	said := ""
	for _, name := range []string{"error", "title", "detail", "message"} { // the last one counts
		if of := l.records[0].member(name); of != nil && of.kind == differ.String {
			said = ": " + clip(of.text)
		}
	}
	message := fmt.Sprintf("the answer tells of errors and has no other list, at %q%s", l.path(), said)
	return &setting.HintedError{Message: message, Hint: fmt.Sprintf("correct the request, or say --records '%s' if these are the records", l.path())}
}

// rpcError takes an answer of JSON-RPC that has an error for what it is: a session that is over comes with status 200.
func rpcError(root *node) error {
	said := root.member("error")
	if said == nil || said.kind != differ.Object || root.member("result") != nil || said.member("code") == nil || said.member("message") == nil {
		return nil
	}
	return &setting.HintedError{
		Message: "the answer is an error: " + clip(said.member("message").text),
		Hint:    "correct the request or its credentials; say --records @this if this is the record",
	}
}

func emptyError(path string) error {
	return &setting.HintedError{
		Message: fmt.Sprintf("the list at %q is empty: without a record nobody can tell what identifies one", path),
		Hint:    "give a url that shows at least one record, or say --key and --records yourself",
	}
}

// describe tells why this is the list, and what else could be.
func (g *Guess) describe(f *finder) {
	l := g.list
	what := count(len(l.records), "object")
	switch {
	case l.lone:
		g.unsure(AboutRecords, "one element: XML does not say whether there can be more of them")
	case l.member:
		g.unsure(AboutRecords, what+" under names of their own, which are taken for their keys")
	case len(f.found) == 1:
		g.note(AboutRecords, what+", the only list of objects")
	default:
		g.note(AboutRecords, what)
	}
	if len(f.found) > 1 && f.found[1].score > l.score-15 {
		g.unsure(AboutRecords, fmt.Sprintf("the list could also be %q (%s)", f.found[1].path(), count(len(f.found[1].records), "object")))
	}
}

// values takes a list of plain values, each of which is its own key.
func (g *Guess) values(l *list) {
	g.list = l
	g.unsure(AboutRecords, fmt.Sprintf("the list at %q has plain values, not objects: each value is its own key, so nothing is ever updated", l.path()))
}

// single takes an answer that is one object. What is only around it is left out.
func (g *Guess) single(root *node) {
	var names []string
	n := root
	for {
		inner := -1
		for i, k := range n.kids {
			if k.kind != differ.Object || n.names[i] == "" { // no path leads there
				continue
			}
			if len(n.kids) == 1 || in(plain(n.names[i]), goodLists) && len(n.kids) <= 3 {
				inner = i
			}
		}
		if inner < 0 {
			break
		}
		names = append(names, n.names[inner])
		n = n.kids[inner]
	}
	g.Single = true
	g.list = &list{names: names, node: n, records: []*node{n}}
	g.unsure(AboutRecords, "there is no list of objects: the answer is taken for one single record")
}

// given takes the list that the user named. It may be empty when the key is named, too.
func (g *Guess) given(document []byte, hints Hints) error {
	path := hints.Records
	v := path.Get(document)
	n, err := parse(v.Raw)
	if err != nil || n.kind != differ.Array && n.kind != differ.Object {
		return &setting.HintedError{Message: fmt.Sprintf("there is no list at %q: it is %s", path, v.Kind()), Hint: "leave --records out to see what is found"}
	}
	l := &list{node: n, records: n.kids}
	switch {
	case n.kind == differ.Object && g.Response.Format == "xml":
		l.records, l.lone = []*node{n}, true
	case n.kind == differ.Object:
		l.member = true
	}
	if len(l.records) == 0 && len(hints.Key) == 0 {
		return emptyError(path.String())
	}
	g.list, g.Records, g.Count = l, path, len(l.records)
	if g.Count == 0 {
		g.unsure(AboutRecords, "no record came: nobody has seen that they are at "+path.String()+" and have this key")
		return nil
	}
	g.note(AboutRecords, count(g.Count, "record")+", as you said")
	return nil
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
