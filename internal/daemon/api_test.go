package daemon_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store"
)

// contract is the OpenAPI document of a daemon, and checks answers against it.
type contract struct {
	testing.TB
	b     *bundle
	paths map[string]map[string]operation
	all   *jsonschema.Compiler
	asked map[string]bool // method and path
}

type operation struct {
	Responses  map[string]json.RawMessage `json:"responses"`
	Parameters []struct {
		Name string `json:"name"`
		In   string `json:"in"`
	} `json:"parameters"`
}

const documentURL = "urn:openapi"

func readContract(t *testing.T, b *bundle) *contract {
	t.Helper()
	status, text := b.ask(t, "/api/v1/openapi.json")
	if status != http.StatusOK {
		t.Fatalf("no document: %d", status)
	}
	c := &contract{TB: t, b: b, all: jsonschema.NewCompiler(), asked: map[string]bool{}}
	var doc struct {
		Paths map[string]map[string]operation `json:"paths"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	c.paths = doc.Paths
	whole, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c.all.AssertFormat()
	c.all.DefaultDraft(jsonschema.Draft2020)
	if err := c.all.AddResource(documentURL, strict(whole)); err != nil {
		t.Fatal(err)
	}
	return c
}

// strict lets objects have only what is described: an answer must not have more than the document says.
func strict(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["properties"].(map[string]any); ok && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			strict(inner)
		}
	case []any:
		for _, inner := range v {
			strict(inner)
		}
	}
	return v
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request of a route, with the parts of its path filled in, and holds the answer to the document.
func (c *contract) ask(method, route string, parts, query url.Values, header ...string) answer {
	c.Helper()
	path := regexp.MustCompile(`\{(\w+)\}`).ReplaceAllStringFunc(route, func(part string) string {
		return url.PathEscape(parts.Get(strings.Trim(part, "{}")))
	})
	req, err := http.NewRequestWithContext(c.Context(), method, "http://"+c.b.daemon.Addr()+path+"?"+query.Encode(), http.NoBody)
	if err != nil {
		c.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.Fatal(err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	if resp.Header.Get("Content-Type") != "text/event-stream" {
		if a.body, err = io.ReadAll(resp.Body); err != nil {
			c.Fatal(err)
		}
	}
	c.asked[method+" "+route] = true
	c.check(method, route, &a)
	return a
}

// check holds an answer to the document.
func (c *contract) check(method, route string, a *answer) {
	c.Helper()
	pointer := func(parts ...string) string {
		for i, p := range parts {
			parts[i] = strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(p)
		}
		return documentURL + "#/" + strings.Join(parts, "/")
	}
	op, ok := c.paths[route][strings.ToLower(method)]
	if !ok {
		c.Fatalf("the document lacks %s %s", method, route)
	}
	status := http.StatusText(a.status)
	code := strconv.Itoa(a.status)
	if op.Responses[code] == nil {
		c.Errorf("%s %s answered %d %s, which is not in the document: %s", method, route, a.status, status, a.body)
		return
	}
	kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if kind != "application/json" && kind != "application/problem+json" {
		return
	}
	at := pointer("paths", route, strings.ToLower(method), "responses", code, "content", kind, "schema")
	if a.status != http.StatusOK {
		at = pointer("components", "responses", code, "content", kind, "schema")
	}
	schema, err := c.all.Compile(at)
	if err != nil {
		c.Fatalf("%s: %v", at, err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.body))
	if err == nil {
		err = schema.Validate(v)
	}
	if err != nil {
		c.Errorf("%s %s: %v\n%s", method, route, err, a.body)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer",
	} {
		if got := a.header.Get(name); got != want {
			c.Errorf("%s %s: %s is %q", method, route, name, got)
		}
	}
}

// eventful is a daemon that has a parked event of each kind.
func eventful(t *testing.T) (*bundle, []admin.Event) {
	t.Helper()
	b := setup(t, `{"items":[{"id":1},{"id":2},{"id":3}]}`, `deletes = { detect = "off" }`, edit(`deletes = { detect = "scan" }`, ""))
	b.baselined(t)
	b.receiver.Set(hooktest.Status(http.StatusUnprocessableEntity))
	b.api.set(`{"items":[{"id":1,"a":1},{"id":2,"a":1},{"id":3,"a":1},{"id":4}]}`)
	until(t, "four parked events", func() bool {
		s, err := b.client.Status(t.Context())
		return err == nil && s.Webhooks[0].Parked == 4
	})
	events, err := b.client.Events(t.Context(), store.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return b, events
}

func TestEveryAnswerIsAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	b, events := eventful(t)
	c := readContract(t, b)
	parts := url.Values{"source": {"things"}, "webhook": {"app"}, "event": {events[0].ID}}
	needed := map[string]url.Values{
		"/api/v1/activity":                 {"source": {"things", "nothing"}},
		"/api/v1/sources/{source}/record":  {"key": {"4"}},
		"/api/v1/sources/{source}/why":     {"key": {"4"}},
		"/api/v1/sources/{source}/reset":   {"level": {"validators"}},
		"/api/v1/events/{event}/attempts":  {"webhook": {"app"}},
		"/api/v1/replay":                   {"key": {"nobody"}},
		"/api/v1/drop":                     {"key": {"nobody"}},
		"/api/v1/skip":                     {"webhook": {"app"}},
		"/api/v1/sources/{source}/records": {"prefix": {"4"}},
	}
	refused := map[string]int{ // what cannot be done now
		"POST /api/v1/sources/{source}/release":    http.StatusConflict,
		"POST /api/v1/sources/{source}/discard":    http.StatusConflict,
		"GET /api/v1/sources/{source}/rekey":       http.StatusConflict,
		"POST /api/v1/sources/{source}/rekey":      http.StatusConflict,
		"DELETE /api/v1/sources/{source}/backfill": http.StatusConflict, // none is under way yet
		"POST /api/v1/sources/{source}/poll":       http.StatusConflict, // it was paused before
	}
	for _, path := range slices.Sorted(maps.Keys(c.paths)) {
		for _, method := range slices.Sorted(maps.Keys(c.paths[path])) {
			want := http.StatusOK
			method = strings.ToUpper(method)
			if status, ok := refused[method+" "+path]; ok {
				want = status
			}
			a := c.ask(method, path, parts, needed[path], "Authorization", "Bearer act")
			if a.status != want {
				t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
		}
	}
	for path, methods := range c.paths {
		for method := range methods {
			if !c.asked[strings.ToUpper(method)+" "+path] {
				t.Errorf("not tried: %s %s", method, path)
			}
		}
	}
}

func TestEveryErrorIsAProblem(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1}]}`, "")
	b.baselined(t)
	token := []string{"Authorization", "Bearer act"}
	for name, one := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		detail             string
	}{
		"an unknown address":        {"GET", "/api/v1/nothing", "", nil, 404, "openapi.json"},
		"an unknown action":         {"POST", "/api/v1/sources/things/explode", "", token, 404, "there is no /api/v1/sources/things/explode"},
		"an unknown source":         {"POST", "/api/v1/sources/nothing/poll", "", token, 404, "no such source: nothing"},
		"an unknown webhook":        {"GET", "/api/v1/webhooks/nothing", "", nil, 404, "no such webhook: nothing"},
		"an unknown event":          {"GET", "/api/v1/events/evt_1", "", nil, 404, "not found"},
		"an unknown record":         {"GET", "/api/v1/sources/things/record?key=9", "", nil, 404, "not found"},
		"a wrong method":            {"DELETE", "/api/v1/sources/things", "", token, 405, "has GET, not DELETE"},
		"a get of an action":        {"GET", "/api/v1/sources/things/poll", "", nil, 405, "has POST, not GET"},
		"a post to health":          {"POST", "/healthz", "", nil, 405, "has GET"},
		"nothing that we have":      {"GET", "/api/v1/status", "", []string{"Accept", "text/html, application/xml;q=0.9"}, 406, "application/json"},
		"refused by its weight":     {"GET", "/api/v1/status", "", []string{"Accept", "application/json;q=0"}, 406, "application/json"},
		"a body":                    {"POST", "/api/v1/drop", `{"webhook":"app"}`, append([]string{"Content-Type", "application/json"}, token...), 415, "in the query"},
		"a misspelled filter":       {"POST", "/api/v1/drop?webhok=app", "", token, 400, `no parameter "webhok"`},
		"a filter without a value":  {"GET", "/api/v1/deliveries?state=lost", "", nil, 400, "none of pending"},
		"no time":                   {"GET", "/api/v1/events?since=yesterday", "", nil, 400, "RFC 3339"},
		"no number":                 {"GET", "/api/v1/events?limit=ten", "", nil, 400, "not a number"},
		"a page that is too large":  {"GET", "/api/v1/events?limit=5000", "", nil, 400, "too large"},
		"a cursor of our own":       {"GET", "/api/v1/events?cursor=12", "", nil, 400, "Link header"},
		"a filter after ;":          {"POST", "/api/v1/drop?webhook=app;state=parked", "", token, 400, "cannot be read"},
		"a filter badly encoded":    {"POST", "/api/v1/replay?webhook=app%zz&state=parked", "", token, 400, "cannot be read"},
		"a filter twice":            {"GET", "/api/v1/events?source=a&source=b", "", nil, 400, "2 times"},
		"a missing parameter":       {"GET", "/api/v1/sources/things/why", "", nil, 400, "key is needed"},
		"an action without a token": {"POST", "/api/v1/sources/things/poll", "", nil, 401, "admin token"},
		"a plan by another site":    {"GET", "/api/v1/status", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "another page"},
		"a name led to loopback":    {"GET", "/api/v1/status", "", []string{"Host", "rebound.example"}, 401, "admin token"},
		"what cannot be now":        {"POST", "/api/v1/sources/things/release", "", token, 409, "not held"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), one.method, "http://"+b.daemon.Addr()+one.path, strings.NewReader(one.body))
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(one.header); i += 2 {
				req.Header.Set(one.header[i], one.header[i+1])
			}
			req.Host = req.Header.Get("Host")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var p admin.Problem
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("no problem: %s, %v", resp.Header.Get("Content-Type"), err)
			}
			if resp.StatusCode != one.status || p.Status != one.status || p.Title == "" || !strings.Contains(p.Detail, one.detail) {
				t.Errorf("%d %+v", resp.StatusCode, p)
			}
			if one.status == http.StatusMethodNotAllowed && resp.Header.Get("Allow") == "" {
				t.Error("without Allow")
			}
			if one.status == http.StatusUnauthorized && resp.Header.Get("WWW-Authenticate") == "" {
				t.Error("without WWW-Authenticate")
			}
		})
	}
}

