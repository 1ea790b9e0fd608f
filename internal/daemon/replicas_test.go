package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
	"github.com/deltahook/deltahook/internal/store/postgres/pgtest"
)

// pair is two replicas on one database, each with a file of its own that says the same at first.
type pair struct {
	*testing.T
	url      string // of the database
	api      *httptest.Server
	broken   map[string]bool // paths that fail; set before the replicas start
	receiver *hooktest.Receiver
	hooks    *httptest.Server
	replicas []*replica
	sources  []string

	version string                 // of replicas that are started
	adjust  func(c *config.Config) // to what no file may say
}

type replica struct {
	*bundle
	st     store.Store
	closed bool
}

// newPair needs PostgreSQL.
func newPair(t *testing.T, sources int, more string) *pair {
	t.Helper()
	p := newGround(t, sources)
	text := p.text(p.sources, more)
	for range 2 {
		p.replicas = append(p.replicas, p.start(text))
	}
	return p
}

// newGround is a pair before one of the two has started.
func newGround(t *testing.T, sources int) *pair {
	t.Helper()
	server, err := pgtest.Start(t.Context(), pgtest.Options{})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	p := &pair{
		T: t, url: server.URL("postgres"), receiver: &hooktest.Receiver{Secrets: []string{secret}}, broken: map[string]bool{},
		version: "test", adjust: func(*config.Config) {},
	}
	p.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/broken") {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(`[{"id":1}]`))
	}))
	t.Cleanup(p.api.Close)
	p.hooks = httptest.NewServer(p.receiver)
	t.Cleanup(p.hooks.Close)
	for i := range sources {
		p.sources = append(p.sources, fmt.Sprintf("source-%d", i))
	}
	return p
}

// text is a configuration with some sources; those whose name begins with broken fail.
func (p *pair) text(sources []string, more string) string {
	var b strings.Builder
	for _, name := range sources {
		path := "ok"
		if strings.HasPrefix(name, "broken") {
			path = "broken"
		}
		fmt.Fprintf(&b, "[source.%s]\nurl = \"%s/%s/%s\"\nevery = \"1s\"\nkey = \"id\"\nretry = { attempts = 1 }\n", name, p.api.URL, path, name)
	}
	fmt.Fprintf(&b, "[webhook.app]\nurl = %q\nsecret = %q\n[webhook.ops]\nurl = %q\nsecret = %q\nevents = [\"deltahook.*\"]\n[store]\nurl = %q\n[admin]\nlisten = \"127.0.0.1:0\"\n%s",
		p.hooks.URL+"/app", secret, p.hooks.URL+"/ops", secret, "postgres://unused/db", more)
	return b.String()
}

