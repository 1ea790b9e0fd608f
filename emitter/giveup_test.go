package emitter

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/trust"
)

func failing(post) reply { return reply{status: http.StatusInternalServerError} }

func givesUpAfter(d time.Duration) func(*Webhook) {
	return func(w *Webhook) { w.Retry.GiveUpAfter = setting.Duration(d) }
}

// parkedInTime checks deliveries of which each that was tried longer ago than give_up_after has to be parked, and the others have
// to wait. It gives how many are parked.
func parkedInTime(b *bench, list []Delivery, after time.Duration) (parked int) {
	b.t.Helper()
	for _, d := range list {
		row := b.outbox.row(d.Ref)
		if len(row.attempts) == 0 || time.Since(row.attempts[0].At) < after {
			if row.state != "pending" {
				b.t.Errorf("%s is %s after %d attempts", d.ID, row.state, len(row.attempts))
			}
			continue
		}
		parked++
		if took := row.parked.Sub(row.attempts[0].At); row.state != "parked" || took < after || took > after+time.Second {
			b.t.Errorf("%s is %s, %s after its first attempt", d.ID, row.state, took)
		}
	}
	return parked
}

// A shut gate is probed with events that have failed less, and more of those wait than there are probes in 72 hours.
func TestWhatHasFailedIsParkedInTimeAlsoWhenTheProbesOfADeadReceiverGoToOthers(t *testing.T) {
	for _, size := range []int{0, 5} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t, batches(size))
			b.receiver().set(failing)
			b.start()
			synctest.Wait()
			list := b.emit(keys(10_000)...)
			time.Sleep(80 * time.Hour)
			if n := parkedInTime(b, list, 72*time.Hour); n < 50 || n > 2000 {
				t.Errorf("batches of %d: %d are parked", size, n)
			}
			row := b.outbox.row(list[0].Ref)
			if row.reason != "gave up after 3d: 500 Internal Server Error" || len(row.attempts) != 1 {
				t.Errorf("batches of %d: parked after %d attempts: %s", size, len(row.attempts), row.reason)
			}
			b.receiver().set(nil)
			time.Sleep(6 * time.Hour)
			b.stop()
			s := b.outbox.states("w")
			if s["pending"] != 0 || s["delivered"]+s["parked"] != len(list) || int(b.stats().Parked) != s["parked"] {
				t.Errorf("batches of %d: %v, counted %d", size, s, b.stats().Parked)
			}
		})
	}
}

func TestWhatWasNeverTriedIsNotGivenUpOnAndFollowsWhatIs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, givesUpAfter(time.Hour))
		b.receiver().set(failing)
		b.start()
		synctest.Wait()
		list := b.emit("a", "a", "a")
		time.Sleep(time.Hour + time.Second)
		if s := b.outbox.states("w"); s["parked"] != 1 || s["pending"] != 2 {
			t.Fatalf("after an hour: %v", s)
		}
		first := b.outbox.row(list[0].Ref)
		b.receiver().set(nil)
		time.Sleep(time.Hour)
		b.stop()
		for _, d := range list[1:] {
			if row := b.outbox.row(d.Ref); row.state != "delivered" || row.attempts[0].At.Before(first.parked) {
				t.Errorf("%s is %s, first tried at %s; the one before it was parked at %s", d.ID, row.state, row.attempts[0].At, first.parked)
			}
		}
	})
}

// P4: as after a refusal, the next event of the record waits until parking is durable.
func TestWhatFollowsWaitsUntilGivingUpIsDurable(t *testing.T) {
	for _, size := range []int{0, 5} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t, batches(size), givesUpAfter(time.Hour))
			b.receiver().set(failing)
			b.start()
			synctest.Wait()
			list := b.emit("a")
			time.Sleep(time.Minute)
			second := b.emit("a")[0]
			b.outbox.setFault(func(op string) error {
				if op == "park" {
					return errRefused
				}
				return nil
			})
			time.Sleep(70 * time.Minute)
			if row := b.outbox.row(second.Ref); len(row.attempts) != 0 {
				t.Errorf("%d attempts at the second event before the first is parked", len(row.attempts))
			}
			tries := len(b.outbox.row(list[0].Ref).attempts)
			b.outbox.setFault(nil)
			b.receiver().set(nil)
			time.Sleep(time.Hour)
			b.stop()
			row := b.outbox.row(list[0].Ref)
			if row.state != "parked" || len(row.attempts) != tries || b.outbox.row(second.Ref).state != "delivered" {
				t.Errorf("the first is %s after %d attempts, the second is %s", row.state, len(row.attempts), b.outbox.row(second.Ref).state)
			}
		})
	}
}

