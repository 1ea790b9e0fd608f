package guess

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/poller/decode"
)

// ByKey gives the records of the answer by their keys, as a poll would see them.
func (g *Guess) ByKey(a *Answer) (map[string][]byte, error) {
	o := g.options(a)
	if !g.Single && !g.list.member {
		o.Records = g.Records.String()
	}
	for _, p := range g.Response.ForceArray {
		o.ForceArray = append(o.ForceArray, p.String())
	}
	document, err := decode.Body(bytes.NewReader(a.Body), o)
	if err != nil {
		return nil, err
	}
	spec := differ.Spec{Records: g.Records, Key: g.Key, Single: g.Single}
	r := differ.NewReader(document, differ.Options{Spec: spec})
	found := map[string][]byte{}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if key, err := spec.KeyOf(rec); err == nil {
			found[key] = bytes.Clone(rec.Raw)
		}
	}
}

// Noise is what differed between two readings that lay seconds apart.
type Noise struct {
	Ignore    []differ.Path // differed in so many records that it is no news
	Unordered []differ.Path // arrays that came in another order
	Notes     []Note
}

// Compare looks for what moves by itself.
func Compare(first, second map[string][]byte) (*Noise, error) {
	shape, err := (&differ.Spec{}).Compile()
	if err != nil {
		return nil, err
	}
	n := &noise{moved: map[string]int{}, shuffled: map[string]int{}, came: map[string]int{}}
	for key, old := range first {
		now, ok := second[key]
		if !ok {
			continue
		}
		n.compared++
		d, err := shape.Diff(old, now)
		if err != nil {
			return nil, err
		}
		for _, path := range d.Changed {
			n.take(path, old, now)
		}
	}
	return n.judge(len(first)), nil
}

// listed names paths: "a, b and c".
func listed(paths []differ.Path) string {
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = p.String()
	}
	return shortList(names)
}

// shortList names the first few.
func shortList(names []string) string {
	const most = 8
	n := len(names)
	switch {
	case n > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n-most)
	case n > 1:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return names[0]
}

type noise struct {
	compared int
	moved    map[string]int // records in which a path differs
	shuffled map[string]int // of them: the same elements in another order
	came     map[string]int // records in which a path was there in one reading only
}

func (n *noise) take(path string, old, now []byte) {
	p, err := differ.ParsePath(path)
	if err != nil {
		return
	}
	if !p.Has(old) || !p.Has(now) {
		n.came[path]++
		return
	}
	n.moved[path]++
	if sameElements(p.Get(old).Raw, p.Get(now).Raw) {
		n.shuffled[path]++
	}
}

// sameElements says whether two arrays differ in nothing but their order.
func sameElements(a, b []byte) bool {
	x, errX := parse(a)
	y, errY := parse(b)
	if errX != nil || errY != nil || x.kind != differ.Array || y.kind != differ.Array || len(x.kids) != len(y.kids) {
		return false
	}
	return slices.Equal(spelled(x.kids), spelled(y.kids))
}

func spelled(nodes []*node) []string {
	out := make([]string, len(nodes))
	for i, n := range nodes {
		out[i] = n.spell()
	}
	slices.Sort(out)
	return out
}

// spell writes a value so that equal values are written alike.
func (n *node) spell() string {
	if n.kind != differ.Object && n.kind != differ.Array {
		return fmt.Sprintf("%d%q", n.kind, n.text)
	}
	parts := make([]string, len(n.kids))
	for i, k := range n.kids {
		if parts[i] = k.spell(); n.kind == differ.Object {
			parts[i] = fmt.Sprintf("%q:%s", n.names[i], parts[i])
		}
	}
	if n.kind == differ.Object {
		slices.Sort(parts)
	}
	return fmt.Sprintf("%d[%s]", n.kind, strings.Join(parts, ","))
}

// judge decides: what differs in more than a fifth of the records within seconds is no news.
func (n *noise) judge(records int) *Noise {
	out := &Noise{}
	if n.compared*2 < records {
		out.Notes = append(out.Notes, Note{About: AboutKey, Unsure: true, Text: fmt.Sprintf(
			"only %d of %d keys came again in the second reading: the list moves fast, or the key is made anew for each answer", n.compared, records)})
	}
	paths := make([]string, 0, len(n.moved))
	for path := range n.moved {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range n.gathered(paths) {
		p, err := differ.ParsePath(path)
		if err != nil {
			continue
		}
		times := n.moved[path]
		switch {
		case times > 0 && n.shuffled[path] == times:
			out.Unordered = append(out.Unordered, p)
			out.Notes = append(out.Notes, Note{About: AboutIgnore, Text: fmt.Sprintf("%q came in another order", path)})
		case times*5 > n.compared || times == 0:
			out.Ignore = append(out.Ignore, p)
		default:
			out.Notes = append(out.Notes, Note{About: AboutIgnore, Unsure: true, Text: fmt.Sprintf(
				"%q changed in %d of %d records between the two readings: add it to ignore if that is noise", path, times, n.compared)})
		}
	}
	if len(n.came) > 0 {
		out.Notes = append(out.Notes, Note{About: AboutIgnore, Unsure: true, Text: shortList(slices.Sorted(maps.Keys(n.came))) +
			" came or went between the two readings: if the API fills them in late, fields = [what you want to hear of] leaves them out"})
	}
	const many = 5
	if len(out.Ignore) > many {
		out.Notes = append(out.Notes, Note{About: AboutIgnore, Unsure: true, Text: "so much moves here that more will under load: " +
			"fields = [what you want to hear of] is safer than ignoring the rest"})
	}
	if len(out.Ignore) > 0 {
		out.Notes = append(out.Notes, Note{About: AboutIgnore, Unsure: true, Text: listed(out.Ignore) + " differed between two readings that lay seconds apart"})
	}
	return out
}

// gathered names an object instead of its members when many of them move.
func (n *noise) gathered(paths []string) []string {
	const many = 4
	members := map[string]int{}
	top := func(path string) string {
		name, _, nested := strings.Cut(strings.ReplaceAll(path, `\.`, "\x00"), ".")
		if !nested {
			return ""
		}
		return strings.ReplaceAll(name, "\x00", `\.`)
	}
	for _, path := range paths {
		if name := top(path); name != "" && n.moved[path]*5 > n.compared {
			members[name]++
		}
	}
	var out []string
	for _, path := range paths {
		if name := top(path); members[name] >= many {
			path = name
		}
		if !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	return out
}
