package decode

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRowsBecomeObjectsOfStrings(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"plain":                         {"id,name\n007,Ann\n1.10,Bob\n", `[{"id":"007","name":"Ann"},{"id":"1.10","name":"Bob"}]`},
		"no last line end":              {"id,name\n1,Ann", `[{"id":"1","name":"Ann"}]`},
		"crlf":                          {"id,name\r\n1,Ann\r\n2,\r\n", `[{"id":"1","name":"Ann"},{"id":"2","name":""}]`},
		"cut line end":                  {"id,name\r\n1,Ann\r", `[{"id":"1","name":"Ann"}]`},
		"header only":                   {"id,name\n", `[]`},
		"header without end":            {"id,name", `[]`},
		"empty lines":                   {"\n\r\nid,name\n\n1,Ann\n\r\n\n2,Bob\n\n", `[{"id":"1","name":"Ann"},{"id":"2","name":"Bob"}]`},
		"quotes":                        {"\"id\",\"name\"\n\"1\",\"Ann, \"\"the\"\" one\"\n", `[{"id":"1","name":"Ann, \"the\" one"}]`},
		"only quotes":                   {"a,b\n\"\",\"\"\"\"\n", `[{"a":"","b":"\""}]`},
		"exact line ends":               {"a,b\n\"x\r\ny\nz\rw\",1\n", `[{"a":"x\r\ny\nz\rw","b":"1"}]`},
		"white space is kept":           {"a,b\n  x ,\t\n", `[{"a":"  x ","b":"\t"}]`},
		"quote inside":                  {"a;b\n5\" pipe;x\"\"y\n", `[{"a":"5\" pipe","b":"x\"\"y"}]`},
		"control characters":            {"a\n\x00\x01\x1f\\\x7f\n", "[{\"a\":\"\\u0000\\u0001\\u001f\\\\\x7f\"}]"},
		"lone carriage return":          {"a,b\nx\ry,1\n", `[{"a":"x\ry","b":"1"}]`},
		"carriage return first":         {"a\n\rx\n", `[{"a":"\rx"}]`},
		"pairs of quotes in the header": {"\"a\"\",,,\";b\n1;2\n", `[{"a\",,,":"1","b":"2"}]`},
		"bytes are kept":                {"a\n\xff\n", "[{\"a\":\"\xff\"}]"},
		"one column":                    {"id\n1\n2\n", `[{"id":"1"},{"id":"2"}]`},
		"semicolons":                    {"id;price, EUR;x\n1;2,50;3\n", `[{"id":"1","price, EUR":"2,50","x":"3"}]`},
		"tabs":                          {"id\tname\n1\ta,b;c\n", `[{"id":"1","name":"a,b;c"}]`},
		"pipes":                         {"id|name\n1|x\n", `[{"id":"1","name":"x"}]`},
		"quoted delimiters":             {"id,\"a;b;c\"\n1,x\n", `[{"id":"1","a;b;c":"x"}]`},
		"header of two lines":           {"id;\"first\nname\"\n1;x\n", `[{"id":"1","first\nname":"x"}]`},
		"sep line":                      {"sep=;\r\nid;a,b,c\r\n1;x\r\n", `[{"id":"1","a,b,c":"x"}]`},
		"quoted sep line":               {"\"sep=|\"\nid|x\n1|2\n", `[{"id":"1","x":"2"}]`},
		"sep line of a tab":             {"SEP=\t\nid\tx\n1\t2\n", `[{"id":"1","x":"2"}]`},
		"trimmed names":                 {"id , name\n1,x\n", `[{"id":"1","name":"x"}]`},
		"names twice":                   {"a,a,a_2,a\n1,2,3,4\n", `[{"a":"1","a_3":"2","a_2":"3","a_4":"4"}]`},
		"names missing":                 {"id,,\n1,2,3\n", `[{"id":"1","column_2":"2","column_3":"3"}]`},
		"a generated name":              {"column_2,\n1,2\n", `[{"column_2":"1","column_2_2":"2"}]`},
		"escaped names":                 {"\"a\"\"b\",c\\d\n1,2\n", `[{"a\"b":"1","c\\d":"2"}]`},
	} {
		t.Run(name, func(t *testing.T) { want(t, c.in, Options{Format: "csv"}, c.want) })
	}
}

