package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// reload writes a configuration and lets the daemon read it.
func (b *bundle) reload(t *testing.T, text string) []string {
	t.Helper()
	b.write(t, text)
	done, err := b.client.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return kinds(done.Steps)
}

// kinds names what was not unchanged.
func kinds(steps []admin.Planned) []string {
	var list []string
	for _, s := range steps {
		if s.Kind != admin.PlanUnchanged {
			list = append(list, s.Source+s.Webhook+s.Section+" "+s.Kind)
		}
	}
	return list
}

// counting counts how often the memory of a source is read.
type counting struct {
	store.Store

	reads *atomic.Int64
}

func (c counting) Join(ctx context.Context, name string, ttl time.Duration) (store.Member, error) {
	m, err := c.Store.Join(ctx, name, ttl)
	return countingMember{m, c.reads}, err
}

type countingMember struct {
	store.Member

	reads *atomic.Int64
}

func (c countingMember) Prints(ctx context.Context, source string, yield func(poller.Known) bool) error {
	if source == "things" {
		c.reads.Add(1)
	}
	return c.Member.Prints(ctx, source, yield)
}

// origin is another polled API; it counts the connections, and holds requests back while told to.
type origin struct {
	*httptest.Server

	asked, connections, held, cut atomic.Int64
	gate                          atomic.Pointer[chan struct{}]
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{}
	o.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		if gate := o.gate.Load(); gate != nil {
			o.held.Add(1)
			select {
			case <-*gate:
			case <-r.Context().Done():
				o.cut.Add(1)
				return
			}
		}
		_, _ = io.WriteString(w, `[{"id":1}]`)
	}))
	o.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			o.connections.Add(1)
		}
	}
	o.Start()
	t.Cleanup(o.Close)
	return o
}

func (o *origin) source(name, more string) string {
	return fmt.Sprintf("[source.%s]\nurl = %q\nevery = \"1s\"\nkey = \"id\"\n%s\n", name, o.URL, more)
}

func TestAReloadLeavesAnUnchangedSourceItsRunningPollItsMemoryAndItsConnection(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	other := newOrigin(t)
	b := setup(t, `{"items":[{"id":1}]}`, "", func(b *bundle) {
		b.wrap = func(s store.Store) store.Store { return counting{s, &reads} }
		b.text += other.source("other", "")
	})
	until(t, "both have polled", func() bool { return reads.Load() == 1 && other.asked.Load() > 1 })
	gate := make(chan struct{})
	other.gate.Store(&gate)
	until(t, "a poll that runs", func() bool { return other.held.Load() > 0 })
	asked := other.asked.Load()
	if got := b.reload(t, strings.Replace(b.text, `every = "1s"`, `every = "2s"`, 1)); !slices.Equal(got, []string{"things changed"}) {
		t.Errorf("the reload did %q", got)
	}
	until(t, "the changed source has read its memory again", func() bool { return reads.Load() == 2 })
	other.gate.Store(nil)
	close(gate)
	until(t, "the unchanged one goes on", func() bool { return other.asked.Load() > asked+2 })
	if n, cut := other.connections.Load(), other.cut.Load(); n != 1 || cut != 0 {
		t.Errorf("the unchanged source made %d connections, and %d requests were cut off", n, cut)
	}
	if got := b.reload(t, strings.Replace(b.text, `every = "1s"`, `every = "2s"`, 1)); len(got) != 0 {
		t.Errorf("the same again did %q", got)
	}
	if n := reads.Load(); n != 2 {
		t.Errorf("the memory was read %d times", n)
	}
}

