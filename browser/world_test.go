// Package browser looks at the web page with a real browser: every view, every action, without scripts and with the keyboard
// only. It is a module of its own, so that deltahook does not depend on what drives the browser: run it with "make browser".
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
)

// token is what acts; whoever signs in knows it.
const token = "correct-horse-battery-staple"

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// hostile is what a record may have in it.
const hostile = `<script>document.title='broken'</script><img src=x onerror=alert(1)>`

// world is a running daemon between an API whose lists can be changed and receivers of every temper.
type world struct {
	testing.TB

	mu    sync.Mutex
	lists map[string][]map[string]any
	fault map[string]string

	daemon   *daemon.Daemon
	receiver *hooktest.Receiver
	url      string
	dir      string
	text     string // the configuration
}

// newWorld starts everything; stir then makes something of every kind.
func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{TB: tb, lists: map[string][]map[string]any{}, fault: map[string]string{}, dir: tb.TempDir()}
	w.lists["contacts"] = []map[string]any{
		{"id": 4711, "name": "Ann", "email": "ann@example.com", "status": "new", "owner": map[string]any{"name": "Ann", "team": "north"}, "tags": []string{"a", "b"}},
		{"id": 4712, "name": "Bo", "email": "bo@example.com", "status": "open", "owner": map[string]any{"name": "Bo", "team": "south"}, "tags": []string{"c"}},
		{"id": "x/y?z#1", "name": hostile, "email": "", "status": "new", "owner": nil, "tags": []string{}},
	}
	for i := range 25 {
		w.lists["stock"] = append(w.lists["stock"], map[string]any{"id": i, "left": 10 * i})
		w.lists["orders"] = append(w.lists["orders"], map[string]any{"id": 9007199254740993 + i, "total": json.Number("1.10"), "state": "paid"})
	}
	w.lists["shop"] = w.lists["stock"]
	w.lists["legacy"] = []map[string]any{{"id": 1, "number": "A-1"}, {"id": 2, "number": "A-2"}}
	w.lists["invoices"] = []map[string]any{{"id": 1, "paid": false}}
	w.lists["tickets"] = []map[string]any{{"id": 1, "open": true}}
	upstream := httptest.NewServer(http.HandlerFunc(w.serve))
	tb.Cleanup(upstream.Close)
	w.receiver = &hooktest.Receiver{Secrets: []string{secret}}
	good := httptest.NewServer(w.receiver)
	tb.Cleanup(good.Close)
	picky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"field \"status\" is unknown to <b>ERP</b>"}`, http.StatusUnprocessableEntity)
	}))
	tb.Cleanup(picky.Close)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "maintenance until 6 o'clock", http.StatusServiceUnavailable)
	}))
	tb.Cleanup(down.Close)
	text := fmt.Sprintf(`
[defaults]
every   = "1h"
records = "data.items"
key     = "id"

[source.contacts]
url = "%[1]s/contacts"
ignore = ["seen"]
[source.orders]
url = "%[1]s/orders"
to  = ["app"]
[source.stock]
url = "%[1]s/stock"
to  = ["app"]
deletes = { detect = "scan" }
[source.shop]
url = "%[1]s/shop"
to  = ["app"]
deletes = { detect = "scan" }
[source.legacy]
url = "%[1]s/legacy"
to  = ["app"]
key = "id"
[source.invoices]
url = "%[1]s/invoices"
to  = ["app"]
[source.tickets2]
url = "%[1]s/tickets"
to  = ["app"]
[source.tickets]
url = "%[1]s/tickets"
to  = ["app"]
[webhook.app]
url    = "%[2]s/hooks"
secret = "%[5]s"
[webhook.erp]
url    = "%[3]s/hooks"
secret = "%[5]s"
[webhook.audit]
url    = "%[4]s/hooks"
secret = "%[5]s"

[alerts]
to        = ["app"]
after     = "0s"
heartbeat = "%[2]s/beat"
[store]
url = "sqlite:%[6]s"
[admin]
listen = "127.0.0.1:0"
`, upstream.URL, good.URL, picky.URL, down.URL, secret, filepath.ToSlash(filepath.Join(w.dir, "deltahook.db")))
	stop := w.start(text)
	w.baselines()
	stop()
	// An edit of what makes a record the same one is held until somebody decides.
	tb.Cleanup(w.start(strings.Replace(text, `to  = ["app"]
