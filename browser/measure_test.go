package browser

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/poller"
)

// long measures with a large store: go test -run Large -long -timeout 30m -v.
var long = flag.Bool("long", false, "measure with 5,000 sources and 1,000,000 events")

// TestALargeDeltahookIsStillQuick tells how long views take until they can be used. It measures; it does not judge.
func TestALargeDeltahookIsStillQuick(t *testing.T) {
	if !*long {
		t.Skip("it takes minutes: go test -run Large -long -timeout 30m -v")
	}
	url := large(t, 5_000, 1_000_000)
	p := newTab(t, start(t), url)
	for _, path := range []string{"/", "/?q=source-4&sort=records", "/?page=3", "/sources/source-00042", "/sources/source-00042/events", "/sources/source-00042/records", "/events", "/events?source=source-00042", "/deliveries"} {
		var answer, interactive []float64
		for range 7 {
			p.open(path)
			answer = append(answer, eval[float64](p, `performance.getEntriesByType("navigation")[0].responseEnd`))
			// The script has run, and nothing keeps the page from answering to a person.
			interactive = append(interactive, eval[float64](p, `new Promise(done => requestIdleCallback(() => done(Math.max(performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd, 0))))`))
		}
		slices.Sort(answer)
		slices.Sort(interactive)
		t.Logf("%-36s answer %4.0f ms, interactive %4.0f ms (medians of %d, worst %.0f ms)", path, answer[3], interactive[3], len(answer), interactive[6])
	}
	if shown := p.text("body"); !strings.Contains(shown, "app") {
		t.Errorf("the last page shows %s", shown)
	}
}

// large starts a deltahook whose store was filled before: every fiftieth source has deliveries.
func large(t *testing.T, sources, events int) (url string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large.db")
	fill(t, path, sources, events/sources)
	receiver := httptest.NewServer(&hooktest.Receiver{Keep: -1, NoReplica: true})
	t.Cleanup(receiver.Close)
	upstream := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(upstream.Close)
	var text strings.Builder
	for i := range sources {
		fmt.Fprintf(&text, "[source.%s]\nurl = \"%s/%d\"\nevery = \"24h\"\non_start = \"schedule\"\nkey = \"id\"\n", nameOf(i), upstream.URL, i)
	}
	fmt.Fprintf(&text, "[webhook.app]\nurl = \"%s\"\nsecret = \"%s\"\n[store]\nurl = \"sqlite:%s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n", receiver.URL, secret, filepath.ToSlash(path))
	secrets := &setting.Secrets{}
	cfg, report := config.Parse([]config.File{{Path: "large.toml", Text: []byte(text.String())}}, secrets)
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	d, err := daemon.New(t.Context(), daemon.Options{Config: cfg, Secrets: secrets, Store: st, Log: slog.New(slog.DiscardHandler), Version: "1.0.0", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = d.Stop(ctx)
		_ = st.Close()
	})
	return "http://" + d.Addr()
}

func nameOf(i int) string { return fmt.Sprintf("source-%05d", i) }

func fill(t *testing.T, path string, sources, each int) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = st.Close() }()
	m, err := st.Join(t.Context(), "fill", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Acquire(t.Context(), store.AllShards()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for i := range sources {
		var to []poller.Copy
		if i%50 == 0 {
			to = []poller.Copy{{Webhook: "app"}}
		}
		commit := poller.Commit{
			Source: nameOf(i), State: poller.State{Sequence: int64(each), Records: int64(each), Baselined: began},
			Poll: &poller.Poll{At: began, Verdict: poller.Complete, Pages: 1, Records: each, Created: each},
			Writes: func(yield func(poller.Write, error) bool) {
				for w := range writes(st.Seed(), nameOf(i), each, to) {
					if !yield(w, nil) {
						return
					}
				}
			},
		}
		if _, err := m.Commit(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d sources with %d events each were stored in %s", sources, each, time.Since(began).Round(time.Second))
}

// writes makes new records with their events, of half a kilobyte each.
func writes(seed differ.Seed, source string, n int, to []poller.Copy) iter.Seq[poller.Write] {
	hasher, pad := differ.NewHasher(seed), bytes.Repeat([]byte("x"), 300)
	return func(yield func(poller.Write) bool) {
		for i := range n {
			key := strconv.Itoa(i)
			e := emitter.Event{
				Source: source, Type: source, Sequence: int64(i + 1), At: time.Now(),
				Change: differ.Change{Kind: differ.Created, Key: key, Record: fmt.Appendf(nil, `{"id":%s,"pad":"%s"}`, key, pad)},
			}
			w := poller.Write{Known: poller.Known{Hash: hasher.Key([]byte(key))}, Key: key, Body: e.Change.Record, Event: &poller.Event{
				ID: e.ID(seed), Source: source, Sequence: e.Sequence, Type: e.EventType(), Change: differ.Created, Key: key,
				At: e.At, Body: emitter.EncodeStandard(nil, &e), To: to,
			}}
			if !yield(w) {
				return
			}
		}
	}
}