func TestRowsMayStandAcrossTheEndOfTheBuffer(t *testing.T) {
	const rows = "1,\"a\"\"b\"\r\n\r\n\"2\",c\r\n\n\"3\",\"\r\n\"\r\n"
	const document = `{"a":"1","b":"a\"b"},{"a":"2","b":"c"},{"a":"3","b":"\r\n"}`
	for n := range len(rows) {
		long := strings.Repeat("x", 64<<10-6-n) // the buffer ends n bytes behind the first of rows
		want(t, "a,b\n"+long+",\n"+rows, Options{Format: "csv"}, `[{"a":"`+long+`","b":""},`+document+`]`)
	}
}

func TestATableWithoutAHeaderRowHasConfiguredColumns(t *testing.T) {
	o := Options{Format: "csv", CSV: CSV{Columns: []string{"id", "name"}, Require: []string{"id"}}}
	want(t, "", o, `[]`)
	want(t, "1;a,b,c\n2;d\n", o, `[{"id":"1","name":"a,b,c"},{"id":"2","name":"d"}]`)
	want(t, "sep=,\n1,a\n", o, `[{"id":"1","name":"a"}]`)
	want(t, "<1>,a\n", o, `[{"id":"<1>","name":"a"}]`)
	wantError[*SyntaxError](t, "1;a,b\n", o, "delimiter")
	wantError[*SyntaxError](t, "1;a;b\n", o, "delimiter")
	wantError[*SyntaxError](t, "<!DOCTYPE html><title>Log in</title>\n", o, "Log in")
	want(t, "1\n2\n", Options{Format: "csv", CSV: CSV{Columns: []string{"id"}}}, `[{"id":"1"},{"id":"2"}]`)
}

func TestAConfiguredDelimiterWins(t *testing.T) {
	for delimiter, in := range map[string]string{
		",": "sep=;\na;b,c\n1;2,3\n", "^": "a;b^c\n1;2^3\n", "auto": "\"a;b\",c\n1;2,3\n",
	} {
		want(t, in, Options{Format: "csv", CSV: CSV{Delimiter: delimiter}}, `[{"a;b":"1;2","c":"3"}]`)
	}
}

func TestWhatIsNotTheTableIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		in        string
		line      int
		truncated bool
		says      string
	}{
		"nothing":              {"", 1, true, "no header row"},
		"empty lines":          {"\n\n", 3, true, "no header row"},
		"sep line only":        {"sep=;\n", 2, true, "no header row"},
		"a page":               {"\n <!doctype HTML>\n<html><head><title>Sign in</title>", 2, false, `"Sign in"`},
		"xml":                  {"<error/>\n", 1, false, "XML or JSON"},
		"json":                 {"{\"error\":\"no\"}\n", 1, false, "XML or JSON"},
		"two delimiters":       {"a;b,c\n1;2,3\n", 1, false, "cannot be told"},
		"a short row":          {"a,b\n1,2\n\n\"x\ny\",2\n3\n5,6\n", 6, false, "1 fields, but there are 2"},
		"a long row":           {"a,b\n1,2,3\n", 2, false, "3 fields, but there are 2"},
		"a cut row":            {"a,b\n1,2\n3", 3, true, "after 1 of 2 fields"},
		"a cut quote":          {"a,b\n1,2\n3,\"4\n5", 3, true, "never closed"},
		"text behind a quote":  {"a,b\n\"x\n\"y,2\n", 3, false, `'y' follows the closing quote`},
		"space behind a quote": {"a,b\n\"x\" ,2\n", 2, false, `' ' follows the closing quote`},
		"a name too long":      {strings.Repeat("x", 2000) + "\n1\n", 1, false, "longer than"},
		"too many columns":     {strings.Repeat(",", 20_000) + "\n", 1, false, "more than 16384 fields"},
	} {
		e := failsWith[*SyntaxError](t, c.in, Options{Format: "csv"}, c.says)
		if e != nil && (e.Line != c.line || e.Truncated != c.truncated) {
			t.Errorf("%s: got line %d, truncated %v", name, e.Line, e.Truncated)
		}
	}
}

