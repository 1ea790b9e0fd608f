package differ

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/tidwall/gjson"
)

// pathDoc has something for every kind of path.
const pathDoc = `{
	"name": {"first": "Tom", "last": "Anderson"},
	"age": 37,
	"children": ["Sara", "Alex", "Jack"],
	"fav.movie": "Deer Hunter",
	"friends": [
		{"first": "Dale", "age": 44, "nets": ["ig", "fb"]},
		{"first": "Roger", "age": 68, "nets": []},
		[1, [2, 3]], null, "text"
	],
	"dup": 1, "dup": {"x": 2}, "dup": {"y": 3},
	"0": "zero", "01": "leading", "": "empty", " ": "blank",
	"\u0065scaped": "e", "quo\"te": 1, "back\\slash": 2, "new\nline": 3,
	"@odata.nextLink": "https://example.com/next", "value@odata.count": 7, "@graph": [{"id": 1}], "@microsoft.graph.downloadUrl": "u",
	"a*b": "star", "#": "hash", "d": {"@odata.count": 9},
	"none": null, "yes": true, "big": 9007199254740993, "nested": {"": {"x": 5}}
}`

func TestAPlainPathFindsWhatGjsonFinds(t *testing.T) {
	for _, path := range []string{
		"name", "name.first", "name.first.x", "name.none", "age", "age.x", "children", "children.0", "children.2", "children.3",
		"children.00", "children.x", `fav\.movie`, "fav.movie", "friends.0.first", "friends.1.nets", "friends.1.nets.0",
		"friends.2.1.0", "friends.2.1.1", "friends.3", `friends.\0`, "friends.3.x", "friends.4", "dup", "dup.x", "dup.y", "dup.z", "0", "01", `\0`,
		"escaped", `quo"te`, `quo\"te`, `back\\slash`, `new\\nline`, "new\nline", "@graph", "@graph.0.id", `\@graph.0.id`, `a\*b`, "none", "yes", "big",
		"@this", "@this.age", "@this.friends.0", "999999999999999999999", "friends.999999999999999999999",
	} {
		p := MustPath(path)
		if !p.is().plain {
			t.Errorf("%q is not plain", path)
		}
		want := gjson.Get(pathDoc, path).Raw
		if got := p.Get([]byte(pathDoc)); string(got.Raw) != want {
			t.Errorf("%q gives %q, gjson %q", path, got.Raw, want)
		}
	}
}

func TestOtherPathsAreLeftToGjson(t *testing.T) {
	for _, path := range []string{
		"#", "children.#", "friends.#.first", "friends.#(age>50).first", "friends.#(first==\"Dale\")#.age", "child*.1", "c?ildren.0",
		"children|0", "children.@reverse", "children.@reverse.0", "name.@keys", "{age,name.first}", "[age,children.0]",
		"friends.#(nets.#(==\"fb\"))#.first", "a*b", "name.{first}", "!\"x\"", "@pretty", "friends.#(age>50)#|#", "@keys", "@values.0",
	} {
		p := MustPath(path)
		if p.is().plain {
			t.Errorf("%q is plain", path)
		}
		want := string(Value{Raw: []byte(gjson.Get(pathDoc, path).Raw)}.Raw)
		if path == "@pretty" {
			want = want[:len(want)-1] // a line feed after the value is no part of it
		}
		if got := p.Get([]byte(pathDoc)); string(got.Raw) != want {
			t.Errorf("%q gives %q, gjson %q", path, got.Raw, want)
		}
	}
}

func TestODataAnnotationsMayBeWrittenPlainly(t *testing.T) {
	for path, want := range map[string]string{
		"@odata.nextLink":              `"https://example.com/next"`,
		`\@odata\.nextLink`:            `"https://example.com/next"`,
		"value@odata.count":            "7",
		"d.@odata.count":               "9",
		"@microsoft.graph.downloadUrl": `"u"`,
		"[@odata.nextLink,age]":        `["https://example.com/next",37]`,
	} {
		if got := MustPath(path).Get([]byte(pathDoc)); string(got.Raw) != want {
			t.Errorf("%q gives %q, want %q", path, got.Raw, want)
		}
	}
}

func TestAScalarHasNoMembers(t *testing.T) {
	for _, doc := range []string{`"{\"id\":1}"`, `"[1]"`, `17`, `null`, ``, ` `} {
		for _, path := range []string{"id", "0", "#", "#.id", "i*"} {
			if got := MustPath(path).Get([]byte(doc)); got.Exists() {
				t.Errorf("%q has %q in %q", path, got.Raw, doc)
			}
		}
	}
	if got := MustPath("@this").Get([]byte(" 17\n")); string(got.Raw) != "17" {
		t.Errorf("@this of a number is %q", got.Raw)
	}
	if got := MustPath("@this|@fromstr").Get([]byte(`"17"`)); string(got.Raw) != "17" {
		t.Errorf("a modifier of a string gives %q", got.Raw)
	}
}

