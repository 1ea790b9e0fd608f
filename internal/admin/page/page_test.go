package page_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/admin/page"
	"github.com/deltahook/deltahook/internal/store"
)

// hostile is what upstream may put into a name, a key or a value.
const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'` + "`{{.}}"

func now() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// view is a deltahook that has what the test gives it, and notes what it is told to do.
type view struct {
	admin.View

	status     admin.Status
	event      admin.EventDetail
	deliveries []admin.Delivery
	polls      []admin.PastPoll
	records    []admin.Record
	story      admin.Story
	plan       admin.Changed
	err        error

	asked []string
}

func (v *view) Status(context.Context) (admin.Status, error) { return v.status, v.err }

func (v *view) Source(_ context.Context, name string) (admin.SourceDetail, error) {
	for _, s := range v.status.Sources {
		if s.Name == name {
			return admin.SourceDetail{Source: s, Request: "GET https://crm.example.com/" + hostile, Schedule: "5m", Settings: []admin.Setting{
				{Key: "key", Value: "id"}, {Key: "timeout", Value: "30s", Default: true},
			}}, nil
		}
	}
	return admin.SourceDetail{}, fmt.Errorf("%w: %s", admin.ErrNoSource, name)
}

func (v *view) Activity(_ context.Context, names []string) (map[string][]admin.Hour, error) {
	v.asked = append(v.asked, fmt.Sprintf("activity of %d", len(names)))
	hours := make([]admin.Hour, 24)
	hours[23].Changes = admin.Changes{Created: 3, Updated: 7, Deleted: 1}
	all := map[string][]admin.Hour{}
	for _, n := range names {
		all[n] = hours
	}
	return all, nil
}

func (v *view) Polls(context.Context, string, int) ([]admin.PastPoll, error) { return v.polls, nil }

func (v *view) Records(context.Context, store.RecordQuery) ([]admin.Record, error) {
	return v.records, nil
}

func (v *view) Why(context.Context, string, string) (admin.Story, error) { return v.story, nil }

func (v *view) Events(context.Context, store.EventQuery) ([]admin.Event, error) {
	return []admin.Event{v.event.Event}, nil
}

func (v *view) Event(_ context.Context, id string) (admin.EventDetail, error) {
	if id != v.event.ID {
		return admin.EventDetail{}, fmt.Errorf("event %s: %w", id, store.ErrNotFound)
	}
	return v.event, nil
}

func (v *view) Deliveries(_ context.Context, q store.DeliveryQuery) ([]admin.Delivery, error) {
	v.asked = append(v.asked, "deliveries "+q.State)
	return v.deliveries, nil
}

func (v *view) Act(_ context.Context, a admin.Action) error {
	v.asked = append(v.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Verb, a.Source, a.Webhook)))
	return v.err
}

func (v *view) Edit(_ context.Context, e admin.Edit, plan bool) (admin.Edited, error) {
	v.asked = append(v.asked, fmt.Sprintf("%s %s %s plan=%v", e.Verb, e.Source, e.Level, plan))
	return admin.Edited{Verb: e.Verb, Source: e.Source, Level: e.Level, Records: 1204, Sequence: 77}, v.err
}

func (v *view) Backfill(_ context.Context, b admin.Backfill, step admin.BackfillStep) (admin.Backfilled, error) {
	if step == admin.LookBackfill {
		return admin.Backfilled{Source: b.Source, State: "running", Records: 5000, Looked: 1200, Told: 1100}, nil
	}
	v.asked = append(v.asked, fmt.Sprintf("backfill %s to=%v keys=%v rate=%s %s", b.Source, b.To, b.Keys, b.Rate, step))
	return admin.Backfilled{Source: b.Source, Records: 12, ByWebhook: map[string]int64{"app": 12}, Bytes: 4096}, v.err
}

func (v *view) Reload(context.Context) (admin.Reloaded, error) {
	v.asked = append(v.asked, "reload")
	return admin.Reloaded{Changed: 1, Steps: []admin.Planned{{Source: "contacts", Kind: admin.PlanUnchanged}, {Webhook: "app", Kind: admin.PlanChanged}}}, v.err
}

