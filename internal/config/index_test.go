package config

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/BurntSushi/toml"
)

func seeds() []string {
	return []string{
		"a = 1\nb.c = \"x\" # c\n[t]\nd = [1, [2, 3],\n 4, # x\n]\n[t.u]\ne = { f = 1, g.h = 'y', }\n",
		"[[l]]\na = 1\n[[l]]\na = 2\n[l.sub]\nb = 3\n[[l.m]]\nc = 1\n",
		"\"q.k\".'l k' = \"\"\"\nx\\\"\"\"\"\"\n\n[\"a b\"]\nd = 1979-05-27 07:32:00Z\n",
		"a = '''x''''\nb = \"\\u00e9\\\\\"\n\"\\u00e9\" = 1\n",
		"x = [{a=1},{a=2,b=[]}]\r\ny = 0x1F\r\n",
		"[a.b.c]\nx=1\n[a]\ny=2\n[a.b]\nz=3\n",
		"a = { b = {\n c = 1,\n # n\n d = 2 } }\n",
	}
}

func TestEveryValueHasItsPlace(t *testing.T) {
	for _, text := range seeds() {
		if !checkPlaces(t, text) {
			t.Errorf("the library does not accept %q", text)
		}
	}
}

func FuzzEveryValueHasItsPlace(f *testing.F) {
	for _, text := range seeds() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { checkPlaces(t, text) })
}

// checkPlaces compares the places with what the library reads there. It gives false when the library accepts no such text.
func checkPlaces(t *testing.T, text string) bool {
	t.Helper()
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil || len(text) > 3 && text[:3] == "\xef\xbb\xbf" {
		return false
	}
	x := scan(text)
	if len(x.repeats) == 0 { // the library is lenient there, and merges
		checkNode(t, text, "", tree, x.root)
	}
	return true
}

func checkNode(t *testing.T, text, path string, v any, n *node) {
	t.Helper()
	if n == nil {
		t.Fatalf("no place for %s in %q", path, text)
	}
	if !n.value.empty() {
		var alone struct {
			V any `toml:"v"`
		}
		if _, err := toml.Decode("v = "+n.value.in(text), &alone); err != nil || !same(alone.V, v) {
			t.Fatalf("%s of %q is at %q (%v)", path, text, n.value.in(text), err)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			checkNode(t, text, path+"."+k, child, n.child(k))
		}
	case []any:
		for i, child := range v {
			checkNode(t, text, fmt.Sprintf("%s[%d]", path, i), child, n.elem(i))
		}
	case []map[string]any:
		for i, child := range v {
			checkNode(t, text, fmt.Sprintf("%s[%d]", path, i), child, n.elem(i))
		}
	}
}

// same compares by text: NaN is not equal to itself, and a list of tables has two types.
func same(a, b any) bool {
	return reflect.DeepEqual(a, b) || fmt.Sprint(a) == fmt.Sprint(b)
}
