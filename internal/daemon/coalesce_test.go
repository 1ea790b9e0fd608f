package daemon

import (
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/store"
)

// P7, P3: with merging, batches, failures and crashes, a receiver that applies what it gets holds what upstream holds, and never
// sees an id with two bodies; and nothing is lost without a trace.
func TestT32P7AReplicaConvergesWhateverIsMerged(t *testing.T) {
	for name, edit := range map[string]func(*emitter.Webhook){
		"coalesce":             func(w *emitter.Webhook) { w.Coalesce = true },
		"batches":              func(w *emitter.Webhook) { w.Batch.MaxEvents = 5 },
		"batches and coalesce": func(w *emitter.Webhook) { w.Batch.MaxEvents, w.Coalesce = 5, true },
		"batches of CloudEvents, by source": func(w *emitter.Webhook) {
			w.Format, w.Order, w.Batch.MaxEvents, w.Batch.MaxBytes = "cloudevents-batch", "source", 20, 3000
		},
	} {
		t.Run(name, func(t *testing.T) { converges(t, edit) })
	}
}

func converges(t *testing.T, edit func(*emitter.Webhook)) {
	t.Helper()
	runs := uint64(12)
	if testing.Short() {
		runs = 3
	}
	for seed := range runs {
		bubble.Test(t, func(t *testing.T) {
			f := newFlow(t, seed, edit)
			for range 60 {
				f.poll(10, 1+f.chance.IntN(8))
				switch f.chance.IntN(12) {
				case 0:
					f.end(true)
					f.begin()
				case 1:
					f.end(false)
					f.begin()
				case 2, 3, 4:
					time.Sleep(time.Duration(f.chance.IntN(1000)) * time.Millisecond)
				}
			}
			f.receiver.healthy.Store(true)
			time.Sleep(20 * time.Hour)
			f.end(false)
			states := f.settled()
			f.converged()
			if f.webhook.Coalesce == (states[store.StateMerged] == 0) {
				t.Errorf("merged: %v", states)
			}
			if n := f.receiver.replica.Report().Batches; (n > 0) != (f.webhook.Batch.MaxEvents > 0) {
				t.Errorf("%d batches", n)
			}
			if err := f.store.Close(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// After an outage a receiver gets one event of each record, however often it changed.
func TestT32AReceiverThatWasAwayGetsEachRecordOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFlow(t, 1, func(w *emitter.Webhook) { w.Coalesce = true })
		f.receiver.healthy.Store(true)
		f.dispatcher.Pause("app", "test")
		for range 100 {
			f.poll(50, 50)
		}
		merged := f.dispatcher.Stats()[0].Merged
		f.end(false)
		f.begin()
		f.dispatcher.Resume("app")
		time.Sleep(time.Hour)
		f.end(false)
		states := f.settled()
		f.converged()
		if n := f.receiver.posts.Load(); n > 100 || int(n) != states[store.StateDelivered] || int(merged) != states[store.StateMerged] {
			t.Errorf("%d requests, %d merged, %v", n, merged, states)
		}
		if err := f.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Off, nothing is merged.
func TestWithoutCoalesceEachChangeIsAnEvent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFlow(t, 2, func(*emitter.Webhook) {})
		f.receiver.healthy.Store(true)
		f.dispatcher.Pause("app", "test")
		for range 20 {
			f.poll(5, 5)
		}
		f.dispatcher.Resume("app")
		time.Sleep(time.Hour)
		f.end(false)
		f.converged()
		if states := f.settled(); states[store.StateMerged] > 0 || int64(states[store.StateDelivered]) != f.state.Sequence {
			t.Errorf("%v of %d events", states, f.state.Sequence)
		}
		if err := f.store.Close(); err != nil {
			t.Error(err)
		}
	})
}
