package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/metrics"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/poller"
)

// process is what one process sees of the store: once it has died, nothing it does counts.
type process struct {
	store.Member

	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (p *process) Seal(ctx context.Context, parcels []emitter.Parcel) ([][]emitter.Delivery, error) {
	if p.dead.Load() {
		return nil, errDead
	}
	return p.Member.Seal(ctx, parcels)
}

func (p *process) FailBatch(ctx context.Context, lane emitter.Lane, seqs []int64, a emitter.Attempt, next emitter.Next) error {
	if p.dead.Load() {
		return errDead
	}
	return p.Member.FailBatch(ctx, lane, seqs, a, next)
}

func (p *process) Ack(ctx context.Context, receipts []emitter.Receipt) error {
	if p.dead.Load() {
		return errDead
	}
	return p.Member.Ack(ctx, receipts)
}

func (p *process) Retry(ctx context.Context, ref emitter.Ref, a emitter.Attempt, next time.Time) error {
	if p.dead.Load() {
		return errDead
	}
	return p.Member.Retry(ctx, ref, a, next)
}

// receiver is a transport that keeps a replica and fails by chance, before or after it has taken a webhook.
type receiver struct {
	t       *testing.T
	replica hooktest.Replica
	healthy atomic.Bool
	posts   atomic.Int64
	poison  atomic.Value // key of a record whose events get a 500

	mu       sync.Mutex
	flying   map[string]int // requests under way by record, and by source under ""
	together map[string]int // the most of those at a time
}

// enter and leave count what is under way.
func (r *receiver) enter(key string, step int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flying == nil {
		r.flying, r.together = map[string]int{}, map[string]int{}
	}
	for _, k := range []string{"", key} {
		r.flying[k] += step
		r.together[k] = max(r.together[k], r.flying[k])
	}
}

// most gives how many requests of a record, or of all under "", were under way at a time.
func (r *receiver) most(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.together[key]
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.posts.Add(1)
	if e, err := hooktest.ParseEvent("", body); err == nil {
		r.enter(e.Key, 1)
		defer r.enter(e.Key, -1)
		if e.Key == r.poison.Load() {
			return &http.Response{StatusCode: http.StatusInternalServerError, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
		}
	}
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: req}
	chance := rand.IntN(10)
	if r.healthy.Load() {
		chance = 9
	}
	select {
	case <-time.After(rand.N(300 * time.Millisecond)):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if chance == 0 {
		answer.StatusCode = http.StatusServiceUnavailable
		return answer, nil
	}
	id := req.Header["webhook-id"][0]
	if body[0] == '[' {
		err = r.replica.ApplyBatch(id, body, func(hooktest.Event, bool) {})
	} else {
		_, _, err = r.replica.Apply(id, body)
	}
	if err != nil {
		r.t.Error(err)
	}
	if chance < 3 {
		return nil, errors.New("connection reset by peer")
	}
	return answer, nil
}

// flow is a source, a store and a dispatcher that leads to a receiver.
type flow struct {
	t        *testing.T
	chance   *rand.Rand
	store    *sqlite.Store
	webhook  emitter.Webhook
	source   *poller.Source
	shape    *differ.Shape
	receiver *receiver

	process    *process
	dispatcher *emitter.Dispatcher
	outlet     *outlet
	ledger     *ledger

	state poller.State
	truth map[string]string // records upstream, as the source knows them
}

func newFlow(t *testing.T, seed uint64, edit func(*emitter.Webhook)) *flow {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(t.TempDir(), "flow.db")})
	if err != nil {
		t.Fatal(err)
	}
	f := &flow{t: t, chance: rand.New(rand.NewPCG(seed, 11)), store: st, webhook: emitter.DefaultWebhook(), receiver: &receiver{t: t}, truth: map[string]string{}}
	f.webhook.Name, f.webhook.URL, f.webhook.Sign = "app", "http://127.0.0.1:1/", "none"
	edit(&f.webhook)
	f.source = &poller.Source{Name: "things", Ignore: []differ.Path{differ.MustPath("seen")}}
	spec := f.source.Spec()
	if f.shape, err = spec.Compile(); err != nil {
		t.Fatal(err)
	}
	f.begin()
	return f
}

