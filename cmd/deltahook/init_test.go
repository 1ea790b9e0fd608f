package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// shape is an API as init may meet it, and what must come of it.
type shape struct {
	name    string
	path    string // with the query
	serve   http.HandlerFunc
	args    []string
	records string
	key     []string
	total   int    // records on all pages
	pages   string // kind, and what leads on
	check   func(*poller.Source) string
	unsure  []string // subjects of the notes that say so; others must not
}

// item is a record of the paged shapes.
func item(n int) string {
	return fmt.Sprintf(`{"id":%d,"name":"Contact %d","email":"c%d@example.com","customer_id":%d,"updated_at":"2026-11-%02dT08:00:00Z"}`, n, n, n, n%3, n%28+1)
}

// items gives the records from, from+1, … of n that there are, at most size, joined by commas.
func items(from, size, n int, record func(int) string) string {
	var all []string
	for i := from; i < min(from+size, n); i++ {
		all = append(all, record(i+1))
	}
	return strings.Join(all, ",")
}

func number(r *http.Request, name string, otherwise int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil {
		return otherwise
	}
	return n
}

func answering(kind string, body func(*http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		fmt.Fprint(w, body(r))
	}
}

func always(kind, body string) http.HandlerFunc {
	return answering(kind, func(*http.Request) string { return body })
}

const jsonType = "application/json"

func shapes() []shape {
	return slices.Concat(plainShapes(), pagedShapes(), foreignShapes(), oddShapes(), knownShapes())
}

func plainShapes() []shape {
	return []shape{
		{
			name: "a top-level array", path: "/api/contacts", total: 7, key: []string{"id"}, records: "@this",
			serve: always(jsonType, "["+items(0, 7, 7, item)+"]"),
		},
		{
			name: "an object of objects", path: "/devices", total: 6, key: []string{"@key"}, records: "devices", unsure: []string{"records"},
			serve: always(jsonType, `{"ok":true,"devices":{"a1":{"ip":"10.0.0.1","up":true},"a2":{"ip":"10.0.0.2","up":true},"b1":{"ip":"10.0.0.3","up":false},`+
				`"b2":{"ip":"10.0.0.4","up":true},"c1":{"ip":"10.0.0.5","up":true},"c2":{"ip":"10.0.0.6","up":true}}}`),
		},
		{
			name: "a single object", path: "/api/v1/settings", total: 1, records: "data", unsure: []string{"records"},
			serve: always(jsonType, `{"data":{"theme":"dark","limits":{"users":5},"version":12}}`),
			check: func(s *poller.Source) string { return fmt.Sprintf("single %v, name %s", s.Single, s.Name) },
		},
		{
			name: "a list in a list", path: "/search?q=x", total: 6, key: []string{"_id"}, records: "hits.hits",
			serve: always(jsonType, `{"took":3,"hits":{"total":{"value":6,"relation":"eq"},"max_score":1.5,"hits":[`+items(0, 6, 6, func(n int) string {
				return fmt.Sprintf(`{"_index":"c","_id":"c-%d","_score":1.0,"_source":{"name":"N%d","tags":["a"]}}`, n, n)
			})+`]}}`),
		},
		{
			name: "keys that are unique together", path: "/api/queues", total: 6, key: []string{"vhost", "name"}, records: "@this", unsure: []string{"key"},
			serve: always(jsonType, `[{"name":"orders","vhost":"/","durable":true,"messages":1},{"name":"mail","vhost":"/","durable":true,"messages":2},`+
				`{"name":"orders","vhost":"test","durable":true,"messages":3},{"name":"mail","vhost":"test","durable":true,"messages":4},`+
				`{"name":"bills","vhost":"/","durable":true,"messages":5},{"name":"bills","vhost":"dev","durable":false,"messages":6}]`),
		},
		{
			name: "no unique key", path: "/log", total: 5, key: []string{"level", "text"}, records: "lines", unsure: []string{"key"},
			serve: always(jsonType, `{"lines":[{"level":"info","text":"up"},{"level":"info","text":"up"},{"level":"warn","text":"slow"},{"level":"info","text":"up"},{"level":"info","text":"down"}]}`),
		},
	}
}