func (v *view) Change(_ context.Context, c admin.Change, plan bool) (admin.Changed, error) {
	v.asked = append(v.asked, fmt.Sprintf("%s %s/%s/%s rate=%s by=%s why=%s plan=%v", c.Kind, c.Query.Webhook, c.Query.State, c.Query.EventID, c.Rate, c.By, c.Why, plan))
	return v.plan, v.err
}

// done gives what was changed, and forgets it.
func (v *view) done() []string {
	list := slices.DeleteFunc(v.asked, func(s string) bool {
		return strings.HasSuffix(s, "plan=true") || strings.HasSuffix(s, " plan") || strings.HasPrefix(s, "activity") || strings.HasPrefix(s, "deliveries")
	})
	v.asked = nil
	return list
}

// door lets in whoever says the token.
type door struct {
	closed bool // nothing is read without a session
	signed bool
}

func (d *door) MayRead(*http.Request) bool { return !d.closed || d.signed }
func (d *door) MayAct(*http.Request) bool  { return d.signed }

func (d *door) FormToken(*http.Request) string {
	if d.signed {
		return "form-token"
	}
	return ""
}

func (d *door) CheckForm(r *http.Request) bool { return r.PostFormValue("csrf") == "form-token" }

func (d *door) Login(_ http.ResponseWriter, _ *http.Request, token string) error {
	if token != "secret" {
		return errors.New("that is not the admin token")
	}
	d.signed = true
	return nil
}

func (d *door) Logout(http.ResponseWriter, *http.Request) { d.signed = false }

// site is a page in a test.
type site struct {
	testing.TB
	view *view
	door *door
	page http.Handler
}