func TestListsArePagedByTheirLinks(t *testing.T) {
	t.Parallel()
	b, events := eventful(t)
	link := regexp.MustCompile(`^<(/api/v1/[^>]*)>; rel="next"$`)
	for path, want := range map[string]int{
		"/api/v1/events?source=things&limit=1":                4,
		"/api/v1/events?source=things&limit=2":                4,
		"/api/v1/deliveries?state=parked&limit=1":             4,
		"/api/v1/deliveries?webhook=app&limit=3":              4,
		"/api/v1/sources/things/records?limit=1":              4,
		"/api/v1/sources?limit=1":                             1,
		"/api/v1/webhooks?limit=1&name=pp":                    1,
		"/api/v1/webhooks?limit=1&name=x":                     0,
		"/api/v1/sources/things/polls?limit=1&verdict=failed": 0,
		"/api/v1/events?limit=100&key=4":                      1,
	} {
		got, pages := map[string]bool{}, 0
		for next := path; next != ""; pages++ {
			status, text, header := b.askAll(t, next)
			if status != http.StatusOK {
				t.Fatalf("%s: %d %s", next, status, text)
			}
			var list []json.RawMessage
			if err := json.Unmarshal([]byte(text), &list); err != nil || list == nil {
				t.Fatalf("%s: %v: %s", next, err, text)
			}
			for _, one := range list {
				if got[string(one)] {
					t.Errorf("%s: %s came twice", path, one)
				}
				got[string(one)] = true
			}
			next = ""
			if l := header.Get("Link"); l != "" {
				parts := link.FindStringSubmatch(l)
				if parts == nil {
					t.Fatalf("%s: Link is %s", path, l)
				}
				next = parts[1]
			}
		}
		if len(got) != want {
			t.Errorf("%s: %d of %d in %d pages", path, len(got), want, pages)
		}
	}
	page, err := b.client.Events(t.Context(), store.EventQuery{Before: events[1].Seq, Limit: 1})
	if err != nil || len(page) != 1 || page[0].ID != events[2].ID {
		t.Errorf("the client's page: %v, %v", page, err)
	}
}

func TestAPlanAndItsChangeHonourTheLimit(t *testing.T) {
	t.Parallel()
	b, _ := eventful(t)
	c := admin.Change{Kind: admin.Drop, Query: store.DeliveryQuery{Webhook: "app", Limit: 3}, By: "ann"}
	plan, err := b.client.Change(t.Context(), c, true)
	if err != nil || plan.Deliveries != 3 {
		t.Errorf("the plan: %+v, %v", plan, err)
	}
	done, err := b.client.Change(t.Context(), c, false)
	if err != nil || done.Deliveries != 3 {
		t.Errorf("done: %+v, %v", done, err)
	}
	left, err := b.client.Deliveries(t.Context(), store.DeliveryQuery{State: store.StateParked})
	if err != nil || len(left) != 1 {
		t.Errorf("left: %+v, %v", left, err)
	}
}
