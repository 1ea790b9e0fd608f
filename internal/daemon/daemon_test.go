package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// upstream serves whatever body it was last given.
type upstream struct {
	mu     sync.Mutex
	body   string
	status int // 0: 200
}

// fail answers with a status and a text.
func (u *upstream) fail(status int, text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status, u.body = status, text
}

func (u *upstream) set(body string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.body = body
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if u.status != 0 {
		w.WriteHeader(u.status)
	}
	_, _ = w.Write([]byte(u.body))
}

// safeBuffer is a log that many goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// bundle is a daemon with what is around it.
type bundle struct {
	api      *upstream
	receiver *hooktest.Receiver
	hooks    *httptest.Server
	log      *safeBuffer
	daemon   *daemon.Daemon
	client   *admin.Client

	text  string                        // the configuration
	path  string                        // of its file
	watch time.Duration                 // how often that is looked at
	wrap  func(store.Store) store.Store // what the daemon gets for a store; nil: the store

	listen func(ctx context.Context, network, address string) (net.Listener, error) // nil: the network
}

// edit changes the configuration before the start.
func edit(old, text string) func(*bundle) {
	return func(b *bundle) { b.text = strings.Replace(b.text, old, text, 1) }
}

// setup starts a daemon whose one source is api and whose one webhook is receiver; more is added to the configuration.
func setup(t *testing.T, body, more string, edits ...func(*bundle)) *bundle {
	t.Helper()
	b := &bundle{api: &upstream{body: body}, receiver: &hooktest.Receiver{Secrets: []string{secret}}, log: &safeBuffer{}}
	api := httptest.NewServer(b.api)
	t.Cleanup(api.Close)
	b.hooks = httptest.NewServer(b.receiver)
	t.Cleanup(b.hooks.Close)
	b.text = fmt.Sprintf(`
[source.things]
url = "%s/list?token=planted-in-query"
headers = { X-Api-Key = "{secret:env:PLANTED_KEY}" }
every = "1s"
records = "items"
key = "id"
deletes = { detect = "scan" }
%s
[webhook.app]
url = %q
secret = %q
[store]
url = "sqlite:%s"
[admin]
listen = "127.0.0.1:0"
`, api.URL, more, b.hooks.URL, secret, filepath.ToSlash(filepath.Join(t.TempDir(), "deltahook.db")))
	for _, e := range edits {
		e(b)
	}
	b.start(t)
	return b
}