key = "id"`, `to  = ["app"]
key = "number"`, 1)))
	return w
}

// serve is the polled API.
func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := r.URL.Path[1:]
	if w.fault[name] == "login" {
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprint(rw, "<html><title>Sign in</title>Please sign in to CRM 3.1</html>")
		return
	}
	rw.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(rw)
	out.SetEscapeHTML(false)
	_ = out.Encode(map[string]any{"data": map[string]any{"items": w.lists[name]}, "total": strconv.Itoa(len(w.lists[name]))})
}

func (w *world) file() string { return filepath.Join(w.dir, "deltahook.toml") }

// write puts a configuration into the file; a reload reads it.
func (w *world) write(text string) {
	w.Helper()
	w.text = text
	if err := os.WriteFile(w.file(), []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

func (w *world) start(text string) (stop func()) {
	w.Helper()
	w.write(text)
	secrets := &setting.Secrets{}
	cfg, report, err := config.Load(config.Options{Paths: []string{w.file()}, Secrets: secrets})
	if err != nil || report.Err() != nil {
		w.Fatal(err, report.Err())
	}
	st, err := sqlite.Open(w.Context(), sqlite.Options{Path: filepath.Join(w.dir, "deltahook.db")})
	if err != nil {
		w.Fatal(err)
	}
	d, err := daemon.New(w.Context(), daemon.Options{
		Config: cfg, Secrets: secrets, Store: st, Log: slog.New(slog.DiscardHandler), Version: "1.0.0", Token: token, Paths: []string{w.file()},
	})
	if err != nil {
		w.Fatal(err)
	}
	if err := d.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.daemon, w.url = d, "http://"+d.Addr()
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = d.Stop(ctx)
		_ = st.Close()
	}
}

// client asks the daemon directly.
func (w *world) client() *admin.Client { return admin.NewClient(w.daemon.Addr(), token) }

func (w *world) status() admin.Status {
	w.Helper()
	s, err := w.client().Status(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) source(name string) admin.Source {
	w.Helper()
	for _, s := range w.status().Sources {
		if s.Name == name {
			return s
		}
	}
	w.Fatalf("there is no source %s", name)
	return admin.Source{}
}

func (w *world) webhook(name string) admin.Webhook {
	w.Helper()
	for _, s := range w.status().Webhooks {
		if s.Name == name {
			return s
		}
	}
	w.Fatalf("there is no webhook %s", name)
	return admin.Webhook{}
}

// backfill gives the state of the backfill of a source.
func (w *world) backfill(source string) string {
	w.Helper()
	b, err := w.client().Backfill(w.Context(), admin.Backfill{Source: source}, admin.LookBackfill)
	if err != nil {
		w.Fatal(err)
	}
	return b.State
}

// within waits for a condition.
func (w *world) within(what string, ok func() bool) {
	w.Helper()
	const limit = 20 * time.Second
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(end) {
			w.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// edit changes the API.
func (w *world) edit(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

// poll polls a source and waits until that poll is over.
func (w *world) poll(name string) {
	w.Helper()
	before := w.source(name).LastPoll
	if err := w.client().Act(w.Context(), admin.Action{Verb: admin.Poll, Source: name}); err != nil {
		w.Fatal(err)
	}
	w.within("a poll of "+name, func() bool { return w.source(name).LastPoll.After(before) })
}

// baselines waits until every source was read once.
func (w *world) baselines() {
	w.Helper()
	w.within("baselines", func() bool {
		for _, s := range w.status().Sources {
			if s.Baselined.IsZero() {
				return false
			}
		}
		return true
	})
}

// stir makes something of every kind: events, held sources, a failing one, a paused one, parked events, a webhook that fails.
func (w *world) stir() {
	w.Helper()
	w.edit(func() {
		w.lists["contacts"][0]["status"] = "open"
		w.lists["contacts"][0]["owner"] = map[string]any{"name": "Bo", "team": "north"}
		w.lists["contacts"][0]["phone"] = "+49 30 1234"
		delete(w.lists["contacts"][0], "email")
		w.lists["contacts"][2]["status"] = hostile
		w.lists["orders"] = append(w.lists["orders"], map[string]any{"id": 1, "total": json.Number("10.00"), "state": "new"})
		w.lists["stock"], w.lists["shop"] = []map[string]any{}, []map[string]any{}
		w.fault["invoices"] = "login"
	})
	for _, name := range []string{"contacts", "orders", "stock", "shop", "invoices"} {
		w.poll(name)
	}
	if err := w.client().Act(w.Context(), admin.Action{Verb: admin.Pause, Source: "tickets"}); err != nil {
		w.Fatal(err)
	}
	w.within("all states", func() bool {
		return w.webhook("erp").Parked == 2 && w.source("stock").State == "held" && w.source("legacy").State == "held" && w.webhook("audit").State == "failing"
	})
}

// eventOf gives the oldest event of a record.
func (w *world) eventOf(source, key string) string {
	w.Helper()
	list, err := w.client().Events(w.Context(), store.EventQuery{Source: source, Key: key})
	if err != nil || len(list) == 0 {
		w.Fatalf("events of %s %s: %v, %v", source, key, list, err)
	}
	return list[len(list)-1].ID
}
