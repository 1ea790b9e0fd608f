package guess

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller/decode"
)

func answer(kind, body string) *Answer {
	return &Answer{
		URL: &url.URL{Scheme: "http", Host: "api.test", Path: "/contacts"}, Body: []byte(body),
		Header: http.Header{"Content-Type": {kind}},
	}
}

func look(t *testing.T, kind, body string) *Guess {
	t.Helper()
	g, err := Look(answer(kind, body), Hints{})
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return g
}

func TestTheFormatIsWhatTheBytesSay(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"text/html", `[{"id":1}]`, "json"},
		{"", "\xef\xbb\xbf[{\"id\":1}]", "json"},
		{"application/json", "{\"id\":1}\n{\"id\":2}\n", "ndjson"},
		{"application/jsonl", `{"id":1}`, "ndjson"},
		{"", "\x1e{\"id\":1}\n", "ndjson"},
		{"text/plain", "<?xml version=\"1.0\"?><a><b><c>1</c></b></a>", "xml"},
		{"", "\xff\xfe<\x00a\x00>\x001\x00<\x00/\x00a\x00>\x00", "xml"},
		{"", "id\tname\n1\tAnn\n", "csv \t"},
		{"", "id|name\n1|Ann\n", "csv |"},
		{"", "sep=;\nid;name\n1;Ann\n", "csv"},
		{"text/csv", "id\n1\n2\n", "csv"},
		{"", "# px,sv,\na,b,\nc,d,\n", "csv"},
	} {
		g := look(t, c.kind, c.body)
		if got := strings.TrimSuffix(g.Response.Format+" "+g.Response.Delimiter, " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.body, got, c.want)
		}
	}
}

func TestACharsetIsGuessedOnlyWhenNothingElseCanBe(t *testing.T) {
	for _, c := range []struct{ kind, body, want string }{
		{"text/csv", "id;name\n1;Gr\xfcn\n", "windows-1252"},
		{"text/csv; charset=utf-8", "id;name\n1;Gr\xfcn\n", "windows-1252"},
		{"text/csv; charset=iso-8859-2", "id;name\n1;Gr\xfcn\n", ""},
		{"text/csv", "id;name\n1;Grün\n", ""},
		{"text/xml", "<?xml version='1.0' encoding='iso-8859-1'?><a><b>Gr\xfcn</b></a>", ""},
		{"text/xml", "<a><b>Gr\xfcn</b></a>", "windows-1252"},
		{"application/json", "[{\"id\":\"Gr\xfcn\"}]", "windows-1252"},
	} {
		if g := look(t, c.kind, c.body); g.Response.Charset != c.want {
			t.Errorf("%q: %q, want %q", c.body, g.Response.Charset, c.want)
		}
	}
	if word := foreignWord([]byte("a Stra\xdfe b")); word != "Straße" {
		t.Errorf("the word is %q", word)
	}
}

// rows makes records of the named fields; a value with %d counts.
func rows(n int, fields string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = "{" + strings.ReplaceAll(fields, "%d", strconv.Itoa(i+100)) + "}"
	}
	return "[" + strings.Join(all, ",") + "]"
}

func TestAnIDWinsOverACodeAndACodeOverAName(t *testing.T) {
	for _, c := range []struct{ fields, want string }{
		{`"name":"n%d","id":%d`, "id"},
		{`"email":"e%d","uuid":"u%d","number":%d`, "uuid"},
		{`"contact_id":%d,"external_id":"x%d"`, "contact_id"},
		{`"etag":"e%d","orderNo":"o%d"`, "orderNo"},
		{`"title":"t%d","sku":"s%d"`, "sku"},
		{`"metadata":{"uid":"u%d","name":"n%d"},"hash":"h%d"`, "metadata.uid"},
		{`"owner":{"id":%d},"code":"c%d"`, "owner.id"},
		{`"price":%d.5,"label":"l%d"`, "label"},
		{`"created":"2026-01-01T00:00:%dZ","path":"p%d"`, "path"},
		{`"rank":%d,"vendor":"v%d"`, "vendor"},
		{`"id":%d,"_id":"x%d"`, "id"},
		{`"href":"/x/%d","name":"n%d"`, "href"},
		{`"vhost":"v%d","id":%d`, "id"},
	} {
		g := look(t, "application/json", rows(6, c.fields))
		if len(g.Key) != 1 || g.Key[0].String() != c.want {
			t.Errorf("%s: key %q, want %q", c.fields, g.Key, c.want)
		}
	}
}