func pagedShapes() []shape {
	return []shape{
		{
			name: "data.items with meta.total", path: "/api/v2/contacts", total: 7, key: []string{"id"}, records: "data.items", pages: `page page`,
			serve: answering(jsonType, func(r *http.Request) string {
				page := number(r, "page", 1)
				return fmt.Sprintf(`{"data":{"items":[%s]},"meta":{"total":7,"page":%d,"per_page":5}}`, items((page-1)*5, 5, 7, item), page)
			}),
			check: func(s *poller.Source) string { return s.Pages.Total.String() },
		},
		{
			name: "a Link header", path: "/repos/contacts", total: 12, key: []string{"id"}, records: "@this", pages: "link ",
			serve: func(w http.ResponseWriter, r *http.Request) {
				page := number(r, "page", 1)
				if page < 3 {
					w.Header().Set("Link", fmt.Sprintf(`</repos/contacts?page=%d>; rel="next", </repos/contacts?page=3>; rel="last"`, page+1))
				}
				fmt.Fprintf(w, "[%s]", items((page-1)*5, 5, 12, item))
			},
		},
		{
			name: "the next URL in the answer", path: "/contacts/", total: 9, key: []string{"id"}, records: "results", pages: "next_url ",
			serve: answering(jsonType, func(r *http.Request) string {
				offset := number(r, "offset", 0)
				next := "null"
				if offset+5 < 9 {
					next = fmt.Sprintf(`"http://%s/contacts/?limit=5&offset=%d"`, r.Host, offset+5)
				}
				return fmt.Sprintf(`{"count":9,"next":%s,"previous":null,"results":[%s]}`, next, items(offset, 5, 9, item))
			}),
			check: func(s *poller.Source) string { return s.Pages.Next.String() + " " + s.Pages.Total.String() },
		},
		{
			name: "a cursor token", path: "/v1/contacts", total: 8, key: []string{"id"}, records: "items", pages: "cursor pageToken",
			serve: answering(jsonType, func(r *http.Request) string {
				from := number(r, "pageToken", 0)
				if from+5 < 8 {
					return fmt.Sprintf(`{"kind":"contacts","nextPageToken":"%d","items":[%s]}`, from+5, items(from, 5, 8, item))
				}
				return fmt.Sprintf(`{"kind":"contacts","items":[%s]}`, items(from, 5, 8, item))
			}),
		},
		{
			name: "offset and limit", path: "/rest/contacts", total: 11, key: []string{"id"}, records: "contacts", pages: "offset startAt",
			serve: answering(jsonType, func(r *http.Request) string {
				from := number(r, "startAt", 0)
				return fmt.Sprintf(`{"startAt":%d,"maxResults":5,"total":11,"contacts":[%s]}`, from, items(from, 5, 11, item))
			}),
		},
		{
			name: "HAL", path: "/api/people", total: 7, key: []string{"id"}, records: "_embedded.people", pages: "next_url ",
			serve: answering(jsonType, func(r *http.Request) string {
				page := number(r, "page", 0)
				next := ""
				if page == 0 {
					next = `,"next":{"href":"/api/people?page=1"}`
				}
				return fmt.Sprintf(`{"_embedded":{"people":[%s]},"_links":{"self":{"href":"/api/people?page=%d"}%s},"page":{"size":5,"totalElements":7,"totalPages":2,"number":%d}}`,
					items(page*5, 5, 7, item), page, next, page)
			}),
			check: func(s *poller.Source) string { return s.Pages.Next.String() },
		},
		{
			name: "pages counted from zero", path: "/users", total: 7, key: []string{"id"}, records: "content", pages: "page page",
			serve: answering(jsonType, func(r *http.Request) string {
				page := number(r, "page", 0)
				return fmt.Sprintf(`{"content":[%s],"last":%v,"totalElements":7,"totalPages":2,"size":5,"number":%d}`, items(page*5, 5, 7, item), page == 1, page)
			}),
			check: func(s *poller.Source) string { return strconv.Itoa(s.Pages.Start.Of(s.Pages.Kind)) },
		},
		{
			name: "SCIM, which counts records from 1", path: "/scim/v2/Users", total: 7, key: []string{"id"}, records: "Resources", pages: "offset startIndex",
			serve: answering("application/scim+json", func(r *http.Request) string {
				from := max(number(r, "startIndex", 1), 1)
				return fmt.Sprintf(`{"totalResults":7,"startIndex":%d,"itemsPerPage":5,"Resources":[%s]}`, from, items(from-1, 5, 7, item))
			}),
			check: func(s *poller.Source) string { return s.Pages.Start.String() },
		},
		{
			name: "has_more and the last id", path: "/v1/charges", total: 7, key: []string{"id"}, records: "data", pages: "last_key starting_after",
			serve: answering(jsonType, func(r *http.Request) string {
				from := number(r, "starting_after", 0)
				return fmt.Sprintf(`{"object":"list","url":"/v1/charges","has_more":%v,"data":[%s]}`, from+5 < 7, items(from, 5, 7, item))
			}),
		},
		{
			name: "OData", path: "/odata/Contacts", total: 7, key: []string{"ContactID"}, records: "value", pages: "next_url ",
			serve: answering(jsonType, func(r *http.Request) string {
				from, next := number(r, "$skip", 0), ""
				if from == 0 {
					next = fmt.Sprintf(`,"@odata.nextLink":"http://%s/odata/Contacts?$skip=5"`, r.Host)
				}
				return fmt.Sprintf(`{"@odata.context":"http://x/$metadata#Contacts","value":[%s]%s}`, items(from, 5, 7, func(n int) string {
					return fmt.Sprintf(`{"ContactID":"%05d","CompanyID":%d,"Name":"N%d","Age":%d}`, n, n+100, n, n+20)
				}), next)
			}),
		},
		{
			name: "pages that only the url speaks of", path: "/export?page=1&per_page=5", total: 12, key: []string{"id"}, records: "@this", pages: "page page",
			serve: answering(jsonType, func(r *http.Request) string { return "[" + items((number(r, "page", 1)-1)*5, 5, 12, item) + "]" }),
		},
		{
			name: "pages that nothing speaks of", path: "/export", total: 25, key: []string{"id"}, records: "@this", pages: "page page",
			serve: answering(jsonType, func(r *http.Request) string { return "[" + items((number(r, "page", 1)-1)*20, 20, 25, item) + "]" }),
		},
		{
			name: "a round list without pages", path: "/export", total: 20, key: []string{"id"}, records: "@this", unsure: []string{"pages"},
			serve: always(jsonType, "["+items(0, 20, 20, item)+"]"),
		},
		{
			name: "one page now", path: "/contacts", total: 6, key: []string{"id"}, records: "items", pages: "page page", unsure: []string{"pages"},
			serve: always(jsonType, `{"items":[`+items(0, 6, 6, item)+`],"page":1,"total":6}`),
		},
	}
}

