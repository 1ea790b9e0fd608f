package config

import (
	"cmp"
	"encoding"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// binding fills one section from the tree of its file and keeps what is needed to say where a later problem stands.
type binding struct {
	doc     *document
	label   string // "[source.contacts]"
	root    *node
	section reflect.Type
	found   *findings
	layouts layouts

	// moved leads from the path of a key that was probably meant to the place of the key that stands there.
	moved map[string]*node
	// spoken are the paths of keys that a problem was reported for: what else may be wrong with them follows from it.
	spoken [][]string
	// literals are the places of secrets that stand there themselves, by path.
	literals []literal
}

type literal struct {
	path []string
	at   span
}

// bind fills target, a pointer to a struct, from a table. Keys that the table lacks stay as they are.
func (b *binding) bind(tree map[string]any, target any) {
	v := reflect.ValueOf(target).Elem()
	b.section = v.Type()
	b.table(tree, b.root, v, nil)
}

func (b *binding) table(tree map[string]any, n *node, target reflect.Value, path []string) {
	fields := b.layouts.of(target.Type())
	var unknown []string
	for _, k := range inOrder(tree, n) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == k })
		if i < 0 {
			unknown = append(unknown, k)
			continue
		}
		b.value(tree[k], n.child(k), target.Field(fields[i].index), at(path, k))
	}
	for _, k := range unknown {
		b.unknown(k, tree, n, target, path)
	}
}

// unknown reports a key that does not exist. The value is bound to the key that was meant, if there is a good guess: it is
// checked, and the key that was meant is not reported as missing.
func (b *binding) unknown(k string, tree map[string]any, n *node, target reflect.Value, path []string) {
	u := explainKey(k, target.Type(), b.section, b.label, path)
	place := n.child(k)
	b.found.add(b.doc, place.named(), "unknown key "+strconv.Quote(k)+" in "+under(b.label, path), u.hint)
	b.spoken = append(b.spoken, u.elsewhere...)
	if looksSecret(k) {
		b.doc.secrets = append(b.doc.secrets, place.place())
	}
	if u.meant == "" {
		return
	}
	if _, there := tree[u.meant]; there {
		return
	}
	for _, f := range fieldsOf(target.Type()) {
		if f.key == u.meant {
			if b.moved == nil {
				b.moved = map[string]*node{}
			}
			b.moved[joined(at(path, u.meant))] = place
			b.value(tree[k], place, target.Field(f.index), at(path, u.meant))
		}
	}
}

// value binds one value; n tells where it stands.
func (b *binding) value(v any, n *node, target reflect.Value, path []string) {
	switch t := target.Addr().Interface().(type) {
	case setting.Listed:
		b.listed(v, n, target, t, path)
		return
	case encoding.TextUnmarshaler:
		b.text(v, n, target, t, path)
		return
	}
	switch target.Kind() {
	case reflect.Struct:
		if tree, ok := v.(map[string]any); ok {
			b.table(tree, n, target, path)
			return
		}
		b.mismatch(v, n, path, "a table", tableHint(v, target.Type()))
	case reflect.Map:
		b.mapping(v, n, target, path)
	case reflect.Slice:
		b.list(v, n, target, path)
	default:
		b.scalar(v, n, target, path)
	}
}

func (b *binding) mapping(v any, n *node, target reflect.Value, path []string) {
	tree, ok := v.(map[string]any)
	if !ok {
		b.mismatch(v, n, path, "a table", `write { name = "value" }`)
		return
	}
	all := reflect.MakeMap(target.Type())
	if !target.IsNil() { // names that the table lacks stay
		for _, k := range target.MapKeys() {
			all.SetMapIndex(k, target.MapIndex(k))
		}
	}
	for _, k := range inOrder(tree, n) {
		item := reflect.New(target.Type().Elem()).Elem()
		b.value(tree[k], n.child(k), item, at(path, k))
		all.SetMapIndex(reflect.ValueOf(k).Convert(target.Type().Key()), item)
	}
	target.Set(all)
}

func (b *binding) list(v any, n *node, target reflect.Value, path []string) {
	values, ok := v.([]any)
	if !ok {
		b.mismatch(v, n, path, "a list", listHint(v))
		return
	}
	all := reflect.MakeSlice(target.Type(), len(values), len(values))
	for i, item := range values {
		b.value(item, n.elem(i), all.Index(i), at(path, strconv.Itoa(i)))
	}
	target.Set(all)
}

// inOrder gives the keys of a table as they stand in the file.
func inOrder(tree map[string]any, n *node) []string {
	type placed struct {
		key string
		at  int
	}
	all := make([]placed, 0, len(tree))
	for k := range tree {
		all = append(all, placed{k, n.child(k).place().start})
	}
	slices.SortFunc(all, func(a, b placed) int { return cmp.Or(a.at-b.at, strings.Compare(a.key, b.key)) })
	keys := make([]string, len(all))
	for i, p := range all {
		keys[i] = p.key
	}
	return keys
}

func at(path []string, k string) []string { return append(slices.Clip(path), k) }

func joined(path []string) string { return strings.Join(path, "\x00") }
