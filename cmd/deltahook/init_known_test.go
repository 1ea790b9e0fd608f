package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/poller"
)

// knownShapes are those of APIs that many people have. Their answers to what they do not know are theirs, too: the first page.
func knownShapes() []shape {
	return append(knownPages(), knownRecords()...)
}

func sentBack(r *http.Request, name string) int {
	n := 0
	_, _ = fmt.Sscanf(strings.TrimLeft(r.URL.Query().Get(name), "itr/c_"), "%d", &n)
	return n
}

func knownPages() []shape {
	plain := func(n int) string { return fmt.Sprintf(`{"id":"c_%d","name":"N%d"}`, n, n) }
	return []shape{
		{
			name: "Salesforce", path: "/services/data/v60.0/query?q=SELECT", total: 12, key: []string{"Id"}, records: "records", pages: "next_url ",
			serve: answering(jsonType, func(r *http.Request) string {
				from, next := 0, `,"nextRecordsUrl":"/services/data/v60.0/query/01g-10"`
				if strings.HasSuffix(r.URL.Path, "-10") {
					from, next = 10, ""
				}
				return fmt.Sprintf(`{"totalSize":12,"done":%v%s,"records":[%s]}`, next == "", next, items(from, 10, 12, func(n int) string {
					return fmt.Sprintf(`{"attributes":{"type":"Contact","url":"/c/%d"},"Id":"003%d","Name":"N%d"}`, n, n, n)
				}))
			}),
			check: func(s *poller.Source) string { return s.Pages.More.String() + ", " + s.Pages.Total.String() },
		},
		{
			name: "Stripe with a limit", path: "/v1/customers?limit=10", total: 12, key: []string{"id"}, records: "data", pages: "last_key starting_after",
			serve: answering(jsonType, func(r *http.Request) string {
				from := sentBack(r, "starting_after")
				return fmt.Sprintf(`{"object":"list","has_more":%v,"data":[%s]}`, from+10 < 12, items(from, 10, 12, plain))
			}),
		},
		{
			name: "Airtable", path: "/v0/app/Table", total: 7, key: []string{"id"}, records: "records", pages: "cursor offset",
			serve: answering(jsonType, func(r *http.Request) string {
				from, next := sentBack(r, "offset"), ""
				if from == 0 {
					next = `,"offset":"itr/5"`
				}
				return fmt.Sprintf(`{"records":[%s]%s}`, items(from, 5, 7, plain), next)
			}),
		},
		{
			name: "Asana", path: "/api/1.0/tasks", total: 7, key: []string{"id"}, records: "data", pages: "cursor offset",
			serve: answering(jsonType, func(r *http.Request) string {
				from, next := sentBack(r, "offset"), "null"
				if from == 0 {
					next = `{"offset":"c5","path":"/tasks?offset=c5","uri":"https://app.example.com/api/1.0/tasks?offset=c5"}`
				}
				return fmt.Sprintf(`{"data":[%s],"next_page":%s}`, items(from, 5, 7, plain), next)
			}),
		},
		{
			name: "Intercom", path: "/contacts", total: 7, key: []string{"id"}, records: "data", pages: "cursor starting_after",
			serve: answering(jsonType, func(r *http.Request) string {
				from, next := sentBack(r, "starting_after"), ""
				if from == 0 {
					next = `,"next":{"page":2,"starting_after":"c5"}`
				}
				return fmt.Sprintf(`{"type":"list","data":[%s],"total_count":7,"pages":{"type":"pages","page":%d%s}}`, items(from, 5, 7, plain), from/5+1, next)
			}),
		},
		{
			name: "Notion", path: "/v1/databases/contacts/query", total: 7, key: []string{"id"}, records: "results", pages: "cursor start_cursor",
			args: []string{"--body", `{"page_size":5}`},
			serve: func(w http.ResponseWriter, r *http.Request) {
				var body map[string]any
				_ = json.NewDecoder(r.Body).Decode(&body)
				cursor, _ := body["start_cursor"].(string)
				if delete(body, "start_cursor"); len(body) != 1 {
					w.WriteHeader(http.StatusBadRequest)
					return
				}
				from, next := 0, `"next_cursor":"c5","has_more":true`
				if cursor == "c5" {
					from, next = 5, `"next_cursor":null,"has_more":false`
				}
				fmt.Fprintf(w, `{"object":"list","results":[%s],%s}`, items(from, 5, 7, plain), next)
			},
		},
		{
			name: "Magento", path: "/rest/V1/products?searchCriteria[pageSize]=5", total: 7, key: []string{"id"}, records: "items", pages: "page searchCriteria[currentPage]",
			serve: answering(jsonType, func(r *http.Request) string {
				page := min(max(number(r, "searchCriteria[currentPage]", 1), 1), 2) // the last page again behind it
				return fmt.Sprintf(`{"items":[%s],"search_criteria":{"page_size":5,"current_page":%d},"total_count":7}`, items((page-1)*5, 5, 7, plain), page)
			}),
			check: func(s *poller.Source) string { return s.Pages.Total.String() },
		},
		{
			name: "Graph, which counts on the first page only", path: "/v1.0/users?$count=true", total: 7, key: []string{"id"}, records: "value", pages: "next_url ",
			serve: answering(jsonType, func(r *http.Request) string {
				if r.URL.Query().Has("$skiptoken") {
					return `{"value":[` + items(5, 5, 7, plain) + `]}`
				}
				return fmt.Sprintf(`{"@odata.count":7,"@odata.nextLink":"http://%s/v1.0/users?$skiptoken=5","value":[%s]}`, r.Host, items(0, 5, 7, plain))
			}),
			check: func(s *poller.Source) string { return s.Pages.Total.String() },
		},
		{
			name: "an incremental export of Zendesk", path: "/api/v2/incremental/tickets/cursor.json?start_time=1", total: 7, key: []string{"id"}, records: "tickets", pages: "next_url ",
			args: []string{"--name", "tickets"},
			serve: answering(jsonType, func(r *http.Request) string {
				from := sentBack(r, "cursor")
				return fmt.Sprintf(`{"tickets":[%s],"after_url":"http://%s/api/v2/incremental/tickets/cursor.json?cursor=%d","after_cursor":"x","before_url":null,"end_of_stream":%v}`,
					items(from, 5, 7, plain), r.Host, min(from+5, 7), from+5 >= 7)
			}),
			check: func(s *poller.Source) string { return s.Pages.More.String() },
		},
	}
}

