package emitter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/trust"
)

// fakeOutbox is a durable queue in memory: what a store promises, no more.
type fakeOutbox struct {
	mu    sync.Mutex
	rows  map[Lane][]*fakeRow // in order of Seq
	gates map[string]GateState
	acked int // receipts
	calls map[string]int
	// fault is asked before each call; an error refuses it.
	fault func(op string) error
	// latency delays each answer of Pending, after the page was read.
	latency time.Duration
	// sealTakes delays each answer of Seal.
	sealTakes time.Duration
	// parkTakes delays each answer of Park.
	parkTakes time.Duration
	// acknowledged is called when something is settled, before the dispatcher hears of it.
	acknowledged func()
}

type fakeRow struct {
	Delivery

	state    string // pending, delivered, parked
	reason   string
	parked   time.Time
	attempts []Attempt
}

// tried notes a failed attempt.
func (r *fakeRow) tried(a Attempt, next time.Time) {
	r.Attempts, r.NextAt, r.TriedAt, r.Status, r.Reason = a.Number, next, a.At, a.Status, a.Reason
	if r.Since.IsZero() {
		r.Since = a.At
	}
}

func newFakeOutbox() *fakeOutbox {
	return &fakeOutbox{rows: map[Lane][]*fakeRow{}, gates: map[string]GateState{}, calls: map[string]int{}}
}

// commit makes deliveries durable; it gives them back for Dispatch.
func (f *fakeOutbox) commit(list ...Delivery) []Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, d := range list {
		f.rows[d.Lane] = append(f.rows[d.Lane], &fakeRow{Delivery: d, state: "pending"})
	}
	return list
}

func (f *fakeOutbox) call(op string) error {
	f.calls[op]++
	if f.fault != nil {
		return f.fault(op)
	}
	return nil
}

func (f *fakeOutbox) Lanes(context.Context) ([]Lane, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("lanes"); err != nil {
		return nil, err
	}
	var lanes []Lane
	for lane, rows := range f.rows {
		if slices.ContainsFunc(rows, func(r *fakeRow) bool { return r.state == "pending" }) {
			lanes = append(lanes, lane)
		}
	}
	return lanes, nil
}

func (f *fakeOutbox) Pending(ctx context.Context, lane Lane, after int64, limit int) ([]Delivery, error) {
	f.mu.Lock()
	err := f.call("pending")
	var page []Delivery
	rows := f.rows[lane]
	at, _ := slices.BinarySearchFunc(rows, after+1, func(r *fakeRow, seq int64) int { return cmp.Compare(r.Seq, seq) })
	for _, r := range rows[at:] {
		if len(page) == limit {
			break
		}
		if r.state == "pending" {
			page = append(page, r.Delivery)
		}
	}
	f.mu.Unlock()
	if f.latency > 0 {
		waitFor(ctx, f.latency)
	}
	if err != nil {
		return nil, err
	}
	return page, ctx.Err()
}