func TestANameIsUniqueOnlyInsideItsScope(t *testing.T) {
	g := look(t, "", `[{"vhost":"/","name":"orders"}]`)
	if got := fmt.Sprint(g.Key); got != "[vhost name]" {
		t.Errorf("key %s", got)
	}
}

func TestWhatIsNotTheSameRecordIsNoKey(t *testing.T) {
	g := look(t, "application/json", `[{"id":1,"n":"a"},{"id":1,"n":"b"},{"id":2,"n":"a"},{"id":2,"n":"b"}]`)
	if got := fmt.Sprint(g.Key); got != "[id n]" {
		t.Errorf("key %s", got)
	}
	g = look(t, "application/json", `[{"id":1,"n":"a"},{"id":"1","n":"b"}]`)
	if got := fmt.Sprint(g.Key); got != "[n]" {
		t.Errorf("a key of two kinds is %s", got)
	}
	g = look(t, "application/json", `[{"id":1,"n":"a"},{"n":"b"}]`)
	if got := fmt.Sprint(g.Key); got != "[n]" {
		t.Errorf("a key that is missing once is %s", got)
	}
}

func TestTheListIsNotWhatStandsBesideIt(t *testing.T) {
	for body, want := range map[string]string{
		`{"links":[{"a":1},{"a":2},{"a":3}],"data":[{"id":1}]}`:                                  "data",
		`{"errors":[{"id":1}],"contacts":[{"id":1},{"id":2}]}`:                                   "contacts",
		`{"included":[{"id":1},{"id":2}],"data":[{"id":1,"tags":[{"id":1},{"id":2},{"id":3}]}]}`: "data",
		`{"a":{"b":{"rows":[{"id":1}]}},"columns":[{"name":"x"},{"name":"y"}]}`:                  "a.b.rows",
		`[[{"id":1}]]`: "",
		`{"x":{"id":1,"n":"a"},"y":{"id":2,"n":"b"}}`:      "@this",
		`{"meta":{"took":3},"item":{"id":7,"name":"Ann"}}`: "item",
	} {
		g, err := Look(answer("", body), Hints{})
		if want == "" {
			if err == nil {
				t.Errorf("%s is a list: %q", body, g.Records)
			}
			continue
		}
		if err != nil || g.Records.String() != want {
			t.Errorf("%s: %v, %v, want %q", body, g, err, want)
		}
	}
}

func TestPagesAreProposedAsTheAnswerTells(t *testing.T) {
	const list = `"data":[{"id":1},{"id":2},{"id":3},{"id":4},{"id":5}]`
	for _, c := range []struct{ query, body, want string }{
		{"", `{` + list + `,"next_cursor":"abc"}`, "cursor cursor next_cursor"},
		{"", `{` + list + `,"response_metadata":{"next_cursor":""}}`, ""},
		{"", `{` + list + `,"meta":{"nextPageToken":"abc"}}`, "cursor pageToken meta.nextPageToken"},
		{"", `{` + list + `,"continuationToken":"abc"}`, "cursor continuationToken continuationToken"},
		{"", `{` + list + `,"metadata":{"continue":"abc"}}`, "cursor continue metadata.continue"},
		{"", `{` + list + `,"pagination":{"next_page":2}}`, "cursor page pagination.next_page"},
		{"", `{` + list + `,"next":"/x?page=2"}`, "next_url  next"},
		{"", `{` + list + `,"paging":{"next":{"link":"https://api.test/x?after=5"}}}`, "next_url  paging.next.link"},
		{"", `{` + list + `,"link":[{"relation":"self","url":"u"},{"relation":"next","url":"https://x/2"}]}`, `next_url  link.#(relation=="next").url`},
		{"", `{` + list + `,"offset":0,"limit":5}`, "offset offset "},
		{"", `{` + list + `,"currentPage":1}`, "page page "},
		{"", `{` + list + `,"pageIndex":0,"total":9}`, "page pageIndex "},
		{"$top=5", `{` + list + `}`, "offset $skip "},
		{"per_page=5", `{` + list + `}`, "page page "},
		{"offset=0&limit=5", `{` + list + `}`, "offset offset "},
		{"", `{` + list + `,"total":9}`, "page page "},
		{"", `{` + list + `}`, ""},
	} {
		a := answer("", c.body)
		a.URL.RawQuery = c.query
		g, err := Look(a, Hints{})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if len(g.Pages) > 0 {
			p := g.Pages[0].Pages
			got = p.Kind + " " + p.Param + " " + p.Next.String()
		}
		if got != c.want {
			t.Errorf("%s %s: %q, want %q", c.query, c.body, got, c.want)
		}
	}
}

