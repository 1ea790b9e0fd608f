package differ

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readAll gives the records as text, members as "name=value".
func readAll(r *Reader) ([]string, error) {
	var got []string
	for {
		rec, err := r.Next()
		if err != nil {
			return got, err
		}
		text := string(rec.Raw)
		if rec.Member != nil {
			text = string(rec.Member) + "=" + text
		}
		got = append(got, text)
	}
}

func spec(records string, keys ...string) Spec {
	s := Spec{}
	if records != "" {
		s.Records = MustPath(records)
	}
	for _, k := range keys {
		s.Key = append(s.Key, MustPath(k))
	}
	return s
}

func TestRecordsAreCutOutOfAnAnswer(t *testing.T) {
	single := func(records string) Spec {
		s := spec(records)
		s.Single = true
		return s
	}
	for _, c := range []struct {
		name     string
		spec     Spec
		doc      string
		want     string // joined by |
		envelope string
	}{
		{"the answer is the list", spec(""), `[{"id":1},{"id":2}]`, `{"id":1}|{"id":2}`, `[]`},
		{"@this", spec("@this"), " [ 1 , 2 ] \n", `1|2`, `[]`},
		{"empty list", spec("@this"), `[]`, ``, `[]`},
		{"empty list with space", spec("items"), `{"items" : [ ] }`, ``, `{"items" :[]}`},
		{"nested list", spec("data.items"), `{"n":1,"data":{"a":[1],"items":[{"id":1}],"z":0},"next":"x"}`, `{"id":1}`, `{"n":1,"data":{"a":[1],"items":[],"z":0},"next":"x"}`},
		{"list in a list", spec("0.rows"), `[{"rows":[1,2]},{"rows":[3]}]`, `1|2`, `[{"rows":[]},{"rows":[3]}]`},
		{"second element", spec("1"), `[[1],[2,3],[4]]`, `2|3`, `[[1],[],[4]]`},
		{
			"exact bytes", spec("items"), `{"items":[{ "id" : 9007199254740993,"p":1.10,"s":"<>&\u2028` + "\u2028" + `","d":1,"d":2 }]}`,
			`{ "id" : 9007199254740993,"p":1.10,"s":"<>&\u2028` + "\u2028" + `","d":1,"d":2 }`, `{"items":[]}`,
		},
		{"byte order mark", spec("items"), "\xef\xbb\xbf" + `{"items":[1]}`, `1`, `{"items":[]}`},
		{"first of two lists", spec("items"), `{"items":[1],"items":[2]}`, `1`, `{"items":[],"items":[2]}`},
		{"first that leads on", spec("data.items"), `{"data":1,"data":{"x":1},"data":{"items":[1]},"data":{"items":[2]}}`, `1`, `{"data":1,"data":{"x":1},"data":{"items":[]},"data":{"items":[2]}}`},
		{"escaped name", spec("dätä"), `{"d\u00e4t\u00e4":[1]}`, `1`, `{"d\u00e4t\u00e4":[]}`},
		{"name with a dot", spec(`my\.items`), `{"my":{"items":[0]},"my.items":[1]}`, `1`, `{"my":{"items":[0]},"my.items":[]}`},
		{"numeric member", spec("a.0"), `{"a":{"0":[5]}}`, `5`, `{"a":{"0":[]}}`},
		{"brackets in strings", spec("items"), `{"x":"[{\"","items":["]}",{"a":"}"}]}`, `"]}"|{"a":"}"}`, `{"x":"[{\"","items":[]}`},
		{"object of objects", spec("contacts", "@key"), `{"contacts":{"a":{"x":1},"b\u0031":{"x":2}, "" : {}},"n":3}`, `a={"x":1}|b1={"x":2}|={}`, `{"contacts":[],"n":3}`},
		{"empty object of objects", spec("contacts", "@key"), `{"contacts":{}}`, ``, `{"contacts":[]}`},
		{"empty array of PHP", spec("contacts", "@key"), `{"contacts":[ ]}`, ``, `{"contacts":[ ]}`},
		{"single", single("user"), `{"user":{"id":1},"error":null}`, `{"id":1}`, `{"user":{"id":1},"error":null}`},
		{"single document", single(""), ` {"id":1} `, `{"id":1}`, `{"id":1}`},
		{"single scalar", single("version"), `{"version":17}`, `17`, `{"version":17}`},
		{"computed list", spec("items.#.v"), `{"items":[{"v":{"id":1}},{"v":{"id":2}}]}`, `{"id":1}|{"id":2}`, `{"items":[{"v":{"id":1}},{"v":{"id":2}}]}`},
		{"query for a list", spec(`groups.#(name=="b").rows`), `{"groups":[{"name":"a","rows":[1]},{"name":"b","rows":[2,3]}]}`, `2|3`, `{"groups":[{"name":"a","rows":[1]},{"name":"b","rows":[]}]}`},
		{"modifier", spec("@values"), `{"a":{"id":1},"b":{"id":2}}`, `{"id":1}|{"id":2}`, `{"a":{"id":1},"b":{"id":2}}`},
		{"wildcard", spec("res*s"), `{"results":[1]}`, `1`, `{"results":[]}`},
		{"object by query", spec("a|b", "@key"), `{"a":{"b":{"k":{"v":1}}}}`, `k={"v":1}`, `{"a":{"b":[]}}`},
		{"empty array by query", spec("a|b", "@key"), `{"a":{"b":[]}}`, ``, `{"a":{"b":[]}}`},
		{"single by query", single("a|0"), `{"a":[{"id":1}]}`, `{"id":1}`, `{"a":[{"id":1}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, src := range sources(c.doc) {
				r := NewReader(src, Options{Spec: c.spec})
				got, err := readAll(r)
				if !errors.Is(err, io.EOF) {
					t.Fatalf("%s: %v", name, err)
				}
				if joined := strings.Join(got, "|"); joined != c.want {
					t.Errorf("%s: records %s, want %s", name, joined, c.want)
				}
				if string(r.Envelope()) != c.envelope {
					t.Errorf("%s: envelope %s, want %s", name, r.Envelope(), c.envelope)
				}
				if _, again := r.Next(); !errors.Is(again, io.EOF) {
					t.Errorf("%s: after the end: %v", name, again)
				}
			}
		})
	}
}

// sources gives the same document in pieces of several sizes.
func sources(doc string) map[string]io.Reader {
	return map[string]io.Reader{
		"whole":     strings.NewReader(doc),
		"by byte":   iotest.OneByteReader(strings.NewReader(doc)),
		"by half":   iotest.HalfReader(strings.NewReader(doc)),
		"data, EOF": iotest.DataErrReader(strings.NewReader(doc)),
	}
}

func TestATruncatedBodyIsNotAListing(t *testing.T) {
	const doc = "\xef\xbb\xbf" + ` {"n":-1.5e+3,"data":{"items":[{"id":1,"s":"a\u00e9\n"},{"id":2},true]},"next":null} `
	const complete = len(doc) - 1
	for n := range complete {
		if n == 1 || n == 2 {
			continue // a part of a byte order mark is not JSON
		}
		for name, src := range sources(doc[:n]) {
			_, err := readAll(NewReader(src, Options{Spec: spec("data.items")}))
			syntax, ok := errors.AsType[*SyntaxError](err)
			if !ok || !syntax.Truncated || syntax.Offset != int64(n) {
				t.Errorf("cut after %d, %s: %v", n, name, err)
			}
		}
		_, err := readAll(NewReader(strings.NewReader(doc[:n]), Options{Spec: spec("data|items")}))
		if syntax, ok := errors.AsType[*SyntaxError](err); !ok || !syntax.Truncated {
			t.Errorf("cut after %d, read whole: %v", n, err)
		}
	}
	for n := complete; n <= len(doc); n++ {
		if _, err := readAll(NewReader(strings.NewReader(doc[:n]), Options{Spec: spec("data.items")})); !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestAMalformedBodyIsNotAListing(t *testing.T) {
	for _, c := range []struct {
		doc    string
		offset int64
		what   string
	}{
		{`<html>{"items":[1]}</html>`, 0, `unexpected "<html>{\"items\":[" at byte 0, where a value should begin`},
		{`{"items":[1]} x`, 14, `unexpected "x" at byte 14, after the end of the document`},
		{`{"items":[1]}{}`, 13, "after the end"},
		{`{"items":[1,]}`, 12, "where a value should begin"},
		{`{"items":[,1]}`, 10, "where a value should begin"},
		{`{"items":[1 2]}`, 12, "after an element"},
		{`{"items":[1}}`, 11, "after an element"},
		{`{"items":[{"a":1,}]}`, 17, "where a member's name should begin"},
		{`{"items":[{"a"=1}]}`, 14, "where the colon"},
		{`{"items":[{"a":1 "b":2}]}`, 17, "after a member"},
		{`{"items":[1],}`, 13, "where a member's name should begin"},
		{`{"items":[1]"x":1}`, 12, "after a member"},
		{`{,"items":[1]}`, 1, "where a member's name should begin"},
		{`{items:[1]}`, 1, "where a member's name should begin"},
		{`{"items":[01]}`, 11, "after an element"},
		{`{"items":[-]}`, 11, "in a number"},
		{`{"items":[1.]}`, 12, "in a number"},
		{`{"items":[1e]}`, 12, "in a number"},
		{`{"items":[+1]}`, 10, "where a value should begin"},
		{`{"items":[NaN]}`, 10, "where a value should begin"},
		{`{"items":[nul]}`, 13, "true, false or null"},
		{`{"items":["` + "\n" + `"]}`, 11, "control characters"},
		{`{"items":["\x"]}`, 12, "after a backslash"},
		{`{"items":["\u12g4"]}`, 15, "hexadecimal"},
		{`{"x":[1,"items":[1]}`, 15, "after an element"},
		{"{\"items\":[1]}\x00", 13, "after the end"},
		{"\xef\xbb\xbf\xef\xbb\xbf[]", 3, "where a value should begin"},
		{"\u00a0[]", 0, "where a value should begin"},
		{"[1]\n[2]\n", 4, "after the end"},
	} {
		for name, src := range sources(c.doc) {
			_, err := readAll(NewReader(src, Options{Spec: spec("items")}))
			syntax, ok := errors.AsType[*SyntaxError](err)
			if !ok || syntax.Truncated || syntax.Offset != c.offset || !strings.Contains(err.Error(), c.what) {
				t.Errorf("%s, %s: %v", c.doc, name, err)
			}
		}
	}
}

func TestAnHTMLAnswerIsNamed(t *testing.T) {
	_, err := NewReader(strings.NewReader("<!DOCTYPE html>"), Options{}).Next()
	syntax, ok := errors.AsType[*SyntaxError](err)
	if !ok || !strings.Contains(syntax.NextStep(), "HTML") {
		t.Errorf("%v", err)
	}
	if (&SyntaxError{Near: "x"}).NextStep() != "" {
		t.Error("everything is HTML")
	}
}

func TestNullAndErrorObjectsAreNotEmptyLists(t *testing.T) {
	single := Spec{Records: MustPath("items"), Single: true}
	for _, c := range []struct {
		spec   Spec
		doc    string
		kind   ValueKind
		wanted ValueKind
		text   string
	}{
		{spec("items"), `{"items":null,"error":"session expired"}`, Null, Array, "items is null, not a list"},
		{spec("items"), `{"items":{"id":1}}`, Object, Array, "items is an object, not a list"},
		{spec("items"), `{"items":"none"}`, String, Array, "items is a string, not a list"},
		{spec("items"), `{"items":17,"items":[1]}`, Number, Array, "items is a number, not a list; it has items (1 value)"},
		{spec("items"), `{"items":false}`, Bool, Array, "items is a boolean, not a list"},
		{spec("@this"), `{"error":"x","data":[{},{}]}`, Object, Array, "@this is an object, not a list; it has data (2 objects)"},
		{spec("@this"), `null`, Null, Array, "@this is null, not a list"},
		{spec("items.#"), `{"items":[1,2]}`, Number, Array, "items.# is a number, not a list; it has items (2 values)"},
		{spec("items", "@key"), `{"items":[1]}`, Array, Object, "items is an array, not an object of records; it has items (1 value)"},
		{spec("items", "@key"), `{"items":null}`, Null, Object, "items is null, not an object of records"},
		{spec("x|items", "@key"), `{"x":{"items":[1]}}`, Array, Object, "x|items is an array, not an object of records; it has x.items (1 value)"},
		{single, `{"items":null}`, Null, Missing, "items is null, not a record"},
		{Spec{Records: MustPath("items|@this"), Single: true}, `{"items":null}`, Null, Missing, "items|@this is null, not a record"},
	} {
		r := NewReader(strings.NewReader(c.doc), Options{Spec: c.spec})
		got, err := readAll(r)
		misfit, ok := errors.AsType[*NotListError](err)
		if !ok || len(got) != 0 || misfit.Kind != c.kind || misfit.Wanted != c.wanted {
			t.Errorf("%s: %v, %v", c.doc, got, err)
			continue
		}
		if !strings.HasPrefix(err.Error(), c.text) {
			t.Errorf("%s: %q, want %q", c.doc, err, c.text)
		}
		if string(r.Envelope()) != c.doc {
			t.Errorf("%s: the envelope is %s", c.doc, r.Envelope())
		}
	}
}

func TestAMissingListIsAnErrorThatNamesTheListsThatAreThere(t *testing.T) {
	for _, c := range []struct{ path, doc, has string }{
		{"items", `{"data":{"items":[{"id":1},{"id":2}],"tags":["a"]},"links":[]}`, "data.items (2 objects), data.tags (1 value), links (0 values)"},
		{"items", `[{"id":1}]`, "@this (1 object)"},
		{"a.b", `{"a":[1],"a.b":[{}]}`, `a (1 value), a\.b (1 object)`},
		{"a|b", `{"x":{"y":{"z":{"u":[1],"deep":{"v":[1]}}}}}`, "x.y.z.u (1 value)"},
		{"items", `{"error":"x","a b":{}}`, "error, a b"},
		{"items", `{}`, ""},
		{"items", `17`, ""},
		{"items", `{"":[1],"x":{"":[2]}}`, `@this (1 value)`},
	} {
		r := NewReader(strings.NewReader(c.doc), Options{Spec: spec(c.path)})
		_, err := readAll(r)
		missing, ok := errors.AsType[*NotFoundError](err)
		if !ok || missing.Path.String() != c.path {
			t.Errorf("%s: %v", c.doc, err)
			continue
		}
		if c.doc[1] != '"' || c.doc[2] != '"' {
			if got := strings.Join(missing.Has, ", "); got != c.has {
				t.Errorf("%s: has %s, want %s", c.doc, got, c.has)
			}
		}
		if string(r.Envelope()) != c.doc {
			t.Errorf("%s: the envelope is %s", c.doc, r.Envelope())
		}
	}
	many := `{"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1],"g":[1],"h":[1],"i":[1],"j":[1]}`
	_, err := NewReader(strings.NewReader(many), Options{Spec: spec("x")}).Next()
	if missing, ok := errors.AsType[*NotFoundError](err); !ok || len(missing.Has) != enoughLists || !strings.Contains(err.Error(), "h (1 value)") {
		t.Errorf("%v", err)
	}
}

func TestAnErrorOfTheSourceIsNotTheEnd(t *testing.T) {
	broken := errors.New("connection reset")
	for _, doc := range []string{``, `{"items":[1,2`, `{"items":[1,2]`, `{"items":[1,2]}`} {
		for _, path := range []string{"items", "items|@this"} {
			src := io.MultiReader(strings.NewReader(doc), iotest.ErrReader(broken))
			if _, err := readAll(NewReader(src, Options{Spec: spec(path)})); !errors.Is(err, broken) {
				t.Errorf("%s, %s: %v", doc, path, err)
			}
		}
	}
}

func TestANumberThatMayGoOnIsNotARecord(t *testing.T) {
	single := Spec{Records: MustPath("n"), Single: true}
	for doc, s := range map[string]Spec{`[1,2,3`: {}, `{"n":3`: single, `3`: {Single: true}} {
		cut := errors.New("connection reset")
		got, err := readAll(NewReader(io.MultiReader(strings.NewReader(doc), iotest.ErrReader(cut)), Options{Spec: s}))
		if !errors.Is(err, cut) || strings.Contains(strings.Join(got, ","), "3") {
			t.Errorf("%s: %v, %v", doc, got, err)
		}
		if doc == `3` {
			continue // this one is complete when there was no error
		}
		if got, err = readAll(NewReader(strings.NewReader(doc), Options{Spec: s})); errors.Is(err, io.EOF) || strings.Contains(strings.Join(got, ","), "3") {
			t.Errorf("%s: %v, %v", doc, got, err)
		}
	}
}

func TestAReaderCanBeUsedAgain(t *testing.T) {
	r := NewReader(strings.NewReader(`{"items":[1,2`), Options{Spec: spec("items")})
	if _, err := readAll(r); err == nil {
		t.Fatal("no error")
	}
	for range 3 {
		r.Reset(strings.NewReader(`{"items":[3],"n":1}`))
		if got, err := readAll(r); !errors.Is(err, io.EOF) || fmt.Sprint(got) != "[3]" || string(r.Envelope()) != `{"items":[],"n":1}` {
			t.Errorf("%v, %v, %s", got, err, r.Envelope())
		}
	}
	computed := NewReader(nil, Options{Spec: spec("items.#.v")})
	for n := range 3 {
		computed.Reset(strings.NewReader(fmt.Sprintf(`{"items":[{"v":%d}]}`, n)))
		if got, err := readAll(computed); !errors.Is(err, io.EOF) || fmt.Sprint(got) != fmt.Sprintf("[%d]", n) {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestManyRecordsOverManyBuffersAreAllThere(t *testing.T) {
	doc := listing(2000, smallRecord)
	for _, chunk := range []int{1, 7, 100, 4096, 100_000} {
		r := NewReader(&chunked{src: bytes.NewReader(doc), size: chunk}, Options{Spec: spec("data.items", "id")})
		n := 0
		for ; ; n++ {
			rec, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || string(rec.Raw) != smallRecord(n) {
				t.Fatalf("record %d: %v", n, err)
			}
		}
		if n != 2000 {
			t.Errorf("%d records in pieces of %d", n, chunk)
		}
	}
}

type chunked struct {
	src  io.Reader
	size int
}

func (c *chunked) Read(p []byte) (int, error) { return c.src.Read(p[:min(len(p), c.size)]) }