func TestALastRowWithoutALineEndIsCutWhereNothingProvesTheEnd(t *testing.T) {
	o := Options{Format: "csv", Endless: true}
	want(t, "id,name\n1,a\n2,b\n", o, `[{"id":"1","name":"a"},{"id":"2","name":"b"}]`)
	for _, in := range []string{"id,name\n1,a\n2,b", "id,name\n1,a\n\"2\",\"b\"", "id,name\n1,a\n2,"} {
		if e := failsWith[*SyntaxError](t, in, o, "no line end"); e != nil && (!e.Truncated || e.Line != 3) {
			t.Errorf("%q: line %d, truncated %v", in, e.Line, e.Truncated)
		}
	}
}

func TestAnAnswerWithoutTheColumnsOfTheKeyIsNotAnEmptyTable(t *testing.T) {
	o := Options{Format: "csv", CSV: CSV{Require: []string{"id", "no"}}}
	want(t, "name,no,id\n", o, `[]`)
	wantError[*SyntaxError](t, "Session expired\n", o, `no column "id"`, "Session expired")
	wantError[*SyntaxError](t, "id,name\n1,x\n", o, `no column "no"`, "id, name")
}

func TestARowLargerThanTheBufferIsAnError(t *testing.T) {
	long := strings.Repeat("x", 200_000)
	want(t, "a,b\n1,"+long+"\n", Options{Format: "csv", MaxBuffer: 300_000}, `[{"a":"1","b":"`+long+`"}]`)
	e := failsWith[*TooLargeError](t, "a,b\n1,2\n1,\""+long+"\"\n", Options{Format: "csv", MaxBuffer: 100_000}, "row at line 3")
	if e != nil && e.Line != 3 {
		t.Errorf("the error is in line %d", e.Line)
	}
	want(t, "a,b\n1,2345\n", Options{Format: "csv", MaxBuffer: 7}, `[{"a":"1","b":"2345"}]`)
	wantError[*TooLargeError](t, "a,b\n1,2345\n", Options{Format: "csv", MaxBuffer: 6})
	wantError[*TooLargeError](t, long, Options{Format: "csv", MaxBuffer: 100_000}, "row at line 1")
}

func TestACutTableWithQuotesIsAnErrorOrEndsWithARow(t *testing.T) {
	const in = "\"id\";\"name\"\r\n\"1\";\"Ann \"\"A\"\"; \r\nLee\"\r\n\r\n\"2\";\"\"\r\n"
	full := recordsOf(t, in, "csv")
	for cut := range in {
		if cut == 0 || in[cut-1:cut+1] != `""` { // half of a doubled quote is a closing one
			wantPrefix(t, in[:cut], Options{Format: "csv"}, full)
		}
	}
}

// recordsOf gives the elements of the array that a good answer becomes.
func recordsOf(t *testing.T, in, format string) (list []json.RawMessage) {
	t.Helper()
	document, err := decodeAll(t, in, Options{Format: format})
	if err == nil {
		err = json.Unmarshal([]byte(document), &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// wantPrefix checks that a cut answer fails, or becomes records that the whole one begins with.
func wantPrefix(t *testing.T, cut string, o Options, full []json.RawMessage) {
	t.Helper()
	document, err := decodeAll(t, cut, o)
	if err != nil {
		return
	}
	var list []json.RawMessage
	if err := json.Unmarshal([]byte(document), &list); err != nil {
		t.Fatalf("%q becomes %s: %v", cut, document, err)
	}
	for i, rec := range list {
		if i >= len(full) || string(rec) != string(full[i]) {
			t.Fatalf("%q has the record %s, which the whole answer has not", cut, rec)
		}
	}
}

func TestARowThatEndsBehindADelimiterIsCutWhereAllElseIsQuoted(t *testing.T) {
	wantError[*SyntaxError](t, "\"a\",\"b\"\n\"1\",", Options{Format: "csv"}, "breaks off", "behind a delimiter")
	for _, in := range []string{"a,b\n\"1\",", "\"a\",\"b\"\n1,", "\"a\",\"b\"\n\"1\",\n", "a,b\n1,"} {
		want(t, in, Options{Format: "csv"}, `[{"a":"1","b":""}]`)
	}
}