// The time of those that failed is up during the pause: they still get their attempt.
func TestNothingIsGivenUpOnWhileAWebhookIsPausedOrBeforeItWasTriedAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(failing)
		b.start()
		synctest.Wait()
		list := b.emit(keys(200)...)
		time.Sleep(2 * time.Hour)
		b.d.Pause("w", "by hand")
		time.Sleep(200 * time.Hour)
		if s := b.outbox.states("w"); s["parked"] != 0 {
			t.Errorf("during the pause: %v", s)
		}
		b.receiver().set(nil)
		b.d.Resume("w")
		time.Sleep(time.Hour)
		b.stop()
		if s := b.outbox.states("w"); s["delivered"] != len(list) {
			t.Errorf("after the pause: %v", s)
		}
	})
}

func TestNothingIsGivenUpOnWhileAWebhookIsPausedAlsoWhenItWaitsForItsTurn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, givesUpAfter(time.Hour))
		b.receiver().set(func(post) reply { return reply{status: http.StatusServiceUnavailable, after: "36000"} })
		b.start()
		synctest.Wait()
		d := b.emit("a")[0]
		time.Sleep(time.Minute)
		b.d.Pause("w", "by hand")
		time.Sleep(2 * time.Hour)
		if row := b.outbox.row(d.Ref); row.state != "pending" {
			t.Errorf("it is %s", row.state)
		}
		b.stop()
	})
}

func TestAReplayThatNobodyHasTriedYetIsNotGivenUpOn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, givesUpAfter(time.Hour))
		for _, key := range keys(90) {
			b.outbox.commit(b.event("w", key))
		}
		d := b.event("w", "replay")
		d.Replay, d.Since = true, time.Now().Add(-2*time.Hour)
		b.outbox.commit(d)
		b.receiver().set(failing)
		b.start()
		time.Sleep(time.Hour)
		b.stop()
		if row := b.outbox.row(d.Ref); row.state != "pending" || len(row.attempts) != 0 {
			t.Errorf("it is %s after %d attempts", row.state, len(row.attempts))
		}
	})
}

// An old failure says nothing of the receiver as it is now: after days off it is tried before anything is given up on.
func TestAProcessThatStartsAgainTriesTheReceiverBeforeItGivesUpOnWhatFailedBefore(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadGateway} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.receiver().set(failing)
			b.start()
			synctest.Wait()
			list := b.emit(keys(200)...)
			time.Sleep(2 * time.Hour)
			b.stop()
			tried := 0
			for _, d := range list {
				tried += min(1, len(b.outbox.row(d.Ref).attempts))
			}
			time.Sleep(100 * time.Hour)
			b.receiver().set(func(post) reply { return reply{status: status} })
			before := len(b.receiver().got())
			b.start()
			time.Sleep(time.Minute)
			s := b.outbox.states("w")
			if status == http.StatusOK && s["parked"] != 0 {
				t.Errorf("the receiver takes everything: %v", s)
			}
			if n := len(b.receiver().got()) - before; status != http.StatusOK && (s["parked"] != tried || n > 10) {
				t.Errorf("%d have failed; after %d requests: %v", tried, n, s)
			}
			if row := b.outbox.row(list[0].Ref); status != http.StatusOK && row.reason != "gave up after 3d: 500 Internal Server Error" {
				t.Errorf("parked: %s", row.reason)
			}
			b.stop()
		})
	}
}

// docs/operations.md: a webhook to which nothing can be sent parks nothing for that.
func TestNothingIsGivenUpOnWhileNothingCanBeSent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(failing)
		b.start()
		synctest.Wait()
		list := b.emit(keys(50)...)
		time.Sleep(time.Minute)
		b.receiver().set(func(post) reply { return reply{err: &unsentError{reason: ReasonAuth, text: "no token"}} })
		time.Sleep(100 * time.Hour)
		if s := b.outbox.states("w"); s["parked"] != 0 || !b.outbox.gate("w").Unsent {
			t.Errorf("%v, gate %+v", s, b.outbox.gate("w"))
		}
		b.receiver().set(nil)
		time.Sleep(time.Hour)
		b.stop()
		if s := b.outbox.states("w"); s["delivered"] != len(list) {
			t.Errorf("when it could be sent: %v", s)
		}
	})
}

func TestAReplayHasAllItsTimeFromItsFirstFailure(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, givesUpAfter(time.Hour))
		b.receiver().set(failing)
		b.start()
		synctest.Wait()
		old := b.emit("a")[0]
		time.Sleep(2 * time.Hour)
		b.outbox.replay(old.Ref)
		b.d.Requeue()
		time.Sleep(time.Second)
		others := b.emit(keys(500)...)
		time.Sleep(2*time.Hour + 90*time.Second)
		b.stop()
		row := b.outbox.row(old.Ref)
		if row.state != "parked" || !strings.HasPrefix(row.reason, "gave up after 1h") {
			t.Errorf("the replay is %s: %s", row.state, row.reason)
		}
		parkedInTime(b, others, time.Hour)
	})
}