func TestAWrongPathIsRefusedWithTheRightSpelling(t *testing.T) {
	for _, c := range []struct{ path, suggest string }{
		{"", "@this"},
		{" data", "data"},
		{"data.items ", "data.items"},
		{"$", "@this"},
		{"$.data.items", "data.items"},
		{"$.data.items[*]", "data.items"},
		{"$.data[*].items", "data.#.items"},
		{"$['data']['my items']", "data.my items"},
		{`$["@odata.nextLink"]`, `\@odata\.nextLink`},
		{"$.data[?(@.id==1)].name", "data.#(id==1).name"},
		{"$.data[?(@.id=='x')]", `data.#(id=="x")`},
		{"$..items", ""},
		{"$.items[0:2]", ""},
		{".", "@this"},
		{".data", "data"},
		{".data[]", "data"},
		{".data[].id", "data.#.id"},
		{".[]", "@this"},
		{".[0].id", "0.id"},
		{".data | .items", ""},
		{".data[", ""},
		{"items[0].id", "items.0.id"},
		{"items[].id", "items.#.id"},
		{"items[*]", "items"},
		{"data['items']", "data.items"},
		{"[0].id", "0.id"},
		{"[*].id", "#.id"},
		{"[]", "@this"},
		{"a.[0]", "a.0"},
		{"/data/items", "data.items"},
		{"/a~1b/0/c.d", `a\/b.0.c\.d`},
		{"items.#(id==1", "items.#(id==1)"},
		{`items.#(id=="1`, ""},
		{"items.#(a.#(b==1)", "items.#(a.#(b==1))"},
		{"items.#(id==1)).x", ""},
		{"{a,b", "{a,b}"},
		{"{a,[b}", ""},
		{"a..b", "a.b"},
		{"a.", "a"},
		{"a.b...", "a.b"},
		{`a\`, "a"},
	} {
		_, err := ParsePath(c.path)
		bad, ok := errors.AsType[*PathError](err)
		if !ok {
			t.Errorf("%q: %v", c.path, err)
			continue
		}
		if bad.Suggest != c.suggest {
			t.Errorf("%q: suggests %q, want %q (%v)", c.path, bad.Suggest, c.suggest, bad)
		}
		if c.suggest != "" {
			if _, err := ParsePath(c.suggest); err != nil {
				t.Errorf("%q: the suggestion is wrong too: %v", c.path, err)
			}
			if bad.NextStep() == "" {
				t.Errorf("%q: no next step", c.path)
			}
		}
	}
}

func TestPathsOfGjsonAreAccepted(t *testing.T) {
	for _, path := range []string{
		"a", "a.b", "$id", "$ref.x", "a$", "@this", "@foo", "a.@type", "a.#", "#", "#.a", "a.#(b==1)", "a.#(b==1)#.c", `a.#(b=="x.y")`, `a.#(b=="(")`,
		"a.#[b==1]", "{a,b.c}", "[a,b]", `{"x":a}`, "a.[b,c]", "a|b", "a.@reverse", `@pretty:{"sortKeys":true}`, `!"x"`, "a(b)", `a\[0\]`, `it"s`, "a/b",
		"a:b", "ä.ö", "a b", "a-b", "*", "a.*.b", `\$`, "a.#(b)",
	} {
		if _, err := ParsePath(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestAnEmptyPathIsNoPath(t *testing.T) {
	var p Path
	if !p.IsZero() || p.Has([]byte(`{"":1}`)) || p.String() != "" {
		t.Error("the zero path finds something")
	}
	if a, again := MustPath("a"), MustPath("a"); a != again || a == MustPath("b") {
		t.Error("paths do not compare by their spelling")
	}
	if !MustPath("none").Has([]byte(pathDoc)) || MustPath("nil").Has([]byte(pathDoc)) {
		t.Error("Has takes null for missing or the other way")
	}
}

func TestMustPathPanicsOnAWrongPath(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	MustPath("$.a")
}

func TestPathsAreWrittenAndReadAsText(t *testing.T) {
	var c struct {
		Path  Path  `json:"path"`
		Paths Paths `json:"paths"`
	}
	if err := json.Unmarshal([]byte(`{"path":"a.b","paths":"id"}`), &c); err != nil {
		t.Fatal(err)
	}
	if c.Path != MustPath("a.b") || len(c.Paths) != 1 || c.Paths[0] != MustPath("id") {
		t.Errorf("%+v", c)
	}
	if text, err := json.Marshal(c.Path); err != nil || string(text) != `"a.b"` {
		t.Errorf("%s, %v", text, err)
	}
	if err := c.Paths.SetStrings([]string{"a", "b.c"}); err != nil || len(c.Paths) != 2 || c.Paths[1].String() != "b.c" {
		t.Errorf("%v, %v", c.Paths, err)
	}
	if err := c.Paths.SetStrings([]string{"a", "$.b"}); err == nil || len(c.Paths) != 2 {
		t.Errorf("a wrong path changed the list: %v, %v", c.Paths, err)
	}
}

func TestGettingAPlainPathDoesNotAllocate(t *testing.T) {
	p, doc := MustPath("friends.0.first"), []byte(pathDoc)
	if n := testing.AllocsPerRun(100, func() { p.Get(doc) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The library accepts broken texts and gives half a list; these are the answers that the Reader and Value have to tell apart.
func TestGjsonDoesNotValidate(t *testing.T) {
	for _, c := range []struct {
		body     string
		valid    bool
		elements int
	}{
		{`{"items":[{"id":1},{"id":2},{"id":`, false, 3},
		{`{"items":[{"id":1},{"id":2}`, false, 2},
		{`{"items":null}`, true, 0},
		{`{}`, true, 0},
		{`<html>{"items":[1]}</html>`, false, 1},
		{`{"items":{"id":1}}`, true, 1},
		{`{"items":"none"}`, true, 1},
		{"\xef\xbb\xbf" + `{"items":[1]}`, false, 1},
	} {
		if got := gjson.Valid(c.body); got != c.valid {
			t.Errorf("%s: valid is %v", c.body, got)
		}
		if got := len(gjson.Get(c.body, "items").Array()); got != c.elements {
			t.Errorf("%s: %d elements", c.body, got)
		}
	}
}
