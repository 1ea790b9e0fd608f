package emitter

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// emitLoose commits events that may still change, and hands them over.
func (b *bench) emitLoose(keys ...string) []Delivery {
	list := make([]Delivery, len(keys))
	for i, key := range keys {
		list[i] = b.event("w", key)
		list[i].Loose = true
	}
	b.d.Dispatch(1, b.outbox.commit(list...), true)
	return list
}

// rewrite gives a delivery another body, as a later event of its record does.
func (f *fakeOutbox) rewrite(r Ref, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.find(r).Body = []byte(body)
}

func (f *fakeOutbox) settle(r Ref, state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.find(r).state = state
}

// P3: what is sent is what was sealed, in every attempt.
func TestWhatWaitsIsSealedOnceBeforeItsFirstAttempt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		var healthy atomic.Bool
		b.receiver().set(func(post) reply {
			if healthy.Load() {
				return reply{status: http.StatusOK}
			}
			return reply{status: http.StatusServiceUnavailable}
		})
		b.start()
		synctest.Wait() // so that what is emitted is taken from memory
		b.d.Pause("w", "test")
		list := b.emitLoose("a", "b")
		b.outbox.rewrite(list[0].Ref, "a 1 and more")
		b.d.Resume("w")
		time.Sleep(10 * time.Second)
		healthy.Store(true)
		time.Sleep(time.Hour)
		b.stop()
		for _, p := range b.receiver().got() {
			if p.key == "a" && p.body != "a 1 and more" {
				t.Errorf("attempt %s sent %q", p.attempt, p.body)
			}
		}
		if n := b.outbox.called("seal"); n != 2 {
			t.Errorf("%d seals for two deliveries that come one after the other", n)
		}
		if s := b.outbox.states("w"); s["delivered"] != 2 {
			t.Errorf("outbox %v", s)
		}
	})
}

// P3: nor does an attempt that came to nothing bring the old bytes back.
func TestWhatWasSealedIsSentAlsoWhenTheFirstAttemptWasWithheld(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		tries := 0
		b.receiver().set(func(p post) reply {
			if tries++; tries == 1 {
				return reply{err: &unsentError{reason: ReasonAuth, text: "no token"}}
			}
			return reply{status: http.StatusOK}
		})
		b.start()
		synctest.Wait() // so that what is emitted is taken from memory
		b.d.Pause("w", "test")
		list := b.emitLoose("a")
		b.outbox.rewrite(list[0].Ref, "a 1 and more")
		b.d.Resume("w")
		time.Sleep(time.Hour)
		b.stop()
		if got := b.receiver().delivered(); tries != 2 || len(got) != 1 || got[0] != "a 1 and more" {
			t.Errorf("%d attempts, delivered %q", tries, got)
		}
	})
}

func TestWhatWasMergedAwayIsNotSent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		synctest.Wait() // so that what is emitted is taken from memory
		b.d.Pause("w", "test")
		list := b.emitLoose("a", "a", "b")
		b.outbox.settle(list[0].Ref, "merged")
		b.outbox.settle(list[2].Ref, "merged")
		b.d.Resume("w")
		time.Sleep(time.Minute)
		b.stop()
		if got := b.receiver().delivered(); len(got) != 1 || got[0] != "a 2" {
			t.Errorf("delivered %q", got)
		}
		if s := b.stats(); s.Queued != 0 {
			t.Errorf("%d in memory", s.Queued)
		}
	})
}

func TestNothingIsSentThatTheStoreDidNotSeal(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		b.outbox.setFault(func(op string) error {
			if op == "seal" {
				return errRefused
			}
			return nil
		})
		b.emitLoose(keys(20)...)
		time.Sleep(time.Minute)
		if n := len(b.receiver().got()); n != 0 {
			t.Errorf("%d were sent", n)
		}
		b.outbox.setFault(nil)
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 20, true)
	})
}

// Seals of deliveries that start at the same time share a transaction.
func TestSealsAreGathered(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.MaxInFlight = 64 })
		b.receiver().set(took(time.Second))
		b.outbox.sealTakes = 100 * time.Millisecond
		b.start()
		b.emitLoose(keys(1000)...)
		time.Sleep(10 * time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 1000, true)
		if n := b.outbox.called("seal"); n > 300 {
			t.Errorf("%d transactions for 1,000 seals", n)
		}
	})
}