// begin starts a process.
func (f *flow) begin() {
	f.t.Helper()
	member, err := f.store.Join(f.t.Context(), "test", time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := member.Acquire(f.t.Context(), store.AllShards()); err != nil {
		f.t.Fatal(err)
	}
	f.process = &process{Member: member}
	webhooks := []emitter.Webhook{f.webhook}
	f.dispatcher, err = emitter.New(emitter.Options{
		Outbox: f.process, Webhooks: webhooks, Secrets: &setting.Secrets{},
		Transport: func(*emitter.Webhook) http.RoundTripper { return f.receiver },
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.outlet = newOutlet(webhooks, f.store.Seed(), func(string) bool { return false })
	f.ledger = &ledger{Member: f.process, dispatcher: f.dispatcher, journal: &admin.Journal{}, metrics: metrics.New()}
	if err := f.dispatcher.Start(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	f.dispatcher.Take(store.AllShards()...)
}

// end ends the process; a crash forgets what it has not written down.
func (f *flow) end(crash bool) {
	f.t.Helper()
	f.process.dead.Store(crash)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(f.chance.IntN(500)+1)*time.Millisecond)
	defer cancel()
	if err := f.dispatcher.Stop(ctx); err != nil && !crash {
		f.t.Errorf("stop: %v", err)
	}
}

// poll finds the records changed by chance, and commits what it finds.
func (f *flow) poll(records, changes int) {
	f.t.Helper()
	var writes []poller.Write
	at, hasher := time.Now(), differ.NewHasher(f.store.Seed())
	for _, n := range f.chance.Perm(records)[:changes] {
		key := fmt.Sprintf("k%d", n)
		c, ok := f.step(key)
		if !ok {
			continue
		}
		f.state.Sequence++
		e, err := f.outlet.Event(f.source, f.state.Sequence, at, c)
		if err != nil {
			f.t.Fatal(err)
		}
		writes = append(writes, poller.Write{
			Known: poller.Known{Hash: hasher.Key([]byte(key))}, Key: key, Body: c.Record, Event: e, Remove: c.Kind == differ.Deleted,
		})
	}
	f.commit(writes)
}

func (f *flow) commit(writes []poller.Write) {
	f.t.Helper()
	done, err := f.ledger.Commit(f.t.Context(), poller.Commit{
		Source: "things", Expect: f.state.Version, State: f.state,
		Writes: func(yield func(poller.Write, error) bool) {
			for _, w := range writes {
				if !yield(w, nil) {
					return
				}
			}
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.state.Version = done.Version
}

// step changes a record, or not.
func (f *flow) step(key string) (differ.Change, bool) {
	was, known := f.truth[key]
	is := fmt.Sprintf(`{"id":%q,"n":%d,"o":{"a":%d.10},"seen":%d}`, key, f.chance.IntN(3), f.chance.IntN(2), f.chance.IntN(99))
	switch {
	case !known:
		f.truth[key] = is
		return differ.Change{Kind: differ.Created, Key: key, Record: []byte(is)}, true
	case f.chance.IntN(4) == 0:
		delete(f.truth, key)
		return differ.Change{Kind: differ.Deleted, Key: key, Record: []byte(was)}, true
	}
	delta, err := f.shape.Diff([]byte(was), []byte(is))
	if err != nil {
		f.t.Fatal(err)
	}
	f.truth[key] = is
	return differ.Change{Kind: differ.Updated, Key: key, Record: []byte(is), Delta: delta}, len(delta.Changed) > 0
}

// settled fails unless everything is settled, and gives how many deliveries are in each state.
func (f *flow) settled() map[string]int {
	f.t.Helper()
	rows, err := f.store.Deliveries(f.t.Context(), store.DeliveryQuery{Limit: 1 << 30})
	if err != nil {
		f.t.Fatal(err)
	}
	states := map[string]int{}
	for _, row := range rows {
		states[row.State]++
		if row.State != store.StateDelivered && row.State != store.StateMerged {
			f.t.Errorf("%s is %s: %s", row.EventID, row.State, row.Reason)
		}
	}
	return states
}

// converged fails unless the receiver holds what upstream holds, but for what does not count.
func (f *flow) converged() {
	f.t.Helper()
	held := f.receiver.replica.Records("things")
	for key, is := range f.truth {
		if delta, err := f.shape.Diff([]byte(is), held[key]); err != nil || len(delta.Changed) > 0 {
			f.t.Errorf("%s is %s, the receiver has %s", key, is, held[key])
		}
		delete(held, key)
	}
	for key, record := range held {
		f.t.Errorf("the receiver still has %s: %s", key, record)
	}
	if n := f.receiver.replica.Report().Inversions; n > 0 {
		f.t.Errorf("%d events came after a later one of their record", n)
	}
}
