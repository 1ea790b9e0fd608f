package emitter_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

func dispatcher(tb testing.TB, outbox emitter.Outbox, webhooks ...emitter.Webhook) *emitter.Dispatcher {
	tb.Helper()
	d, err := emitter.New(emitter.Options{Outbox: outbox, Webhooks: webhooks, Secrets: &setting.Secrets{}, Version: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	if err := d.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	d.Take(1)
	return d
}

// until waits for a condition that real sockets bring about.
func until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("after five minutes: %s", what)
		}
	}
}

func TestAReplicaConvergesOverRealSocketsThatFail(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	r := newRig(t)
	r.webhook.Retry.Schedule = []setting.Duration{0, setting.Duration(time.Second)}
	r.Set(at(40, hooktest.Close(), at(400, hooktest.Cut(500), at(900, hooktest.RetryAfter(503, "1"), nil))))
	r.SetLost(at(200, hooktest.Cut(502), nil))
	outbox := emitter.NewFakeOutbox()
	d := dispatcher(t, outbox, r.webhook)
	for seq := int64(1); seq <= 2000; seq += 10 {
		var list []emitter.Delivery
		for i := seq; i < seq+10; i++ {
			list = append(list, delivery(i, fmt.Sprint("k", i%37)))
		}
		d.Dispatch(1, outbox.Commit(list...), true)
	}
	until(t, "not all were delivered", func() bool { return outbox.States("app")["delivered"] == 2000 })
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := r.Replica.Report()
	if report.Events != 2000 || report.Inversions != 0 || len(r.Replica.Missing("contacts")) != 0 || len(r.Problems()) != 0 || len(r.Replica.Records("contacts")) != 37 {
		t.Errorf("report %+v, missing %v, problems %v", report, r.Replica.Missing("contacts"), r.Problems())
	}
	if report.Duplicates != 1 || r.Count() != 2004 {
		t.Errorf("%d duplicates in %d requests; one answer was lost and three requests were refused", report.Duplicates, r.Count())
	}
}

// at meets one request with a fault and leaves the others to the next one.
func at(number int, f, next hooktest.Fault) hooktest.Fault {
	return func(w http.ResponseWriter, req *http.Request, n int) bool {
		if n == number {
			return f(w, req, n)
		}
		return next != nil && next(w, req, n)
	}
}

func TestStoppingLeavesNoGoroutineBehind(t *testing.T) {
	r := newRig(t)
	before := runtime.NumGoroutine()
	outbox := emitter.NewFakeOutbox()
	transport := outbound.NewPoster(outbound.PostOptions{MaxInFlight: 8})
	d, err := emitter.New(emitter.Options{
		Outbox: outbox, Webhooks: []emitter.Webhook{r.webhook}, Secrets: &setting.Secrets{},
		Transport: func(*emitter.Webhook) http.RoundTripper { return transport },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.Take(1)
	for i := range int64(100) {
		d.Dispatch(1, outbox.Commit(delivery(i+1, strconv.FormatInt(i, 10))), true)
	}
	until(t, "not all were delivered", func() bool { return outbox.States("app")["delivered"] == 100 })
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	transport.CloseIdleConnections()
	until(t, "goroutines are left", func() bool { return runtime.NumGoroutine() <= before })
}

// BenchmarkDelivery compares the dispatcher, from Dispatch to the acknowledgement, with a plain loop of POSTs of the same
// size of body and header, over the same kind of connections, at the same concurrency, in turns. The ratio of the
// rates is of_bare.
func BenchmarkDelivery(b *testing.B) {
	for _, c := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("c=%d", c), func(b *testing.B) { benchmarkDelivery(b, c) })
	}
}

func benchmarkDelivery(b *testing.B, concurrency int) {
	b.Helper()
	server, err := hooktest.Serve(b.Context(), "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	}))
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	w := emitter.DefaultWebhook()
	w.Name, w.URL, w.MaxInFlight = "app", server.URL, concurrency
	w.Secret = setting.SecretList{setting.NewSecret(secret)}
	body := append([]byte(`{"pad":"`), append(bytes.Repeat([]byte("x"), 1014), `"}`...)...)

	outbox := emitter.NewFakeOutbox()
	d := dispatcher(b, outbox, w)
	bare := &bareLoop{
		url: server.URL, body: body, header: sampleHeader(b),
		client: &http.Client{Transport: outbound.NewPoster(outbound.PostOptions{MaxInFlight: concurrency})},
	}
	const rounds = 4
	n := max(b.N/rounds, concurrency)
	bare.run(b.Context(), b, concurrency, concurrency)
	b.ResetTimer()
	var own, plain time.Duration
	sent := 0
	for range rounds {
		start := time.Now()
		bare.run(b.Context(), b, n, concurrency)
		plain += time.Since(start)
		start = time.Now()
		deliver(b, d, outbox, body, sent, n)
		own += time.Since(start)
		sent += n
	}
	b.StopTimer()
	if err := d.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(plain.Seconds()/own.Seconds(), "of_bare")
	b.ReportMetric(float64(sent)/own.Seconds(), "events/s")
	b.ReportMetric(float64(sent)/plain.Seconds(), "bare_posts/s")
	b.ReportMetric(0, "ns/op")
}

// deliver hands over n events in polls of 500 and waits until all are acknowledged.
func deliver(b *testing.B, d *emitter.Dispatcher, outbox *emitter.FakeOutbox, body []byte, from, n int) {
	b.Helper()
	for i := 0; i < n; i += 500 {
		list := make([]emitter.Delivery, 0, 500)
		for j := i; j < min(i+500, n); j++ {
			e := delivery(int64(from+j+1), fmt.Sprint("k", j))
			e.Body = body
			list = append(list, e)
		}
		d.Dispatch(1, outbox.Commit(list...), true)
	}
	until(b, "not all were acknowledged", func() bool { return outbox.Acked() == from+n })
}

// sampleHeader is signed once.
func sampleHeader(b *testing.B) http.Header {
	b.Helper()
	r := &hooktest.Receiver{NoReplica: true}
	server, err := hooktest.Serve(b.Context(), "127.0.0.1:0", r)
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	w := emitter.DefaultWebhook()
	w.URL, w.Secret = server.URL, setting.SecretList{setting.NewSecret(secret)}
	s, err := emitter.NewSender(emitter.SenderOptions{Webhook: w, Secrets: &setting.Secrets{}, Transport: outbound.NewPoster(outbound.PostOptions{})})
	if err != nil {
		b.Fatal(err)
	}
	if o := s.Send(b.Context(), delivery(1, "k")); o.Class != emitter.Delivered {
		b.Fatalf("outcome %+v", o)
	}
	return r.Requests()[0].Header
}

type bareLoop struct {
	url    string
	body   []byte
	header http.Header
	client *http.Client
}

func (l *bareLoop) run(ctx context.Context, b *testing.B, n, concurrency int) {
	b.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	for range concurrency {
		wg.Go(func() {
			for int(next.Add(1)) <= n {
				if err := l.post(ctx); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func (l *bareLoop) post(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(l.body))
	if err != nil {
		return err
	}
	for name, values := range l.header {
		if name != "Content-Length" {
			req.Header[name] = values
		}
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}