func TestWebhooksComeGoAndChangeWithoutLossAndAnUnchangedOneKeepsItsConnection(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1,"n":0}]}`, "")
	b.baselined(t)
	extra := &origin{}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { extra.asked.Add(1); w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(other.Close)
	with := b.text + fmt.Sprintf("[webhook.extra]\nurl = %q\nsecret = %q\n", other.URL, secret)
	change := func(n int) {
		t.Helper()
		b.api.set(fmt.Sprintf(`{"items":[{"id":1,"n":%d}]}`, n))
		until(t, "the event", func() bool { return b.receiver.Replica.Report().Events == n })
	}
	change(1)
	if got := b.reload(t, with); !slices.Equal(got, []string{"extra new"}) {
		t.Errorf("adding did %q", got)
	}
	change(2)
	until(t, "an event for the new one", func() bool { return extra.asked.Load() == 1 })
	if got := b.reload(t, strings.Replace(with, "[webhook.extra]", "[webhook.extra]\nmax_in_flight = 2", 1)); !slices.Equal(got, []string{"extra changed"}) {
		t.Errorf("changing did %q", got)
	}
	change(3)
	until(t, "an event for the changed one", func() bool { return extra.asked.Load() == 2 })
	if got := b.reload(t, b.text); !slices.Equal(got, []string{"extra removed"}) {
		t.Errorf("removing did %q", got)
	}
	change(4)
	s, err := b.client.Status(t.Context())
	if err != nil || len(s.Webhooks) != 1 || extra.asked.Load() != 2 {
		t.Errorf("%v, %+v, the removed one got %d", err, s.Webhooks, extra.asked.Load())
	}
	for _, problem := range b.receiver.Problems() {
		t.Error(problem)
	}
}

func TestAWebhookThatLeftTheConfigurationIsShownWhileDeliveriesWaitForIt(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1,"n":0}]}`, "")
	b.baselined(t)
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	t.Cleanup(down.Close)
	b.reload(t, b.text+fmt.Sprintf("[webhook.extra]\nurl = %q\nsecret = %q\n", down.URL, secret))
	b.api.set(`{"items":[{"id":1,"n":1}]}`)
	extra := func() (w admin.Webhook, shown bool) {
		s, err := b.client.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range s.Webhooks {
			if w.Name == "extra" {
				return w, true
			}
		}
		return w, false
	}
	until(t, "a failure", func() bool { w, _ := extra(); return w.State == "failing" && w.Queued == 1 })
	b.reload(t, b.text)
	w, _ := extra()
	if w.State != "removed" || w.Queued != 1 || w.Oldest.IsZero() || !strings.Contains(w.Note, "deltahook resume --skip --webhook extra") {
		t.Errorf("it is shown as %+v", w)
	}
	drop := admin.Change{Kind: admin.Skip, Query: store.DeliveryQuery{Webhook: "extra"}}
	if done, err := b.client.Change(t.Context(), drop, false); err != nil || done.Deliveries != 1 {
		t.Errorf("dropping: %+v, %v", done, err)
	}
	if w, shown := extra(); shown {
		t.Errorf("with nothing that waits it is shown as %+v", w)
	}
}

func TestTheLogSaysWhetherTheFirstRecordsAreEvents(t *testing.T) {
	t.Parallel()
	for extra, want := range map[string]string{"": "are not events", `initial = "emit"`: "were told as created"} {
		b := setup(t, `{"items":[{"id":1}]}`, extra)
		until(t, want, func() bool { return strings.Contains(b.log.String(), "baseline saved") })
		if said := b.log.String(); !strings.Contains(said, want) {
			t.Errorf("%q: %s", extra, said)
		}
	}
}

func TestARemovedSourceGoesOnWhereItStoppedWhenItComesBack(t *testing.T) {
	t.Parallel()
	other := newOrigin(t)
	b := setup(t, `{"items":[{"id":1}]}`, "", func(b *bundle) { b.text += other.source("other", "") })
	until(t, "a baseline", func() bool { return strings.Count(b.log.String(), "baseline saved") == 2 && other.asked.Load() > 1 })
	things := b.text[strings.Index(b.text, "[source.things]"):strings.Index(b.text, "[webhook")]
	without := strings.Replace(b.text, things, "", 1)
	if got := b.reload(t, without); !slices.Equal(got, []string{"things removed"}) {
		t.Errorf("removing did %q", got)
	}
	b.api.set(`{"items":[{"id":1},{"id":2}]}`)
	if got := b.reload(t, b.text); !slices.Equal(got, []string{"things back"}) {
		t.Errorf("adding again did %q", got)
	}
	until(t, "the event", func() bool { return b.receiver.Replica.Report().Events == 1 })
	if n := strings.Count(b.log.String(), "baseline saved"); n != 2 {
		t.Errorf("%d baselines of two sources", n)
	}
}

func TestABadFileChangesNothingIsSaidOnceAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1}]}`, "")
	b.baselined(t)
	for name, c := range map[string]struct{ text, want string }{
		"syntax":  {b.text + "[source.broken\n", "deltahook.toml:"},
		"a key":   {strings.Replace(b.text, "every", "evry", 1), `did you mean "every"`},
		"secret":  {strings.Replace(b.text, "env:PLANTED_KEY", "env:OTHER_KEY", 1), "secret env:OTHER_KEY is not set"},
		"webhook": {strings.Replace(b.text, "every", "to = [\"nobody\"]\nevery", 1), `webhook "nobody" does not exist`},
	} {
		b.write(t, c.text)
		for range 3 {
			_, err := b.client.Reload(t.Context())
			rejected, ok := errors.AsType[*admin.RejectedError](err)
			if !ok || !strings.Contains(rejected.Problems, c.want) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		s, err := b.client.Status(t.Context())
		if err != nil || s.Config.OK || !strings.Contains(s.Config.Error, c.want) || len(s.Sources) != 1 || s.Sources[0].State != "ok" {
			t.Errorf("%s: %v, %+v", name, err, s.Config)
		}
	}
	if n := strings.Count(b.log.String(), "the configuration is rejected"); n != 4 {
		t.Errorf("four bad files were told %d times", n)
	}
	if got := b.reload(t, b.text); len(got) != 0 {
		t.Errorf("the old file did %q", got)
	}
	s, err := b.client.Status(t.Context())
	if err != nil || !s.Config.OK || s.Config.Error != "" || s.Config.Rejected != 4 || s.Config.Reloads != 0 {
		t.Errorf("%v, %+v", err, s.Config)
	}
}

func TestAnAddressThatIsTakenRejectsTheWholeReload(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1}]}`, "")
	b.baselined(t)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	b.write(t, strings.NewReplacer("127.0.0.1:0", taken.Addr().String(), `every = "1s"`, `every = "7s"`).Replace(b.text))
	if _, err := b.client.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "admin.listen") {
		t.Errorf("error %v", err)
	}
	settings, err := b.client.Settings(t.Context())
	if err != nil || settings["source.things"]["every"] != "1s" {
		t.Errorf("%v, every is %s", err, settings["source.things"]["every"])
	}
}

func TestTheAdminAPIMovesAndItsTokenChangesWithAReload(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1}]}`, "")
	b.baselined(t)
	port, err := hooktest.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{"localhost:0", "127.0.0.2:" + port, "0.0.0.0:" + port} {
		next := strings.Replace(b.text, `listen = "127.0.0.1:0"`, fmt.Sprintf("listen = %q\ntoken = %q", listen, "token for "+listen), 1)
		if got := b.reload(t, next); !slices.Equal(got, []string{"admin changed"}) {
			t.Errorf("%s: the reload did %q", listen, got)
		}
		b.client = admin.NewClient(b.daemon.Addr(), "act")
		if err := b.client.Act(t.Context(), admin.Action{Verb: admin.Poll, Source: "things"}); err == nil {
			t.Errorf("%s: the token from before still works", listen)
		}
		b.client.Token = "token for " + listen
		if err := b.client.Act(t.Context(), admin.Action{Verb: admin.Poll, Source: "things"}); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
	b.write(t, b.text)
	if _, err := b.client.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.client = admin.NewClient(b.daemon.Addr(), "act")
	if err := b.client.Act(t.Context(), admin.Action{Verb: admin.Poll, Source: "things"}); err != nil {
		t.Error(err)
	}
}

// lateListener notices only by its second close that it is closed, as one does whose goroutine is not scheduled in between.
type lateListener struct {
	net.Listener

	closes  atomic.Int32
	noticed chan struct{}
}

func (l *lateListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.noticed
	}
	return conn, err
}

func (l *lateListener) Close() error {
	if l.closes.Add(1) == 2 {
		close(l.noticed)
	}
	return l.Listener.Close()
}

func TestAStopRightAfterTheAdminAPIHasMovedIsNoError(t *testing.T) {
	t.Parallel()
	var late atomic.Pointer[lateListener]
	b := setup(t, `{"items":[{"id":1}]}`, "", func(b *bundle) {
		b.listen = func(ctx context.Context, network, address string) (net.Listener, error) {
			ln, err := new(net.ListenConfig).Listen(ctx, network, address)
			first := &lateListener{Listener: ln, noticed: make(chan struct{})}
			if err != nil || !late.CompareAndSwap(nil, first) {
				return ln, err
			}
			return first, nil
		}
	})
	b.baselined(t)
	if got := b.reload(t, strings.Replace(b.text, `listen = "127.0.0.1:0"`, `listen = "localhost:0"`, 1)); !slices.Equal(got, []string{"admin changed"}) {
		t.Fatalf("the reload did %q", got)
	}
	if err := b.daemon.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if n := late.Load().closes.Load(); n != 2 {
		t.Errorf("the listener from before was closed %d times; the stop should have found it", n)
	}
}

func TestAnotherStoreWaitsForARestartUntilTheEditIsUndone(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1}]}`, "")
	b.baselined(t)
	next := strings.Replace(b.text, "deltahook.db\"", "other.db\"\nkeep_events = \"2d\"", 1)
	for range 2 {
		b.write(t, next)
		done, err := b.client.Reload(t.Context())
		if err != nil || !slices.Contains(kinds(done.Steps), "store restart") {
			t.Errorf("%v, the reload did %q", err, kinds(done.Steps))
		}
	}
	s, err := b.client.Status(t.Context())
	if err != nil || len(s.Config.Restart) != 1 || !strings.Contains(s.Config.Restart[0], "other.db") {
		t.Errorf("%v, %+v", err, s.Config)
	}
	b.reload(t, b.text)
	if s, err = b.client.Status(t.Context()); err != nil || len(s.Config.Restart) != 0 {
		t.Errorf("%v, %+v", err, s.Config)
	}
}