// A clock that was ahead when the last attempt was made must not make an event wait for that much longer.
func TestWhatFailedUnderAClockThatWasAheadIsGivenUpOnInTime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		ahead := time.Now().Add(1000 * time.Hour)
		d := b.event("w", "a")
		d.Attempts, d.Since, d.TriedAt, d.NextAt = 3, ahead.Add(-70*time.Hour), ahead, ahead.Add(time.Minute)
		b.outbox.commit(d)
		b.outbox.commit(b.event("w", "b"))
		b.receiver().set(failing)
		b.start()
		time.Sleep(3 * time.Hour)
		b.stop()
		if row := b.outbox.row(d.Ref); row.state != "parked" {
			t.Errorf("it is %s", row.state)
		}
	})
}

// Behind a shut gate little is read from the store, but what has failed in each shard is.
func TestWhatHasFailedIsParkedInTimeInEachShardAfterARestart(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(failing)
		b.start()
		b.d.Take(2, 3)
		synctest.Wait()
		var list []Delivery
		for i := range 9000 {
			d := b.event("w", fmt.Sprint("k", i))
			d.Shard = 1 + i%3
			list = append(list, d)
			b.d.Dispatch(d.Shard, b.outbox.commit(d), true)
		}
		time.Sleep(10 * time.Hour)
		b.stop()
		b.start()
		b.d.Take(2, 3)
		time.Sleep(66 * time.Hour)
		b.stop()
		if n := parkedInTime(b, list, 72*time.Hour); n < 50 {
			t.Errorf("%d are parked", n)
		}
	})
}

// Of several members one probes; what the others have in their shards fails with it, unless it could not send anything.
func TestAMemberThatHasNotProbedItselfGivesUpWhenAnotherOneHas(t *testing.T) {
	for _, unsent := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t, givesUpAfter(time.Hour))
			now := time.Now()
			old := b.event("w", "old")
			old.Attempts, old.Since, old.TriedAt, old.NextAt = 1, now.Add(-2*time.Hour), now.Add(-time.Minute), now.Add(time.Hour)
			b.outbox.commit(old)
			gate := GateState{State: GateShut, Failures: 12, Since: now.Add(-2 * time.Hour), Until: now.Add(time.Hour), At: now}
			b.outbox.gates["w"] = gate
			b.start()
			time.Sleep(time.Minute)
			if row := b.outbox.row(old.Ref); row.state != "pending" {
				t.Errorf("it is %s before anybody has tried", row.state)
			}
			gate.Failures, gate.Gen, gate.Unsent = 13, 1, unsent
			b.outbox.gates["w"] = gate
			q := b.d.all()["w"]
			q.mu.Lock()
			q.follow(gate)
			q.mu.Unlock()
			time.Sleep(time.Minute)
			if row := b.outbox.row(old.Ref); (row.state == "parked") == unsent || len(row.attempts) != 0 {
				t.Errorf("unsent %t: it is %s after %d attempts", unsent, row.state, len(row.attempts))
			}
			b.stop()
		})
	}
}

// Behind a shut gate an old failure says nothing when probes are overdue: the lease was away, the shard was somebody else's, or the process
// stood still. A probe that another member only begins says nothing, either.
func TestTimeInWhichNothingCouldBeTriedParksNothingBeforeTheReceiverHasFailedOnceMore(t *testing.T) {
	for _, away := range []struct{ trust, shard, claim bool }{{trust: true}, {shard: true}, {trust: true, shard: true}, {trust: true, claim: true}} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t, givesUpAfter(time.Hour))
			b.trust = &trust.Window{}
			b.receiver().set(failing)
			b.start()
			synctest.Wait()
			list := b.emit(keys(50)...)
			time.Sleep(10 * time.Minute)
			if away.trust {
				b.trust.Extend(time.Now())
			}
			if away.shard {
				b.d.Drop(1)
			}
			time.Sleep(3 * time.Hour)
			b.receiver().set(nil)
			if away.claim {
				claim := b.outbox.gate("w")
				claim.Gen, claim.Until = claim.Gen+1, time.Now().Add(time.Minute)
				q := b.d.all()["w"]
				q.mu.Lock()
				q.follow(claim)
				q.mu.Unlock()
			}
			b.trust.Extend(time.Now().Add(1000 * time.Hour))
			if away.shard {
				b.d.Take(1)
			}
			time.Sleep(time.Hour)
			b.stop()
			if s := b.outbox.states("w"); s["delivered"] != len(list) {
				t.Errorf("%+v: %v", away, s)
			}
		})
	}
}