func knownRecords() []shape {
	return []shape{
		{
			name: "GitHub's search", path: "/search/issues?q=x", total: 7, key: []string{"id"}, records: "items", pages: "link ",
			serve: func(w http.ResponseWriter, r *http.Request) {
				page := number(r, "page", 1)
				if page == 1 {
					w.Header().Set("Link", `</search/issues?q=x&page=2>; rel="next"`)
				}
				fmt.Fprintf(w, `{"total_count":7,"incomplete_results":false,"items":[%s]}`, items((page-1)*5, 5, 7, item))
			},
			check: func(s *poller.Source) string { return s.Pages.Total.String() + ", " + s.Response.Error.String() },
		},
		{
			name: "records that are named by their own link", path: "/people", total: 6, key: []string{"_links.self.href"}, records: "_embedded.people",
			serve: always(jsonType, `{"_embedded":{"people":[`+items(0, 6, 6, func(n int) string {
				return fmt.Sprintf(`{"name":"N%d","_links":{"self":{"href":"http://x/people/%d"}}}`, n, n)
			})+`]},"_links":{"self":{"href":"http://x/people"}},"page":{"size":20,"totalElements":6,"totalPages":1,"number":0}}`),
			pages: "page page", unsure: []string{"pages"},
		},
		{
			name: "RSS", path: "/feed.xml", total: 6, key: []string{`guid.\#text`}, records: "rss.channel.item",
			serve: always("application/rss+xml", `<?xml version="1.0"?><rss version="2.0"><channel><title>T</title>`+strings.ReplaceAll(items(0, 6, 6, func(n int) string {
				return fmt.Sprintf(`<item><title>T%d</title><link>http://x/%d</link><guid isPermaLink="false">g%d</guid></item>`, n, n, n)
			}), ">,<", "><")+`</channel></rss>`),
		},
	}
}

func TestInitProposesNoDeletionsOfWhatIsNotRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, kind, answer, says string }{
		{"a feed", "application/rss+xml", `<rss><channel><item><guid>a</guid></item><item><guid>b</guid></item></channel></rss>`, "a feed has the latest entries"},
		{"a first page of many", jsonType, `{"matches":40,"total":40,"items":[` + items(0, 5, 5, item) + `]}`, "only the first page is read"},
		{"a first page that says so", jsonType, `{"has_more":true,"items":[` + items(0, 5, 5, item) + `]}`, "only the first page is read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewServer(always(c.kind, c.answer))
			defer api.Close()
			path := filepath.Join(t.TempDir(), "deltahook.toml")
			_, said := command(t, exitOK, "init", api.URL+"/x", "--output", path, "--wait", "1ms")
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(raw), "# no deletes: ") || !strings.Contains(string(raw), c.says) || strings.Contains(string(raw), "detect") {
				t.Errorf("it writes\n%s", raw)
			}
			if c.kind == jsonType && !strings.Contains(said, "not sure  pages: the answer says that there are") {
				t.Errorf("it says\n%s", said)
			}
		})
	}
}