func newSite(tb testing.TB) *site {
	tb.Helper()
	s := &site{TB: tb, view: &view{status: status()}, door: &door{}}
	var err error
	s.page, err = page.Handler(page.Options{
		View: s.view, Door: s.door, Log: slog.New(slog.NewTextHandler(tb.Output(), nil)), Version: "1.0.0", Now: now,
		Webhook: func(name string) []admin.Setting {
			return []admin.Setting{{Key: "url", Value: "https://app.example.com/hooks?a=b&c='d'"}, {Key: "method", Value: "POST"}, {Key: "format", Value: "record"}}
		},
		Request: func(_ context.Context, e admin.EventDetail, d admin.Delivery) (string, error) {
			return "POST https://app.example.com/hooks\nwebhook-id: " + e.ID + "\nwebhook-signature: v1,Jq0N…", nil
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.view.event = admin.EventDetail{
		Event:      admin.Event{ID: "evt_1", Source: "contacts", Type: "contacts.updated", Key: hostile, Sequence: 18233, At: now()},
		Payload:    json.RawMessage(`{"type":"contacts.updated","data":{"source":"contacts","change":"updated","key":"1","record":{"id":9007199254740993,"price":1.10,"note":"<b>&\u003c","tags":["x"],"a.b":1},"previous":{"price":1.1,"gone":true},"changed":["gone","new","price"]}}`),
		Deliveries: []admin.Delivery{{Event: "evt_1", Webhook: "app", Source: "contacts", State: store.StateParked, Reason: hostile, History: []admin.Attempt{{Number: 1, At: now(), Status: 422, Error: hostile, Excerpt: hostile, Request: "POST " + hostile}}}},
	}
	s.view.deliveries = s.view.event.Deliveries
	s.view.polls = []admin.PastPoll{{At: now(), Verdict: "failed", Message: hostile, Excerpt: hostile, Status: 200}}
	s.view.records = []admin.Record{{Key: hostile}}
	s.view.story = admin.Story{Source: "contacts", Key: hostile, State: "known", Record: json.RawMessage(`{"x":"</pre><script>"}`), Reasons: []admin.Reason{{Code: "ignored", Message: hostile}}}
	s.view.plan = admin.Changed{Deliveries: 2, ByType: map[string]int{"contacts.updated": 2}, ByWebhook: map[string]int{"app": 2}, Bytes: 2048, First: now(), Last: now()}
	return s
}

func status() admin.Status {
	return admin.Status{
		Running: true, Version: "1.0.0", Started: now().Add(-time.Hour),
		Sources: []admin.Source{
			{Name: "contacts", State: "ok", LastOK: now().Add(-12 * time.Second), NextPoll: now().Add(4*time.Minute + 48*time.Second), Records: 1204},
			{Name: "orders", State: "failing", Note: hostile, Failures: 3},
			{Name: "stock", State: "held", Note: "22,118 missing", Hold: &admin.Hold{Reason: "guard", Message: "22,118 missing", Deleted: 22118}},
			{Name: "tickets", State: "paused"},
		},
		Webhooks: []admin.Webhook{
			{Name: "app", State: "ok", Delivered: 10, Parked: 2},
			{Name: "erp", State: "failing", Note: "503 Service Unavailable", Queued: 12, Oldest: now().Add(-time.Minute)},
		},
	}
}

// answer is what came back.
type answer struct {
	*site
	*httptest.ResponseRecorder
	path string
}

func (s *site) send(r *http.Request) answer {
	s.Helper()
	w := httptest.NewRecorder()
	s.page.ServeHTTP(w, r)
	return answer{s, w, r.URL.RequestURI()}
}

func (s *site) get(path string) answer {
	s.Helper()
	return s.send(httptest.NewRequest(http.MethodGet, path, http.NoBody))
}

func (s *site) post(path string, fields url.Values) answer {
	s.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(fields.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.send(r)
}

// follow goes where the answer leads, with the cookies that it set.
func (a answer) follow() answer {
	a.Helper()
	if a.Code != http.StatusSeeOther {
		a.Fatalf("%s: %d is no redirect: %s", a.path, a.Code, a.Body)
	}
	r := httptest.NewRequest(http.MethodGet, a.Header().Get("Location"), http.NoBody)
	for _, c := range a.Result().Cookies() {
		r.AddCookie(c)
	}
	return a.send(r)
}

func (a answer) has(status int, words ...string) answer {
	a.Helper()
	if a.Code != status {
		a.Fatalf("%s: status %d, want %d: %s", a.path, a.Code, status, a.Body)
	}
	text := html.UnescapeString(a.Body.String())
	for _, w := range words {
		if !strings.Contains(text, w) {
			a.Errorf("%s does not have %q:\n%s", a.path, w, text)
		}
	}
	return a
}

// form is a form of a page as a browser sends it.
type form struct {
	method, action string
	fields         url.Values
	button         string
}

// forms gives the forms of a page.
func (a answer) forms() []form {
	a.Helper()
	doc, err := html.Parse(a.Body)
	if err != nil {
		a.Fatal(err)
	}
	var list []form
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		f := form{method: attr(n, "method"), action: attr(n, "action"), fields: url.Values{}}
		for in := range n.Descendants() {
			switch {
			case in.Data == "input" && attr(in, "name") != "":
				f.fields.Add(attr(in, "name"), attr(in, "value"))
			case in.Data == "button" && attr(in, "name") == "":
				f.button = strings.TrimSpace(textOf(in))
			}
		}
		list = append(list, f)
	}
	return list
}

// submit presses the button of this name, as a browser without scripts does.
func (a answer) submit(button string) answer {
	a.Helper()
	for _, f := range a.forms() {
		if f.button == button {
			if f.method != "post" {
				a.Fatalf("%s: the form of %q is sent by %s", a.path, button, f.method)
			}
			return a.post(f.action, f.fields)
		}
	}
	a.Fatalf("%s has no button %q: %+v", a.path, button, a.forms())
	return a
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// views are all pages that can be looked at.
func views() []string {
	return []string{
		"/", "/?q=con&state=ok&sort=name", "/sources/contacts", "/sources/contacts/events", "/sources/contacts/records", "/sources/contacts/config",
		"/sources/contacts/record?key=" + url.QueryEscape(hostile), "/sources/stock", "/webhooks/app", "/events", "/events/evt_1", "/deliveries", "/deliveries?state=parked",
		"/live", "/alerts", "/login", "/deliveries/skip?webhook=app", "/sources/contacts/backfill", "/reload", "/act/pause?source=contacts", "/act/reset?source=contacts&level=records", "/deliveries/replay?state=parked", "/deliveries/drop?state=parked",
	}
}

func TestEveryViewIsAPageThatLoadsNothingFromElsewhereAndRunsNothingOfItsOwn(t *testing.T) {
	s := newSite(t)
	for _, path := range views() {
		a := s.get(path).has(http.StatusOK, "</html>")
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
		} {
			if got := a.Header().Get(name); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if p := a.Header().Get("Content-Security-Policy"); strings.Contains(p, "unsafe") || !strings.Contains(p, "frame-ancestors 'none'") {
			t.Errorf("%s: policy %q", path, p)
		}
		doc, err := html.Parse(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		checkNodes(t, path, doc)
	}
}

// checkNodes looks for what a strict policy forbids, and for what hostile values would have become.
func checkNodes(t *testing.T, path string, doc *html.Node) {
	t.Helper()
	ids := map[string]bool{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "style" || strings.HasPrefix(a.Key, "on"):
				t.Errorf("%s: <%s %s>", path, n.Data, a.Key)
			case (a.Key == "src" || a.Key == "href" || a.Key == "action") && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") && !strings.HasPrefix(a.Val, "?"):
				t.Errorf("%s: <%s %s=%q> leads elsewhere", path, n.Data, a.Key, a.Val)
			case a.Key == "id":
				if ids[a.Val] {
					t.Errorf("%s: two elements have the id %q", path, a.Val)
				}
				ids[a.Val] = true
			}
		}
		switch n.Data {
		case "script":
			if attr(n, "src") == "" || n.FirstChild != nil {
				t.Errorf("%s: a script stands in the page: %s", path, textOf(n))
			}
		case "style", "img", "iframe", "object", "base":
			t.Errorf("%s: there is a <%s>", path, n.Data)
		}
	}
}

func TestAHostileValueIsShownAsItIs(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/", "/events", "/events/evt_1", "/sources/contacts", "/sources/contacts/records", "/webhooks/app", "/sources/contacts/record?key=x"} {
		s.get(path).has(http.StatusOK, hostile)
	}
	s.get("/events?key="+url.QueryEscape(hostile)).has(http.StatusOK, `value="`+hostile)
	s.get("/events/"+url.PathEscape(hostile)).has(http.StatusNotFound, "There is no such thing")
}

func TestWhatNeedsAPersonComesFirst(t *testing.T) {
	s := newSite(t)
	s.view.status.Config = &admin.Config{OK: false, Error: "deltahook.toml:4:1: unknown key \"evry\" in [source]"}
	body := s.get("/").has(http.StatusOK, "unknown key \"evry\"", "deltahook check", "22,118 missing", "the receiver does not take events. 503 Service Unavailable",
		"2 events were refused for good", "deltahook replay --parked --webhook app").Body.String()
	at := -1
	for _, want := range []string{"rejected", "22,118 missing", "3 failed polls in a row", "is not polled until somebody resumes it", "Sources</h2>"} {
		i := strings.Index(body, want)
		if i < at || i < 0 {
			t.Errorf("%q is at %d, after what comes before it at %d", want, i, at)
		}
		at = i
	}
}

func TestFiveThousandSourcesAreOnePageOfFifty(t *testing.T) {
	s := newSite(t)
	s.view.status.Sources = nil
	for i := range 5000 {
		state := "ok"
		if i%10 == 0 {
			state = "failing"
		}
		s.view.status.Sources = append(s.view.status.Sources, admin.Source{Name: fmt.Sprintf("s%04d", i), State: state, Records: int64(i)})
	}
	rows := func(path string) int {
		return strings.Count(s.get(path).has(http.StatusOK).Body.String(), `<tr role="row" data-key="s`)
	}
	for path, want := range map[string]int{"/": 50, "/?q=s000": 10, "/?state=failing&page=10": 50, "/?page=100": 50, "/?page=999999": 50, "/?page=-1": 50, "/?q=none": 0} {
		if got := rows(path); got != want {
			t.Errorf("%s has %d sources, want %d", path, got, want)
		}
	}
	s.get("/").has(http.StatusOK, "1–50 of 5,000", "and 495 more", "page 1 of 100").hasLink("/?page=2").hasLink("/?state=failing")
	s.get("/?q=none").has(http.StatusOK, "No source matches")
	s.get("/?sort=records").has(http.StatusOK, "s4999")
	for _, asked := range s.view.asked {
		if asked == "activity of 5000" {
			t.Error("the activity of all sources was asked for")
		}
	}
}

func (a answer) hasLink(to string) answer {
	a.Helper()
	if !strings.Contains(html.UnescapeString(a.Body.String()), `href="`+to+`"`) {
		a.Errorf("%s has no link to %s", a.path, to)
	}
	return a
}

func TestTheAlertsSayWhatIsWrongWhoWasToldAndWhatComesNext(t *testing.T) {
	s := newSite(t)
	s.get("/alerts").has(http.StatusOK, "nobody is told", "Nothing is wrong", "none</span>")
	s.view.status.Alerting = &admin.Alerting{
		To: []string{"ops"}, After: "5m", Repeat: "1d", Sent: now().Add(-time.Hour), Heartbeat: &admin.Heartbeat{Every: "1m", Silent: true},
	}
	s.view.status.Alerts = []admin.Alert{
		{
			Type: "deltahook.source.failing", Source: "orders", Since: now().Add(-26 * time.Hour), Told: now().Add(-25 * time.Hour), Next: now().Add(23 * time.Hour),
			Reminders: 1, Failures: 77, Message: hostile, Hint: "deltahook try orders",
		},
		{Type: "deltahook.webhook.failing", Webhook: "erp", Hint: "nothing was changed", Since: now().Add(-time.Minute), Next: now().Add(4 * time.Minute)},
		{Type: "deltahook.config.rejected", Since: now(), Told: now()},
	}
	s.get("/alerts").has(http.StatusOK, "failures after 5m", "a reminder each 1d", "1h ago", "on purpose, because something is wrong", "1d 2h ago", "1d 1h ago", "in 23h",
		hostile, "77 failures in a row", "deltahook try orders", "not yet", "nothing was changed", "in 4m", "configuration", "evt_1", "deltahook events --source deltahook").
		hasLink("/sources/orders").hasLink("/webhooks/erp").hasLink("/webhooks/ops")
	s.view.status.Alerting.Repeat, s.view.status.Alerting.Heartbeat = "0s", &admin.Heartbeat{Every: "1m", Arrived: now().Add(-12 * time.Second)}
	s.get("/alerts").has(http.StatusOK, "no reminders", "12s ago")
	s.view.status.Alerting.Heartbeat.Error = "it answered 503 Service Unavailable"
	s.get("/alerts").has(http.StatusOK, "it answered 503 Service Unavailable")
}

func TestEmptyListsTeach(t *testing.T) {
	s := newSite(t)
	s.view.status = admin.Status{Running: true}
	s.get("/").has(http.StatusOK, "No sources yet", "deltahook init URL", "No webhooks yet", "Nothing needs a person")
	s.view.deliveries = nil
	s.get("/deliveries?state=parked").has(http.StatusOK, "Nothing is parked")
}

func TestNumbersOfARecordAreShownAsTheyAre(t *testing.T) {
	body := newSite(t).get("/events/evt_1").has(http.StatusOK, "9007199254740993", `a\.b`).Body.String()
	for _, row := range []string{
		`<tr class="removed"><td class="sign"><span aria-hidden="true">−</span><span class="vh">removed</span></td><th scope="row" class="mono">gone</th>`,
		`<tr class="changed"><td class="sign"><span aria-hidden="true">~</span><span class="vh">changed</span></td><th scope="row" class="mono">price</th><td class="before"><pre>1.1</pre></td><td class="after"><pre>1.10</pre></td>`,
	} {
		if !strings.Contains(body, row) {
			t.Errorf("the page lacks %s:\n%s", row, body)
		}
	}
}

func TestPayloadsThatAreNotShownAreNowhere(t *testing.T) {
	s := newSite(t)
	s.view.event.Payload = nil
	s.view.story.Record = nil
	body := s.get("/events/evt_1").has(http.StatusOK, "admin.show_payloads = false").Body.String()
	if strings.Contains(body, "9007199254740993") || strings.Contains(body, "curl -i") {
		t.Error("the payload is shown")
	}
	s.get("/sources/contacts/record?key=1").has(http.StatusOK, "admin.show_payloads = false")
}

func TestAnAlertLeadsToTheAlertsAndToNoSource(t *testing.T) {
	s := newSite(t)
	if body := s.get("/events/evt_1").has(http.StatusOK).Body.String(); !strings.Contains(body, `href="/sources/`) {
		t.Error("an event of a source does not lead to it")
	}
	s.view.event.Event = admin.Event{ID: "evt_1", Source: "deltahook", Type: "deltahook.webhook.failing", Key: "webhook/app"}
	body := s.get("/events/evt_1").has(http.StatusOK, `href="/alerts"`, "webhook/app").Body.String()
	if strings.Contains(body, `href="/sources/`) {
		t.Error("it leads to a source that there is not")
	}
}

func TestTheHeadersOfTheNextAttemptAreShownWithTheFormatOfTheWebhook(t *testing.T) {
	newSite(t).get("/events/evt_1").has(http.StatusOK, "Headers and signature", "webhook-id: evt_1", "webhook-signature: v1,Jq0N…", "app gets the event in the format record")
}

func TestTheCurlCommandSurvivesAShell(t *testing.T) {
	s := newSite(t)
	s.view.event.Payload = json.RawMessage(`{"data":{"change":"created","record":{"name":"O'Brien $(rm -rf /)"}}}`)
	s.get("/events/evt_1").has(http.StatusOK, `'{"data":{"change":"created","record":{"name":"O'\''Brien $(rm -rf /)"}}}'`, `'https://app.example.com/hooks?a=b&c='\''d'\'''`)
}

func TestEveryActionWorksWithoutAScript(t *testing.T) {
	s := newSite(t)
	s.door.signed = true
	for _, c := range []struct{ path, button, done, says string }{
		{"/", "Poll now contacts", "poll contacts", "contacts is being polled"},
		{"/", "Pause contacts", "pause contacts", "contacts is paused"},
		{"/", "Resume tickets", "resume tickets", "tickets goes on"},
		{"/act/skip?source=tickets", "Skip to now tickets", "skip tickets", "tickets goes on from now"},
		{"/", "Pause app", "pause  app", "app is paused"},
		{"/act/release?source=stock", "Release stock", "release stock", "stock is released"},
		{"/act/discard?source=stock", "Discard stock", "discard stock", "without events"},
		{"/act/rekey?source=stock", "Rekey stock", "rekey stock  plan=false", "keeps its records"},
		{"/act/reset?source=contacts&level=records", "Reset contacts", "reset contacts records plan=false", "contacts is reset"},
		{"/sources/contacts/backfill?to=app&rate=20/s", "Backfill 12 records", "backfill contacts to=[app] keys=[] rate=20/s start", "the backfill of contacts has begun"},
		{"/reload", "Reload", "reload", "1 section changed: webhook.app (changed)"},
		{"/sources/contacts", "Stop the backfill of contacts", "backfill contacts to=[] keys=[] rate= stop", "what it told stays told"},
		{"/deliveries/replay?state=parked&webhook=app&rate=20/s", "Replay 2 deliveries", "replay app/parked/ rate=20/s by=somebody on the web page why= plan=false", "2 deliveries queued again"},
		{"/deliveries/drop?event=evt_1", "Drop 2 deliveries", "drop //evt_1 rate= by=somebody on the web page why= plan=false", "2 deliveries dropped"},
		{"/deliveries/skip?webhook=app", "Skip 2 deliveries", "skip app// rate= by=somebody on the web page why= plan=false", "2 deliveries skipped; app goes on with what comes now"},
		{"/deliveries/replay?state=delivered&source=contacts", "Replay 2 deliveries", "replay /delivered/ rate= by=somebody on the web page why= plan=false", "2 deliveries queued again"},
	} {
		s.view.asked = nil
		a := s.get(c.path).has(http.StatusOK).submit(c.button)
		if done := s.view.done(); !slices.Equal(done, []string{c.done}) {
			t.Errorf("%s, %s: did %q, want %q", c.path, c.button, done, c.done)
		}
		a.follow().has(http.StatusOK, c.says, "deltahook ")
	}
}

func TestNothingIsDoneBeforeSomebodySignedIn(t *testing.T) {
	s := newSite(t)
	a := s.post("/act/pause", url.Values{"source": {"contacts"}, "csrf": {"x"}, "back": {"/?q=a"}})
	if done := s.view.done(); len(done) > 0 {
		t.Fatalf("did %q", done)
	}
	login := a.follow().has(http.StatusOK, "Sign in")
	var next string
	for _, f := range login.forms() {
		if f.action == "/login" {
			next = f.fields.Get("next")
		}
	}
	s.post("/login", url.Values{"token": {"wrong"}, "next": {next}}).has(http.StatusForbidden, "that is not the admin token")
	page := s.post("/login", url.Values{"token": {"secret"}, "next": {next}}).follow().has(http.StatusOK, "Pause contacts", "deltahook pause contacts")
	page.submit("Pause contacts").follow().has(http.StatusOK, "contacts is paused")
	if done := s.view.done(); !slices.Equal(done, []string{"pause contacts"}) {
		t.Errorf("did %q", done)
	}
}

func TestAFormOfAForeignPageIsRefused(t *testing.T) {
	s := newSite(t)
	s.door.signed = true
	for _, path := range []string{"/act/pause", "/act/reset", "/deliveries/drop", "/deliveries/replay", "/sources/contacts/backfill", "/reload", "/logout"} {
		s.post(path, url.Values{"source": {"contacts"}, "level": {"all"}, "csrf": {"guessed"}}).has(http.StatusForbidden, "Nothing was done")
	}
	if done := s.view.done(); len(done) > 0 || !s.door.signed {
		t.Errorf("did %q, signed in: %v", done, s.door.signed)
	}
	s.get("/deliveries/drop?state=parked")
	s.get("/act/discard?source=stock")
	if done := s.view.done(); len(done) > 0 {
		t.Errorf("looking did %q", done)
	}
}

func TestNobodyLooksThroughAClosedDoor(t *testing.T) {
	s := newSite(t)
	s.door.closed = true
	for _, path := range views() {
		if path == "/login" {
			continue
		}
		a := s.get(path)
		if to := a.Header().Get("Location"); a.Code != http.StatusSeeOther || to != "/login?next="+url.QueryEscape(path) {
			t.Errorf("%s: %d to %q", path, a.Code, to)
		}
	}
	if len(s.view.asked) > 0 {
		t.Errorf("asked %q", s.view.asked)
	}
	s.get("/assets/style.css").has(http.StatusOK)
}

func TestNoLinkLeadsPeopleElsewhereAfterwards(t *testing.T) {
	s := newSite(t)
	s.door.signed = true
	for _, to := range []string{"https://evil.example.com/", "//evil.example.com", `/\evil.example.com`, "javascript:alert(1)", "/\t/evil.example.com", "evil"} {
		a := s.post("/act/pause", url.Values{"source": {"contacts"}, "csrf": {"form-token"}, "back": {to}})
		if got := a.Header().Get("Location"); got != "/sources/contacts" {
			t.Errorf("back %q leads to %q", to, got)
		}
		a = s.get("/login?next=" + url.QueryEscape(to))
		if got := a.Header().Get("Location"); got != "/" {
			t.Errorf("next %q leads to %q", to, got)
		}
	}
}

func TestAnErrorIsAPageWithItsStatus(t *testing.T) {
	s := newSite(t)
	s.door.signed = true
	s.get("/sources/nobody").has(http.StatusNotFound, "no such source: nobody")
	s.get("/webhooks/nobody").has(http.StatusNotFound, "no such webhook: nobody")
	s.get("/events?since=yesterday").has(http.StatusBadRequest, `since = "yesterday" is no time`)
	s.get("/deliveries?state=lost").has(http.StatusBadRequest, `there is no state "lost"`)
	s.get("/act/explode?source=contacts").has(http.StatusNotFound, "there is no such action")
	s.get("/act/release?webhook=app").has(http.StatusNotFound, "there is no such action")
	s.get("/act/pause").has(http.StatusBadRequest, "name one of them")
	s.get("/deliveries/explode").has(http.StatusNotFound)
	s.get("/deliveries/skip?webhook=app").has(http.StatusOK, "All that is queued up to now", "deltahook resume app --webhook --skip")
	s.get("/deliveries/replay?rate=fast").has(http.StatusBadRequest, "fast")
	s.view.err = fmt.Errorf("%w: the source is not held", admin.ErrState)
	s.post("/act/release", url.Values{"source": {"contacts"}, "csrf": {"form-token"}}).has(http.StatusConflict, "the source is not held")
	s.view.err = &admin.RejectedError{Problems: "deltahook.toml:4:1: unknown key\n    4 | evry"}
	s.post("/reload", url.Values{"csrf": {"form-token"}}).has(http.StatusUnprocessableEntity, "deltahook.toml:4:1: unknown key", "the one from before goes on")
	s.view.err = errors.New("the disk is on fire")
	s.get("/").has(http.StatusInternalServerError, "the disk is on fire")
	if a := s.get("/nowhere"); a.Code != http.StatusNotFound {
		t.Errorf("/nowhere: %d", a.Code)
	}
}

func TestWhatWasDoneIsSaidOnce(t *testing.T) {
	s := newSite(t)
	s.door.signed = true
	a := s.post("/act/pause", url.Values{"source": {"contacts"}, "csrf": {"form-token"}, "back": {"/"}})
	shown := a.follow().has(http.StatusOK, "contacts is paused", "deltahook pause contacts")
	if strings.Contains(shown.follow2().Body.String(), "contacts is paused") {
		t.Error("it is said again")
	}
}

// follow2 loads the page again with the cookies that are left.
func (a answer) follow2() answer {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	for _, c := range a.Result().Cookies() {
		if c.MaxAge >= 0 {
			r.AddCookie(c)
		}
	}
	return a.send(r)
}

func TestABrowserWithoutScriptsLoadsAgainUnlessToldNotTo(t *testing.T) {
	s := newSite(t)
	s.get("/").has(http.StatusOK, `<noscript><meta http-equiv="refresh"`)
	if strings.Contains(s.get("/?refresh=off").Body.String(), "http-equiv") {
		t.Error("it loads again")
	}
	if strings.Contains(s.get("/act/pause?source=contacts").Body.String(), "http-equiv") {
		t.Error("a form loads again while it is filled in")
	}
}

func TestAssetsAreKeptByTheBrowserUntilTheyChange(t *testing.T) {
	s := newSite(t)
	a := s.get("/").has(http.StatusOK)
	body := a.Body.String()
	i := strings.Index(body, "/assets/app.js?v=")
	if i < 0 {
		t.Fatal("the page has no script with a version")
	}
	script := s.get(body[i : i+strings.IndexByte(body[i:], '"')]).has(http.StatusOK)
	if got := script.Header().Get("Cache-Control"); !strings.Contains(got, "immutable") {
		t.Errorf("Cache-Control: %s", got)
	}
	raw, _ := io.ReadAll(script.Body)
	if len(raw) > 20_000 {
		t.Errorf("the script has %d bytes", len(raw))
	}
	s.get("/assets/nothing.js").has(http.StatusNotFound)
	s.get("/assets/..%2fpage.go").has(http.StatusNotFound)
}
