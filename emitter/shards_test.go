package emitter

import (
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/trust"
)

func TestWhatIsInFlightWhenAShardIsYieldedEndsAndIsWrittenDown(t *testing.T) {
	for status, want := range map[int]string{200: "delivered", 500: "pending", 422: "parked"} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.receiver().set(func(post) reply { return reply{status: status, took: 3 * time.Second} })
			b.start()
			list := b.emit("a", "a", "b")
			time.Sleep(time.Second)
			b.d.Yield(1)
			b.emit("c")
			time.Sleep(time.Second)
			if b.d.Settled(1) {
				t.Errorf("%d: it is settled with a delivery in flight", status)
			}
			time.Sleep(5 * time.Second)
			if !b.d.Settled(1) {
				t.Errorf("%d: it is not settled", status)
			}
			row := b.outbox.row(list[0].Ref)
			if row.state != want || status != 200 && len(row.attempts) != 1 {
				t.Errorf("%d: the delivery is %s with %d attempts", status, row.state, len(row.attempts))
			}
			if n := len(b.receiver().got()); n > 2 {
				t.Errorf("%d: %d requests, a delivery was begun after the shard was yielded", status, n)
			}
			b.d.Drop(1)
			b.receiver().set(nil)
			time.Sleep(time.Minute)
			if s := b.stats(); s.Queued != 0 || s.InFlight != 0 {
				t.Errorf("%d: %+v is left in memory", status, s)
			}
			b.stop()
		})
	}
}

func TestAShardThatIsYieldedAndTakenAgainGoesOnInOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(took(3 * time.Second))
		b.start()
		b.emit("a", "a", "b")
		time.Sleep(time.Second)
		b.d.Yield(1)
		time.Sleep(time.Second)
		b.d.Drop(1)
		b.d.Take(1)
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 3, true)
	})
}

func TestAShardThatWasNeverTakenIsSettled(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t).start()
		defer b.stop()
		if !b.d.Settled(1) || !b.d.Settled(77) {
			t.Error("something is under way")
		}
	})
}

func TestNoAttemptBeginsWhileSomebodyElseMayOwnTheShards(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.trust = &trust.Window{}
		b.trust.Extend(time.Now().Add(time.Minute))
		b.receiver().set(took(2 * time.Second))
		b.start()
		defer b.stop()
		time.Sleep(59 * time.Second)
		b.emit("a", "a")
		time.Sleep(time.Hour)
		if n := len(b.receiver().got()); n != 1 {
			t.Fatalf("%d requests, one of them began in time", n)
		}
		b.trust.Extend(time.Now().Add(time.Minute))
		time.Sleep(30 * time.Second)
		checkOrder(t, b.receiver(), 2, true)
	})
}
