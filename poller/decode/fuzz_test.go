package decode

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

const fuzzLimit = 64 << 10

// decoded checks what holds for every answer, and says whether it is a good one.
func decoded(t *testing.T, in []byte, o Options) (string, bool) {
	t.Helper()
	out, err := read(bytes.NewReader(in), o)
	slow, slowErr := read(iotest.OneByteReader(bytes.NewReader(in)), o)
	if out != slow || !sameError(err, slowErr) {
		t.Fatalf("read byte by byte it is another document:\n%q\n%q\n%v\n%v", out, slow, err, slowErr)
	}
	if err == nil && o.Format != "json" && !json.Valid([]byte(out)) {
		t.Fatalf("not JSON: %q", out)
	}
	return out, err == nil
}

func FuzzBody(f *testing.F) {
	formats := []string{"json", "ndjson", "xml", "csv"}
	charsets := []string{"", "utf-8", "utf-16", "windows-1252", "shift_jis", "gb18030", "ibm850"}
	for format := range formats {
		for _, in := range []string{`{"a":1}`, "<a>\xfc</a>", "a;b\n1;2\n", fault11, "\xff\xfe[\x00]\x00"} {
			f.Add([]byte(in), format, 0, "text/plain; charset=utf-8")
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, format, charset int, contentType string) {
		o := Options{
			Format: formats[uint(format)%uint(len(formats))], Charset: charsets[uint(charset)%uint(len(charsets))], ContentType: contentType,
			MaxBuffer: fuzzLimit, Records: "a.b",
		}
		decoded(t, in, o)
	})
}

func FuzzNDJSON(f *testing.F) {
	for _, in := range []string{"", "{\"a\":1}\r\n\n[1,2]", "\x1e{\n}\n\x1e2\n", "1\n2,3", "\xef\xbb\xbf1\n", "tru\n"} {
		f.Add([]byte(in), 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		o := Options{Format: "ndjson", MaxBuffer: fuzzLimit}
		out, ok := decoded(t, in, o)
		text := bytes.TrimPrefix(in, []byte("\xef\xbb\xbf"))
		if len(in) > fuzzLimit || bytes.ContainsRune(in, 0x1e) || bytes.HasPrefix(in, []byte("\xff\xfe")) || bytes.HasPrefix(in, []byte("\xfe\xff")) {
			return
		}
		var lines [][]byte
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			if line = bytes.Trim(line, " \t\r"); len(line) > 0 {
				if lines = append(lines, line); !json.Valid(line) {
					if ok {
						t.Fatalf("the line %q passed", line)
					}
					return
				}
			}
		}
		if document := "[" + string(bytes.Join(lines, []byte(","))) + "]"; out != document || !ok {
			t.Fatalf("got %q, want %q", out, document)
		}
		cutList(t, in, cut, o, out, func(string) bool { return false })
	})
}

// cutList checks that the cut answer fails or gives records that the whole one begins with; but the last one may be another one where
// differs says so.
func cutList(t *testing.T, in []byte, cut int, o Options, whole string, differs func(cut string) bool) {
	t.Helper()
	if len(in) == 0 {
		return
	}
	in = in[:uint(cut)%uint(len(in))]
	out, ok := decoded(t, in, o)
	if !ok {
		return
	}
	var list, full []json.RawMessage
	if err := errors.Join(json.Unmarshal([]byte(out), &list), json.Unmarshal([]byte(whole), &full)); err != nil {
		t.Fatal(err)
	}
	same := func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }
	if len(list) > len(full) || !slices.EqualFunc(list, full[:len(list)], same) {
		last := len(list) - 1
		isNumber := last >= 0 && strings.IndexByte("-0123456789", list[last][0]) >= 0 // which are good however much is cut
		if last >= len(full) || !slices.EqualFunc(list[:last], full[:last], same) || !isNumber && !differs(string(in)) {
			t.Fatalf("%q gives %s, the whole one gives %s", in, out, whole)
		}
	}
}

func FuzzCSV(f *testing.F) {
	for _, in := range []string{
		"a,b\n1,2\n", "sep=;\r\na;b\r\n1;2", "\"a\",\"b\"\"c\"\n\"x\r\ny\",\"\"\n", "a\n\n\r\n\r", "a|b\n\"1\"|\"2", "<html>", "a,a,\n1,2,3\n", "5\" x;y\n1;2\n",
	} {
		f.Add([]byte(in), 3, byte(0))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int, delimiter byte) {
		o := Options{Format: "csv", MaxBuffer: fuzzLimit}
		if o.CSV.Delimiter = string(rune(delimiter)); o.Validate() != nil {
			o.CSV.Delimiter = ""
		}
		out, ok := decoded(t, in, o)
		if !ok || len(in) > fuzzLimit {
			return
		}
		cutHeaderless(t, in, cut, o, out)
		asEncodingCSV(t, in, o, out)
		quoted, names := quoteAll(t, out)
		if len(names) == 0 || strings.HasPrefix(strings.ToLower(names[0]), "sep=") || !utf8.ValidString(out) {
			return
		}
		again, ok := decoded(t, quoted, Options{Format: "csv", CSV: CSV{Delimiter: ","}, MaxBuffer: 4 * fuzzLimit})
		if !ok || again != out {
			t.Fatalf("with quotes, %q, it is %s, not %s", quoted, again, out)
		}
		at := int(uint(cut) % uint(len(quoted)))
		if at < bytes.IndexByte(quoted, '\n') || quoted[at-1] == '"' && quoted[at] == '"' {
			return // other columns, or half of a doubled quote
		}
		cutList(t, quoted, at, Options{Format: "csv", CSV: CSV{Delimiter: ",", Columns: nil}, MaxBuffer: 4 * fuzzLimit}, out, func(string) bool { return false })
	})
}

