package differ

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

var seedDocs = []string{
	``, ` `, `{}`, `[]`, `null`, `17`, `"text"`, `{"items":[]}`, `{"items":[{"id":1},{"id":2}]}`, `{"items":null}`, `{"items":{"a":{"id":1}}}`,
	`{"items":[1,2`, `{"items":[1,]}`, `[{"items":[1]},{"items":[2]}]`, `{"a":{"items":[[1],"x",true]}}`, "\xef\xbb\xbf[1]", `{"items":[1],"items":[2]}`,
	`{"i\u0074ems":["\ud83d\ude00","\ud800"]}`, `{"items":{},"a":{"x":1},"a":{"items":[9]}}`, `[1e5,-0.5E-7,0,-0]`, `{"a":"\"\\\/\b\f\n\r\t"}`, `[01]`, `[1.]`, `{"a":1}x`,
	"[\"\x1f\"]", "\"\xff\"", `{"a":[{"b":1,"c":[3,2,1]},{"c":[],"b":2}],"t":1}`, `{"":{"":[1]}}`,
	`{"`, `[{"a`, `{"a":"\`, `{"\u00`,
}

// one gives the outcome of reading a document with a buffer of the given size.
func one(src io.Reader, s Spec, size int) (records []string, envelope string, err error) {
	r := NewReader(src, Options{Spec: s, MaxRecord: 1 << 20, MaxEnvelope: 1 << 20})
	r.input.size = size
	records, err = readAll(r)
	return records, string(r.Envelope()), err
}

func FuzzReader(f *testing.F) {
	for _, doc := range seedDocs {
		f.Add([]byte(doc))
	}
	specs := []Spec{
		spec("@this"), spec("items"), spec("a.items"), spec("0.items"), spec("items", "@key"), spec("items|@this"), spec("#.items"),
		{Records: MustPath("items"), Single: true},
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if len(doc) > 100_000 {
			return
		}
		text := bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf"))
		valid := json.Valid(text)
		if gjson.ValidBytes(text) != valid && bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) < maxDepth {
			t.Fatal("gjson and encoding/json do not agree")
		}
		for _, s := range specs {
			records, envelope, err := one(bytes.NewReader(doc), s, bufferSize)
			again, envelope2, err2 := one(iotest.OneByteReader(bytes.NewReader(doc)), s, 1)
			if !reflect.DeepEqual(records, again) || envelope != envelope2 || !sameError(err, err2) {
				t.Fatalf("%v: by byte it reads %q, %s, %v, not %q, %s, %v", s.Records, again, envelope2, err2, records, envelope, err)
			}
			if _, broken := errors.AsType[*SyntaxError](err); broken == valid {
				t.Fatalf("%v: valid is %v, but: %v", s.Records, valid, err)
			}
			if valid {
				agreesWithGjson(t, s, string(text), records, envelope, err)
			}
		}
	})
}

// sameError compares errors apart from how the answer goes on, which depends on how much of it was read.
func sameError(a, b error) bool {
	x, ok := errors.AsType[*SyntaxError](a)
	y, ok2 := errors.AsType[*SyntaxError](b)
	if ok && ok2 {
		return x.Offset == y.Offset && x.What == y.What && x.Truncated == y.Truncated
	}
	return a.Error() == b.Error()
}

func agreesWithGjson(t *testing.T, s Spec, doc string, records []string, envelope string, err error) {
	t.Helper()
	if !json.Valid([]byte(envelope)) {
		t.Fatalf("the envelope is %q", envelope)
	}
	v := Value{}
	if reaches(s.Records.String(), []byte(doc)) {
		v.Raw = bytes.TrimSpace([]byte(gjson.Get(doc, s.Records.String()).Raw))
	}
	_, missing := errors.AsType[*NotFoundError](err)
	_, misfit := errors.AsType[*NotListError](err)
	isList := v.IsArray() && !s.byMember() || v.IsObject() && s.byMember()
	switch {
	case missing == v.Exists():
		t.Fatalf("%v: gjson finds %q: %v", s.Records, v.Raw, err)
	case !v.Exists():
	case s.Single:
		if misfit != (v.Kind() == Null) || !misfit && (len(records) != 1 || records[0] != string(v.Raw)) {
			t.Fatalf("%v: gjson finds %q, not %q: %v", s.Records, v.Raw, records, err)
		}
	case isList:
		var want []string
		gjson.ParseBytes(v.Raw).ForEach(func(key, e gjson.Result) bool {
			text := e.Raw
			if s.byMember() {
				text = string(appendText(nil, []byte(key.Raw[1:len(key.Raw)-1]))) + "=" + text
			}
			want = append(want, text)
			return true
		})
		if !errors.Is(err, io.EOF) || !reflect.DeepEqual(records, want) {
			t.Fatalf("%v: gjson finds %q, not %q: %v", s.Records, want, records, err)
		}
	case misfit == (s.byMember() && isEmptyArray(v.Raw)):
		t.Fatalf("%v: gjson finds %q: %v", s.Records, v.Raw, err)
	}
}