func (f *fakeOutbox) Seal(ctx context.Context, parcels []Parcel) ([][]Delivery, error) {
	if f.sealTakes > 0 {
		waitFor(ctx, f.sealTakes)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("seal"); err != nil {
		return nil, err
	}
	sealed := make([][]Delivery, len(parcels))
	for i, p := range parcels {
		sealed[i] = f.sealOne(p)
	}
	return sealed, nil
}

func (f *fakeOutbox) sealOne(p Parcel) (list []Delivery) {
	var rows []*fakeRow
	var ids []string
	size := 0
	for _, seq := range p.Seqs {
		row := f.find(Ref{Lane: p.Lane, Seq: seq})
		if row.state != "pending" {
			continue
		}
		if size = BatchSize(size, row.Body); p.Batch && size > p.MaxBytes && len(rows) > 0 {
			break
		}
		rows, ids = append(rows, row), append(ids, row.ID)
	}
	for _, row := range rows {
		if row.Loose = false; p.Batch && row.Batch != BatchID(ids) {
			f.unbind(p.Lane, row.Batch)
			row.Batch, row.Attempts = BatchID(ids), 0
		}
		list = append(list, row.Delivery)
	}
	return list
}

func (f *fakeOutbox) unbind(lane Lane, id string) {
	for _, row := range f.rows[lane] {
		if row.Batch == id && row.state == "pending" {
			row.Batch = ""
		}
	}
}

func (f *fakeOutbox) Batches(_ context.Context, lane Lane) (ids []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, row := range f.rows[lane] {
		if row.state == "pending" && row.Batch != "" && !slices.Contains(ids, row.Batch) {
			ids = append(ids, row.Batch)
		}
	}
	return ids, f.call("batches")
}

func (f *fakeOutbox) Batch(_ context.Context, lane Lane, id string) (list []Delivery, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, row := range f.rows[lane] {
		if row.state == "pending" && row.Batch == id {
			list = append(list, row.Delivery)
		}
	}
	return list, f.call("batch")
}

func (f *fakeOutbox) FailBatch(_ context.Context, lane Lane, seqs []int64, attempt Attempt, next Next) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	op := "failBatch"
	if next.Park != "" {
		op = "park"
	}
	if err := f.call(op); err != nil {
		return err
	}
	for _, seq := range seqs {
		row := f.find(Ref{Lane: lane, Seq: seq})
		if row.state != "pending" {
			continue
		}
		if attempt.Number > 0 {
			row.tried(attempt, next.At)
			row.attempts = append(row.attempts, attempt)
		}
		switch {
		case next.Split:
			row.Batch, row.Attempts = "", 0
		case next.Park != "":
			row.state, row.reason, row.parked = "parked", next.Park, time.Now()
		}
	}
	return nil
}

func (f *fakeOutbox) find(r Ref) *fakeRow {
	rows := f.rows[r.Lane]
	at, ok := slices.BinarySearchFunc(rows, r.Seq, func(r *fakeRow, seq int64) int { return cmp.Compare(r.Seq, seq) })
	if !ok {
		return &fakeRow{}
	}
	return rows[at]
}

func (f *fakeOutbox) Ack(_ context.Context, receipts []Receipt) error {
	if f.acknowledged != nil {
		defer f.acknowledged()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("ack"); err != nil {
		return err
	}
	f.acked += len(receipts)
	for _, r := range receipts {
		row := f.find(r.Ref)
		row.state = "delivered"
		row.attempts = append(row.attempts, r.Attempt)
	}
	return nil
}

func (f *fakeOutbox) Retry(_ context.Context, r Ref, attempt Attempt, next time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("retry"); err != nil {
		return err
	}
	if row := f.find(r); row.state == "pending" {
		row.tried(attempt, next)
		row.attempts = append(row.attempts, attempt)
	}
	return nil
}

func (f *fakeOutbox) Park(ctx context.Context, r Ref, reason string, attempt *Attempt) error {
	if f.parkTakes > 0 {
		waitFor(ctx, f.parkTakes)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("park"); err != nil {
		return err
	}
	row := f.find(r)
	row.state, row.reason, row.parked = "parked", reason, time.Now()
	if attempt != nil {
		row.Attempts = attempt.Number
		row.attempts = append(row.attempts, *attempt)
	}
	return nil
}

func (f *fakeOutbox) Gates(context.Context) (map[string]GateState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.gates), f.call("gates")
}

func (f *fakeOutbox) NewGates(context.Context) (map[string]GateState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.gates), f.call("new gates")
}

func (f *fakeOutbox) SaveGate(_ context.Context, webhook string, state GateState) (GateState, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("gate"); err != nil {
		return GateState{}, false, err
	}
	if now := f.gates[webhook]; now.Gen != state.Gen {
		return now, false, nil
	}
	state.Gen++
	f.gates[webhook] = state
	return state, true, nil
}

// setFault changes what is refused.
func (f *fakeOutbox) setFault(fault func(op string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// called counts the calls so far.
func (f *fakeOutbox) called(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// gate gives a stored gate.
func (f *fakeOutbox) gate(webhook string) GateState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.gates[webhook]
}

// replay queues a settled delivery again.
func (f *fakeOutbox) replay(r Ref) {
	f.mu.Lock()
	defer f.mu.Unlock()
	row := f.find(r)
	row.state, row.Replay, row.Attempts, row.NextAt, row.Since = "pending", true, 0, time.Time{}, time.Now()
}

// lose settles a delivery behind the dispatcher's back.
func (f *fakeOutbox) lose(r Ref) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.find(r).state = "delivered"
}

// states counts the deliveries of a webhook by state.
func (f *fakeOutbox) states(webhook string) map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := map[string]int{}
	for lane, rows := range f.rows {
		if lane.Webhook == webhook {
			for _, r := range rows {
				counts[r.state]++
			}
		}
	}
	return counts
}

