package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/poller"
)

const eventSize = 1024

// BenchmarkDelivery sends events of 1 KiB from a real store to a real receiver, signed and durably acknowledged, and
// reports its rate as a share of a bare loop of POSTs with the same concurrency, measured in the same run.
func BenchmarkDelivery(b *testing.B) {
	for _, concurrency := range []int{8, 64} {
		b.Run(fmt.Sprintf("concurrency-%d", concurrency), func(b *testing.B) {
			const n = 20_000
			var got atomic.Int64
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				got.Add(1)
				w.WriteHeader(http.StatusNoContent)
			}))
			defer receiver.Close()
			var bare, ours time.Duration
			for b.Loop() {
				bare += postLoop(b, receiver.URL, n, concurrency)
				ours += deliverAll(b, receiver.URL, n, concurrency)
			}
			b.ReportMetric(float64(b.N*n)/ours.Seconds(), "events/s")
			b.ReportMetric(float64(b.N*n)/bare.Seconds(), "bare-posts/s")
			b.ReportMetric(bare.Seconds()/ours.Seconds(), "x/bound")
		})
	}
}

// postLoop is the physical bound: the same bodies over the same kind of transport, and nothing else.
func postLoop(b *testing.B, url string, n, concurrency int) time.Duration {
	b.Helper()
	client := &http.Client{Transport: outbound.NewPoster(outbound.PostOptions{MaxInFlight: concurrency})}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), eventSize)
	var left atomic.Int64
	left.Store(int64(n))
	start := time.Now()
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// deliverAll commits n events and measures from the start of delivery until the last one is durably settled.
func deliverAll(b *testing.B, url string, n, concurrency int) time.Duration {
	b.Helper()
	ctx := b.Context()
	st, member := filled(b, n)
	defer func() {
		if err := st.Close(); err != nil {
			b.Error(err)
		}
	}()
	w := emitter.DefaultWebhook()
	w.Name, w.URL, w.MaxInFlight = "app", url, concurrency
	w.Secret = setting.SecretList{setting.NewSecret(secret)}
	var delivered atomic.Int64
	d, err := emitter.New(emitter.Options{
		Outbox: member, Webhooks: []emitter.Webhook{w}, Secrets: &setting.Secrets{},
		Observer: emitter.Observer{Attempted: func(emitter.Delivery, emitter.Outcome) { delivered.Add(1) }},
	})
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := d.Start(ctx); err != nil {
		b.Fatal(err)
	}
	d.Take(store.AllShards()...)
	for delivered.Load() < int64(n) {
		time.Sleep(time.Millisecond)
	}
	if err := d.Stop(context.WithoutCancel(ctx)); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	if queues, err := st.Queues(ctx); err != nil || len(queues) > 0 {
		b.Fatalf("not all is settled: %v, %v", queues, err)
	}
	return took
}

// filled gives a store with n events that wait for the webhook app, of as many records of one source.
func filled(b *testing.B, n int) (*sqlite.Store, store.Member) {
	b.Helper()
	ctx := b.Context()
	st, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(b.TempDir(), "bench.db")})
	if err != nil {
		b.Fatal(err)
	}
	member, err := st.Join(ctx, "bench", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := member.Acquire(ctx, store.AllShards()); err != nil {
		b.Fatal(err)
	}
	_, err = member.Commit(ctx, poller.Commit{
		Source: "things", State: poller.State{Sequence: int64(n)}, Writes: manyEvents(st.Seed(), n),
	})
	if err != nil {
		b.Fatal(err)
	}
	return st, member
}

func manyEvents(seed differ.Seed, n int) iter.Seq2[poller.Write, error] {
	hasher := differ.NewHasher(seed)
	pad := bytes.Repeat([]byte("x"), eventSize-200)
	return func(yield func(poller.Write, error) bool) {
		for i := range n {
			key := strconv.Itoa(i)
			e := emitter.Event{
				Source: "things", Type: "things", Sequence: int64(i + 1), At: time.Now(),
				Change: differ.Change{Kind: differ.Created, Key: key, Record: fmt.Appendf(nil, `{"id":%s,"pad":"%s"}`, key, pad)},
			}
			w := poller.Write{
				Known: poller.Known{Hash: hasher.Key([]byte(key))}, Key: key, Body: e.Change.Record,
				Event: &poller.Event{
					ID: e.ID(seed), Source: "things", Sequence: e.Sequence, Type: e.EventType(), Change: differ.Created, Key: key,
					At: e.At, Body: emitter.EncodeStandard(nil, &e), To: []poller.Copy{{Webhook: "app"}},
				},
			}
			if !yield(w, nil) {
				return
			}
		}
	}
}