func foreignShapes() []shape {
	xmlItem := func(n int) string {
		return fmt.Sprintf(`<item nr="A-%d"><name>Gr&#252;n %d</name><tag>a</tag>%s<price>9.%d0</price></item>`, n, n, strings.Repeat("<tag>b</tag>", n%2), n)
	}
	all := func(from, n int, record func(int) string) string {
		return strings.ReplaceAll(items(from, n, n, record), ">,<", "><")
	}
	return []shape{
		{
			name: "an XML list", path: "/export.xml", total: 6, key: []string{"@nr"}, records: "catalog.items.item",
			serve: always("text/xml", `<?xml version="1.0" encoding="ISO-8859-1"?><catalog generated="x"><items>`+all(0, 6, xmlItem)+`</items></catalog>`),
			check: func(s *poller.Source) string { return fmt.Sprint(s.Response.Format, s.Response.ForceArray) },
		},
		{
			name: "an XML list of one", path: "/export.xml", total: 1, key: []string{"@nr"}, records: "catalog.items.item", unsure: []string{"records", "key"},
			serve: always("text/xml", `<catalog><items>`+all(0, 1, xmlItem)+`</items></catalog>`),
		},
		{
			name: "an Atom feed", path: "/feed", total: 7, key: []string{"id"}, records: "feed.entry", pages: "next_url ",
			serve: answering("application/atom+xml", func(r *http.Request) string {
				page, next := number(r, "p", 1), ""
				if page == 1 {
					next = `<link rel="next" href="/feed?p=2"/>`
				}
				return `<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title><link rel="self" href="/feed"/>` + next +
					strings.ReplaceAll(items((page-1)*5, 5, 7, func(n int) string {
						return fmt.Sprintf(`<entry><id>urn:%d</id><title>T%d</title><updated>2026-11-0%dT00:00:00Z</updated></entry>`, n, n, n)
					}), ">,<", "><") + `</feed>`
			}),
		},
		{
			name: "SOAP", path: "/soap/OrderService", total: 5, key: []string{"OrderId"}, records: "Envelope.Body.ListOrdersResponse.orders.order",
			args: []string{
				"--header", "SOAPAction: urn:ListOrders",
				"--body", `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><ListOrders xmlns="urn:o"/></s:Body></s:Envelope>`,
			},
			serve: func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.Header.Get("SOAPAction") != "urn:ListOrders" {
					http.Error(w, "no SOAPAction", http.StatusInternalServerError)
					return
				}
				w.Header().Set("Content-Type", "text/xml; charset=utf-8")
				fmt.Fprintf(w, `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><ns:ListOrdersResponse xmlns:ns="urn:o"><ns:orders>%s</ns:orders></ns:ListOrdersResponse></soap:Body></soap:Envelope>`,
					all(0, 5, func(n int) string {
						return fmt.Sprintf(`<ns:order><ns:OrderId>%04d</ns:OrderId><ns:Customer>C%d</ns:Customer><ns:Status>open</ns:Status></ns:order>`, n, n%2)
					}))
			},
		},
		{
			name: "CSV with semicolons in windows-1252", path: "/artikel.csv", total: 5, key: []string{"Artikelnummer"}, records: "@this", unsure: []string{"response"},
			serve: always("text/csv", "Artikelnummer;Bezeichnung;Preis\r\n007;Gr\xfcn;1,10\r\n008;Wei\xdf;1,20\r\n009;Rot;1,30\r\n010;Blau;1,40\r\n011;\x80;1,50\r\n"),
			check: func(s *poller.Source) string { return s.Response.Format + s.Response.Charset + s.Response.Delimiter },
		},
		{
			name: "CSV without a header row", path: "/list.csv", total: 5, key: []string{"column_1"}, records: "@this", unsure: []string{"response", "key"},
			serve: always("text/plain", "17,Ann,2\n18,Bo,2\n19,Cy,2\n20,Di,4\n21,Ed,2\n"),
		},
		{
			name: "NDJSON", path: "/stream", total: 5, key: []string{"id"}, records: "@this",
			serve: always("application/x-ndjson", strings.ReplaceAll(items(0, 5, 5, item), "},{", "}\n{")+"\n"),
			check: func(s *poller.Source) string { return s.Response.Format },
		},
		{
			name: "GraphQL", path: "/graphql", total: 7, key: []string{"id"}, records: "data.contacts.edges.#.node", pages: "cursor variables.after",
			args: []string{"--name", "contacts", "--body", `{"query":"query($after: String) { contacts(first: 5, after: $after) { edges { node { id name } } pageInfo { hasNextPage endCursor } } }"}`},
			serve: answering(jsonType, func(r *http.Request) string {
				var q struct {
					Variables struct {
						After string `json:"after"`
					} `json:"variables"`
				}
				_ = json.NewDecoder(r.Body).Decode(&q)
				from, _ := strconv.Atoi(q.Variables.After)
				return fmt.Sprintf(`{"data":{"contacts":{"edges":[%s],"pageInfo":{"hasNextPage":%v,"endCursor":"%d"}}}}`, items(from, 5, 7, func(n int) string {
					return fmt.Sprintf(`{"cursor":"%d","node":{"id":"c%d","name":"N%d"}}`, n, n, n)
				}), from+5 < 7, from+5)
			}),
			check: func(s *poller.Source) string {
				return s.Pages.In + " " + s.Pages.More.String() + " " + s.Response.Error.String()
			},
		},
	}
}