func (b *bundle) start(t *testing.T) {
	t.Helper()
	secrets := &setting.Secrets{LookupEnv: func(name string) (string, bool) { return "planted-in-environment", name == "PLANTED_KEY" }}
	if b.path == "" {
		b.path = filepath.Join(t.TempDir(), "deltahook.toml")
	}
	if info, err := os.Stat(b.path); err != nil || !info.IsDir() {
		b.write(t, b.text)
	}
	cfg, report, err := config.Load(config.Options{Paths: []string{b.path}, Secrets: secrets})
	if err != nil || report.Err() != nil {
		t.Fatal(err, report.Err())
	}
	path, _ := strings.CutPrefix(cfg.Store.URL, "sqlite:")
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	var used store.Store = st
	if b.wrap != nil {
		used = b.wrap(st)
	}
	b.daemon, err = daemon.New(t.Context(), daemon.Options{
		Config: cfg, Secrets: secrets, Store: used, Version: "test", Token: "act", Paths: []string{b.path}, Watch: b.watch, Listen: b.listen,
		Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.daemon.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.client = admin.NewClient(b.daemon.Addr(), "act")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := b.daemon.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := st.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
}

// write changes the file of the configuration.
func (b *bundle) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(b.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	untilWithin(t, 90*time.Second, what, ok)
}

func untilWithin(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}

func (b *bundle) baselined(t *testing.T) {
	t.Helper()
	until(t, "a baseline", func() bool {
		s, err := b.client.Status(t.Context())
		return err == nil && len(s.Sources) == 1 && s.Sources[0].State == "ok"
	})
}

func TestARecordArrivesByteForByte(t *testing.T) {
	t.Parallel()
	const old = `{"id":7}`
	// Large integer, trailing zero, both forms of U+2028, a member twice, what HTML escaping would touch, odd white space.
	odd := "{ \"id\":7,\t\"n\":9007199254740993, \"price\":1.10,\"sep\":\"\u2028 \\u2028\",\"twice\":1,\"twice\":2,\"html\":\"<>&\" ,\"e\":1E+2}"
	b := setup(t, `{"items":[`+old+`]}`, "")
	b.baselined(t)
	b.api.set(`{"items":[` + odd + `]}`)
	until(t, "the update", func() bool { return b.receiver.Replica.Report().Events == 1 })
	if got := string(b.receiver.Replica.Records("things")["7"]); got != odd {
		t.Errorf("the record arrived as\n%s\nand was\n%s", got, odd)
	}
	for _, problem := range b.receiver.Problems() {
		t.Error(problem)
	}
}

func TestReorderedMembersAndWhiteSpaceAreNoEvent(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":7,"a":{"x":1,"y":2},"b":[1,2]}]}`, "")
	b.baselined(t)
	b.api.set(`{"items":[ {"b" : [1, 2],"a":{"y":2,"x":1},"id":7} ] }`)
	until(t, "two more polls", func() bool { return strings.Count(b.log.String(), "msg=polled") >= 3 })
	b.api.set(`{"items":[{"id":7,"a":{"x":1,"y":3},"b":[1,2]}]}`)
	until(t, "the change that is one", func() bool { return b.receiver.Replica.Report().Events == 1 })
	e := b.receiver.Requests()[0]
	if !bytes.Contains(e.Body, []byte(`"sequence":1,`)) || !bytes.Contains(e.Body, []byte(`"changed":["a.y"]`)) {
		t.Errorf("the first event is %s", e.Body)
	}
}

func TestADeadWebhookDelaysNoOther(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	dead := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	t.Cleanup(dead.Close)
	b := setup(t, `{"items":[{"id":1}]}`, fmt.Sprintf("[webhook.dead]\nurl = %q\nsecret = %q\nmax_in_flight = 2\n", dead.URL, secret))
	t.Cleanup(func() { close(hung) }) // before the daemon stops, which waits for what is in flight
	b.baselined(t)
	for n := range 5 {
		b.api.set(fmt.Sprintf(`{"items":[{"id":1,"n":%d}]}`, n))
		until(t, "an event beside a dead webhook", func() bool { return b.receiver.Replica.Report().Events > n })
	}
}

func TestNoSecretIsInLogsNorInTheAdminAPI(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1}]}`, "")
	b.baselined(t)
	b.api.set("<html>no listing</html>")
	until(t, "a failing source", func() bool { return strings.Contains(b.log.String(), "source is failing") })
	b.hooks.CloseClientConnections()
	b.receiver.Set(func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.WriteHeader(http.StatusInternalServerError)
		return true
	})
	b.api.set(`{"items":[{"id":1,"n":2}]}`)
	until(t, "a failing webhook", func() bool { return strings.Contains(b.log.String(), "webhook is failing") })
	var text strings.Builder
	text.WriteString(b.log.String())
	for _, path := range []string{"/api/v1/status", "/api/v1/events", "/api/v1/deliveries"} {
		text.WriteString(get(t, "http://"+b.daemon.Addr()+path))
	}
	for _, planted := range []string{"planted-in-query", "planted-in-environment", secret, strings.TrimPrefix(secret, "whsec_")} {
		if strings.Contains(text.String(), planted) {
			t.Errorf("%q was printed in\n%s", planted, text.String())
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestActionsNeedTheTokenAndForeignHostsNeedItForAll(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[]}`, "")
	base := "http://" + b.daemon.Addr()
	for _, c := range []struct {
		name, method, path, host, token string
		want                            int
	}{
		{"reading on loopback is open", http.MethodGet, "/api/v1/status", "", "", http.StatusOK},
		{"acting is not", http.MethodPost, "/api/v1/sources/things/poll", "", "", http.StatusUnauthorized},
		{"nor with a wrong token", http.MethodPost, "/api/v1/sources/things/poll", "", "wrong", http.StatusUnauthorized},
		{"acting with the token", http.MethodPost, "/api/v1/sources/things/poll", "", "act", http.StatusOK},
		{"a rebound name is foreign", http.MethodGet, "/api/v1/status", "evil.example", "", http.StatusUnauthorized},
		{"metrics are reading", http.MethodGet, "/metrics", "", "", http.StatusOK},
		{"also for a rebound name", http.MethodGet, "/metrics", "evil.example", "", http.StatusUnauthorized},
		{"which the token opens", http.MethodGet, "/metrics", "prometheus.example", "act", http.StatusOK},
		{"a plan of a replay is reading", http.MethodGet, "/api/v1/replay?state=parked&rate=20/s", "", "", http.StatusOK},
		{"a replay is acting", http.MethodPost, "/api/v1/replay", "", "", http.StatusUnauthorized},
		{"so is a drop", http.MethodPost, "/api/v1/drop", "", "", http.StatusUnauthorized},
		{"with the token", http.MethodPost, "/api/v1/drop?by=ann&why=test", "", "act", http.StatusOK},
		{"a bad rate", http.MethodPost, "/api/v1/replay?rate=fast", "", "act", http.StatusBadRequest},
		{"health is open to all", http.MethodGet, "/healthz", "probe.example", "", http.StatusOK},
		{"an unknown source", http.MethodPost, "/api/v1/sources/nothing/poll", "", "act", http.StatusNotFound},
		{"a bad query", http.MethodGet, "/api/v1/events?since=yesterday", "", "", http.StatusBadRequest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, base+c.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = c.host
		if c.token != "" {
			req.Header.Set("Authorization", "Bearer "+c.token)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %s %s answered %d, want %d", c.name, c.method, c.path, resp.StatusCode, c.want)
		}
	}
}