func (p *pair) start(text string) *replica {
	p.Helper()
	b := &bundle{log: &safeBuffer{}, text: text, path: filepath.Join(p.TempDir(), "deltahook.toml")}
	b.write(p.T, text)
	secrets := &setting.Secrets{}
	cfg, report, err := config.Load(config.Options{Paths: []string{b.path}, Secrets: secrets})
	if err != nil || report.Err() != nil {
		p.Fatal(err, report.Err())
	}
	p.adjust(cfg)
	st, err := postgres.Open(p.Context(), postgres.Options{URL: p.url})
	if err != nil {
		p.Fatal(err)
	}
	b.daemon, err = daemon.New(p.Context(), daemon.Options{
		Config: cfg, Secrets: secrets, Store: st, Version: p.version, Token: "act", Paths: []string{b.path}, Name: "machine",
		Log: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err == nil {
		err = b.daemon.Start(p.Context())
	}
	if err != nil {
		p.Fatal(err)
	}
	b.client = admin.NewClient(b.daemon.Addr(), "act")
	r := &replica{bundle: b, st: st}
	p.Cleanup(func() { r.end(p.T) })
	return r
}

func (r *replica) end(t *testing.T) {
	t.Helper()
	if r.closed {
		return
	}
	r.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.daemon.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	if err := r.st.Close(); err != nil {
		t.Errorf("close the store: %v", err)
	}
}

func (p *pair) status(n int) admin.Status {
	p.Helper()
	s, err := p.replicas[n].client.Status(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return s
}

// sharedOut waits until both own about half.
func (p *pair) sharedOut() {
	p.Helper()
	until(p.T, "the shards are shared out", func() bool {
		s := p.status(0)
		return len(s.Members) == 2 && s.Unowned == 0 && s.Members[0].Shards > 100 && s.Members[1].Shards > 100
	})
}

func TestEachReplicaShowsTheWholeCluster(t *testing.T) {
	t.Parallel()
	p := newPair(t, 12, "")
	p.sharedOut()
	for n := range p.replicas {
		until(t, "all sources with what their owner knows", func() bool {
			s := p.status(n)
			if len(s.Sources) != 12 {
				return false
			}
			next := map[bool]bool{} // that it is known of one here, and of one elsewhere: one that was polled just then has none for a minute
			for _, one := range s.Sources {
				if one.State != "ok" || one.Stale || one.LastPoll.IsZero() {
					return false
				}
				if !one.NextPoll.IsZero() {
					next[one.Member == ""] = true
				}
			}
			return len(next) == 2
		})
		s := p.status(n)
		here, there := 0, 0
		for _, one := range s.Sources {
			if one.Member == "" {
				here++
			} else if there++; one.Seen.IsZero() {
				t.Errorf("nobody knows how old that is: %+v", one)
			}
		}
		if here == 0 || there == 0 {
			t.Errorf("%d sources are here and %d elsewhere", here, there)
		}
		until(t, "each member, and who keeps what", func() bool {
			self, keeps := 0, map[string]int{}
			for _, m := range p.status(n).Members {
				if m.Self {
					self++
				}
				for _, duty := range m.Keeps {
					keeps[duty]++
				}
				if m.Config == "" || m.Version != "test" || m.Started.IsZero() || len(m.Differs) > 0 {
					return false
				}
			}
			return self == 1 && keeps["house"] == 1 && keeps["alerts"] == 1
		})
	}
	for _, name := range p.sources { // one source each, whoever has it
		if d, err := p.replicas[0].client.Source(t.Context(), name); err != nil || d.State != "ok" {
			t.Errorf("%s: %+v, %v", name, d.Source, err)
		}
	}
	p.replicas[1].end(t)
	until(t, "the one that is left shows all as its own", func() bool {
		s := p.status(0)
		for _, one := range s.Sources {
			if one.Member != "" {
				return false
			}
		}
		return len(s.Members) == 1 && len(s.Sources) == 12
	})
}

func TestAShardThatCameBackIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	p := newPair(t, 12, "")
	p.sharedOut()
	stale := func() (names []string) {
		for _, one := range p.status(0).Sources {
			if one.Stale {
				names = append(names, one.Name)
			}
		}
		return names
	}
	until(t, "all is up to date", func() bool { return len(stale()) == 0 })
	i := slices.IndexFunc(p.status(0).Sources, func(one admin.Source) bool { return one.Member != "" })
	if i < 0 {
		t.Fatal("no source is elsewhere")
	}
	name := p.status(0).Sources[i].Name
	// Somebody had the shard for a moment, and reported of it.
	part := fmt.Sprintf("shard/%03d", store.ShardOf(name))
	board, ok := p.replicas[0].st.(store.Board)
	if !ok {
		t.Fatal("the store has no board")
	}
	if err := board.Report(t.Context(), "somebody", []store.Report{{Part: part, Body: []byte("[]")}}); err != nil {
		t.Fatal(err)
	}
	until(t, "that is heard", func() bool { return slices.Contains(stale(), name) })
	until(t, "its owner reports of it again, although nothing has changed", func() bool { return len(stale()) == 0 })
}

func TestAReplicaWithAnotherConfigurationIsSeenAndNothingIsHalfApplied(t *testing.T) {
	t.Parallel()
	p := newPair(t, 6, "[alerts]\nto = [\"ops\"]\nafter = \"0s\"\n")
	p.sharedOut()
	settled := func() bool {
		return slices.ContainsFunc(p.replicas, func(r *replica) bool { return r.daemon.Settled() })
	}
	until(t, "the store knows which sources there are", func() bool { return settled() && len(p.removed()) == 0 && len(p.rows()) >= 6 })
	// One replica gets a file without two of the sources, and with so many others that the other replica owns some.
	next := slices.Clone(p.sources[2:])
	for n := range 12 {
		next = append(next, fmt.Sprint("new-", n))
	}
	text := p.text(next, "[alerts]\nto = [\"ops\"]\nafter = \"0s\"\n")
	p.replicas[1].write(t, text)
	if _, err := p.replicas[1].client.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range p.replicas {
		until(t, "both see the other one", func() bool {
			for _, m := range p.status(n).Members {
				if !m.Self && strings.Join(m.Differs, " ") == "secrets sources" || !m.Self && strings.Join(m.Differs, " ") == "sources" {
					return true
				}
			}
			return false
		})
	}
	until(t, "an alert that they differ", func() bool { return p.told("deltahook.config.differs") == 1 })
	until(t, "a source whose owner does not know it says so", func() bool {
		for n := range p.replicas {
			for _, s := range p.status(n).Sources {
				if strings.Contains(s.Note, "does not know it") {
					return true
				}
			}
		}
		return false
	})
	if gone := p.removed(); len(gone) > 0 {
		t.Errorf("%v left the configuration of one replica, and count as removed", gone)
	}
	until(t, "nothing is deleted for having left as long as they differ", func() bool { return !settled() })
	// One that looked at the others a moment too early may have told the store of its own sources alone. That does not stay.
	if err := p.mark(p.sources...); err != nil {
		t.Fatal(err)
	}
	p.replicas[1].write(t, p.text(p.sources, "[alerts]\nto = [\"ops\"]\nafter = \"0s\"\n"))
	if _, err := p.replicas[1].client.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the store knows again which sources there are", func() bool {
		return settled() && !slices.ContainsFunc(p.removed(), func(name string) bool { return slices.Contains(p.sources, name) })
	})
	for n := range p.replicas {
		p.replicas[n].write(t, text)
		if _, err := p.replicas[n].client.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "what is in no configuration any more counts as removed", func() bool { return len(p.removed()) == 2 })
	until(t, "nobody differs", func() bool {
		for _, m := range p.status(0).Members {
			if len(m.Differs) > 0 {
				return false
			}
		}
		return true
	})
}

