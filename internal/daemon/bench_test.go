package daemon_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/outbound"
)

// BenchmarkDelivery sends events of 1 KiB from a real store to a real receiver, signed and durably acknowledged, and
// reports its rate as a share of that of a plain loop of POSTs with the same concurrency: x/bound by the clock, x/cpu by
// processor time, receiver included in both. The two take turns in short rounds, and the median of the pairs counts: on a
// machine that others use too, the second is the one to compare.
func BenchmarkDelivery(b *testing.B) {
	for _, concurrency := range []int{8, 64} {
		b.Run(fmt.Sprintf("concurrency-%d", concurrency), func(b *testing.B) {
			const rounds, n = 9, 20_000
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusNoContent)
			}))
			defer receiver.Close()
			var clock, processor []float64
			var ours time.Duration
			for b.Loop() {
				for range rounds {
					bare, bareCPU := postLoop(b, receiver.URL, n, concurrency)
					own, ownCPU := deliverAll(b, receiver.URL, n, concurrency)
					ours += own
					clock = append(clock, bare.Seconds()/own.Seconds())
					processor = append(processor, bareCPU.Seconds()/ownCPU.Seconds())
				}
			}
			slices.Sort(clock)
			slices.Sort(processor)
			b.ReportMetric(float64(len(clock)*n)/ours.Seconds(), "events/s")
			b.ReportMetric(clock[len(clock)/2], "x/bound")
			b.ReportMetric(processor[len(processor)/2], "x/cpu")
			b.ReportMetric(processor[0], "x/cpu-min")
			b.ReportMetric(processor[len(processor)-1], "x/cpu-max")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// postLoop is the physical bound: the same bodies over the same kind of transport, and nothing else.
func postLoop(b *testing.B, url string, n, concurrency int) (took, busy time.Duration) {
	b.Helper()
	client := &http.Client{Transport: outbound.NewPoster(outbound.PostOptions{MaxInFlight: concurrency})}
	defer client.CloseIdleConnections()
	body := bytes.Repeat([]byte("x"), eventSize)
	var left atomic.Int64
	left.Store(int64(n))
	runtime.GC() // of what came before
	before, start := cpu(b), time.Now()
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				resp, err := client.Post(url, "application/json", bytes.NewReader(body))
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
	return time.Since(start), cpu(b) - before
}

// deliverAll commits n events and measures from the start of delivery until the last one is durably settled.
func deliverAll(b *testing.B, url string, n, concurrency int) (took, busy time.Duration) {
	b.Helper()
	l := newLoad(b)
	defer func() {
		if err := l.st.Close(); err != nil {
			b.Error(err)
		}
	}()
	l.fill("things", n, n, "app")
	var delivered atomic.Int64
	runtime.GC() // of what came before
	before, start := cpu(b), time.Now()
	l.deliver(emitter.Observer{Attempted: func(emitter.Delivery, emitter.Outcome) { delivered.Add(1) }},
		webhookTo("app", url, func(w *emitter.Webhook) { w.MaxInFlight = concurrency }))
	for delivered.Load() < int64(n) {
		time.Sleep(time.Millisecond)
	}
	l.stop()
	took, busy = time.Since(start), cpu(b)-before
	if left := l.pending("app"); left > 0 {
		b.Fatalf("%d are not settled", left)
	}
	return took, busy
}
