package emitter

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// small makes a window that overflows at once.
func small(b *bench) *bench {
	b.window = Window{Events: 20, Bytes: 1 << 20, TotalEvents: 30, TotalBytes: 1 << 20, Lane: 8, Waiting: 1000}
	return b
}

func TestABacklogIsReadInPagesInOrderWithBoundedMemory(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := small(newBench(t))
		for i := range 5000 {
			b.outbox.commit(b.event("w", fmt.Sprintf("k%d", i%70)))
		}
		most := 0
		b.receiver().set(func(post) reply {
			return reply{status: 200, took: rand.N(10 * time.Millisecond)}
		})
		b.start()
		for range 3000 {
			time.Sleep(10 * time.Millisecond)
			most = max(most, b.stats().Queued)
		}
		time.Sleep(time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 5000, true)
		if most > 30 {
			t.Errorf("%d deliveries in memory, the window has 30", most)
		}
	})
}

// The hand-over from the store to live events, raced: commits go on while the backlog is read by a store that answers late.
func TestTheHandOverFromBacklogToLiveEventsNeitherSkipsNorRepeats(t *testing.T) {
	seeds := uint64(30)
	if testing.Short() {
		seeds = 9
	}
	for seed := range seeds {
		bubble.Test(t, func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 1))
			b, backlog := small(newBench(t)), 100
			if seed%3 == 0 { // pages end before the window is full
				b.window, backlog = DefaultWindow(), 1000
			}
			b.outbox.latency = time.Duration(chance.IntN(20)) * time.Millisecond
			b.receiver().set(func(post) reply { return reply{status: 200, took: rand.N(8 * time.Millisecond)} })
			for range backlog {
				b.outbox.commit(b.event("w", fmt.Sprintf("k%d", chance.IntN(40))))
			}
			b.start()
			for range 300 {
				burst := make([]string, 1+chance.IntN(12))
				for i := range burst {
					burst[i] = fmt.Sprintf("k%d", chance.IntN(40))
				}
				if chance.IntN(10) == 0 {
					b.emitIncomplete(burst...)
				} else {
					b.emit(burst...)
				}
				time.Sleep(time.Duration(chance.IntN(20)) * time.Millisecond)
			}
			time.Sleep(time.Hour)
			b.stop()
			checkOrder(t, b.receiver(), int(b.seq), true)
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// emitIncomplete commits events of which the dispatcher gets only the first.
func (b *bench) emitIncomplete(keys ...string) {
	list := make([]Delivery, len(keys))
	for i, key := range keys {
		list[i] = b.event("w", key)
	}
	b.outbox.commit(list...)
	b.d.Dispatch(1, list[:len(list)/2], false)
}

// Two sources of a shard commit one after the other, but hand over in the other order.
func TestAHandOverOutOfOrderLosesNothing(t *testing.T) {
	for _, flood := range []int{0, 50} {
		bubble.Test(t, func(t *testing.T) {
			b := small(newBench(t))
			b.receiver().set(took(10 * time.Millisecond))
			b.start()
			synctest.Wait()
			early := b.outbox.commit(b.event("w", "x"), b.event("w", "y"))
			late := b.outbox.commit(b.event("w", "z"))
			b.d.Dispatch(1, late, true)
			b.emit(keys(flood)...)
			time.Sleep(15 * time.Millisecond)
			b.d.Dispatch(1, early, true)
			time.Sleep(time.Hour)
			b.stop()
			checkOrder(t, b.receiver(), flood+3, true)
		})
	}
}

// P5: what waits for another attempt, and what queues behind it, must not take the place of others.
func TestBlockedRecordsDoNotFillTheWindow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := small(newBench(t))
		b.receiver().set(func(p post) reply {
			if p.key[0] == 'b' {
				return reply{status: 500}
			}
			return reply{status: 200}
		})
		b.start()
		for i := range 60 {
			b.emit(repeat(fmt.Sprintf("bad%d", i), 20)...)
			time.Sleep(5 * time.Second)
			b.emit("good")
			time.Sleep(5 * time.Second)
		}
		time.Sleep(time.Minute)
		before := len(b.receiver().delivered())
		b.emit(keys(200)...)
		time.Sleep(2 * time.Minute)
		if n := len(b.receiver().delivered()) - before; n != 200 {
			t.Errorf("%d of 200 delivered beside 60 blocked records", n)
		}
		if s := b.stats(); s.Queued > 60+30 {
			t.Errorf("%d deliveries in memory", s.Queued)
		}
		b.receiver().set(nil)
		time.Sleep(40 * time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 60*20+60+200, true)
	})
}

// P5: with order = "source", a source that is blocked does not delay another one of the same shard.
func TestABlockedSourceDoesNotDelayAnotherOneOfItsShard(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := small(newBench(t, func(w *Webhook) { w.Order = "source" }))
		b.receiver().set(func(p post) reply {
			if p.body == "bad 1" {
				return reply{status: 500}
			}
			return reply{status: 200}
		})
		b.start()
		b.emit(repeat("bad", 500)...)
		time.Sleep(10 * time.Minute)
		for range 100 {
			d := b.event("w", "good")
			d.Source = "other"
			b.d.Dispatch(1, b.outbox.commit(d), true)
			time.Sleep(time.Second)
		}
		time.Sleep(time.Minute)
		if n := len(b.receiver().delivered()); n != 100 {
			t.Errorf("%d of 100 delivered", n)
		}
		b.stop()
	})
}

func TestReadingGoesOnAfterTheStoreWasAway(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var h heard
		b := small(newBench(t))
		b.observer = h.observer()
		for _, key := range keys(100) {
			b.outbox.commit(b.event("w", key))
		}
		var away atomic.Bool
		away.Store(true)
		b.outbox.setFault(func(op string) error {
			if away.Load() && (op == "pending" || op == "lanes") {
				return errRefused
			}
			return nil
		})
		b.start()
		time.Sleep(time.Minute)
		if n := b.outbox.called("lanes"); n > 8 {
			t.Errorf("the store was asked %d times in a minute", n)
		}
		away.Store(false)
		time.Sleep(time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 100, true)
		if len(h.lines) == 0 || h.lines[0] != "store failed: lanes: disk full" {
			t.Errorf("the observer heard %q", h.lines)
		}
	})
}