func TestASecretThatIsRotatedIsAChangeOfWhatUsesIt(t *testing.T) {
	t.Parallel()
	const rotated = "whsec_AAAAAAAAKYqrTwjUPD8ILPZIo2LaLaSw"
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret)
	b := setup(t, `{"items":[{"id":1}]}`, "", func(b *bundle) {
		b.text = strings.Replace(b.text, fmt.Sprintf("secret = %q", secret), fmt.Sprintf("secret = %q", "file:"+filepath.ToSlash(file)), 1)
		b.watch = 20 * time.Millisecond
		b.receiver.Secrets = append(b.receiver.Secrets, rotated)
	})
	b.baselined(t)
	write(rotated)
	until(t, "a reload by itself", func() bool {
		return strings.Contains(b.log.String(), `msg="the configuration is reloaded" changed=1 steps="app changed"`)
	})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	until(t, "a rejection", func() bool {
		s, err := b.client.Status(t.Context())
		return err == nil && !s.Config.OK && strings.Contains(s.Config.Error, "is not set")
	})
	write(secret)
	until(t, "it is tried again", func() bool {
		s, err := b.client.Status(t.Context())
		return err == nil && s.Config.OK && s.Config.Reloads == 2
	})
	if strings.Contains(b.log.String(), rotated) {
		t.Error("the log has the secret")
	}
}

func TestFilesThatAreSwappedThroughLinksAreReloadedAlsoAfterABadOne(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	version := 0
	publish := func(text string) { // as Kubernetes does with a ConfigMap
		t.Helper()
		version++
		name := fmt.Sprintf("..%d", version)
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name, "deltahook.toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, filepath.Join(folder, "..tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(folder, "..tmp"), filepath.Join(folder, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	b := setup(t, `{"items":[{"id":1}]}`, "", func(b *bundle) {
		publish(b.text)
		if err := os.Symlink("..data/deltahook.toml", filepath.Join(folder, "deltahook.toml")); err != nil {
			t.Fatal(err)
		}
		b.path, b.watch = folder, 20*time.Millisecond
	})
	b.baselined(t)
	every := func(want string) {
		t.Helper()
		until(t, "every = "+want, func() bool {
			settings, err := b.client.Settings(t.Context())
			return err == nil && settings["source.things"]["every"] == want
		})
	}
	publish(strings.Replace(b.text, `every = "1s"`, `every = "2s"`, 1))
	every("2s")
	publish(strings.Replace(b.text, `every = "1s"`, `evry = "2s"`, 1))
	until(t, "a rejection", func() bool { s, err := b.client.Status(t.Context()); return err == nil && !s.Config.OK })
	publish(strings.Replace(b.text, `every = "1s"`, `every = "3s"`, 1))
	every("3s")
	// A file that is added to the folder counts, too, and one that leaves it.
	if err := os.WriteFile(filepath.Join(folder, "more.toml"), []byte(newOrigin(t).source("more", "")), 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "two sources", func() bool { s, err := b.client.Status(t.Context()); return err == nil && len(s.Sources) == 2 })
	if err := os.Remove(filepath.Join(folder, "more.toml")); err != nil {
		t.Fatal(err)
	}
	until(t, "one source", func() bool { s, err := b.client.Status(t.Context()); return err == nil && len(s.Sources) == 1 })
	if n := strings.Count(b.log.String(), "the configuration is rejected"); n != 1 {
		t.Errorf("one bad file was told %d times", n)
	}
}
