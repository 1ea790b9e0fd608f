package emitter

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

// heard collects what an observer is told.
type heard struct{ lines []string }

func (h *heard) observer() Observer {
	say := func(format string, args ...any) { h.lines = append(h.lines, fmt.Sprintf(format, args...)) }
	return Observer{
		Failing:     func(w string, s GateState, _ Outcome) { say("failing %s: %s", w, s.Reason) },
		Recovered:   func(w string, was GateState) { say("recovered %s after %d", w, was.Failures) },
		Paused:      func(w string, s GateState) { say("paused %s: %s", w, s.Reason) },
		Resumed:     func(w string) { say("resumed %s", w) },
		Parked:      func(d Delivery, reason string, _ Outcome) { say("parked %s: %s", d.ID, reason) },
		StoreFailed: func(op string, err error) { say("store failed: %s: %v", op, err) },
	}
}

// down answers 503 until a time.
func down(until time.Time) func(post) reply {
	return func(p post) reply {
		if p.at.Before(until) {
			return reply{status: http.StatusServiceUnavailable}
		}
		return reply{status: http.StatusOK, took: time.Millisecond}
	}
}

// T1, T2, T3: one probe at a time while the receiver is down, nothing lost, no herd when it is back.
func TestT1T2T3AnOutageOfAnHourCostsAFewProbesAndLosesNothing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var h heard
		b := newBench(t, func(w *Webhook) { mustRate(t, w, "50/s") })
		b.observer = h.observer()
		back := time.Now().Add(time.Hour)
		b.receiver().set(down(back))
		b.start()
		for range 3600 {
			b.emit(keys(10)...)
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 36_000, true)
		wasted, perSecond := 0, map[time.Duration]int{}
		for _, p := range b.receiver().got() {
			if p.status != http.StatusOK {
				wasted++
			} else {
				perSecond[p.at.Sub(back)/time.Second]++
			}
		}
		if wasted > 25 {
			t.Errorf("%d requests went to a dead receiver", wasted)
		}
		for second, n := range perSecond {
			if n > 50 {
				t.Errorf("%d requests in second %d after the outage, the rate is 50/s", n, second)
			}
		}
		if len(h.lines) != 2 || !strings.HasPrefix(h.lines[0], "failing w: 503") || !strings.HasPrefix(h.lines[1], "recovered w") {
			t.Errorf("the observer heard %q", h.lines)
		}
	})
}

// T5: an event that its receiver answers with 500 for ever blocks neither other records nor the gate.
func TestT5AnEventThatAlwaysFailsIsRetriedOnScheduleParkedAndBlocksNobody(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(p post) reply {
			if p.body == "bad 1" {
				return reply{status: 500}
			}
			return reply{status: 200}
		})
		b.start()
		bad := b.emit("bad")[0]
		b.emit("bad") // waits behind it
		start := time.Now()
		var slowest time.Duration
		for i := range 80 * 60 {
			at := time.Now()
			b.emit(fmt.Sprintf("k%d", i))
			time.Sleep(time.Minute)
			for _, p := range b.receiver().last(5) {
				if strings.HasPrefix(p.body, fmt.Sprintf("k%d ", i)) && p.status == 200 {
					slowest = max(slowest, p.at.Sub(at))
				}
			}
		}
		b.stop()
		checkOrder(t, b.receiver(), 80*60+1, true)
		if slowest > 2*time.Second {
			t.Errorf("another record waited %s", slowest)
		}
		row := b.outbox.row(bad.Ref)
		if row.state != "parked" || !strings.Contains(row.reason, "gave up after 3d: 500") {
			t.Errorf("the bad event is %s: %s", row.state, row.reason)
		}
		if took := row.parked.Sub(start); took < 72*time.Hour || took > 72*time.Hour+time.Minute {
			t.Errorf("it was given up after %s", took)
		}
		if n := len(row.attempts); n > 40 {
			t.Errorf("it was tried %d times", n)
		}
		if b.outbox.states("w")["pending"] != 0 {
			t.Errorf("outbox %v", b.outbox.states("w"))
		}
	})
}