func (f *fakeOutbox) row(r Ref) fakeRow {
	f.mu.Lock()
	defer f.mu.Unlock()
	row := *f.find(r)
	row.attempts = slices.Clone(row.attempts)
	return row
}

var errRefused = errors.New("disk full")

// post is one request that a fake receiver got.
type post struct {
	at      time.Time
	id, key string
	attempt string
	body    string
	count   string // deltahook-batch
	status  int
}

// fakeReceiver is a transport that answers by itself. It checks on the way that no record has two requests at a time.
type fakeReceiver struct {
	mu       sync.Mutex
	answer   func(p post) reply // see set
	posts    []post
	flying   map[string]int // by key
	together int            // now
	most     int            // at the same time
	overlaps int            // a record had two requests at a time
	allows   map[string]string
	asked    int // handshakes
}

type reply struct {
	status int
	after  string // Retry-After
	date   time.Time
	took   time.Duration
	err    error
}

func (f *fakeReceiver) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodOptions {
		return f.shakeHands(req), nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	key, _, _ := strings.Cut(string(body), " ")
	exact := func(name string) string { return req.Header[name][0] }
	p := post{at: time.Now(), id: exact(headerID), key: key, attempt: exact(headerAttempt), body: string(body)}
	if count := req.Header[headerBatch]; len(count) > 0 {
		p.count = count[0]
	}
	for key := range keysIn(p) {
		f.enter(key)
		defer f.leave(key)
	}
	r := f.decide(p)
	if r.took > 0 {
		waitFor(req.Context(), r.took)
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	p.status = r.status
	f.mu.Lock()
	f.posts = append(f.posts, p)
	f.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	h := http.Header{}
	if r.after != "" {
		h.Set("Retry-After", r.after)
	}
	if !r.date.IsZero() {
		h.Set("Date", r.date.UTC().Format(http.TimeFormat))
	}
	return &http.Response{StatusCode: r.status, Header: h, Body: http.NoBody, Request: req}, nil
}

// shakeHands answers a handshake with the headers that are set.
func (f *fakeReceiver) shakeHands(req *http.Request) *http.Response {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	h := http.Header{}
	for name, value := range f.allows {
		h.Set(name, value)
	}
	return &http.Response{StatusCode: http.StatusOK, Header: h, Body: http.NoBody, Request: req}
}

// questions counts the handshakes.
func (f *fakeReceiver) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// allow changes the answer to handshakes.
func (f *fakeReceiver) allow(headers map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.allows = headers
}

// events splits the body of a batch into those of its events.
func (p post) events() []string {
	if list, ok := strings.CutPrefix(p.body, "["); ok {
		return strings.Split(strings.TrimSuffix(list, "]"), ",")
	}
	return []string{p.body}
}

func keysIn(p post) map[string]struct{} {
	set := map[string]struct{}{}
	for _, e := range p.events() {
		key, _, _ := strings.Cut(e, " ")
		set[key] = struct{}{}
	}
	return set
}

// set changes how requests are answered; nil: 200 at once.
func (f *fakeReceiver) set(answer func(p post) reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fakeReceiver) decide(p post) reply {
	f.mu.Lock()
	answer := f.answer
	f.mu.Unlock()
	if answer == nil {
		return reply{status: http.StatusOK}
	}
	return answer(p)
}

func (f *fakeReceiver) enter(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flying == nil {
		f.flying = map[string]int{}
	}
	if f.flying[key]++; f.flying[key] > 1 {
		f.overlaps++
	}
	f.together++
	f.most = max(f.most, f.together)
}

// atOnce is the most requests that were under way at the same time.
func (f *fakeReceiver) atOnce() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.most
}

func (f *fakeReceiver) leave(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flying[key]--
	f.together--
}

func (f *fakeReceiver) got() []post {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.posts)
}

// last gives the most recent n requests.
func (f *fakeReceiver) last(n int) []post {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.posts[max(0, len(f.posts)-n):])
}

