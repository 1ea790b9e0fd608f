package daemon_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/poller"
)

// long runs the tests of outages and backlogs in full length: go test ./internal/daemon -run 'T1|Backlog' -long -timeout 1h -v.
var long = flag.Bool("long", false, "outages and backlogs in full length, with their figures")

const eventSize = 1024

// load is a store with its only member and, once deliver was called, a dispatcher.
type load struct {
	testing.TB

	path       string
	st         *sqlite.Store
	member     store.Member
	dispatcher *emitter.Dispatcher
	events     map[string]int64 // sequence by source
}

func newLoad(tb testing.TB) *load {
	tb.Helper()
	l := &load{TB: tb, path: filepath.Join(tb.TempDir(), "load.db"), events: map[string]int64{}}
	l.open()
	tb.Cleanup(func() { _ = l.st.Close() })
	return l
}

func (l *load) open() {
	l.Helper()
	var err error
	if l.st, err = sqlite.Open(l.Context(), sqlite.Options{Path: l.path}); err != nil {
		l.Fatal(err)
	}
	if l.member, err = l.st.Join(l.Context(), "load", time.Hour); err != nil {
		l.Fatal(err)
	}
	if _, err = l.member.Acquire(l.Context(), store.AllShards()); err != nil {
		l.Fatal(err)
	}
}

// commit commits n events of a source, of so many records in turn, for one webhook, in one transaction.
func (l *load) commit(source string, n, records int, to string) []*poller.Event {
	l.Helper()
	st, err := l.member.Load(l.Context(), source)
	if err != nil {
		l.Fatal(err)
	}
	var made []*poller.Event
	c := poller.Commit{Source: source, Expect: st.Version, State: st}
	c.State.Sequence += int64(n)
	c.Writes = func(yield func(poller.Write, error) bool) {
		for w := range writesOf(l.st.Seed(), source, st.Sequence, n, records, to) {
			made = append(made, w.Event)
			if !yield(w, nil) {
				return
			}
		}
	}
	if _, err := l.member.Commit(l.Context(), c); err != nil {
		l.Fatal(err)
	}
	return made
}

// fill commits n events in polls of a bearable size.
func (l *load) fill(source string, n, records int, to string) {
	l.Helper()
	for left := n; left > 0; left -= 20_000 {
		l.commit(source, min(left, 20_000), records, to)
	}
}

// emit commits n events and hands them over.
func (l *load) emit(source string, n, records int, to string) {
	l.Helper()
	shard := store.ShardOf(source)
	made := l.commit(source, n, records, to)
	list := make([]emitter.Delivery, len(made))
	for i, e := range made {
		list[i] = emitter.Delivery{
			Ref: emitter.Ref{Lane: emitter.Lane{Shard: shard, Webhook: to}, Seq: e.Seq},
			ID:  e.ID, Source: e.Source, Key: e.Key, Type: e.Type, Sequence: e.Sequence, At: e.At, Body: e.Body,
		}
	}
	l.dispatcher.Dispatch(shard, list, true)
}

// writesOf makes updates of so many records in turn, with events of about a kilobyte.
func writesOf(seed differ.Seed, source string, after int64, n, records int, to string) iter.Seq[poller.Write] {
	hasher := differ.NewHasher(seed)
	pad := bytes.Repeat([]byte("x"), eventSize-160)
	return func(yield func(poller.Write) bool) {
		for i := range n {
			sequence := after + int64(i) + 1
			key := strconv.FormatInt(sequence%int64(records), 10)
			e := emitter.Event{
				Source: source, Type: source, Sequence: sequence, At: time.Now(),
				Change: differ.Change{Kind: differ.Created, Key: key, Record: fmt.Appendf(nil, `{"id":%s,"pad":"%s"}`, key, pad)},
			}
			w := poller.Write{
				Known: poller.Known{Hash: hasher.Key([]byte(key))}, Key: key, Body: e.Change.Record,
				Event: &poller.Event{
					ID: e.ID(seed), Source: source, Sequence: sequence, Type: e.EventType(), Change: differ.Created, Key: key,
					At: e.At, Body: emitter.EncodeStandard(nil, &e), To: []poller.Copy{{Webhook: to}},
				},
			}
			if !yield(w) {
				return
			}
		}
	}
}

// webhookTo is a webhook of a test.
func webhookTo(name, url string, edit func(*emitter.Webhook)) emitter.Webhook {
	w := emitter.DefaultWebhook()
	w.Name, w.URL = name, url
	w.Secret = setting.SecretList{setting.NewSecret(secret)}
	if edit != nil {
		edit(&w)
	}
	return w
}

// deliver starts a dispatcher; the test ends it.
func (l *load) deliver(observer emitter.Observer, webhooks ...emitter.Webhook) {
	l.Helper()
	var err error
	l.dispatcher, err = emitter.New(emitter.Options{Outbox: l.member, Webhooks: webhooks, Secrets: &setting.Secrets{}, Observer: observer})
	if err != nil {
		l.Fatal(err)
	}
	if err := l.dispatcher.Start(l.Context()); err != nil {
		l.Fatal(err)
	}
	l.dispatcher.Take(store.AllShards()...)
}

func (l *load) stop() {
	l.Helper()
	if err := l.dispatcher.Stop(context.WithoutCancel(l.Context())); err != nil {
		l.Error(err)
	}
}

// pending counts what waits for a webhook.
func (l *load) pending(webhook string) int64 {
	l.Helper()
	queues, err := l.st.Queues(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	for _, q := range queues {
		if q.Webhook == webhook {
			return q.Pending
		}
	}
	return 0
}

// within waits for a condition.
func within(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		if time.Now().After(end) {
			tb.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// share gives the value that this share of the others does not exceed.
func share(times []time.Duration, of float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(of*float64(len(sorted))), len(sorted)-1)]
}

// cpu gives the processor time that this process has taken.
func cpu(tb testing.TB) time.Duration {
	tb.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// peakRSS gives the most memory that this process ever had, as the system says; empty where it does not.
func peakRSS() string {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