func TestAFailedDeliveryIsTriedAgainOnItsScheduleWhileOthersGoThrough(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) {
			w.Retry.Schedule = []setting.Duration{0, setting.Duration(10 * time.Second), setting.Duration(time.Minute)}
		})
		b.receiver().set(func(p post) reply {
			if p.key == "bad" {
				return reply{status: 500}
			}
			return reply{status: 200}
		})
		b.start()
		start := time.Now()
		b.emit("bad")
		for range 40 {
			b.emit("good")
			time.Sleep(5 * time.Second)
		}
		b.stop()
		var at []string
		for _, p := range b.receiver().got() {
			if p.key == "bad" {
				at = append(at, p.at.Sub(start).String())
			}
		}
		if got := strings.Join(at, " "); got != "0s 10s 1m10s 2m10s 3m10s" {
			t.Errorf("attempts at %s", got)
		}
	})
}

func TestTheFirstStepOfTheScheduleDelaysTheFirstAttempt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.Retry.Schedule = []setting.Duration{setting.Duration(30 * time.Second)} })
		b.start()
		start := time.Now()
		b.emit("a")
		time.Sleep(time.Minute)
		b.stop()
		if got := b.receiver().got(); len(got) != 1 || got[0].at.Sub(start) != 30*time.Second {
			t.Errorf("posts %v", got)
		}
	})
}

// A clock that was hours ahead when events were made does not make each page of them wait anew.
func TestTheFirstStepDoesNotDelayABacklogThatAClockFarAheadMade(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := small(newBench(t, func(w *Webhook) { w.Retry.Schedule = []setting.Duration{setting.Duration(10 * time.Minute)} }))
		for range 100 {
			d := b.event("w", "a")
			d.At = time.Now().Add(3 * time.Hour)
			b.outbox.commit(d)
		}
		b.start()
		time.Sleep(10 * time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 100, true)
	})
}

// A probe is made for the gate's sake: an event that was probed with for hours does not wait for hours once the receiver is back.
func TestProbesDoNotUseUpTheScheduleOfTheirEvent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(post) reply { return reply{err: fmt.Errorf("read: %w", http.ErrServerClosed)} })
		b.start()
		b.emit("a", "b", "c")
		time.Sleep(6 * time.Hour)
		b.receiver().set(nil)
		time.Sleep(5*time.Minute + 20*time.Second)
		if n := len(b.receiver().delivered()); n != 3 {
			t.Errorf("%d of 3 delivered one pause after the receiver was back", n)
		}
		b.stop()
	})
}

// T5, T17: what the receiver says about one event parks it at once and leaves the gate alone.
func TestT5T17ARefusedEventIsParkedAtOnceAndTheGateDoesNotMove(t *testing.T) {
	for _, status := range []int{400, 413, 415, 422} {
		bubble.Test(t, func(t *testing.T) {
			var h heard
			b := newBench(t)
			b.observer = h.observer()
			b.receiver().set(func(p post) reply {
				if p.body == "a 1" {
					return reply{status: status, after: "3600"}
				}
				return reply{status: 200}
			})
			b.start()
			refused := b.emit("a", "a", "b")[0]
			time.Sleep(time.Second)
			b.stop()
			row := b.outbox.row(refused.Ref)
			if row.state != "parked" || !strings.Contains(row.reason, strconv.Itoa(status)) || len(row.attempts) != 1 {
				t.Errorf("%d: %s %q %v", status, row.state, row.reason, row.attempts)
			}
			if len(b.receiver().delivered()) != 2 || b.outbox.called("gate") != 0 {
				t.Errorf("%d: delivered %q, the gate was saved %d times", status, b.receiver().delivered(), b.outbox.called("gate"))
			}
			if len(h.lines) != 1 || !strings.HasPrefix(h.lines[0], "parked evt_1: the receiver refuses the event") {
				t.Errorf("%d: the observer heard %q", status, h.lines)
			}
		})
	}
}

