package daemon_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
)

// clerk measures commits and acknowledgements of single events, one store after the other.
type clerk struct {
	*load
	commits, acks []time.Duration
}

func (c *clerk) once() {
	c.Helper()
	start := time.Now()
	e := c.commit("live", 1, 100, "live")[0]
	c.commits = append(c.commits, time.Since(start))
	receipt := emitter.Receipt{
		Ref:     emitter.Ref{Lane: emitter.Lane{Shard: store.ShardOf("live"), Webhook: "live"}, Seq: e.Seq},
		Attempt: emitter.Attempt{Number: 1, At: time.Now(), Status: http.StatusOK},
	}
	start = time.Now()
	if err := c.member.Ack(c.Context(), []emitter.Receipt{receipt}); err != nil {
		c.Fatal(err)
	}
	c.acks = append(c.acks, time.Since(start))
}

// inOrder is a receiver that keeps no more than the last sequence of each record.
type inOrder struct {
	mu       sync.Mutex
	last     map[string]int64
	disorder int
	count    atomic.Int64
}

func (r *inOrder) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	e, err := hooktest.ParseEvent(req.Header.Get("webhook-id"), body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || e.Sequence <= r.last[e.Key] {
		r.disorder++
	}
	r.last[e.Key] = e.Sequence
	r.count.Add(1)
}

// T3: what waits for a dead webhook slows nobody down, is listed at once, and drains in order and in bounded memory when it is
// back.
func TestABacklogSlowsNothingDownAndDrainsInOrderInBoundedMemory(t *testing.T) {
	t.Parallel()
	n, rounds, of, tolerated := 20_000, 150, 0.1, 3. // the quick ones: what slows the others down is what else the machine does
	if *long {
		n, rounds, of, tolerated = 1_000_000, 1000, 0.5, 1.5
	}
	full, empty := newLoad(t), newLoad(t)
	full.commit("early", 60, 10, "other")
	full.fill("things", n, 50_000, "app")
	with, without := &clerk{load: full}, &clerk{load: empty}
	for range rounds {
		with.once()
		without.once()
	}
	commit := share(with.commits, of).Seconds() / share(without.commits, of).Seconds()
	ack := share(with.acks, of).Seconds() / share(without.acks, of).Seconds()
	t.Logf("with %d waiting a commit takes %.2f times (p50 %s) and an acknowledgement %.2f times (p50 %s) as long as without",
		n, commit, share(with.commits, 0.5), ack, share(with.acks, 0.5))
	if commit > tolerated || ack > tolerated {
		t.Errorf("a commit takes %.2f times, an acknowledgement %.2f times as long as in an empty store", commit, ack)
	}
	checkLists(t, full, n)
	drain(t, full, n)
}

// checkLists looks at what people look at.
func checkLists(t *testing.T, l *load, n int) {
	t.Helper()
	lists := admin.Lists{Store: l.st}
	looks := map[string]func() (int, error){
		"deliveries": func() (int, error) { return seen(lists.Deliveries(t.Context(), store.DeliveryQuery{Limit: 50})) },
		"pending of a webhook": func() (int, error) {
			return seen(lists.Deliveries(t.Context(), store.DeliveryQuery{Webhook: "app", State: store.StatePending, Limit: 50}))
		},
		"what an old source has": func() (int, error) {
			return seen(lists.Deliveries(t.Context(), store.DeliveryQuery{Source: "early", Limit: 50}))
		},
		"what another webhook has": func() (int, error) {
			return seen(lists.Deliveries(t.Context(), store.DeliveryQuery{Webhook: "other", Limit: 50}))
		},
		"events of a source": func() (int, error) {
			return seen(lists.Events(t.Context(), store.EventQuery{Source: "things", Limit: 50}))
		},
		"queues":  func() (int, error) { return seen(l.st.Queues(t.Context())) },
		"sources": func() (int, error) { return seen(l.st.Sources(t.Context())) },
	}
	for name, look := range looks {
		quickest := time.Hour
		for range 5 {
			start := time.Now()
			if rows, err := look(); err != nil || rows == 0 {
				t.Fatalf("%s: %d rows, %v", name, rows, err)
			}
			quickest = min(quickest, time.Since(start))
		}
		t.Logf("%s with %d waiting: %s", name, n, quickest)
		if *long && quickest > 100*time.Millisecond {
			t.Errorf("%s took %s", name, quickest)
		}
	}
}

func seen[T any](rows []T, err error) (int, error) { return len(rows), err }

// drain restarts the store and lets its webhook be there.
func drain(t *testing.T, l *load, n int) {
	t.Helper()
	if err := l.st.Close(); err != nil {
		t.Fatal(err)
	}
	receiver := &inOrder{last: map[string]int64{}}
	server := httptest.NewServer(receiver)
	defer server.Close()
	start := time.Now()
	l.open()
	opened := time.Since(start)
	l.deliver(emitter.Observer{}, webhookTo("app", server.URL, func(w *emitter.Webhook) {
		w.MaxInFlight, w.Timeout = 32, setting.Duration(time.Minute)
	}))
	within(t, time.Minute, "the first delivery", func() bool { return receiver.count.Load() > 0 })
	first := time.Since(start)
	most := uint64(0)
	within(t, 30*time.Minute, "all are delivered", func() bool {
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		most = max(most, mem.HeapInuse)
		return l.pending("app") == 0
	})
	took := time.Since(start)
	l.stop()
	t.Logf("opened after %s, first delivery after %s, %d drained in %s (%.0f/s); heap at most %d MiB, peak RSS of the test with its receiver %s",
		opened, first, n, took.Round(time.Second), float64(n)/took.Seconds(), most>>20, peakRSS())
	if receiver.disorder > 0 || receiver.count.Load() < int64(n) {
		t.Errorf("%d came out of order, %d arrived", receiver.disorder, receiver.count.Load())
	}
	if *long && most > 256<<20 { // of a gigabyte that waits; other tests run beside a short one
		t.Errorf("%d MiB of heap", most>>20)
	}
}