// The timeout of an attempt that was under way while the process stood still passes with it.
func TestAnAttemptThatEndsLongAfterItsTimeIsNoFailureOfTheReceiverAsItIsNow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(failing)
		b.start()
		synctest.Wait()
		b.emit("a")
		time.Sleep(time.Minute)
		q := b.d.all()["w"]
		q.mu.Lock()
		now := time.Now()
		for began, counts := range map[time.Time]bool{now.Add(-15 * time.Second): true, now.Add(-time.Hour): false} {
			q.moveGate(&item{probe: true}, Outcome{Class: Failed, Error: "no answer within 15s", At: began}, now)
			if q.fails(now) != counts {
				t.Errorf("it counts: %t, begun %s ago", !counts, now.Sub(began))
			}
		}
		q.mu.Unlock()
		b.stop()
	})
}

// Other events get through, and the one that fails waits for its own time.
func TestBehindAnOpenGateTimeInWhichNothingWasTriedLeavesAnAttempt(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t, givesUpAfter(4*time.Hour))
			b.receiver().set(func(p post) reply {
				if strings.HasPrefix(p.body, "bad") {
					return reply{status: http.StatusInternalServerError}
				}
				return reply{status: http.StatusOK}
			})
			b.start()
			synctest.Wait()
			d := b.emit("bad")[0]
			for range 180 {
				b.emit("good")
				time.Sleep(time.Minute)
			}
			if restart {
				b.stop()
			} else {
				b.d.Pause("w", "by hand")
			}
			time.Sleep(65 * time.Minute)
			b.receiver().set(nil)
			if restart {
				b.start()
			} else {
				b.d.Resume("w")
			}
			time.Sleep(6 * time.Hour)
			b.stop()
			if row := b.outbox.row(d.Ref); row.state != "delivered" {
				t.Errorf("restart %t: it is %s after %d attempts", restart, row.state, len(row.attempts))
			}
		})
	}
}

// P3: half a batch would be sent under another id.
func TestABatchThatIsGivenUpOnIsParkedAsAWholeWhateverTheStoreRefuses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, batches(5), givesUpAfter(time.Hour))
		b.receiver().set(failing)
		b.start()
		synctest.Wait()
		b.emit(keys(5)...)
		time.Sleep(time.Minute)
		parks := 0
		b.outbox.setFault(func(op string) error {
			if op == "park" {
				if parks++; parks != 2 && parks != 3 {
					return errRefused
				}
			}
			return nil
		})
		for range 60 * 60 {
			time.Sleep(time.Second)
			if n := b.outbox.states("w")["parked"]; n != 0 && n != 5 {
				t.Fatalf("%d of 5 are parked", n)
			}
		}
		b.outbox.setFault(nil)
		b.stop()
		if n := b.outbox.states("w")["parked"]; n != 5 || b.stats().Parked != 5 {
			t.Errorf("%d are parked, counted %d", n, b.stats().Parked)
		}
	})
}

func TestWhatHasFailedIsParkedInTimeAfterARestartAlsoWhenReplaysStandBeforeIt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		var old []Delivery
		for i := range 2000 {
			old = append(old, b.event("w", fmt.Sprint("old", i)))
		}
		b.outbox.commit(old...)
		for _, d := range old {
			b.outbox.lose(d.Ref)
		}
		b.start()
		synctest.Wait()
		b.receiver().set(failing)
		list := b.emit(keys(500)...)
		time.Sleep(10 * time.Hour)
		for _, d := range old {
			b.outbox.replay(d.Ref)
		}
		b.stop()
		b.start()
		time.Sleep(66 * time.Hour)
		b.stop()
		if n := parkedInTime(b, list, 72*time.Hour); n < 20 {
			t.Errorf("%d are parked", n)
		}
	})
}

func TestManyThatAreGivenUpOnAtOnceDoNotFillTheMemory(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		now, total, most := time.Now(), 5*mostParking, 0
		for i := range total {
			d := b.event("w", fmt.Sprint("k", i))
			d.Attempts, d.Since, d.TriedAt, d.NextAt = 3, now.Add(-80*time.Hour), now.Add(-time.Hour), now.Add(-time.Minute)
			b.outbox.commit(d)
		}
		b.receiver().set(failing)
		b.start()
		b.outbox.setFault(func(op string) error {
			if op == "park" {
				b.d.record.mu.Lock()
				most = max(most, b.d.record.open[1])
				b.d.record.mu.Unlock()
			}
			return nil
		})
		time.Sleep(time.Minute)
		b.stop()
		if n := b.outbox.states("w")["parked"]; n != total || most > mostParking+2*roundEntries {
			t.Errorf("%d are parked, at most %d waited to be", n, most)
		}
	})
}