// P4: the next event of a record waits until parking the one before it is durable.
func TestALaneWaitsUntilItsParkedEventIsDurablyParked(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(p post) reply {
			if p.body == "a 1" {
				return reply{status: 422}
			}
			return reply{status: 200}
		})
		b.outbox.setFault(func(op string) error {
			if op == "park" {
				return errRefused
			}
			return nil
		})
		b.start()
		b.emit("a", "a", "b")
		time.Sleep(time.Minute)
		if got := b.receiver().delivered(); !slices.Equal(got, []string{"b 3"}) {
			t.Errorf("delivered %q before the park was durable", got)
		}
		b.outbox.setFault(nil)
		time.Sleep(time.Minute)
		b.stop()
		if got := b.receiver().delivered(); !slices.Equal(got, []string{"b 3", "a 2"}) {
			t.Errorf("delivered %q", got)
		}
	})
}

// T18: a webhook that is gone is paused loudly, its queue is kept, and one command resumes it.
func TestT18A410PausesTheWebhookUntilAPersonResumesIt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var h heard
		b := newBench(t)
		b.observer = h.observer()
		b.receiver().set(func(post) reply { return reply{status: 410} })
		b.start()
		b.emit(keys(5)...)
		time.Sleep(24 * time.Hour)
		if n := len(b.receiver().got()); n != 1 {
			t.Errorf("%d requests to a receiver that said 410", n)
		}
		if g := b.stats().Gate; g.State != GatePaused || b.outbox.gate("w").State != GatePaused {
			t.Errorf("gate %+v, stored %+v", g, b.outbox.gate("w"))
		}
		b.receiver().set(nil)
		if !b.d.Resume("w") || b.d.Resume("unknown") {
			t.Error("Resume confuses the names")
		}
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 5, true)
		if want := []string{"paused w: 410 Gone", "resumed w"}; !slices.Equal(h.lines, want) {
			t.Errorf("the observer heard %q, want %q", h.lines, want)
		}
	})
}

// T18: a webhook that fails for days is paused with one message, keeps its queue, is probed once a day, and recovers by itself.
func TestT18AWebhookThatFailsForDaysIsPausedOnceProbedDailyAndRecoversByItself(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var h heard
		b := newBench(t, func(w *Webhook) { w.Retry.GiveUpAfter = setting.Duration(60 * 24 * time.Hour) })
		b.observer = h.observer()
		b.receiver().set(func(post) reply { return reply{status: http.StatusServiceUnavailable} })
		b.start()
		b.emit(keys(2000)...) // enough that no probe has to use one twice
		time.Sleep(5*24*time.Hour + 10*time.Minute)
		before := len(b.receiver().got())
		if g := b.outbox.gate("w"); g.State != GatePaused || g.Until.IsZero() {
			t.Fatalf("stored gate %+v", g)
		}
		time.Sleep(10 * 24 * time.Hour)
		b.stop()
		b.start() // a restart does not make it forget, nor try more often
		time.Sleep(10 * 24 * time.Hour)
		if n := len(b.receiver().got()) - before; n < 18 || n > 21 {
			t.Errorf("%d requests in twenty days after the pause", n)
		}
		b.receiver().set(nil)
		time.Sleep(24*time.Hour + 10*time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 2000, true)
		if len(h.lines) != 3 || !strings.HasPrefix(h.lines[0], "failing w: 503") || !strings.HasPrefix(h.lines[1], "paused w: failing for 5d, ") ||
			!strings.HasPrefix(h.lines[2], "recovered w") {
			t.Errorf("the observer heard %q", h.lines)
		}
	})
}

func TestAPersonResumesAWebhookThatWasPausedForFailingOrPausesItForGood(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.Retry.PauseAfter = setting.Duration(2 * time.Hour) })
		b.receiver().set(func(post) reply { return reply{status: http.StatusServiceUnavailable} })
		b.start()
		b.emit(keys(100)...)
		time.Sleep(3 * time.Hour)
		if g := b.outbox.gate("w"); g.State != GatePaused {
			t.Fatalf("stored gate %+v", g)
		}
		b.d.Pause("w", "maintenance")
		before := len(b.receiver().got())
		time.Sleep(3 * 24 * time.Hour)
		if n := len(b.receiver().got()) - before; n != 0 {
			t.Errorf("%d requests although a person paused it", n)
		}
		b.receiver().set(nil)
		b.d.Resume("w")
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 100, true)
	})
}