func TestATotalIsThatOfAllPages(t *testing.T) {
	for body, want := range map[string]string{
		`{"d":[{"id":1},{"id":2}],"total":2}`:                        "total",
		`{"d":[{"id":1},{"id":2}],"total":1}`:                        "",
		`{"d":[{"id":1},{"id":2}],"count":2,"total_count":"17"}`:     "total_count",
		`{"d":[{"id":1},{"id":2}],"count":2}`:                        "",
		`{"d":[{"id":1},{"id":2}],"count":9}`:                        "count",
		`{"d":[{"id":1},{"id":2}],"hits":{"total":{"value":9}}}`:     "hits.total.value",
		`{"d":[{"id":1},{"id":2}],"page":{"total":1},"total":"x"}`:   "",
		`{"d":[{"id":1},{"id":2}],"@odata.count":12}`:                `@odata\.count`,
		`{"d":[{"id":1,"total":50},{"id":2,"total":60}],"limit":50}`: "",
	} {
		g := look(t, "", body)
		root, err := parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		var records *node
		if records = root.at("d"); records == nil || g.Count != 2 {
			t.Fatalf("%s: %d records", body, g.Count)
		}
		if got := totalOf(signals(root, records), 2).String(); got != want {
			t.Errorf("%s: total %q, want %q", body, got, want)
		}
	}
}

