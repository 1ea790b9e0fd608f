package daemon_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
)

// wires is a network in memory: virtual time goes on only when nobody waits for a socket.
type wires struct {
	mu      sync.Mutex
	servers map[string]*wire
}

type wire struct {
	conns  chan net.Conn
	server *http.Server
	once   sync.Once
}

func (w *wire) Accept() (net.Conn, error) {
	c, ok := <-w.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.conns) })
	return nil
}

func (w *wire) Addr() net.Addr { return &net.TCPAddr{} }

func (n *wires) serve(address string, h http.Handler) {
	w := &wire{conns: make(chan net.Conn), server: &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers[address] = w
	go func() { _ = w.server.Serve(w) }()
}

func (n *wires) dial(_ context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	w := n.servers[address]
	n.mu.Unlock()
	if w == nil {
		return nil, fmt.Errorf("nobody is at %s", address)
	}
	here, there := net.Pipe()
	w.conns <- there
	return here, nil
}

func (n *wires) close() {
	for _, w := range n.servers {
		_ = w.server.Close()
	}
}

// told is an event of deltahook, as a receiver reads it.
type told struct {
	Type string `json:"type"`
	Data struct {
		Source   string `json:"source"`
		Key      string `json:"key"`
		Sequence int64  `json:"sequence"`
		About    struct {
			Source  string `json:"source"`
			Webhook string `json:"webhook"`
		} `json:"about"`
		State         string   `json:"state"`
		Message       string   `json:"message"`
		Reminder      int      `json:"reminder"`
		Failures      int      `json:"failures"`
		Count         int      `json:"count"`
		Events        []string `json:"events"`
		LastedSeconds int64    `json:"lasted_seconds"`
	} `json:"data"`
}

// ward is a daemon in a bubble of virtual time, with its surroundings.
type ward struct {
	t    *testing.T
	net  *wires
	path string
	text string
	log  *safeBuffer

	mu    sync.Mutex
	body  string // of the API
	down  map[string]bool
	asked map[string]int

	hooks  map[string]*hooktest.Receiver
	daemon *daemon.Daemon
	store  store.Store
}

// newWard has the source crm, the webhook app for its events and ops for alerts.
func newWard(t *testing.T, more string) *ward {
	t.Helper()
	w := &ward{
		t: t, net: &wires{servers: map[string]*wire{}}, log: &safeBuffer{}, path: filepath.Join(t.TempDir(), "deltahook.toml"),
		body: `[{"id":1}]`, down: map[string]bool{}, asked: map[string]int{}, hooks: map[string]*hooktest.Receiver{},
	}
	w.text = fmt.Sprintf(`
[source.crm]
url = "http://crm.test/list"
every = "5m"
key = "id"
[webhook.app]
url = "http://app.test/"
secret = %q
retry = { pause_after = "0s", give_up_after = "30d" }
[webhook.ops]
url = "http://ops.test/"
secret = %q
events = ["deltahook.*"]
[alerts]
to = ["ops"]
%s
[store]
url = "sqlite:%s"
[admin]
listen = "127.0.0.1:0"
`, secret, secret, more, filepath.ToSlash(filepath.Join(t.TempDir(), "deltahook.db")))
	w.net.serve("crm.test:80", w.counted("crm", http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		_, _ = io.WriteString(rw, w.body)
	})))
	w.net.serve("heart.test:80", w.counted("heart", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	for _, name := range []string{"app", "ops"} {
		w.hooks[name] = &hooktest.Receiver{Secrets: []string{secret}, NoReplica: true}
		w.net.serve(name+".test:80", w.counted(name, w.hooks[name]))
	}
	w.start()
	return w
}

// counted counts the requests, and is down when it is told to.
func (w *ward) counted(name string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.asked[name]++
		down := w.down[name]
		w.mu.Unlock()
		if down {
			http.Error(rw, "down for maintenance", http.StatusServiceUnavailable)
			return
		}
		h.ServeHTTP(rw, r)
	})
}

func (w *ward) set(name string, down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down[name] = down
}

func (w *ward) serves(body string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.body = body
}

func (w *ward) count(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked[name]
}