func (p *pair) rows() []store.SourceRow {
	p.Helper()
	rows, err := p.replicas[0].st.Sources(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	return rows
}

// mark lets the store take sources for removed.
func (p *pair) mark(names ...string) error {
	p.Helper()
	rest := []string{emitter.Own}
	for _, r := range p.rows() {
		if !slices.Contains(names, r.Name) {
			rest = append(rest, r.Name)
		}
	}
	m, err := p.replicas[0].st.Join(p.Context(), "outsider", time.Minute)
	if err != nil {
		return err
	}
	return errors.Join(m.SetSources(p.Context(), rest, time.Now()), m.Leave(p.Context()))
}

// removed gives the sources that the store takes for removed.
func (p *pair) removed() (names []string) {
	p.Helper()
	for _, r := range p.rows() {
		if !r.Removed.IsZero() {
			names = append(names, r.Name)
		}
	}
	return names
}

// told counts the alerts of a type that arrived, each id once.
func (p *pair) told(kind string) int {
	ids := map[string]bool{}
	for _, r := range p.receiver.Requests() {
		var e struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(r.Body, &e) == nil && e.Type == kind {
			ids[string(r.Body)] = true
		}
	}
	return len(ids)
}

func TestOneReplicaTellsOfWhatAllOfThemSee(t *testing.T) {
	t.Parallel()
	p := newPair(t, 2, "")
	var broken []string
	for i := range 8 {
		broken = append(broken, fmt.Sprintf("broken-%d", i))
	}
	text := p.text(append(broken, p.sources...), "[alerts]\nto = [\"ops\"]\nafter = \"0s\"\n")
	p.sharedOut()
	for _, r := range p.replicas {
		r.write(t, text)
		if _, err := r.client.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "an alert of each source that fails, whoever polls it", func() bool { return p.told("deltahook.source.failing") >= len(broken) })
	for n := range p.replicas {
		until(t, "both know of all troubles", func() bool { return len(p.status(n).Alerts) >= len(broken) })
	}
	if n := p.told("deltahook.source.failing"); n != len(broken) {
		t.Errorf("%d alerts of %d sources", n, len(broken))
	}
	if n := p.told("deltahook.source.recovered"); n > 0 {
		t.Errorf("%d have recovered, it says", n)
	}
}
