package emitter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

// mortal is the outbox of one process: once the process has died, nothing it does counts.
type mortal struct {
	*fakeOutbox

	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (m *mortal) Ack(ctx context.Context, receipts []Receipt) error {
	if m.dead.Load() {
		return errDead
	}
	return m.fakeOutbox.Ack(ctx, receipts)
}

func (m *mortal) Retry(ctx context.Context, r Ref, attempt Attempt, next time.Time) error {
	if m.dead.Load() {
		return errDead
	}
	return m.fakeOutbox.Retry(ctx, r, attempt, next)
}

func (m *mortal) Park(ctx context.Context, r Ref, reason string, attempt *Attempt) error {
	if m.dead.Load() {
		return errDead
	}
	return m.fakeOutbox.Park(ctx, r, reason, attempt)
}

func (m *mortal) Seal(ctx context.Context, parcels []Parcel) ([][]Delivery, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.fakeOutbox.Seal(ctx, parcels)
}

func (m *mortal) FailBatch(ctx context.Context, lane Lane, seqs []int64, attempt Attempt, next Next) error {
	if m.dead.Load() {
		return errDead
	}
	return m.fakeOutbox.FailBatch(ctx, lane, seqs, attempt, next)
}

func (m *mortal) SaveGate(ctx context.Context, webhook string, state GateState) (GateState, bool, error) {
	if m.dead.Load() {
		return GateState{}, false, errDead
	}
	return m.fakeOutbox.SaveGate(ctx, webhook, state)
}

// world is a run of random commits, failures, crashes and changes of ownership.
type world struct {
	*bench

	chance  *rand.Rand
	process *mortal
	healthy atomic.Bool
}

// weather answers by chance. One record in twenty holds an event that is refused for ever.
func (w *world) weather(p post) reply {
	for _, e := range p.events() {
		if len(e)%7 == 0 && e[len(e)-1] == '7' {
			return reply{status: 422}
		}
	}
	if w.healthy.Load() {
		return reply{status: 200, took: rand.N(5 * time.Millisecond)}
	}
	r := reply{status: 200, took: rand.N(300 * time.Millisecond)}
	switch n := rand.IntN(100); {
	case n < 10:
		r.status = 500
	case n < 13:
		r.status, r.after = 503, "2"
	case n < 16:
		r.err = errors.New("connection reset by peer") // after it arrived: posts has it as 200
	case n < 18:
		r.took = time.Minute // longer than the timeout
	case n < 19:
		r.status = 404
	}
	return r
}

func (w *world) begin() {
	w.process = &mortal{fakeOutbox: w.outbox}
	d, err := New(Options{
		Outbox: w.process, Webhooks: w.webhooks, Secrets: &setting.Secrets{}, Window: w.window,
		Transport: func(h *Webhook) http.RoundTripper { return w.receivers[h.Name] },
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := d.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	d.Take(1, 2)
	w.d = d
}

// end ends the process: a crash forgets what was not yet written, a stop writes it down.
func (w *world) end(crash bool) {
	w.process.dead.Store(crash)
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(w.chance.IntN(1000)+1)*time.Millisecond)
	defer cancel()
	if err := w.d.Stop(ctx); err != nil && !crash {
		w.t.Errorf("stop: %v", err)
	}
}

// commit makes some events of one source, and hands them over as the poller would.
func (w *world) commit() {
	shard := 1 + w.chance.IntN(2)
	var list []Delivery
	for range 1 + w.chance.IntN(8) {
		key := fmt.Sprintf("s%dk%d", shard, w.chance.IntN(12))
		w.seq++
		for name := range w.receivers {
			d := w.event(name, key)
			w.seq-- // the same event goes to both webhooks
			d.Shard, d.Source = shard, fmt.Sprint("s", shard)
			list = append(list, d)
		}
		w.seq++
	}
	w.outbox.commit(list...)
	w.d.Dispatch(shard, list, w.chance.IntN(10) > 0)
}

func (w *world) step() {
	switch n := w.chance.IntN(100); {
	case n < 70:
		w.commit()
	case n < 72:
		w.end(true)
		w.begin()
	case n < 74:
		w.end(false)
		w.begin()
	case n < 76:
		shard := 1 + w.chance.IntN(2)
		w.d.Drop(shard)
		time.Sleep(time.Duration(w.chance.IntN(50)) * time.Millisecond)
		w.d.Take(shard)
	case n < 77:
		w.d.Take(1 + w.chance.IntN(2)) // a new epoch of a shard that is held
	case n < 79:
		w.d.Requeue()
	default:
		time.Sleep(time.Duration(w.chance.IntN(1000)) * time.Millisecond)
	}
}

// check is what must hold in the end, whatever happened.
func (w *world) check() {
	for name, r := range w.receivers {
		bodies, last := map[string]string{}, map[string]int64{}
		arrived := map[string]bool{}
		for _, p := range r.got() {
			if body, ok := bodies[p.id]; ok && body != p.body {
				w.t.Errorf("%s: the id %s came with %q and %q", name, p.id, body, p.body)
			}
			bodies[p.id] = p.body
			for _, body := range p.events() {
				if p.status != http.StatusOK || arrived[body] {
					continue
				}
				arrived[body] = true
				var key string
				var seq int64
				if _, err := fmt.Sscanf(body, "%s %d", &key, &seq); err != nil {
					w.t.Fatal(err)
				}
				if seq < last[key] {
					w.t.Errorf("%s: %s: event %d came first after %d", name, key, seq, last[key])
				}
				last[key] = seq
			}
		}
		for lane, rows := range w.outbox.rows {
			for _, row := range rows {
				if lane.Webhook == name && row.state != "parked" && (row.state != "delivered" || !arrived[string(row.Body)]) {
					w.t.Errorf("%s: %s is %s, arrived: %v", name, row.ID, row.state, arrived[string(row.Body)])
				}
			}
		}
	}
}

func TestEveryEventArrivesInOrderOrIsParkedWhateverHappens(t *testing.T) {
	everythingArrives(t, func(*Webhook) {})
}

// The same with batches, of which one in many holds an event that is refused for ever.
func TestEveryEventArrivesInOrderOrIsParkedWhateverHappensToBatches(t *testing.T) {
	everythingArrives(t, func(w *Webhook) { w.Batch.MaxEvents = 6 })
}

// The same when events are given up on while others are on their way.
func TestEveryEventArrivesInOrderOrIsParkedWhateverHappensWhenThereIsLittleTime(t *testing.T) {
	hurry := func(w *Webhook) { w.Retry.GiveUpAfter = setting.Duration(3 * time.Second) }
	everythingArrives(t, hurry)
	everythingArrives(t, func(w *Webhook) { hurry(w); w.Batch.MaxEvents = 6 })
}

func everythingArrives(t *testing.T, edit func(*Webhook)) {
	t.Helper()
	runs := uint64(40)
	if testing.Short() {
		runs = 10
	}
	for seed := range runs {
		bubble.Test(t, func(t *testing.T) {
			b := small(newBench(t, edit))
			b.webhook("v", edit, func(w *Webhook) { w.MaxInFlight = 2 })
			w := &world{bench: b, chance: rand.New(rand.NewPCG(seed, 7))}
			b.outbox.latency = time.Duration(w.chance.IntN(30)) * time.Millisecond
			for _, r := range b.receivers {
				r.set(w.weather)
			}
			w.begin()
			for range 250 {
				w.step()
			}
			w.healthy.Store(true)
			time.Sleep(30 * time.Hour)
			w.end(false)
			w.check()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}