// delivered gives the bodies that got a 2xx, in order of arrival.
func (f *fakeReceiver) delivered() []string {
	var bodies []string
	for _, p := range f.got() {
		if p.status >= 200 && p.status <= 299 {
			bodies = append(bodies, p.events()...)
		}
	}
	return bodies
}

// bench is a dispatcher between a fake outbox and fake receivers.
type bench struct {
	t         *testing.T
	outbox    *fakeOutbox
	receivers map[string]*fakeReceiver
	webhooks  []Webhook
	observer  Observer
	window    Window
	trust     *trust.Window
	d         *Dispatcher
	seq       int64
}

// newBench has a webhook "w" without jitter, and one receiver for it.
func newBench(t *testing.T, edit ...func(*Webhook)) *bench {
	t.Helper()
	b := &bench{t: t, outbox: newFakeOutbox(), receivers: map[string]*fakeReceiver{}}
	b.webhook("w", edit...)
	return b
}

func (b *bench) webhook(name string, edit ...func(*Webhook)) *fakeReceiver {
	w := DefaultWebhook()
	w.Name, w.URL, w.Sign = name, "http://127.0.0.1:1/"+name, "none"
	w.Retry.Jitter = 0
	for _, e := range edit {
		e(&w)
	}
	b.webhooks = append(b.webhooks, w)
	b.receivers[name] = &fakeReceiver{}
	return b.receivers[name]
}

func (b *bench) receiver() *fakeReceiver { return b.receivers["w"] }

// start starts a dispatcher that owns shard 1.
func (b *bench) start() *bench {
	b.t.Helper()
	d, err := New(Options{
		Outbox: b.outbox, Webhooks: b.webhooks, Secrets: &setting.Secrets{}, Version: "test", Observer: b.observer, Window: b.window, Trust: b.trust,
		Transport: func(w *Webhook) http.RoundTripper { return b.receivers[w.Name] },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := d.Start(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	d.Take(1)
	b.d = d
	return b
}

func (b *bench) stop() {
	b.t.Helper()
	if err := b.d.Stop(context.Background()); err != nil {
		b.t.Fatal(err)
	}
}

// event makes the next delivery of a record; the body begins with the key.
func (b *bench) event(webhook, key string) Delivery {
	b.seq++
	return Delivery{
		Ref: Ref{Lane: Lane{Shard: 1, Webhook: webhook}, Seq: b.seq}, ID: fmt.Sprintf("evt_%d", b.seq),
		Source: "s", Key: key, Type: "s.updated", Sequence: b.seq, At: time.Now(), Body: fmt.Appendf(nil, "%s %d", key, b.seq),
	}
}

// emit commits and dispatches one event per key to the webhook "w".
func (b *bench) emit(keys ...string) []Delivery {
	list := make([]Delivery, len(keys))
	for i, key := range keys {
		list[i] = b.event("w", key)
	}
	b.d.Dispatch(1, b.outbox.commit(list...), true)
	return list
}

func (b *bench) stats() Stats { return b.d.Stats()[0] }

// keys makes n different ones.
func keys(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("k%d", i)
	}
	return list
}

func repeat(key string, n int) []string { return slices.Repeat([]string{key}, n) }

// checkOrder fails unless the first deliveries of each record came in order, and none was missed or doubled when exact.
func checkOrder(t *testing.T, r *fakeReceiver, want int, exact bool) {
	t.Helper()
	last, first := map[string]int64{}, map[string]bool{}
	for _, body := range r.delivered() {
		if first[body] {
			if exact {
				t.Errorf("%q was delivered twice", body)
			}
			continue
		}
		first[body] = true
		var key string
		var seq int64
		if _, err := fmt.Sscanf(body, "%s %d", &key, &seq); err != nil {
			t.Fatalf("body %q: %v", body, err)
		}
		if seq < last[key] {
			t.Errorf("%s: %d came after %d", key, seq, last[key])
		}
		last[key] = seq
	}
	if len(first) != want {
		t.Errorf("%d different events were delivered, want %d", len(first), want)
	}
	if r.overlaps > 0 {
		t.Errorf("a record had two requests at a time, %d times", r.overlaps)
	}
}
