package emitter

import (
	"context"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

// replace lets a webhook of the bench take its own place, edited.
func (b *bench) replace(name string, edit func(*Webhook)) {
	b.t.Helper()
	for i := range b.webhooks {
		if w := &b.webhooks[i]; w.Name == name {
			edit(w)
			p, err := b.d.Prepare(*w)
			if err != nil {
				b.t.Fatal(err)
			}
			b.d.Apply(p)
			return
		}
	}
	b.t.Fatalf("there is no webhook %s", name)
}

func (b *bench) remove(name string) {
	b.t.Helper()
	p, err := b.d.Prepare()
	if err != nil {
		b.t.Fatal(err)
	}
	b.d.Apply(p, name)
}

func wider(w *Webhook) { w.MaxInFlight++ }

func TestAWebhookThatIsReplacedUnderLoadLosesRepeatsAndReordersNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(took(300 * time.Millisecond))
		b.start()
		const events = 400
		for i := range events {
			b.emit(keys(7)[i%7])
			if i%20 == 0 {
				b.replace("w", wider)
			}
			if i%3 == 0 {
				time.Sleep(50 * time.Millisecond)
			}
		}
		time.Sleep(time.Hour)
		if s := b.stats(); s.Delivered != events || s.Failed != 0 {
			t.Errorf("counted %d delivered and %d failed", s.Delivered, s.Failed)
		}
		b.stop()
		checkOrder(t, b.receiver(), events, true)
		if s := b.outbox.states("w"); s["delivered"] != events || len(s) != 1 {
			t.Errorf("outbox %v", s)
		}
	})
}

func TestASuccessorWaitsForWhatIsInFlightAndOthersDoNot(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.webhook("other")
		b.receiver().set(took(5 * time.Second))
		b.start()
		b.emit("a", "a")
		time.Sleep(time.Second)
		start := time.Now()
		b.replace("w", wider)
		if took := time.Since(start); took != 0 {
			t.Errorf("Apply took %s", took)
		}
		d := b.event("other", "x")
		b.d.Dispatch(1, b.outbox.commit(d), true)
		time.Sleep(time.Second)
		if n := len(b.receivers["other"].got()); n != 1 {
			t.Errorf("the other webhook got %d requests", n)
		}
		if n := len(b.receiver().got()); n != 0 {
			t.Errorf("%d requests have ended before the first one can have", n)
		}
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 2, true)
	})
}

func TestAWebhookThatHangsIsCancelledAMinuteAfterItWasReplaced(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.Timeout = setting.Duration(time.Hour) })
		b.receiver().set(took(10 * time.Minute))
		b.start()
		b.emit("a")
		time.Sleep(time.Second)
		b.receiver().set(nil)
		b.replace("w", wider)
		b.replace("w", wider) // the first successor has not begun yet
		time.Sleep(retireTime - 10*time.Second)
		if n := len(b.receiver().got()); n != 0 {
			t.Errorf("%d requests while the first one hangs", n)
		}
		time.Sleep(15 * time.Second)
		if n := len(b.receiver().got()); n != 1 {
			t.Errorf("%d requests afterwards, want the second try", n)
		}
		b.stop()
	})
}

func TestWhatWaitsForARemovedWebhookIsSentWhenItIsThereAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(took(time.Second))
		b.start()
		b.emit("a", "a")
		time.Sleep(100 * time.Millisecond)
		b.remove("w")
		b.emit("a", "b") // committed by a poll that had begun before
		if len(b.d.Stats()) != 0 || b.d.Pause("w", "test") {
			t.Error("it is still there")
		}
		b.replace("w", wider) // before the first attempt has ended
		time.Sleep(time.Minute)
		b.remove("w")
		time.Sleep(time.Minute)
		b.emit("a")
		time.Sleep(time.Minute)
		b.replace("w", wider)
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 5, true)
	})
}

func TestASuccessorOfAFailingWebhookTriesAtOnceAndGoesOnCounting(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var h heard
		b := newBench(t)
		b.observer = h.observer()
		b.receiver().set(func(post) reply { return reply{status: 503} })
		b.start()
		b.emit(keys(5)...)
		time.Sleep(time.Hour)
		before := b.stats()
		if before.Gate.State != GateShut {
			t.Fatalf("%+v", before)
		}
		b.receiver().set(nil)
		b.replace("w", wider)
		if s := b.stats(); s.Gate.State != GateShut || s.Failed != before.Failed {
			t.Errorf("at once: %+v", s)
		}
		time.Sleep(2 * time.Second)
		if n := len(b.receiver().delivered()); n == 0 {
			t.Error("it has not tried")
		}
		time.Sleep(6 * time.Hour)
		if s := b.stats(); s.Gate.State != GateOpen || s.Queued != 0 || s.Delivered != 5 || s.Failed != before.Failed {
			t.Errorf("afterwards: %+v", s)
		}
		b.stop()
	})
}

func TestAPausedWebhookStaysPausedWhenItIsReplacedAndAPauseInBetweenCounts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.webhook("late")
		b.receivers["late"].set(took(5 * time.Second))
		b.start()
		b.d.Pause("w", "by hand")
		d := b.event("late", "x")
		b.d.Dispatch(1, b.outbox.commit(d), true)
		time.Sleep(time.Second)
		b.replace("w", wider)
		b.replace("late", wider)
		b.d.Pause("late", "by hand") // it waits for its predecessor
		b.emit("a")
		time.Sleep(time.Minute)
		for _, s := range b.d.Stats() {
			if s.Gate.State != GatePaused || s.Gate.Reason != "by hand" {
				t.Errorf("%s: %+v", s.Webhook, s.Gate)
			}
		}
		b.d.Resume("w")
		time.Sleep(time.Second)
		if n := len(b.receiver().got()); n != 1 {
			t.Errorf("%d requests after it was resumed", n)
		}
		b.stop()
	})
}

func TestASuccessorWaitsUntilItsPredecessorsAcknowledgementsAreWritten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.outbox.setFault(func(op string) error {
			if op == "ack" {
				return errRefused
			}
			return nil
		})
		b.start()
		b.emit("a", "b")
		time.Sleep(time.Second)
		b.replace("w", wider)
		time.Sleep(time.Minute)
		b.outbox.setFault(nil)
		time.Sleep(time.Minute)
		b.emit("a")
		time.Sleep(time.Second)
		b.stop()
		checkOrder(t, b.receiver(), 3, true)
	})
}

func TestStopEndsWhatWasReplacedToo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.Timeout = setting.Duration(time.Hour) })
		b.receiver().set(took(10 * time.Minute))
		b.start()
		b.emit("a")
		time.Sleep(time.Second)
		b.replace("w", wider)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if err := b.d.Stop(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Stop took %s", took)
		}
	})
}