// cutHeaderless checks that a cut in the rows of a table changes at most the last of those that are left.
func cutHeaderless(t *testing.T, in []byte, cut int, o Options, whole string) {
	t.Helper()
	var full []json.RawMessage
	if err := json.Unmarshal([]byte(whole), &full); err != nil {
		t.Fatal(err)
	}
	out, ok := decoded(t, in[:uint(cut)%uint(len(in))], o)
	if !ok || out == "[]" {
		return
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	for i, rec := range list[:len(list)-1] {
		if i >= len(full) || !bytes.Equal(rec, full[i]) {
			t.Fatalf("a cut gives %s, the whole one gives %s", out, whole)
		}
	}
}

// asEncodingCSV compares with the decoder of the standard library where both mean the same.
func asEncodingCSV(t *testing.T, in []byte, o Options, out string) {
	t.Helper()
	if o.CSV.Delimiter == "" || o.CSV.Delimiter == " " || bytes.HasPrefix(bytes.ToLower(bytes.TrimLeft(in, "\"\r\n\xef\xbb\xbf")), []byte("sep=")) ||
		bytes.HasPrefix(in, []byte("\xff\xfe")) || bytes.HasPrefix(in, []byte("\xfe\xff")) {
		return
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(in, []byte("\xef\xbb\xbf"))))
	r.Comma = rune(o.CSV.Delimiter[0])
	rows, err := r.ReadAll()
	if err != nil || len(rows) == 0 {
		return
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != len(rows)-1 {
		t.Fatalf("encoding/csv finds %d rows in %q, not %s", len(rows), in, out)
	}
	for i, rec := range list {
		values := strings.ReplaceAll(valuesOf(t, rec), "\r\n", "\n")
		if want := strings.ReplaceAll(strings.ToValidUTF8(strings.Join(rows[i+1], "\x00"), "\uFFFD"), "\r\n", "\n"); strings.ReplaceAll(values, "\uFFFD", "") != strings.ReplaceAll(want, "\uFFFD", "") {
			t.Fatalf("encoding/csv finds the row %q, not %q", want, values)
		}
	}
}

// valuesOf joins the values of an object of strings.
func valuesOf(t *testing.T, rec []byte) string {
	t.Helper()
	values, _ := members(t, rec)
	return strings.Join(values, "\x00")
}

func members(t *testing.T, rec []byte) (values, names []string) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(rec))
	for n := -1; ; n++ {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return values, names
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(string); ok && n%2 == 0 {
			names = append(names, text)
		} else if ok {
			values = append(values, text)
		}
	}
}

// quoteAll writes a table again, with quotes around everything.
func quoteAll(t *testing.T, document string) (table []byte, names []string) {
	t.Helper()
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(document), &list); err != nil {
		t.Fatal(err)
	}
	row := func(texts []string) {
		for i, text := range texts {
			if i > 0 {
				table = append(table, ',')
			}
			table = append(table, `"`+strings.ReplaceAll(text, `"`, `""`)+`"`...)
		}
		table = append(table, "\r\n"...)
	}
	for i, rec := range list {
		values, own := members(t, rec)
		if names = own; i == 0 {
			row(names)
		}
		row(values)
	}
	return table, names
}

func FuzzXML(f *testing.F) {
	for _, in := range []string{
		`<a>1</a>`, `<a><b/><b>2</b><c x="1">t<d/>u</c></a>`, `<a><b><c>1</c></b><x/><b y="1"><c/></b>text</a>`, fault12,
		`<?xml version="1.0" encoding="x"?><!DOCTYPE a [<!ENTITY b "c">]><a xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="1"><![CDATA[x]]>&#10;</a>`,
	} {
		f.Add([]byte(in), 7, byte(0))
		f.Add([]byte(in), 20, byte(2))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int, paths byte) {
		o := Options{Format: "xml", Charset: "utf-8", MaxBuffer: fuzzLimit}
		o.Records = []string{"", "a.b", "a.b.c", "a"}[paths%4]
		o.ForceArray = [][]string{nil, {"a.c", "a.b.c.d"}, {"a.b", "a.x"}}[paths/4%3]
		out, ok := decoded(t, in, o)
		if !ok || len(in) > fuzzLimit {
			return
		}
		var got any
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		if model := modelOf(t, in, o); !reflect.DeepEqual(got, model) {
			t.Fatalf("got %s, a simple decoder finds %v", out, model)
		}
		short, ok := decoded(t, in[:uint(cut)%uint(len(in))], o)
		if ok && short != out {
			t.Fatalf("cut off, it is %s, not %s", short, out)
		}
	})
}
