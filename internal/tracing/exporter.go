package tracing

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

// Exporter sends spans in batches, behind the work: a collector that is slow or down costs spans, and nothing else.
type Exporter struct {
	opts    Options
	version string
	log     *slog.Logger
	client  *http.Client
	spans   chan span
	stop    chan struct{}
	done    sync.WaitGroup
	lost    atomic.Int64 // since they were last told
	failing bool
}

// Bounds, those of the SDKs.
const (
	mostWaiting = 2048
	mostAtOnce  = 512
	interval    = 5 * time.Second
	flushTime   = 5 * time.Second
)

// Start begins to export; nil when the options say that nothing is to be. The nil Exporter takes spans and forgets them.
func Start(o Options, version string, log *slog.Logger) *Exporter {
	if o.Endpoint == "" {
		return nil
	}
	e := &Exporter{
		opts: o, version: version, log: log, spans: make(chan span, mostWaiting), stop: make(chan struct{}),
		client: &http.Client{
			Timeout:       o.Timeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the headers may be secret
		},
	}
	e.done.Go(e.run)
	return e
}

// Polled takes a poll.
func (e *Exporter) Polled(r poller.Result) {
	if e == nil || r.Paused {
		return
	}
	var id emitter.TraceID
	_, _ = rand.Read(id[:]) // it never fails
	if e.opts.Sampled(id) {
		e.take(pollSpan(id, &r))
	}
}

// Attempted takes an attempt to deliver.
func (e *Exporter) Attempted(d emitter.Delivery, o emitter.Outcome) {
	if e != nil && o.Trace.Sampled {
		e.take(attemptSpan(&d, &o))
	}
}

// take never waits.
func (e *Exporter) take(s span) {
	select {
	case e.spans <- s:
	default:
		e.lost.Add(1)
	}
}

// Stop sends what is left, for some seconds at most.
func (e *Exporter) Stop() {
	if e == nil {
		return
	}
	close(e.stop)
	e.done.Wait()
	e.client.CloseIdleConnections()
}

func (e *Exporter) run() {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var batch []span
	for {
		var full bool
		select {
		case s := <-e.spans:
			batch = append(batch, s)
			full = len(batch) >= mostAtOnce
		case <-tick.C:
			full = true
		case <-e.stop:
			e.flush(batch)
			return
		}
		if full && len(batch) > 0 {
			e.export(context.Background(), batch)
			batch = batch[:0]
		}
	}
}

// flush sends all that waits when the daemon stops.
func (e *Exporter) flush(batch []span) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	for {
		select {
		case s := <-e.spans:
			batch = append(batch, s)
			continue
		default:
		}
		for len(batch) > 0 {
			n := min(len(batch), mostAtOnce)
			e.export(ctx, batch[:n])
			batch = batch[n:]
		}
		return
	}
}

// export sends a batch, twice if the collector asks for it, and logs when that begins to fail and when it works again.
func (e *Exporter) export(ctx context.Context, batch []span) {
	body, err := encode(&e.opts, e.version, batch)
	if err == nil {
		var again time.Duration
		if again, err = e.post(ctx, body); err != nil && again > 0 {
			if e.wait(ctx, again) {
				_, err = e.post(ctx, body)
			}
		}
	}
	if err != nil {
		e.lost.Add(int64(len(batch)))
	}
	switch {
	case err != nil && !e.failing:
		e.log.WarnContext(ctx, "traces cannot be exported; nothing else is affected", "err", err)
	case err == nil && e.failing:
		e.log.InfoContext(ctx, "traces are exported again", "lost", e.lost.Swap(0))
	}
	e.failing = err != nil
}

// wait waits unless the exporter is stopped meanwhile.
func (e *Exporter) wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.stop:
	case <-ctx.Done():
	}
	return false
}

// post makes one request. Again is how long the collector wants to be left alone before another one is worth it; 0: it is not.
func (e *Exporter) post(ctx context.Context, body []byte) (again time.Duration, err error) {
	payload := body
	if e.opts.Gzip {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		_, err := zip.Write(body)
		if err = errors.Join(err, zip.Close()); err != nil {
			return 0, err
		}
		payload = b.Bytes()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.opts.Endpoint, bytes.NewReader(payload))
	if err != nil {
		return 0, errors.New("the endpoint cannot be used")
	}
	for name, v := range e.opts.Headers {
		req.Header.Set(name, v)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "deltahook/"+e.version)
	if e.opts.Gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return time.Second, fmt.Errorf("ask the collector: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return 0, nil
	}
	return repeat(resp), fmt.Errorf("the collector answered %s", resp.Status)
}

// repeat says after which time an answer is worth another request; OTLP names these four statuses.
func repeat(resp *http.Response) time.Duration {
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
	default:
		return 0
	}
	const longest = 30
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(min(s, longest)) * time.Second
	}
	return time.Second
}
