package daemon

import (
	"fmt"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// update makes the next event of a record.
func (f *flow) update(key string) poller.Write {
	f.t.Helper()
	f.state.Sequence++
	was, is := fmt.Appendf(nil, `{"n":%d}`, f.state.Sequence-1), fmt.Appendf(nil, `{"n":%d}`, f.state.Sequence)
	delta, err := f.shape.Diff(was, is)
	if err != nil {
		f.t.Fatal(err)
	}
	e, err := f.outlet.Event(f.source, f.state.Sequence, time.Now(), differ.Change{Kind: differ.Updated, Key: key, Record: is, Delta: delta})
	if err != nil {
		f.t.Fatal(err)
	}
	f.truth[key] = string(is)
	return poller.Write{Known: poller.Known{Hash: differ.NewHasher(f.store.Seed()).Key([]byte(key))}, Key: key, Body: is, Event: e}
}

// finish waits until everything is sent, and closes the store.
func (f *flow) finish() map[string]int {
	f.t.Helper()
	time.Sleep(20 * time.Hour)
	f.end(false)
	states := f.settled()
	f.converged()
	if err := f.store.Close(); err != nil {
		f.t.Error(err)
	}
	return states
}

// What each order promises, over a real store and with failures: never two requests of a record, never two of a source, or as
// many as there are slots.
func TestEachOrderKeepsItsWordOverARealStore(t *testing.T) {
	for order, c := range map[string]struct{ record, all int }{"key": {1, 8}, "source": {1, 1}, "none": {8, 8}} {
		t.Run(order, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				f := newFlow(t, 5, func(w *emitter.Webhook) { w.Order = order })
				for range 30 {
					var writes []poller.Write
					for range 20 {
						writes = append(writes, f.update(fmt.Sprintf("k%d", f.chance.IntN(12))))
					}
					f.commit(writes)
					time.Sleep(time.Duration(f.chance.IntN(2000)) * time.Millisecond)
				}
				f.receiver.healthy.Store(true)
				var hot []poller.Write
				for range 100 {
					hot = append(hot, f.update("hot"))
				}
				f.commit(hot)
				if order == "none" { // whoever sorts by sequence has the last state all the same
					time.Sleep(time.Hour)
					f.end(false)
					f.settled()
					if err := f.store.Close(); err != nil {
						t.Error(err)
					}
				} else {
					f.finish()
				}
				if r, all := f.receiver.most("hot"), f.receiver.most(""); r != c.record || all != c.all {
					t.Errorf("%d requests of a record and %d in all at a time, want %d and %d", r, all, c.record, c.all)
				}
			})
		})
	}
}

// T4: a record with 100,000 events in the store does not keep a fresh event of another one waiting.
func TestT4AFreshEventOvertakesABacklogOf100000InTheStore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		backlog := 100_000
		if testing.Short() {
			backlog = 5_000
		}
		f := newFlow(t, 6, func(*emitter.Webhook) {})
		f.receiver.healthy.Store(true)
		writes := make([]poller.Write, backlog)
		for i := range writes {
			writes[i] = f.update("hot")
		}
		f.commit(writes)
		for n := range 5 {
			time.Sleep(time.Minute)
			before, start := f.receiver.posts.Load(), time.Now()
			f.commit([]poller.Write{f.update(fmt.Sprintf("fresh%d", n))})
			for len(f.receiver.replica.Records("things")) < n+2 {
				time.Sleep(10 * time.Millisecond)
			}
			if sent, took := f.receiver.posts.Load()-before, time.Since(start); sent > 10 || took > time.Second {
				t.Errorf("a fresh event took %v and waited for %d others", took, sent)
			}
		}
		f.end(false)
		if err := f.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// T5: an event that is never accepted costs nobody else more than its own attempts.
func TestT5ARecordThatAlwaysFailsBlocksItselfOnly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		f := newFlow(t, 7, func(*emitter.Webhook) {})
		f.receiver.healthy.Store(true)
		f.receiver.poison.Store("bad")
		f.commit([]poller.Write{f.update("bad"), f.update("bad")})
		for n := range 50 {
			time.Sleep(10 * time.Second)
			start := time.Now()
			f.commit([]poller.Write{f.update("good")})
			for string(f.receiver.replica.Records("things")["good"]) != f.truth["good"] {
				time.Sleep(10 * time.Millisecond)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("event %d of another record took %v", n, took)
			}
		}
		f.receiver.poison.Store("")
		if states := f.finish(); states[store.StateDelivered] != 52 {
			t.Errorf("%v", states)
		}
	})
}
