package decode

import (
	"strings"
	"testing"
)

func TestLinesBecomeAnArrayOfTheirExactBytes(t *testing.T) {
	o := Options{Format: "ndjson"}
	for in, document := range map[string]string{
		"":                               `[]`,
		"\n\r\n \t\n":                    `[]`,
		"{\"a\":1}\n{\"a\":2}\n":         `[{"a":1},{"a":2}]`,
		"{\"a\":1}\n{\"a\":2}":           `[{"a":1},{"a":2}]`,
		"\n{\"a\":1}\r\n\r\n \t1.10\r\n": `[{"a":1},1.10]`,
		"{ \"b\" : 1e5,\t\"b\":\"\\u00e9\" }\nnull\n\"x\"\n[]": `[{ "b" : 1e5,	"b":"\u00e9" },null,"x",[]]`,
		"{\"id\":9007199254740993}":                            `[{"id":9007199254740993}]`,
		"\"\xff\"\n":                                           "[\"\xff\"]",
		"\"\u2028\"\n":                                         "[\"\u2028\"]",
	} {
		want(t, in, o, document)
	}
}

func TestRecordsOfATextSequenceMayHaveSeveralLines(t *testing.T) {
	o := Options{Format: "ndjson"}
	want(t, "\x1e{\"a\":1}\n\x1e{\n \"a\":2\n}\n", o, "[{\"a\":1},{\n \"a\":2\n}]")
	want(t, "\r\n\x1e1\n\x1e\x1e\n\x1e2", o, "[1,2]")
	want(t, "\x1e", o, "[]")
	e := failsWith[*SyntaxError](t, "\x1e{\"a\":1}\n\x1e{\n\"a\":\n\x1e2\n", o, "does not end")
	if e != nil && e.Line != 2 {
		t.Errorf("the error is in line %d", e.Line)
	}
}

func TestALineThatIsNoRecordIsAnErrorWithItsPlace(t *testing.T) {
	o := Options{Format: "ndjson"}
	for _, c := range []struct {
		in     string
		line   int
		offset int64
		says   string
	}{
		{"{\"a\":1}\n\n  {\"a\":x}\n", 3, 16, "invalid character 'x'"},
		{"1\n2,3\n", 2, 3, "invalid character ','"},
		{"{\"a\":\n1}\n", 1, 5, "does not end on its line"},
		{"1\n{\"a\":\n", 2, 7, "does not end on its line"},
		{"[1\n2]\n", 1, 2, "does not end on its line"},
		{"{} {}\n", 1, 3, "invalid character '{'"},
		{"<html>\n", 1, 0, "'<'"},
		{"1\n{]", 2, 3, "']'"},
		{"\"a\tb\"\n", 1, 2, `'\t'`},
	} {
		e := failsWith[*SyntaxError](t, c.in, o, c.says)
		if e != nil && (e.Line != c.line || e.Offset != c.offset || e.Truncated) {
			t.Errorf("%q: got line %d, byte %d, truncated %v", c.in, e.Line, e.Offset, e.Truncated)
		}
	}
}

func TestACutLastLineIsNotARecord(t *testing.T) {
	const in = "{\"id\":1,\"x\":[true,null,-1.5e3,\"a\\u00e9\\n\"]}\r\n{\"id\":2,\"x\":{}}\r\n"
	first, second := strings.Index(in, "\r\n"), len(in)-2
	for cut := range in {
		document, err := decodeAll(t, in[:cut], Options{Format: "ndjson"})
		if cut == 0 || cut >= first && cut <= first+2 || cut >= second {
			if err != nil {
				t.Errorf("cut at the end of a line, at %d: %v", cut, err)
			}
			continue
		}
		e := failsWith[*SyntaxError](t, in[:cut], Options{Format: "ndjson"}, "breaks off")
		if e != nil && (!e.Truncated || e.Offset != int64(cut)) {
			t.Errorf("cut at %d: %+v after %s", cut, e, document)
		}
	}
}

func TestRecordsBeforeABrokenLineAreHandedOut(t *testing.T) {
	document, err := decodeAll(t, "1\n2\nx\n", Options{Format: "ndjson"})
	if document != "[1,2" || err == nil {
		t.Errorf("got %s, %v", document, err)
	}
}

func TestALineLargerThanTheBufferIsAnError(t *testing.T) {
	long := `"` + strings.Repeat("x", 200_000) + `"`
	want(t, "1\n"+long+"\n2", Options{Format: "ndjson", MaxBuffer: 300_000}, "[1,"+long+",2]")
	e := failsWith[*TooLargeError](t, "1\n"+long+"\n2", Options{Format: "ndjson", MaxBuffer: 100_000}, "record at line 2", "100000")
	if e != nil && e.Line != 2 {
		t.Errorf("the error is in line %d", e.Line)
	}
	want(t, "1\n\"345678\"\n", Options{Format: "ndjson", MaxBuffer: 9}, `[1,"345678"]`)
	wantError[*TooLargeError](t, "1\n\"345678\"\n", Options{Format: "ndjson", MaxBuffer: 8})
}