func (w *ward) start() {
	w.t.Helper()
	secrets := &setting.Secrets{}
	b := &bundle{path: w.path}
	b.write(w.t, w.text)
	cfg, report, err := config.Load(config.Options{Paths: []string{w.path}, Secrets: secrets})
	if err != nil || report.Err() != nil {
		w.t.Fatal(err, report.Err())
	}
	path, _ := strings.CutPrefix(cfg.Store.URL, "sqlite:")
	if w.store, err = sqlite.Open(w.t.Context(), sqlite.Options{Path: path}); err != nil {
		w.t.Fatal(err)
	}
	w.daemon, err = daemon.New(w.t.Context(), daemon.Options{
		Config: cfg, Secrets: secrets, Store: w.store, Version: "test", Token: "act", Paths: []string{w.path}, Dial: w.net.dial,
		Listen: func(context.Context, string, string) (net.Listener, error) {
			return &wire{conns: make(chan net.Conn)}, nil
		},
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.daemon.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *ward) stop() {
	w.t.Helper()
	if err := w.daemon.Stop(w.t.Context()); err != nil {
		w.t.Error(err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// told gives the events of deltahook that ops got, without baselines.
func (w *ward) told() (list []told) {
	w.t.Helper()
	for _, r := range w.hooks["ops"].Requests() {
		var one told
		if err := json.Unmarshal(r.Body, &one); err != nil || r.Err != nil {
			w.t.Fatal(err, r.Err)
		}
		if one.Type != "deltahook.source.baselined" {
			list = append(list, one)
		}
	}
	return list
}

// summed names the events that ops got: "source.failing +6" is one with six reminders.
func (w *ward) summed() string {
	w.t.Helper()
	var list []string
	reminders := 0
	for _, one := range w.told() {
		name := strings.TrimPrefix(one.Type, "deltahook.")
		if one.Data.Reminder > 0 && !strings.HasSuffix(name, "recovered") {
			if reminders++; one.Data.Reminder != reminders {
				w.t.Errorf("reminder %d is numbered %d", reminders, one.Data.Reminder)
			}
			last := len(list) - 1
			list[last], _, _ = strings.Cut(list[last], " ")
			list[last] += fmt.Sprintf(" +%d", reminders)
			continue
		}
		list, reminders = append(list, name), 0
	}
	return strings.Join(list, ", ")
}

const week = 7 * 24 * time.Hour

func inWard(t *testing.T, more string, do func(w *ward)) {
	t.Helper()
	if testing.Short() {
		t.Skip("virtual weeks take a while under the race detector")
	}
	bubble.Test(t, func(t *testing.T) {
		w := newWard(t, more)
		time.Sleep(10 * time.Minute)
		do(w)
		w.stop()
		w.net.close()
	})
}

func TestAnAPIThatIsDownForAWeekIsOneAlertSixRemindersAndOneRecovery(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"": false, "with a restart in the middle": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inWard(t, "", func(w *ward) {
				w.set("crm", true)
				before, lines := w.count("crm"), strings.Count(w.log.String(), "\n")
				time.Sleep(3*24*time.Hour + time.Hour)
				if restart {
					w.stop()
					w.start()
				}
				time.Sleep(4*24*time.Hour - 3*time.Hour) // the pauses of polls reach an hour
				polls := w.count("crm") - before
				w.set("crm", false)
				if restart { // the recovery is not forgotten by one in the very moment either
					w.stop()
					w.start()
				}
				time.Sleep(2 * time.Hour)
				lines = strings.Count(w.log.String(), "\n") - lines
				if got := w.summed(); got != "source.failing +6, source.recovered" {
					w.t.Errorf("told %s", got)
				}
				if lines >= 40 || polls < 6*24 {
					w.t.Errorf("%d lines of log, %d polls:\n%s", lines, polls, w.log.String())
				}
				all := w.told()
				last := all[len(all)-1]
				if d := last.Data; d.About.Source != "crm" || d.Source != "deltahook" || d.Key != "source/crm" || d.State != "failing" ||
					time.Duration(d.LastedSeconds)*time.Second < week-3*time.Hour {
					w.t.Errorf("the recovery says %+v", d)
				} else if d.Failures < 4*24 { // it was told of the last ones a day ago
					w.t.Errorf("the recovery says %d failures of %d polls", d.Failures, polls)
				}
				if first := all[0].Data; first.Failures < 1 || !strings.Contains(first.Message, "503") {
					w.t.Errorf("the alert says %+v", first)
				}
				for i := range all {
					if i > 0 && all[i].Data.Sequence != all[i-1].Data.Sequence+1 {
						w.t.Errorf("sequence %d after %d", all[i].Data.Sequence, all[i-1].Data.Sequence)
					}
				}
				w.t.Logf("%d polls, %d lines of log", polls, lines)
			})
		})
	}
}

func TestAWebhookThatIsDownForAWeekIsOneAlertSixRemindersAndOneRecovery(t *testing.T) {
	t.Parallel()
	inWard(t, "", func(w *ward) {
		w.set("app", true)
		w.serves(`[{"id":1,"n":2}]`)
		lines := strings.Count(w.log.String(), "\n")
		time.Sleep(4 * 24 * time.Hour)
		w.stop()
		w.start()
		time.Sleep(3*24*time.Hour - time.Hour)
		tries := w.count("app")
		w.set("app", false)
		time.Sleep(2 * time.Hour)
		lines = strings.Count(w.log.String(), "\n") - lines
		if got := w.summed(); got != "webhook.failing +6, webhook.recovered" {
			w.t.Errorf("told %s", got)
		}
		if lines >= 40 || tries < 100 {
			w.t.Errorf("%d lines of log, %d tries:\n%s", lines, tries, w.log.String())
		}
	})
}

func TestAnAlertOfAWebhookCountsAllItsFailuresAndSaysTheLatestReason(t *testing.T) {
	t.Parallel()
	inWard(t, `repeat = "1h"`, func(w *ward) {
		w.set("app", true)
		w.serves(`[{"id":1,"n":2}]`)
		time.Sleep(70 * time.Minute)
		gate := func() (failures int) {
			s, err := w.daemon.Status(w.t.Context())
			if err != nil || len(s.Alerts) != 1 || s.Alerts[0].Failures != s.Webhooks[0].Failures {
				w.t.Errorf("%v, %+v\n%+v", err, s.Alerts, s.Webhooks)
			}
			return s.Webhooks[0].Failures
		}
		failed := gate()
		w.set("app", false)
		time.Sleep(time.Hour)
		list := w.told()
		if len(list) != 3 {
			w.t.Fatalf("told %+v", list)
		}
		first, second, end := list[0].Data.Failures, list[1].Data.Failures, list[2].Data.Failures
		if first < 5 || second <= first || end != failed || failed < second {
			w.t.Errorf("failures told: %d, %d, and %d at the end; there were %d", first, second, end, failed)
		}
	})
}

func TestATroubleThatPassesSoonIsNotWorthAWord(t *testing.T) {
	t.Parallel()
	inWard(t, `after = "15m"`, func(w *ward) {
		w.set("crm", true)
		time.Sleep(8 * time.Minute)
		if s, err := w.daemon.Status(w.t.Context()); err != nil || len(s.Alerts) != 1 || !s.Alerts[0].Told.IsZero() || s.Alerts[0].Type != "deltahook.source.failing" {
			w.t.Errorf("%v, %+v", err, s.Alerts)
		}
		w.set("crm", false)
		time.Sleep(time.Hour)
		if got := w.summed(); got != "" {
			w.t.Errorf("told %s", got)
		}
		if s, err := w.daemon.Status(w.t.Context()); err != nil || len(s.Alerts) != 0 {
			w.t.Errorf("%v, %+v", err, s.Alerts)
		}
	})
}

func TestTheHeartbeatStaysAwayWhileSomethingIsWrong(t *testing.T) {
	t.Parallel()
	inWard(t, `heartbeat = "http://heart.test/ping"`, func(w *ward) {
		if n := w.count("heart"); n < 8 {
			w.t.Errorf("%d beats in ten minutes", n)
		}
		w.set("crm", true)
		time.Sleep(20 * time.Minute)
		still := w.count("heart")
		time.Sleep(2 * time.Hour)
		if n := w.count("heart"); n != still {
			w.t.Errorf("%d beats while something is wrong", n-still)
		}
		w.set("crm", false)
		time.Sleep(2 * time.Hour)
		if n := w.count("heart"); n < still+30 {
			w.t.Errorf("%d beats in two hours", n-still)
		}
		if strings.Contains(w.log.String(), "heart.test") {
			w.t.Error("the address is in the log")
		}
	})
}

// What people look at says since when something is wrong, who was told and when they are told next; also while nothing runs.
func TestTheBoardOfAlertsKnowsWhatWasToldAndWhatComesNext(t *testing.T) {
	t.Parallel()
	inWard(t, `heartbeat = "http://heart.test/ping"`, func(w *ward) {
		look := func() admin.AlertBoard {
			s, err := w.daemon.Status(w.t.Context())
			if err != nil {
				w.t.Fatal(err)
			}
			return s.Board()
		}
		b := look()
		if len(b.Alerts) != 0 || !slices.Equal(b.To, []string{"ops"}) || b.After != "5m" || b.Repeat != "1d" || b.Heartbeat == nil || b.Heartbeat.Silent || time.Since(b.Heartbeat.Arrived) > time.Minute {
			w.t.Errorf("all is well: %+v %+v", b, b.Heartbeat)
		}
		w.set("crm", true)
		w.set("heart", true)
		time.Sleep(4 * time.Minute)
		if b = look(); !strings.Contains(b.Heartbeat.Error, "503") {
			w.t.Errorf("the heartbeat is refused: %+v", b.Heartbeat)
		}
		time.Sleep(4 * time.Minute) // a poll has failed meanwhile, not for long enough
		one := look().Alerts[0]
		if !one.Told.IsZero() || one.Next != one.Since.Add(5*time.Minute) {
			w.t.Errorf("not told yet: %+v", one)
		}
		time.Sleep(25 * time.Hour)
		b = look()
		one = b.Alerts[0]
		if one.Source != "crm" || one.Reminders != 1 || one.Last.Sub(one.Told) != 24*time.Hour || one.Next != one.Last.Add(24*time.Hour) || one.Failures < 24 || one.Hint == "" || b.Sent.Sub(one.Last).Abs() > time.Second || !b.Heartbeat.Silent {
			w.t.Errorf("a day later: %+v, %+v", b, b.Heartbeat)
		}
		states, err := w.store.Sources(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range states {
			if states[i].Name != "deltahook" {
				continue
			}
			stored := daemon.Told(states[i].State, &config.Alerts{To: []string{"ops"}})
			if len(stored) != 1 || !stored[0].Told.Equal(one.Told) || !stored[0].Last.Equal(one.Last) || stored[0].Source != "crm" || !stored[0].Next.IsZero() {
				w.t.Errorf("stored is %+v", stored)
			}
		}
	})
}

// Whoever is told must not be told of its own failure: that would never end.
func TestNoAlertGoesToTheWebhookThatItIsAbout(t *testing.T) {
	t.Parallel()
	inWard(t, `repeat = "1h"`, func(w *ward) {
		w.set("ops", true)
		w.set("crm", true)
		time.Sleep(5 * time.Hour)
		events, err := w.store.Events(w.t.Context(), store.EventQuery{Source: "deltahook", Limit: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, e := range events {
			if strings.HasPrefix(e.Type, "deltahook.webhook") {
				w.t.Errorf("%s about the only one that is told", e.Type)
			}
		}
		w.set("ops", false)
		w.set("crm", false)
		time.Sleep(3 * time.Hour)
		if got := w.summed(); !strings.HasPrefix(got, "source.failing +") || !strings.HasSuffix(got, ", source.recovered") {
			w.t.Errorf("told %s", got)
		}
	})
}

func TestHeldQuietPausedParkedAndRejectedAreToldAtOnceAndTogether(t *testing.T) {
	t.Parallel()
	inWard(t, "", func(w *ward) {
		var records []string
		for i := range 50 {
			records = append(records, fmt.Sprintf(`{"id":%d,"n":1}`, i))
		}
		w.hooks["app"].Set(func(rw http.ResponseWriter, _ *http.Request, _ int) bool {
			rw.WriteHeader(http.StatusUnprocessableEntity)
			return true
		})
		w.serves("[" + strings.Join(records, ",") + "]")
		time.Sleep(30 * time.Minute)
		all := w.told()
		if len(all) != 1 || all[0].Type != "deltahook.event.parked" || all[0].Data.Count != 50 || len(all[0].Data.Events) != 10 || all[0].Data.About.Webhook != "app" {
			w.t.Fatalf("%+v", all)
		}
		if n := strings.Count(w.log.String(), "is parked"); n != 1 {
			w.t.Errorf("%d lines of log for fifty parked events", n)
		}
		w.hooks["app"].Set(func(rw http.ResponseWriter, _ *http.Request, _ int) bool {
			rw.WriteHeader(http.StatusGone)
			return true
		})
		w.serves(`[{"id":0,"n":2}]`)
		time.Sleep(10 * time.Minute)
		b := &bundle{path: w.path}
		b.write(w.t, w.text+"[nonsense\n")
		if _, err := w.daemon.Reload(w.t.Context()); err == nil {
			w.t.Error("a bad file was not rejected")
		}
		time.Sleep(time.Hour)
		b.write(w.t, w.text)
		if _, err := w.daemon.Reload(w.t.Context()); err != nil {
			w.t.Error(err)
		}
		time.Sleep(24 * time.Hour)
		if got := w.summed(); got != "event.parked, webhook.paused, config.rejected, webhook.paused +1" && got != "event.parked, webhook.paused, config.rejected +1" {
			w.t.Errorf("told %s", got)
		}
		var types []string
		for _, one := range w.told() {
			types = append(types, one.Type)
		}
		if !slices.Contains(types, "deltahook.config.rejected") {
			w.t.Errorf("told %q", types)
		}
	})
}
