package differ

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func paths(texts ...string) []Path {
	var list Paths
	if err := list.SetStrings(texts); err != nil {
		panic(err)
	}
	return list
}

func compile(tb testing.TB, s Spec) *Shape {
	tb.Helper()
	shape, err := s.Compile()
	if err != nil {
		tb.Fatal(err)
	}
	return shape
}

func TestCanonicalFormsAreEqualWhenRecordsAre(t *testing.T) {
	for _, c := range []struct {
		name string
		spec Spec
		a, b string
		same bool
	}{
		{"order of members", Spec{}, `{"a":1,"b":2}`, `{"b":2,"a":1}`, true},
		{"order inside", Spec{}, `{"x":[{"a":1,"b":2}]}`, `{"x":[{"b":2,"a":1}]}`, true},
		{"white space", Spec{}, `{"a":[1,2],"b":{}}`, " { \"a\" : [ 1 ,\t2 ] ,\r\n \"b\" : { } } ", true},
		{"escapes", Spec{}, `{"a":"\u00e9\/\u0041\n\u2028"}`, `{"a":"é/A\u000a` + "\u2028" + `"}`, true},
		{"escapes in names", Spec{}, `{"\u0061":1,"b":2}`, `{"b":2,"a":1}`, true},
		{"control characters", Spec{}, `"\u001f\u0008\u0000"`, `"\u001F\b\u0000"`, true},
		{"quote and backslash", Spec{}, `"\u0022\u005c"`, `"\"\\"`, true},
		{"surrogate pair", Spec{}, `"\ud83d\ude00"`, `"😀"`, true},
		{"half a pair is not another", Spec{}, `"\ud800"`, `"\ud801"`, false},
		{"half a pair is not the replacement character", Spec{}, `"\ud800"`, `"\ufffd"`, false},
		{"half a pair is not its bytes", Spec{}, `"\ud800"`, "\"\xed\xa0\x80\"", false},
		{"half a pair in another case", Spec{}, `"\uD800x"`, `"\ud800x"`, true},
		{"bytes that are not UTF-8", Spec{}, "\"\xe9\"", "\"\xe8\"", false},
		{"number text", Spec{}, `{"a":1.10}`, `{"a":1.1}`, false},
		{"number and exponent", Spec{}, `100`, `1e2`, false},
		{"big numbers", Spec{}, `9007199254740993`, `9007199254740992`, false},
		{"number and string", Spec{}, `{"a":1}`, `{"a":"1"}`, false},
		{"null and missing", Spec{}, `{"a":null}`, `{}`, false},
		{"empty object and array", Spec{}, `{}`, `[]`, false},
		{"order of elements", Spec{}, `[1,2]`, `[2,1]`, false},
		{"name and value", Spec{}, `{"a":"b"}`, `{"b":"a"}`, false},
		{"nesting", Spec{}, `[[1],2]`, `[[1,2]]`, false},
		{"names in an array", Spec{}, `[{"a":1}]`, `[{"b":1}]`, false},
		{"a string that looks like structure", Spec{}, `["a\",\"b"]`, `["a","b"]`, false},
		{"duplicates", Spec{}, `{"a":1,"a":2}`, `{"a":2,"a":1}`, false},
		{"duplicates in order", Spec{}, `{"b":0,"a":1,"a":2}`, `{"a":1,"b":0,"a":2}`, true},

		{"ignored", Spec{Ignore: paths("t")}, `{"a":1,"t":1}`, `{"a":1,"t":2}`, true},
		{"ignored and missing", Spec{Ignore: paths("t")}, `{"a":1,"t":1}`, `{"a":1}`, true},
		{"ignored inside", Spec{Ignore: paths("m.t")}, `{"m":{"t":1,"u":1}}`, `{"m":{"t":2,"u":1}}`, true},
		{"not ignored inside", Spec{Ignore: paths("m.t")}, `{"m":{"t":1,"u":1}}`, `{"m":{"t":1,"u":2}}`, false},
		{"ignored through an array", Spec{Ignore: paths("l.#.t")}, `{"l":[{"t":1},{"t":2}]}`, `{"l":[{"t":3},{}]}`, true},
		{"ignored through anything", Spec{Ignore: paths("*.t")}, `{"l":[{"t":1}],"m":{"t":1}}`, `{"l":[{"t":1}],"m":{"t":2}}`, true},
		{"star is one level", Spec{Ignore: paths("*.t")}, `{"l":[{"t":1}]}`, `{"l":[{"t":2}]}`, false},
		{"hash is no member", Spec{Ignore: paths("m.#")}, `{"m":{"a":1}}`, `{"m":{"a":2}}`, false},
		{"ignored by index", Spec{Ignore: paths("l.1")}, `{"l":[1,2,3]}`, `{"l":[1,9,3]}`, true},
		{"ignored by index, others not", Spec{Ignore: paths("l.1")}, `{"l":[1,2,3]}`, `{"l":[1,2,4]}`, false},
		{"ignored with an escaped name", Spec{Ignore: paths(`a\.b`)}, `{"a.b":1}`, `{"\u0061.b":2}`, true},
		{"ignored all", Spec{Ignore: paths("*")}, `{"a":1}`, `{"b":{}}`, true},
		{"ignored by two rules", Spec{Ignore: paths("*.a", "m.b")}, `{"m":{"a":1,"b":1,"c":1}}`, `{"m":{"a":2,"b":2,"c":1}}`, true},
		{"two rules elsewhere", Spec{Ignore: paths("*.a", "m.b")}, `{"n":{"b":1}}`, `{"n":{"b":2}}`, false},
		{"index and hash", Spec{Ignore: paths("l.#.a", "l.0.b")}, `{"l":[{"a":1,"b":1},{"a":1,"b":1}]}`, `{"l":[{"a":2,"b":2},{"a":2,"b":1}]}`, true},

		{"fields", Spec{Fields: paths("id", "owner.name")}, `{"id":1,"owner":{"name":"x","t":1},"t":1}`, `{"id":1,"owner":{"name":"x","t":2}}`, true},
		{"a field differs", Spec{Fields: paths("id", "owner.name")}, `{"id":1,"owner":{"name":"x"}}`, `{"id":1,"owner":{"name":"y"}}`, false},
		{"nothing on the way", Spec{Fields: paths("owner.name")}, `{"owner":{"t":1}}`, `{"owner":null}`, true},
		{"field and its parent", Spec{Fields: paths("owner.name", "owner")}, `{"owner":{"t":1}}`, `{"owner":{"t":2}}`, false},
		{"field null is not missing", Spec{Fields: paths("a")}, `{"a":null}`, `{}`, false},
		{"fields through an array", Spec{Fields: paths("l.#.a")}, `{"l":[{"a":1,"b":1},2]}`, `{"l":[{"a":1,"b":2}]}`, true},
		{"field by index", Spec{Fields: paths("l.1.a")}, `{"l":[{"a":1},{"a":2}]}`, `{"l":[0,{"a":2,"b":1},3]}`, true},
		{"field at another index", Spec{Fields: paths("l.1.a")}, `{"l":[0,{"a":2}]}`, `{"l":[0,0,{"a":2}]}`, false},
		{"ignored field", Spec{Fields: paths("a", "m"), Ignore: paths("m.t")}, `{"a":1,"m":{"t":1}}`, `{"a":1,"m":{"t":2}}`, true},
		{"all fields", Spec{Fields: paths("@this"), Ignore: paths("t")}, `{"a":1,"t":1}`, `{"a":2}`, false},

		{"unordered", Spec{Unordered: paths("tags")}, `{"tags":["b","a","a"]}`, `{"tags":["a","b","\u0061"]}`, true},
		{"unordered is no set", Spec{Unordered: paths("tags")}, `{"tags":["a","a","b"]}`, `{"tags":["a","b","b"]}`, false},
		{"unordered objects", Spec{Unordered: paths("l")}, `{"l":[{"a":1,"b":2},{"a":2}]}`, `{"l":[{"a":2},{"b":2,"a":1}]}`, true},
		{"unordered record", Spec{Unordered: paths("@this")}, `[1,2,[3,4]]`, `[[3,4],2,1]`, true},
		{"only where it is said", Spec{Unordered: paths("@this")}, `[[3,4]]`, `[[4,3]]`, false},
		{"unordered in unordered", Spec{Unordered: paths("l", "l.#.m")}, `{"l":[{"m":[1,2]},{"m":[3]}]}`, `{"l":[{"m":[3]},{"m":[2,1]}]}`, true},
		{"unordered and ignored", Spec{Unordered: paths("l"), Ignore: paths("l.#.t")}, `{"l":[{"a":1,"t":9},{"a":2,"t":1}]}`, `{"l":[{"a":2,"t":5},{"a":1}]}`, true},
		{"unordered is not an array", Spec{Unordered: paths("l")}, `{"l":{"a":1}}`, `{"l":{"a":2}}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := compile(t, c.spec)
			a, b := s.AppendCanonical(nil, []byte(c.a)), s.AppendCanonical(nil, []byte(c.b))
			if got := string(a) == string(b); got != c.same {
				t.Errorf("same is %v:\n%s\n%s", got, a, b)
			}
			h := NewHasher(Seed{})
			if got := h.Canon(s, []byte(c.a)) == h.Canon(s, []byte(c.b)); got != c.same {
				t.Errorf("the hashes are the same: %v", got)
			}
			delta, err := s.Diff([]byte(c.a), []byte(c.b))
			if err != nil || (len(delta.Changed) == 0) != c.same {
				t.Errorf("Diff: %v, %v", delta.Changed, err)
			}
		})
	}
}

func TestManyMembersOfOneNameKeepTheirOrder(t *testing.T) {
	s := compile(t, Spec{})
	var record, want strings.Builder
	for n := range 100 {
		fmt.Fprintf(&record, `,"b":%d,"a":%d`, n, n)
		fmt.Fprintf(&want, `,"a":%d`, n)
	}
	for n := range 100 {
		fmt.Fprintf(&want, `,"b":%d`, n)
	}
	got := s.AppendCanonical(nil, []byte("{"+record.String()[1:]+"}"))
	if string(got) != "{"+want.String()[1:]+"}" {
		t.Errorf("%s", got)
	}
}

func TestTheCanonicalFormIsJSON(t *testing.T) {
	s := compile(t, Spec{Ignore: paths("i"), Unordered: paths("u")})
	got := s.AppendCanonical([]byte("x"), []byte(` { "z" : [ 1.0 , "\u0041\u0001\ud800" , { } ] , "i" : 1 , "\u0061" : null , "u" : [ 2 , 10 , [ ] ] } `))
	want := `x{"a":null,"u":[10,2,[]],"z":[1.0,"A\u0001\ud800",{}]}`
	if string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestFieldsAreKeptByteForByte(t *testing.T) {
	for _, c := range []struct {
		fields []Path
		record string
		want   string
	}{
		{nil, ` {"a": 1} `, ` {"a": 1} `},
		{paths("@this"), ` {"a": 1} `, ` {"a": 1} `},
		{paths("b", "a"), `{"a" :  1.10,"x":[],"\u0062": "\/<>&"}`, `{"a" :  1.10,"\u0062": "\/<>&"}`},
		{paths("o.n"), `{"o" : {"m":1, "n" : { "k":[ ] }},"p":1}`, `{"o" : {"n" : { "k":[ ] }}}`},
		{paths("o.n"), `{"o":{"m":1}}`, `{}`},
		{paths("o.n"), `{"o":null}`, `{}`},
		{paths("o.n", "a"), `{"o":{},"a":1}`, `{"a":1}`},
		{paths("l.#.a"), `{"l":[{"a":1,"b":2},{"b":3},4,{"a":5}]}`, `{"l":[{"a":1},{"a":5}]}`},
		{paths("l.*.a"), `{"l":[{"a":1,"b":2}]}`, `{"l":[{"a":1}]}`},
		{paths("*.a"), `{"l":{"a":1},"m":{"b":1},"n":[{"a":1}]}`, `{"l":{"a":1}}`},
		{paths("l.2.a"), `{"l":[{"a":1},2,{"a":3,"b":4},{"a":5}]}`, `{"l":[null,null,{"a":3}]}`},
		{paths("l.0", "l.3"), `{"l":[1,2,3,4,5]}`, `{"l":[1,null,null,4]}`},
		{paths("l.9"), `{"l":[1,2]}`, `{}`},
		{paths("a"), `{"a":1,"a":2,"b":3}`, `{"a":1,"a":2}`},
		{paths("#.a"), `[{"a":1,"b":2},{"a":3}]`, `[{"a":1},{"a":3}]`},
		{paths("a"), `[{"a":1}]`, `[]`},
		{paths("a"), `"text"`, `"text"`},
		{paths("a"), `{}`, `{}`},
		{paths(`a\.b`), `{"a.b":1,"a":{"b":2}}`, `{"a.b":1}`},
	} {
		s := compile(t, Spec{Fields: c.fields, Ignore: paths("ignored")})
		got := s.Project([]byte("scratch"), []byte(c.record))
		if string(got) != c.want {
			t.Errorf("%v of %s: %s, want %s", c.fields, c.record, got, c.want)
		}
		if again := s.Project(nil, got); string(again) != string(got) {
			t.Errorf("%v of %s: projected again %s", c.fields, got, again)
		}
		if a, b := s.AppendCanonical(nil, []byte(c.record)), s.AppendCanonical(nil, got); string(a) != string(b) {
			t.Errorf("%v of %s: compares as %s, projected as %s", c.fields, c.record, a, b)
		}
	}
}

func TestProjectingDoesNotAllocate(t *testing.T) {
	rec := []byte(smallRecord(1))
	buf := make([]byte, 0, 512)
	for _, s := range []*Shape{compile(t, Spec{}), compile(t, Spec{Fields: paths("id", "owner.name", "tags.#")})} {
		if n := testing.AllocsPerRun(100, func() { s.Project(buf, rec) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

func TestPathsThatCannotShapeARecordAreRefused(t *testing.T) {
	for _, s := range []Spec{
		{Fields: paths("l.#(a==1).b")},
		{Ignore: paths("na*")},
		{Ignore: paths("@this")},
		{Unordered: paths("l|0")},
		{Ignore: paths("l.@reverse")},
		{Fields: paths("{a,b}")},
		{Fields: []Path{{}}},
	} {
		_, err := s.Compile()
		if bad, ok := errors.AsType[*PathError](err); !ok || bad.Problem == "" {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestDeepAndWideRecordsTakeLinearTime(t *testing.T) {
	if testing.Short() {
		t.Skip("long records")
	}
	s := compile(t, Spec{Fields: paths("a", "b", "l.900000"), Unordered: paths("b", "a.b")})
	const deep = maxDepth - 1
	for name, doc := range map[string]string{
		"deep":  strings.Repeat(`{"b":1,"a":`, deep) + "1" + strings.Repeat("}", deep),
		"wide":  `{` + strings.Repeat(`"b":1,"a":2,`, 200_000) + `"c":1}`,
		"gaps":  `{"l":[` + strings.Repeat("0,", 900_000) + "1]}",
		"array": `{"b":[` + strings.Repeat(`{"z":1,"y":2},`, 200_000) + "1]}",
	} {
		h := NewHasher(Seed{})
		h.Canon(s, []byte(doc))
		s.Project(nil, []byte(doc))
		if delta, err := s.Diff([]byte(doc), []byte(`{}`)); err != nil || len(delta.Changed) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