func oddShapes() []shape {
	var asked atomic.Int64
	return []shape{
		{
			name: "timestamps that move by themselves", path: "/jobs", total: 5, key: []string{"id"}, records: "jobs", unsure: []string{"ignore"},
			serve: answering(jsonType, func(*http.Request) string {
				now := asked.Add(1)
				return fmt.Sprintf(`{"now":%d,"jobs":[%s]}`, now, items(0, 5, 5, func(n int) string {
					tags := `["a","b"]`
					if now%2 == 0 {
						tags = `["b","a"]`
					}
					return fmt.Sprintf(`{"id":%d,"uptime":%d,"state":"ok","tags":%s,"stats":{"a":%d,"b":%d,"c":%d,"d":%d}}`, n, now, tags, now, now, now, now)
				}))
			}),
			check: func(s *poller.Source) string { return fmt.Sprint(s.Ignore, s.Unordered) },
		},
		{
			name: "times of an old system", path: "/artikel", total: 5, key: []string{"nr"}, records: "@this",
			serve: always(jsonType, "["+items(0, 5, 5, func(n int) string {
				return fmt.Sprintf(`{"nr":%d,"aenderungsdatum":"2026-11-0%d 12:00:00"}`, n, n)
			})+"]"),
			args: []string{"--set", `cursor = { field = "aenderungsdatum", param = "seit", format = "datetime", full_scan = "1d" }`, "--set", `deletes = { detect = "scan" }`},
			check: func(s *poller.Source) string {
				return fmt.Sprint(s.Cursor.Field, " ", s.Cursor.Format, " ", s.Deletes.Detect)
			},
		},
		{
			name: "plain values", path: "/hosts", total: 3, key: []string{"@this"}, records: "hosts", unsure: []string{"records"},
			serve: always(jsonType, `{"hosts":["a","b","c"]}`),
		},
		{
			name: "names that paths must escape", path: "/x", total: 5, key: []string{`\# px\.name`}, records: `a\.b`, unsure: []string{"key"},
			serve: always(jsonType, `{"a.b":[{"# px.name":"p1"},{"# px.name":"p2"},{"# px.name":"p3"},{"# px.name":"p4"},{"# px.name":"p5"}]}`),
		},
		{
			name: "a long list on one page", path: "/x", total: 3001, key: []string{"id"}, records: "items",
			serve: always(jsonType, `{"items":[`+items(0, 3001, 3001, func(n int) string { return fmt.Sprintf(`{"id":%d}`, n) })+`]}`),
		},
		{
			name: "an empty list that the user knows", path: "/contacts", total: 0, key: []string{"id"}, records: "items", unsure: []string{"records"},
			args:  []string{"--records", "items", "--key", "id"},
			serve: always(jsonType, `{"items":[]}`),
		},
		{
			name: "what the user knows better", path: "/contacts", total: 5, key: []string{"email"}, records: "b",
			args:  []string{"--records", "b", "--key", "email", "--set", `ignore = ["name"]`, "--set", `timeout = "2m"`},
			serve: always(jsonType, `{"a":[`+items(0, 5, 5, item)+`],"b":[`+items(0, 5, 5, item)+`]}`),
			check: func(s *poller.Source) string { return fmt.Sprint(s.Ignore, s.Timeout) },
		},
	}
}