func TestTimesAreRecognisedInTheFormsOfOldSystems(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-23T12:00:00Z": "rfc3339", "2026-11-23T12:00:00.123+01:00": "rfc3339", "2026-11-23 12:00:00": "2006-01-02 15:04:05.999999999",
		"2026-11-23": "2006-01-02", "23.11.2026": "02.01.2006", "1763899200": "unix", "1763899200123": "unix_ms", "17": "", "x": "", "20261123120000": "20060102150405",
	} {
		f := &field{first: text, values: map[string]bool{text: true}}
		if got := f.timeForm(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for name, want := range map[string][2]bool{
		"updated_at": {true, false}, "lastModified": {true, false}, "dateModified": {true, false}, "changed": {true, false}, "modifiedOn": {true, false},
		"geaendertAm": {true, false}, "created_at": {false, true}, "dateAdded": {false, true}, "status": {false, false}, "birthdate": {false, false}, "SystemModstamp": {true, false},
	} {
		if got := [2]bool{saysWhen(plain(name), updatedStems), saysWhen(plain(name), createdStems)}; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestWhatOnlyCreationTellsIsSaid(t *testing.T) {
	g := look(t, "", rows(5, `"id":%d,"created":1763899%d`))
	if !slices.ContainsFunc(g.Notes, func(n Note) bool {
		return n.About == AboutCursor && strings.Contains(n.Text, "nothing says when it changed")
	}) || g.Updated != nil {
		t.Errorf("notes %+v", g.Notes)
	}
	for value, want := range map[string]string{
		`"2026-11-23 12:00:00"`: "datetime", `"2026-11-23"`: "date", `1763899200`: "unix", `"Mon, 23 Nov 2026 12:00:00 GMT"`: "http",
		`"23.11.2026 12:00:00"`: "02.01.2006 15:04:05", `"2026-11-23T12:00:00"`: "rfc3339",
	} {
		g = look(t, "", rows(5, `"id":%d,"aenderungsdatum":`+value))
		if g.Updated == nil || g.Updated.Format() != want {
			t.Errorf("%s: %+v, want %q", value, g.Updated, want)
		}
	}
	g = look(t, "", rows(5, `"id":%d,"created":1763899%d,"modified":"2026-11-23T12:00:00Z"`))
	if g.Updated == nil || g.Updated.Path.String() != "modified" || g.Updated.Form != "rfc3339" {
		t.Errorf("updated %+v", g.Updated)
	}
}

func TestSourceNamesAreMadeOfURLs(t *testing.T) {
	for path, want := range map[string]string{
		"/api/v2/contacts": "contacts", "/export.xml": "export", "/": "api", "/api/v1/": "api", "/stats;csv": "stats", "/Öffentlich/Kunden-Liste.csv": "kunden-liste",
		"/4711/orders/": "orders", "/api/2.0/123": "api",
	} {
		if got := SourceName(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestNoiseIsWhatMovesInManyRecords(t *testing.T) {
	first, second := map[string][]byte{}, map[string][]byte{}
	for i := range 10 {
		key := strconv.Itoa(i)
		first[key] = fmt.Appendf(nil, `{"id":%d,"seen":1,"tags":["a","b"],"state":"new","s":{"a":1,"b":1,"c":1,"d":1}}`, i)
		second[key] = fmt.Appendf(nil, `{"id":%d,"seen":2,"tags":["b","a"],"state":"new","s":{"a":2,"b":2,"c":2,"d":2}}`, i)
	}
	second["3"] = []byte(`{"id":3,"seen":2,"tags":["a","b"],"state":"paid","s":{"a":1,"b":1,"c":1,"d":1}}`)
	n, err := Compare(first, second)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(n.Ignore, n.Unordered) != "[s seen] [tags]" {
		t.Errorf("ignore %s, unordered %s", n.Ignore, n.Unordered)
	}
	if !slices.ContainsFunc(n.Notes, func(n Note) bool { return n.Unsure && strings.Contains(n.Text, `"state" changed in 1 of 10`) }) {
		t.Errorf("notes %+v", n.Notes)
	}
	n, err = Compare(map[string][]byte{"1": []byte(`{"id":1,"n":1}`)}, map[string][]byte{"1": []byte(`{"id":1,"n":2,"state":"live"}`)})
	if err != nil || fmt.Sprint(n.Ignore) != "[n]" || !strings.Contains(n.Notes[0].Text, "state came or went") {
		t.Errorf("what is filled in late: %+v, %v", n, err)
	}
	n, err = Compare(first, map[string][]byte{"99": first["1"]})
	if err != nil || len(n.Notes) != 1 || n.Notes[0].About != AboutKey || !n.Notes[0].Unsure {
		t.Errorf("keys that do not come again: %+v, %v", n, err)
	}
}

func FuzzLook(f *testing.F) {
	for _, seed := range []string{
		`{"data":{"items":[{"id":1,"u":"2026-01-01"},{"id":2}]},"next":"/x","meta":{"total":3,"page":1}}`, `[1,2]`, "{\"a\":1}\n{\"a\":2}",
		"<a><b id='1'><c/></b><b id='2'><c/><c/></b></a>", "a;b\n1;\xfc\n", `{"e":[{"node":{}},{"node":{"id":1}}]}`, `{"a":{"":[{"":1},{"":2}]}}`,
		`{"x":{"a":{"id":1},"b":{"id":2}}}`, `{"link":[{"rel":"next","href":""}]}`,
		`{"":{"":3}}`, `{"":[1,2]}`, `{"a":{"":[1,2]}}`, `{"a":{"b":[1,2]}}`,
	} {
		f.Add(seed, "application/json")
	}
	f.Fuzz(func(t *testing.T, body, kind string) {
		a := answer(kind, body)
		g, err := Look(a, Hints{})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			_ = setting.Hint(err)
			return
		}
		if _, err := differ.ParsePath(g.Records.String()); err != nil {
			t.Errorf("records: %v", err)
		}
		if len(g.Key) == 0 && !g.Single {
			t.Error("no key")
		}
		if err := (decode.Options{Format: g.Response.Format, Charset: g.Response.Charset, Records: g.Records.String(), CSV: decode.CSV{Delimiter: g.Response.Delimiter}}).Validate(); err != nil {
			t.Error(err)
		}
		records, err := g.ByKey(a)
		if err != nil {
			return
		}
		if _, err := Compare(records, records); err != nil {
			t.Error(err)
		}
	})
}

func TestAListOfPlainValuesIsFoundWhereItIs(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{`[1,2,3]`: "@this", `{"tags":[1,2,3]}`: "tags", `{"data":{"tags":[1,2,3]}}`: "data.tags"} {
		g, err := Look(answer("application/json", body), Hints{})
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if got := g.Records.String(); got != want || g.Count != 3 {
			t.Errorf("%s: %d records at %q, want 3 at %q", body, g.Count, got, want)
		}
	}
}
