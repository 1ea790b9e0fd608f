package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// decodeAll gives the whole document, after checking that it does not depend on how the answer arrives.
func decodeAll(t *testing.T, in string, o Options) (string, error) {
	t.Helper()
	out, err := read(strings.NewReader(in), o)
	slow, slowErr := read(iotest.OneByteReader(strings.NewReader(in)), o)
	if out != slow || !sameError(err, slowErr) {
		t.Fatalf("read byte by byte it is another document:\n%s\n%s\n%v\n%v", out, slow, err, slowErr)
	}
	eager, eagerErr := read(iotest.DataErrReader(strings.NewReader(in)), o)
	if out != eager || !sameError(err, eagerErr) {
		t.Fatalf("with the end in the last read it is another document:\n%s\n%s\n%v\n%v", out, eager, err, eagerErr)
	}
	return out, err
}

func read(r io.Reader, o Options) (string, error) {
	body, err := Body(r, o)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	_, err = io.Copy(&out, struct{ io.Reader }{body})
	return out.String(), err
}

func sameError(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

// want checks the document that an answer becomes.
func want(t *testing.T, in string, o Options, document string) {
	t.Helper()
	got, err := decodeAll(t, in, o)
	if err != nil {
		t.Errorf("%.80q: %v", in, err)
	} else if got != document {
		t.Errorf("%.80q\n got %s\nwant %s", in, got, document)
	} else if o.Format != "" && o.Format != "json" && !json.Valid([]byte(got)) {
		t.Errorf("%.80q becomes what is not JSON: %s", in, got)
	}
}

// wantError checks that an answer fails with an error of type E that says all of words.
func wantError[E error](t *testing.T, in string, o Options, words ...string) {
	t.Helper()
	_ = failsWith[E](t, in, o, words...)
}

// failsWith is wantError for those who look closer.
func failsWith[E error](t *testing.T, in string, o Options, words ...string) E {
	t.Helper()
	_, err := decodeAll(t, in, o)
	found, ok := errors.AsType[E](err)
	if !ok {
		t.Errorf("%.80q: got the error %v, a %T", in, err, err)
		return found
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%.80q: the error does not say %q: %v", in, word, err)
		}
	}
	return found
}

func TestJSONPassesByteForByte(t *testing.T) {
	for _, in := range []string{"", `{"a":1.10,"b":9007199254740993}`, " [1]\r\n", "{\"a\":\"\xff\xfe\"}", `not JSON`, "\xef\xbb"} {
		want(t, in, Options{}, in)
		want(t, in, Options{Format: "json", ContentType: "application/json; charset=utf-8"}, in)
	}
}

func TestAByteOrderMarkIsTakenOffEveryFormat(t *testing.T) {
	for format, c := range map[string][2]string{
		"json":   {`[1]`, `[1]`},
		"ndjson": {"1\n", `[1]`},
		"xml":    {`<a>1</a>`, `{"a":"1"}`},
		"csv":    {"id\n1\n", `[{"id":"1"}]`},
	} {
		want(t, "\xef\xbb\xbf"+c[0], Options{Format: format}, c[1])
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		says string
	}{
		"format":              {Options{Format: "yaml"}, "yaml"},
		"charset":             {Options{Charset: "klingon"}, "klingon"},
		"delimiter":           {Options{CSV: CSV{Delimiter: ", "}}, "delimiter"},
		"delimiter quote":     {Options{CSV: CSV{Delimiter: `"`}}, "delimiter"},
		"delimiter not ASCII": {Options{CSV: CSV{Delimiter: "\xa7"}}, "delimiter"},
		"delimiter letter":    {Options{CSV: CSV{Delimiter: "x"}}, "delimiter"},
		"column twice":        {Options{CSV: CSV{Columns: []string{"a", "a"}}}, `"a"`},
		"column empty":        {Options{CSV: CSV{Columns: []string{""}}}, "empty"},
		"column lacking":      {Options{CSV: CSV{Columns: []string{"a"}, Require: []string{"id"}}}, `"id"`},
		"path query":          {Options{ForceArray: []string{"a.#.b"}}, "a.#.b"},
		"path empty":          {Options{ForceArray: []string{""}}, "force_array"},
		"path dots":           {Options{ForceArray: []string{"a..b"}}, "a..b"},
		"path on the way":     {Options{Records: "a.b.c", ForceArray: []string{"a.b"}}, "on the way"},
	} {
		if _, err := Body(strings.NewReader(""), c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestErrorsOfTheSourceArePassedOn(t *testing.T) {
	broken := errors.New("connection reset")
	for format, in := range map[string]string{"json": `[1,`, "ndjson": "1\n2", "xml": "<a><b>", "csv": "id\n1\n2"} {
		for cut := range len(in) + 1 {
			_, err := read(io.MultiReader(strings.NewReader(in[:cut]), iotest.ErrReader(broken)), Options{Format: format})
			if err != broken { //nolint:errorlint // as it is
				t.Fatalf("%s, cut at %d: got %v", format, cut, err)
			}
		}
	}
}

func TestASourceThatNeverGivesAnythingIsNotWaitedForForEver(t *testing.T) {
	for _, format := range []string{"json", "ndjson", "xml", "csv"} {
		for _, in := range []string{"", "<a>1234567"} {
			if in != "" && format == "json" {
				continue // who reads it sees it
			}
			src := io.MultiReader(strings.NewReader(in), stalled{})
			if _, err := read(src, Options{Format: format}); !errors.Is(err, io.ErrNoProgress) {
				t.Errorf("%s: got %v", format, err)
			}
		}
	}
}

type stalled struct{}

func (stalled) Read([]byte) (int, error) { return 0, nil }