// wanted is what the check of a shape gives.
func wanted() map[string]string {
	return map[string]string{
		"a single object":                     "single true, name settings",
		"data.items with meta.total":          "meta.total",
		"the next URL in the answer":          "next count",
		"HAL":                                 "_links.next.href",
		"pages counted from zero":             "0",
		"SCIM, which counts records from 1":   "1",
		"times of an old system":              "aenderungsdatum datetime scan",
		"an XML list":                         "xml[catalog.items.item.tag]",
		"CSV with semicolons in windows-1252": "csvwindows-1252;",
		"NDJSON":                              "ndjson",
		"GraphQL":                             "body data.contacts.pageInfo.hasNextPage errors",
		"timestamps that move by themselves":  "[stats uptime] [tags]",
		"what the user knows better":          "[name] 2m",
		"Salesforce":                          "done == false, totalSize",
		"Magento":                             "total_count",
		"an incremental export of Zendesk":    "end_of_stream == false",
		"GitHub's search":                     "total_count, incomplete_results == true",

		"Graph, which counts on the first page only": `@odata\.count`,
	}
}

// TestInitUnderstandsEveryShape goes the way of a user: init, then check, then try.
func TestInitUnderstandsEveryShape(t *testing.T) {
	t.Parallel()
	for _, s := range shapes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewServer(s.serve)
			defer api.Close()
			path := filepath.Join(t.TempDir(), "deltahook.toml")
			_, said := command(t, exitOK, append([]string{"init", api.URL + s.path, "--output", path, "--wait", "1ms"}, s.args...)...)
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s\n%s", raw, said)
			command(t, exitOK, "check", "--config", path)
			source := sourceIn(t, path)
			s.judge(t, source, said)
			proposals(t, path, raw)
			out, _ := command(t, exitOK, "try", source.Name, "--config", path)
			if count := fmt.Sprintf("%d record", s.total); !strings.Contains(strings.ReplaceAll(out, ",", ""), count) || !strings.Contains(out, "complete") {
				t.Errorf("try says %q, want %s and complete", out, count)
			}
		})
	}
}

