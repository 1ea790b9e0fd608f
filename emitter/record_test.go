package emitter

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// P5: each parked event is a transaction of its own, and one receiver that refuses everything makes thousands of them.
func TestAReceiverThatRefusesEverythingDoesNotHoldUpWhatOthersAcknowledge(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const refused = 3000
		b := newBench(t)
		b.outbox.parkTakes = 5 * time.Millisecond
		b.webhook("bad").set(func(post) reply { return reply{status: http.StatusUnprocessableEntity} })
		b.start()
		synctest.Wait()
		var list []Delivery
		for i := range refused {
			list = append(list, b.event("bad", strconv.Itoa(i)))
		}
		b.d.Dispatch(1, b.outbox.commit(list...), true)
		time.Sleep(time.Second)
		one := b.event("w", "a")
		b.d.Dispatch(1, b.outbox.commit(one), true)
		time.Sleep(time.Second)
		if got := b.outbox.row(one.Ref).state; got != "delivered" {
			t.Errorf("a second after it was delivered to another webhook it is %s; %v", got, b.outbox.states("bad"))
		}
		b.stop()
		if s := b.outbox.states("bad"); s["parked"] != refused {
			t.Errorf("outbox %v", s)
		}
	})
}

// P2: a replay can be quicker than the news that there is something to replay.
func TestWhatIsReplayedInTheMomentOfItsAcknowledgementIsSentAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		synctest.Wait()
		one, replays := b.event("w", "a"), 0
		b.outbox.acknowledged = func() {
			if replays++; replays <= 2 {
				b.outbox.replay(one.Ref)
				b.d.Requeue()
				time.Sleep(time.Second)
			}
		}
		b.d.Dispatch(1, b.outbox.commit(one), true)
		time.Sleep(time.Minute)
		b.stop()
		if got := b.receiver().delivered(); len(got) != 3 {
			t.Errorf("delivered %d times, and replayed twice; %v", len(got), b.outbox.states("w"))
		}
	})
}