// T1: the recovery from an outage never goes beyond rate and max_in_flight, also when it is interrupted by a restart.
func TestT1ARecoveryNeverExceedsRateAndMaxInFlight(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) {
			mustRate(t, w, "50/s")
			w.MaxInFlight = 4
		})
		back := time.Now().Add(10 * time.Minute)
		b.receiver().set(func(p post) reply {
			if p.at.Before(back) {
				return reply{status: http.StatusServiceUnavailable}
			}
			return reply{status: http.StatusOK, took: 30 * time.Millisecond}
		})
		b.start()
		b.emit(keys(5000)...)
		time.Sleep(time.Until(back))
		for b.stats().Delivered < 20 {
			time.Sleep(100 * time.Millisecond)
		}
		b.stop()
		resumed := time.Now()
		b.start()
		time.Sleep(10 * time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 5000, true)
		got := b.receiver().got()
		for i := range got {
			if i >= 51 && got[i].at.Sub(got[i-51].at) < time.Second {
				t.Fatalf("51 requests in %s", got[i].at.Sub(got[i-51].at))
			}
		}
		early := 0
		for _, p := range got {
			if d := p.at.Sub(resumed); d >= 0 && d < 2*time.Second {
				early++
			}
		}
		if early > 5 {
			t.Errorf("%d requests in the two seconds after the restart: the recovery did not go on slowly", early)
		}
		if b.receiver().atOnce() > 4 {
			t.Errorf("%d requests at the same time", b.receiver().atOnce())
		}
	})
}

// D1, D16, T14: nothing is sent before the receiver's own time is over.
func TestD1D16NothingIsSentBeforeRetryAfterIsOver(t *testing.T) {
	for _, status := range []int{429, 503, 500, 404} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t)
			start := time.Now()
			b.receiver().set(func(p post) reply {
				if p.at.Before(start.Add(time.Hour)) {
					return reply{status: status, after: "3600"}
				}
				return reply{status: 200}
			})
			b.start()
			b.emit(keys(100)...)
			time.Sleep(2 * time.Hour)
			b.stop()
			if got := b.receiver().got(); len(got) != 101 || got[1].at.Sub(start) != time.Hour {
				t.Errorf("%d: %d requests, the second after %s", status, len(got), got[1].at.Sub(start))
			}
		})
	}
}

// T10: each attempt is signed anew, under the same id and with the same bytes.
func TestT10EachAttemptHasAFreshTimestampTheSameIDAndTheSameBytes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(p post) reply {
			if p.attempt != "3" {
				return reply{status: 500}
			}
			return reply{status: 200}
		})
		b.start()
		b.emit("a")
		time.Sleep(time.Hour)
		b.stop()
		got := b.receiver().got()
		if len(got) != 3 {
			t.Fatalf("posts %+v", got)
		}
		for i, p := range got {
			if p.id != "evt_1" || p.body != "a 1" || p.attempt != strconv.Itoa(i+1) {
				t.Errorf("post %d: %+v", i+1, p)
			}
		}
	})
}

func TestAttemptsAreNotedWithTheirTrigger(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(p post) reply {
			if p.key == "bad" && (p.attempt == "1" || p.attempt == "2") {
				return reply{status: 500}
			}
			return reply{status: 200}
		})
		b.start()
		bad := b.emit("bad")[0]
		time.Sleep(1500 * time.Millisecond)
		b.emit("good")
		time.Sleep(time.Minute)
		b.receiver().set(nil)
		b.outbox.replay(bad.Ref)
		b.d.Requeue()
		time.Sleep(time.Minute)
		b.stop()
		var triggers []string
		for i, a := range b.outbox.row(bad.Ref).attempts {
			triggers = append(triggers, a.Trigger)
			if i < 2 && (a.Status != 500 || a.Reason != ReasonStatus5xx || a.Error == "") {
				t.Errorf("attempt %+v", a)
			}
		}
		if got := strings.Join(triggers, " "); got != "initial probe retry replay" {
			t.Errorf("triggers %s", got)
		}
	})
}