// proposals switches on what is written as a comment: it must pass the check, too.
func proposals(t *testing.T, path string, raw []byte) {
	t.Helper()
	for _, key := range []string{"deletes", "cursor "} {
		if line := "# " + key; bytes.Contains(raw, []byte("\n"+line)) {
			raw = bytes.Replace(raw, []byte("\n"+line), []byte("\n"+key), 1)
		}
	}
	on := path + ".on.toml"
	if err := os.WriteFile(on, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, exitOK, "check", "--config", on)
}

func (s *shape) judge(t *testing.T, source *poller.Source, said string) {
	t.Helper()
	key := []string(nil)
	for _, p := range source.Key {
		key = append(key, p.String())
	}
	if source.Records.String() != s.records || !slices.Equal(key, s.key) {
		t.Errorf("records %q with key %q, want %q with %q", source.Records, key, s.records, s.key)
	}
	pages := ""
	if source.Pages.Kind != "" {
		pages = source.Pages.Kind + " " + source.Pages.Param
	}
	if pages != s.pages {
		t.Errorf("pages %q, want %q", pages, s.pages)
	}
	if s.check != nil {
		if got := s.check(source); got != wanted()[s.name] {
			t.Errorf("got %q, want %q", got, wanted()[s.name])
		}
	}
	for _, about := range []string{"response", "records", "key", "pages", "ignore"} {
		if got := strings.Contains(said, "not sure  "+about+":"); got != slices.Contains(s.unsure, about) {
			t.Errorf("unsure of %s: %v", about, got)
		}
	}
}

func sourceIn(t *testing.T, path string) *poller.Source {
	t.Helper()
	secrets := &setting.Secrets{LookupEnv: environment}
	cfg, report, err := config.Load(config.Options{Paths: []string{path}, Secrets: secrets})
	if err != nil || !report.OK() {
		t.Fatalf("%v\n%s", err, report)
	}
	return cfg.Sources[0]
}

func environment(name string) (string, bool) {
	v, ok := map[string]string{
		"APP_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "TOKEN": "tok-planted-1", "PASSWORD": "pass-planted-2",
	}[name]
	return v, ok
}