func FuzzCanonical(f *testing.F) {
	for i, doc := range seedDocs {
		f.Add([]byte(doc), []byte(seedDocs[(i+1)%len(seedDocs)]))
		f.Add([]byte(doc), []byte(" "+doc+"\n"))
	}
	shape := compile(f, Spec{})
	h := NewHasher(Seed{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if !json.Valid(a) || !json.Valid(b) {
			h.Canon(shape, a) // whatever it gives, it must not panic
			return
		}
		x, y := shape.AppendCanonical(nil, a), shape.AppendCanonical(nil, b)
		if !json.Valid(x) || string(shape.AppendCanonical(nil, x)) != string(x) {
			t.Fatalf("the canonical form %s is not canonical", x)
		}
		same := string(x) == string(y)
		if (h.Canon(shape, a) == h.Canon(shape, b)) != same {
			t.Fatal("the hashes say something else")
		}
		if isOrdinary(a) && isOrdinary(b) {
			var v, w any
			if decode(a, &v) != nil || decode(b, &w) != nil {
				t.Fatal("encoding/json refuses a valid text")
			}
			if reflect.DeepEqual(v, w) != same {
				t.Fatalf("same is %v: %s %s", same, x, y)
			}
		}
	})
}

// isOrdinary says whether encoding/json decodes a text without loss: no name twice in an object, no broken Unicode.
func isOrdinary(text []byte) bool {
	if !utf8.Valid(text) || bytes.Contains(bytes.ToLower(text), []byte(`\ud`)) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return distinct(d)
}

func distinct(d *json.Decoder) bool {
	token, err := d.Token()
	if err != nil {
		return false
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return true
	}
	seen := map[string]bool{}
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			text, ok := name.(string)
			if err != nil || !ok || seen[text] {
				return false
			}
			seen[text] = true
		}
		if !distinct(d) {
			return false
		}
	}
	_, err = d.Token()
	return err == nil
}

func FuzzDiff(f *testing.F) {
	for i, doc := range seedDocs {
		f.Add([]byte(doc), []byte(seedDocs[(i+5)%len(seedDocs)]), "a", "", "a.#.c")
		f.Add([]byte(doc), []byte(doc), "t", "a.0", "")
	}
	f.Fuzz(func(t *testing.T, old, now []byte, ignore, field, unordered string) {
		var s Spec
		for path, list := range map[string]*[]Path{ignore: &s.Ignore, field: &s.Fields, unordered: &s.Unordered} {
			if p, err := ParsePath(path); err == nil {
				*list = append(*list, p)
			}
		}
		shape, err := s.Compile()
		if err != nil {
			return
		}
		delta, err := shape.Diff(old, now)
		if valid := json.Valid(old) && json.Valid(now); valid != (err == nil) {
			t.Fatalf("valid is %v: %v", valid, err)
		}
		if err != nil {
			return
		}
		same := string(shape.AppendCanonical(nil, old)) == string(shape.AppendCanonical(nil, now))
		if same != (len(delta.Changed) == 0) || same != (delta.Previous == nil) {
			t.Fatalf("same is %v, changed %q, previous %s", same, delta.Changed, delta.Previous)
		}
		if !same && !json.Valid(delta.Previous) {
			t.Fatalf("previous is %s", delta.Previous)
		}
		checkProjection(t, shape, old)
		if back, err := shape.Diff(now, old); err != nil || !reflect.DeepEqual(back.Changed, delta.Changed) {
			t.Fatalf("changed %q, backwards %q, %v", delta.Changed, back.Changed, err)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, path := range []string{
		"a", "a.b.0", `a\.b`, "@this", "@this.a", "#", "a.#.b", "a.#(b==1)", "$.a[*]", ".a[]", "a[0]", "@odata.nextLink", "a|b", "{a,b}", "*", "a..b", "/a/b", `\`, "..0", "!1", " $",
	} {
		f.Add(path, []byte(pathDoc))
		f.Add(path, []byte(`{"a":[{"b":1}]}`))
	}
	f.Fuzz(func(t *testing.T, text string, doc []byte) {
		p, err := ParsePath(text)
		if bad, ok := errors.AsType[*PathError](err); ok {
			if bad.Suggest != "" {
				if _, err := ParsePath(bad.Suggest); err != nil {
					t.Fatalf("%q: the suggestion is wrong: %v", text, err)
				}
			}
			return
		}
		got := p.Get(doc) // must not panic, whatever the text is
		if !p.is().plain || !json.Valid(doc) || strings.Contains(text, "@odata.") || strings.Contains(text, "@microsoft.") {
			return
		}
		if !reaches(p.String(), doc) {
			if got.Exists() {
				t.Fatalf("%q finds %q", text, got.Raw)
			}
			return
		}
		if want := bytes.TrimSpace([]byte(gjson.GetBytes(doc, text).Raw)); string(got.Raw) != string(want) {
			t.Fatalf("%q finds %q, gjson %q", text, got.Raw, want)
		}
	})
}

func FuzzCondition(f *testing.F) {
	for _, text := range []string{`a == 1`, `a != "x"`, `a < 1e400`, `a % "x*"`, `a !% ?`, `a`, `a.#(b==1) >= 2`, `a = 1`, `a == b && c`, `!a`} {
		f.Add(text, []byte(`{"a":1,"b":"x"}`))
		f.Add(text, []byte(`{"a":[{"b":1}]}`))
	}
	negated := map[string]string{"==": "!=", "!=": "==", "%": "!%", "!%": "%"}
	f.Fuzz(func(t *testing.T, text string, doc []byte) {
		c, err := ParseCondition(text)
		if err != nil {
			return
		}
		holds := c.Match(doc)
		at, sign := findOperator(text)
		other, ok := negated[sign]
		if !ok {
			return
		}
		n, err := ParseCondition(text[:at] + other + text[at+len(sign):])
		if err != nil {
			t.Fatalf("%q is a condition and its negation is not: %v", text, err)
		}
		if n.Match(doc) == holds {
			t.Fatalf("%q and its negation are both %v", text, holds)
		}
	})
}