// command runs deltahook in this process and gives what it said.
func command(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	p := &process{args: args, stdin: strings.NewReader(""), stdout: &out, stderr: &err, lookupEnv: environment, width: 80}
	if got := execute(t.Context(), p); got != code {
		t.Fatalf("deltahook %s: code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), err.String())
	}
	return out.String(), err.String()
}

func TestInitSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	status := func(code int, challenge string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if challenge != "" {
				w.Header().Set("WWW-Authenticate", challenge)
			}
			w.WriteHeader(code)
			fmt.Fprint(w, `{"message":"who are you? tok-planted-1"}`)
		}
	}
	for _, c := range []struct {
		name  string
		exit  int
		serve http.HandlerFunc
		args  []string
		says  []string
	}{
		{"401 that wants a token", exitFailure, status(401, `Bearer realm="crm"`), nil, []string{"answered 401", "--header 'Authorization: Bearer env:TOKEN'", `Bearer realm="crm"`}},
		{"401 that wants a password", exitFailure, status(401, `Basic realm="crm"`), nil, []string{"answered 401", "--user NAME:env:PASSWORD"}},
		{"401 that does not say", exitFailure, status(401, ""), nil, []string{"answered 401", "X-Api-Key: env:KEY", "does not say which"}},
		{"401 in spite of credentials", exitFailure, status(401, ""), []string{"--header", "X-Api-Key: env:TOKEN"}, []string{"credentials were not accepted"}},
		{"403", exitFailure, status(403, ""), nil, []string{"answered 403", "give credentials"}},
		{"405", exitFailure, status(405, ""), nil, []string{"answered 405", "--body for a POST"}},
		{"404", exitFailure, status(404, ""), nil, []string{"answered 404", "check url"}},
		{"an HTML page", exitFailure, always("text/html", "<!doctype html><title>Sign in to CRM</title>"), nil, []string{`HTML page: "Sign in to CRM"`, "--header or --user"}},
		{"an empty list", exitFailure, always(jsonType, `{"items":[],"total":0}`), nil, []string{`the list at "items" is empty`, "at least one record"}},
		{"errors of GraphQL", exitFailure, always(jsonType, `{"errors":[{"message":"Cannot query field \"nme\""}],"data":null}`), nil, []string{
			`the answer tells of errors and has no other list, at "errors": Cannot query field "nme"`, "--records 'errors' if these are",
		}},
		{"an error of JSON-RPC", exitFailure, always(jsonType, `{"jsonrpc":"2.0","id":1,"error":{"code":100,"message":"Odoo Session Expired","data":{"arguments":[]}}}`), nil, []string{"the answer is an error: Odoo Session Expired"}},
		{"an empty answer", exitFailure, always(jsonType, ""), nil, []string{"the answer is empty"}},
		{"a bare value", exitFailure, always(jsonType, "42"), nil, []string{"one bare value and no list: 42"}},
		{"text", exitFailure, always("text/plain", "ORA-00942: table or view does not exist"), nil, []string{"neither JSON, NDJSON, XML nor CSV", "ORA-00942"}},
		{"a list of lists", exitFailure, always(jsonType, `{"rows":[[1,2],[3,4]]}`), nil, []string{`"rows" holds arrays`, "ask the API for objects"}},
		{"a list of nulls", exitFailure, always(jsonType, `[null,null]`), nil, []string{"other things beside objects", "objects alone"}},
		{"objects among other things", exitFailure, always(jsonType, `[{"id":1},null,5]`), nil, []string{"other things beside objects", "objects alone"}},
		{"broken JSON", exitFailure, always(jsonType, `{"items":[{"id":1},`), nil, []string{"looks like JSON and is none", "cut off"}},
		{"broken XML", exitFailure, always("text/xml", `<a><b></a>`), nil, []string{"cannot be read as xml"}},
		{"records without values", exitFailure, always(jsonType, `[{"a":[]},{"a":[]}]`), nil, []string{"no plain values", "--key PATH"}},
		{"a path that leads nowhere", exitFailure, always(jsonType, `{"a":[{"id":1}]}`), []string{"--records", "b"}, []string{`there is no list at "b"`}},
		{"a key that is none", exitFailure, always(jsonType, `[{"id":1,"x":{}},{"id":2,"x":{}}]`), []string{"--key", "x"}, []string{"trial of what was guessed failed", "no usable key"}},
		{"a secret in a header", exitUsage, status(500, ""), []string{"--header", "X-Api-Key: s3cr3t"}, []string{"looks like a secret", "X-Api-Key: env:NAME"}},
		{"a secret as a token", exitUsage, status(500, ""), []string{"--header", "Authorization: Bearer s3cr3t"}, []string{"looks like a secret", "Authorization: Bearer env:NAME"}},
		{"a secret as a password", exitUsage, status(500, ""), []string{"--user", "ann:s3cr3t"}, []string{"not a reference", "--user ann:env:PASSWORD"}},
		{"a secret that is not set", exitUsage, status(500, ""), []string{"--user", "ann:env:NOBODY_SET_THIS"}, []string{"env:NOBODY_SET_THIS is not set"}},
		{"a header that is none", exitUsage, status(500, ""), []string{"--header", "Accept"}, []string{`"Accept" is not a header`}},
		{"a key of no source", exitUsage, status(500, ""), []string{"--set", "evry = 3"}, []string{`unknown key "evry"`}},
		{"no line", exitUsage, status(500, ""), []string{"--set", "evry"}, []string{`"evry" is not a line of a configuration`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewServer(c.serve)
			defer api.Close()
			path := filepath.Join(t.TempDir(), "deltahook.toml")
			_, said := command(t, c.exit, append([]string{"init", api.URL + "/contacts", "--output", path, "--wait", "1ms"}, c.args...)...)
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("it says %q, not %q", said, want)
				}
			}
			if strings.Contains(said, "s3cr3t") || len(c.args) > 0 && strings.Contains(said, "planted") {
				t.Errorf("it shows the secret: %q", said)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("a file was written")
			}
		})
	}
}

func TestInitWritesReferencesAndNeverSecrets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		want func(*http.Request) bool
		line string
	}{
		{
			"bearer",
			[]string{"--header", "Authorization: Bearer env:TOKEN"},
			func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer tok-planted-1" }, `auth    = { kind = "bearer", token = "env:TOKEN" }`,
		},
		{
			"a key in a header",
			[]string{"-H", "X-Api-Key: env:TOKEN", "-H", "Accept-Language: de"},
			func(r *http.Request) bool {
				return r.Header.Get("X-Api-Key") == "tok-planted-1" && r.Header.Get("Accept-Language") == "de"
			},
			`headers = { X-Api-Key = "{secret:env:TOKEN}", Accept-Language = "de" }`,
		},
		{
			"another scheme",
			[]string{"-H", "Authorization: Token token=env:TOKEN"},
			func(r *http.Request) bool { return r.Header.Get("Authorization") == "Token token=tok-planted-1" }, `"Token token={secret:env:TOKEN}"`,
		},
		{
			"basic",
			[]string{"--user", "ann:env:PASSWORD"},
			func(r *http.Request) bool { u, p, _ := r.BasicAuth(); return u == "ann" && p == "pass-planted-2" }, `auth    = { kind = "basic", username = "ann", password = "env:PASSWORD" }`,
		},
		{
			"a login",
			[]string{"--set", `auth = { kind = "login", url = "{ORIGIN}/login", body = "user=ann&pass={secret:env:PASSWORD}" }`},
			func(r *http.Request) bool { c, err := r.Cookie("SID"); return err == nil && c.Value == "s1" }, `kind = "login"`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/login" && r.PostFormValue("pass") == "pass-planted-2":
					http.SetCookie(w, &http.Cookie{Name: "SID", Value: "s1"})
				case c.want(r):
					fmt.Fprintf(w, `{"items":[%s],"next":"http://%s/2"}`, items(0, 6, 6, item), "127.0.0.1:9") // another origin is not asked
				default:
					w.WriteHeader(http.StatusUnauthorized)
				}
			}))
			defer api.Close()
			for i, a := range c.args {
				c.args[i] = strings.ReplaceAll(a, "{ORIGIN}", api.URL)
			}
			toml, said := command(t, exitOK, append([]string{"init", api.URL + "/contacts", "--output", "-", "--wait", "1ms"}, c.args...)...)
			if !strings.Contains(toml, c.line) {
				t.Errorf("%s lacks %s", toml, c.line)
			}
			if strings.Contains(toml+said, "planted") {
				t.Errorf("a secret is shown:\n%s\n%s", toml, said)
			}
			if !strings.Contains(said, "not sure  pages: the answer speaks of more pages") || !strings.Contains(said, "another origin") {
				t.Errorf("it says %q", said)
			}
		})
	}
}

func TestInitFindsOutThatAServerWantsDigest(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Digest ") {
			w.Header().Set("WWW-Authenticate", `Digest realm="r", nonce="n", qop="auth", algorithm=MD5`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, "[%s]", items(0, 6, 6, item))
	}))
	defer api.Close()
	toml, _ := command(t, exitOK, "init", api.URL+"/contacts", "--output", "-", "--wait", "1ms", "--user", "ann:env:PASSWORD")
	if !strings.Contains(toml, `auth    = { kind = "digest", username = "ann", password = "env:PASSWORD" }`) {
		t.Error(toml)
	}
}

func TestInitDoesNotOverwriteUnlessItIsForced(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	api := httptest.NewServer(answering(jsonType, func(*http.Request) string { asked.Add(1); return "[" + items(0, 6, 6, item) + "]" }))
	defer api.Close()
	path := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, said := command(t, exitFailure, "init", api.URL, "--output", path, "--wait", "1ms")
	if raw, _ := os.ReadFile(path); string(raw) != "mine" || asked.Load() != 0 || !strings.Contains(said, "--force") {
		t.Errorf("file %q, asked %d times, said %q", raw, asked.Load(), said)
	}
	out, _ := command(t, exitOK, "init", api.URL, "--output", path, "--wait", "1ms", "--force", "--name", "things", "--every", "1m")
	if s := sourceIn(t, path); s.Name != "things" || s.Every.String() != "1m" || asked.Load() > 4 {
		t.Errorf("source %+v, asked %d times", s, asked.Load())
	}
	if !strings.Contains(out, "deltahook run --config "+path) {
		t.Errorf("it says %q", out)
	}
}
