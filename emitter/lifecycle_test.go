package emitter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

func TestStopWaitsForWhatIsInFlightAndStartsNothingNew(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(took(3 * time.Second))
		b.start()
		b.emit("a", "a", "b")
		time.Sleep(time.Second)
		start := time.Now()
		b.stop()
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("Stop took %s", took)
		}
		if s := b.outbox.states("w"); s["delivered"] != 1 || s["pending"] != 2 {
			t.Errorf("outbox %v", s)
		}
	})
}

// An attempt that we cancel may have arrived: it is neither a failure nor a success, and is made again after the next start.
func TestStopCancelsAtItsDeadlineAndTheCancelledAttemptDoesNotCount(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.Timeout = setting.Duration(time.Hour) })
		b.receiver().set(took(10 * time.Minute))
		b.start()
		a := b.emit("a")[0]
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		if err := b.d.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Stop took %s", took)
		}
		row := b.outbox.row(a.Ref)
		if row.state != "pending" || len(row.attempts) != 0 || b.outbox.called("gate") != 0 {
			t.Errorf("the delivery is %s with %v, the gate was saved %d times", row.state, row.attempts, b.outbox.called("gate"))
		}
		b.receiver().set(nil)
		b.start()
		time.Sleep(time.Second)
		b.stop()
		if got := b.receiver().got(); len(got) != 1 || got[0].id != a.ID || got[0].attempt != "1" {
			t.Errorf("after the restart: %+v", got)
		}
	})
}

func TestStopTellsWhatItCouldNotWrite(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.outbox.setFault(func(op string) error {
			if op == "ack" {
				return errRefused
			}
			return nil
		})
		b.start()
		b.emit("a")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := b.d.Stop(ctx); !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "1 deliveries") {
			t.Errorf("Stop: %v", err)
		}
	})
}

// T7, D14: a crash between the receiver's 2xx and the acknowledgement repeats the delivery under its old id, with its old bytes.
func TestT7D14ACrashRepeatsUnderTheSameIDWithTheSameBytes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.outbox.setFault(func(op string) error {
			if op == "ack" {
				return errRefused
			}
			return nil
		})
		b.start()
		b.emit("a", "a", "a")
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = b.d.Stop(ctx) // as good as a crash: nothing could be written
		b.outbox.setFault(nil)
		b.start()
		time.Sleep(time.Second)
		b.stop()
		checkOrder(t, b.receiver(), 3, false)
		got := b.receiver().got()
		if len(got) != 6 {
			t.Fatalf("%d requests, want each twice", len(got))
		}
		for i := range 3 {
			if got[i].id != got[i+3].id || got[i].body != got[i+3].body {
				t.Errorf("%+v was repeated as %+v", got[i], got[i+3])
			}
		}
	})
}

func TestAStoreThatRefusesIsAskedAgainWithPausesAndNothingIsSentTwice(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var h heard
		b := newBench(t)
		b.observer = h.observer()
		var away atomic.Bool
		away.Store(true)
		b.outbox.setFault(func(op string) error {
			if away.Load() && op != "gates" && op != "lanes" {
				return errRefused
			}
			return nil
		})
		b.receiver().set(func(p post) reply {
			if p.key == "bad" && p.attempt == "1" {
				return reply{status: 500}
			}
			return reply{status: 200}
		})
		b.start()
		synctest.Wait()
		b.emit(keys(50)...)
		b.emit("bad")
		time.Sleep(10 * time.Minute)
		for _, op := range []string{"ack", "retry", "gate", "pending"} {
			if n := b.outbox.called(op); n > 1000 {
				t.Errorf("the store was asked %d times to %s in ten minutes", n, op)
			}
		}
		away.Store(false)
		time.Sleep(time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 51, true)
		if s := b.outbox.states("w"); s["delivered"] != 51 {
			t.Errorf("outbox %v", s)
		}
		if b.outbox.gate("w").State != GateOpen {
			t.Errorf("stored gate %+v", b.outbox.gate("w"))
		}
		if !strings.Contains(strings.Join(h.lines, "\n"), "store failed: ack: disk full") {
			t.Errorf("the observer heard %q", h.lines)
		}
	})
}

func TestAcknowledgementsAreBatched(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		b.emit(keys(2000)...)
		time.Sleep(time.Second)
		b.stop()
		if n := b.outbox.called("ack"); n > 20 {
			t.Errorf("2,000 deliveries were acknowledged in %d calls", n)
		}
		if b.outbox.called("gate") != 0 {
			t.Errorf("the gate was saved %d times for successes", b.outbox.called("gate"))
		}
	})
}

func TestADroppedShardIsLeftAloneAndATakenOneReadFromTheStore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.MaxInFlight = 1 })
		b.receiver().set(took(time.Second))
		b.start()
		b.emit("a", "a", "b")
		time.Sleep(500 * time.Millisecond)
		b.d.Drop(1)
		b.emit("c")
		time.Sleep(time.Minute)
		if got := b.receiver().delivered(); len(got) != 1 || got[0] != "a 1" {
			t.Errorf("a dropped shard delivered %q", got)
		}
		if s := b.stats(); s.Queued != 0 || s.InFlight != 0 {
			t.Errorf("a dropped shard keeps %+v", s)
		}
		b.d.Take(1)
		b.emit("d")
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 5, true)
	})
}

// T19: not even a shard that is lost and won again while a request is under way makes two of it.
func TestT19AShardTakenAgainDoesNotRepeatWhatIsInFlight(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(took(10 * time.Second))
		b.start()
		b.emit("a", "a")
		time.Sleep(time.Second)
		b.d.Drop(1)
		time.Sleep(time.Second)
		b.d.Take(1)
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 2, true)
	})
}

func TestAnEventOfADroppedShardIsNeitherRetriedNorParkedByUs(t *testing.T) {
	for _, status := range []int{500, 422} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.receiver().set(func(post) reply { return reply{status: status, took: time.Second} })
			b.start()
			a := b.emit("a")[0]
			time.Sleep(500 * time.Millisecond)
			b.d.Drop(1)
			time.Sleep(time.Minute)
			if row := b.outbox.row(a.Ref); row.state != "pending" || len(row.attempts) != 0 {
				t.Errorf("%d: %s with %v", status, row.state, row.attempts)
			}
			if n := len(b.receiver().got()); n != 1 {
				t.Errorf("%d: %d requests, the shard was dropped during the first", status, n)
			}
			b.receiver().set(nil)
			b.d.Take(1)
			b.d.Resume("w")
			time.Sleep(time.Minute)
			b.stop()
			checkOrder(t, b.receiver(), 1, true)
		})
	}
}

func TestAReplayIsFoundInTheStoreAndSentUnderItsOldID(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		list := b.emit("a", "b", "a")
		time.Sleep(time.Second)
		b.outbox.replay(list[0].Ref)
		b.d.Requeue()
		time.Sleep(time.Second)
		b.stop()
		got := b.receiver().got()
		if len(got) != 4 || got[3].id != list[0].ID || got[3].body != "a 1" {
			t.Errorf("posts %+v", got)
		}
	})
}

func TestAReplayReadsOnlyTheShardsThatHaveSomething(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		shards := make([]int, 255)
		for i := range shards {
			shards[i] = i + 2
		}
		b.d.Take(shards...)
		old := b.emit("a")[0]
		time.Sleep(time.Second)
		synctest.Wait()
		read := b.outbox.called("pending")
		b.outbox.replay(old.Ref)
		b.d.Requeue()
		time.Sleep(time.Second)
		b.stop()
		if got := b.outbox.called("pending") - read; got > 2 || len(b.receiver().got()) != 2 {
			t.Errorf("%d reads of pending deliveries, %d posts", got, len(b.receiver().got()))
		}
	})
}

func TestAReplayedEventGoesBeforeLaterOnesOfItsRecordThatWait(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		old := b.emit("a")[0]
		time.Sleep(time.Second)
		b.receiver().set(took(time.Second))
		b.emit("a", "a")
		time.Sleep(100 * time.Millisecond) // "a 2" is in flight
		b.outbox.replay(old.Ref)
		b.d.Requeue()
		time.Sleep(time.Minute)
		b.stop()
		if got := strings.Join(b.receiver().delivered(), ", "); got != "a 1, a 2, a 1, a 3" {
			t.Errorf("delivered %s", got)
		}
	})
}

// T17: the gate is as shut after a restart as before it.
func TestT17ARestartDoesNotForgetThatAReceiverIsDown(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(post) reply { return reply{status: http.StatusServiceUnavailable} })
		b.start()
		b.emit(keys(20)...)
		time.Sleep(30 * time.Minute)
		b.stop()
		before := len(b.receiver().got())
		restart := time.Now()
		b.start()
		b.emit("fresh")
		time.Sleep(4 * time.Minute)
		posts := b.receiver().got()[before:]
		if len(posts) > 1 {
			t.Errorf("%d requests in four minutes after the restart, the pause is five", len(posts))
		}
		b.receiver().set(nil)
		time.Sleep(6 * time.Minute)
		b.stop()
		if n := len(b.receiver().delivered()); n != 21 {
			t.Errorf("%d of 21 delivered %s after the restart", n, time.Since(restart))
		}
	})
}

// What a delivery waits for by itself is stored with it. How long the gate is shut is stored with the gate: somebody opens it, or another
// delivery does, and then nothing may go on to wait for it.
func TestAfterARestartNothingWaitsForAGateThatHasOpenedSince(t *testing.T) {
	for name, edit := range map[string]func(*Webhook){"alone": func(*Webhook) {}, "in batches": batches(10)} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				b := newBench(t, edit, func(w *Webhook) { w.Retry.GiveUpAfter = setting.Duration(30 * 24 * time.Hour) })
				b.receiver().set(func(post) reply { return reply{status: http.StatusServiceUnavailable} })
				b.start()
				b.emit(keys(5)...)
				time.Sleep(7 * 24 * time.Hour) // so that it is probed once a day
				b.stop()
				b.start()
				b.receiver().set(nil)
				b.d.Resume("w")
				time.Sleep(time.Minute)
				if s := b.d.Stats()[0]; s.Queued != 0 || s.Gate.State != GateOpen {
					t.Errorf("a minute after it was resumed %d deliveries wait: %+v", s.Queued, s.Gate)
				}
				b.stop()
			})
		})
	}
}

func TestPauseStopsAWebhookDurablyAndKeepsItsQueue(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start()
		if !b.d.Pause("w", "maintenance") || b.d.Pause("unknown", "") {
			t.Error("Pause confuses the names")
		}
		b.emit("a")
		time.Sleep(time.Hour)
		b.stop()
		b.start()
		time.Sleep(time.Hour)
		if n := len(b.receiver().got()); n != 0 {
			t.Errorf("%d requests to a paused webhook", n)
		}
		b.d.Resume("w")
		time.Sleep(time.Second)
		b.stop()
		checkOrder(t, b.receiver(), 1, true)
	})
}

func TestStatsTellWhatAWebhookDoes(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(p post) reply {
			if p.key == "bad" {
				return reply{status: 500}
			}
			return reply{status: 200, took: time.Second}
		})
		b.start()
		first := time.Now()
		b.emit("a")
		b.emit("a", "a")
		time.Sleep(500 * time.Millisecond)
		s := b.stats()
		if s.Webhook != "w" || s.InFlight != 1 || s.Queued != 3 || !s.Oldest.Equal(first) || s.Gate.State != GateOpen || s.Spilled {
			t.Errorf("in flight: %+v", s)
		}
		time.Sleep(time.Minute)
		b.emit("bad")
		time.Sleep(100 * time.Millisecond)
		s = b.stats()
		if s.Delivered != 3 || s.Failed != 1 || s.Gate.State != GateShut || s.Queued != 1 || s.LastError != "500 Internal Server Error" {
			t.Errorf("after a failure: %+v", s)
		}
		b.stop()
	})
}

func TestADispatcherThatNeverStartedCanBeStopped(t *testing.T) {
	b := newBench(t)
	b.outbox.setFault(func(string) error { return errRefused })
	d, err := New(Options{Outbox: b.outbox, Webhooks: b.webhooks, Secrets: &setting.Secrets{}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); !errors.Is(err, errRefused) {
		t.Errorf("Start: %v", err)
	}
	if err := d.Stop(t.Context()); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func TestNewRefusesAWebhookThatCannotBeSentTo(t *testing.T) {
	for name, edit := range map[string]func(*Webhook){
		"url":    func(w *Webhook) { w.URL = "::" },
		"format": func(w *Webhook) { w.Format = "xml" },
		"sign":   func(w *Webhook) { w.Sign = "magic" },
		"secret": func(w *Webhook) { w.Sign, w.Secret = "standard", setting.SecretList{setting.NewSecret("env:NOWHERE")} },
	} {
		b := newBench(t, edit)
		if _, err := New(Options{Outbox: b.outbox, Webhooks: b.webhooks, Secrets: &setting.Secrets{}}); err == nil {
			t.Errorf("a webhook with a bad %s was accepted", name)
		}
	}
}

func TestAShardTakenAnewWhileItIsReadIsReadAnew(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := small(newBench(t))
		b.outbox.latency = 50 * time.Millisecond
		b.receiver().set(took(time.Millisecond))
		b.outbox.commit(b.event("w", "hot"))
		b.start()
		b.emit(repeat("hot", 100)...)
		b.emit(keys(100)...)
		for range 50 {
			time.Sleep(17 * time.Millisecond)
			b.d.Take(1)
		}
		time.Sleep(time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 201, true)
	})
}

// A clock that was wrong when a time was stored must not silence a webhook for years.
func TestAStoredTimeInTheFarFutureIsNotBelieved(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		wrong := time.Now().Add(10 * 365 * 24 * time.Hour)
		late := b.event("w", "a")
		late.Attempts, late.NextAt = 1, wrong
		b.outbox.commit(late, b.event("w", "b"))
		b.outbox.gates["w"] = GateState{State: GateShut, Failures: 3, Until: wrong}
		b.start()
		time.Sleep(25 * time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 2, true)
	})
}

// What was stored by a clock that is an hour ahead of what it shows now waits as long as it was meant to.
func TestAClockThatWasSetBackDoesNotStallWhatWasStored(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		ahead := time.Now().Add(time.Hour)
		late := b.event("w", "a")
		late.Attempts, late.Since, late.TriedAt, late.NextAt = 1, ahead, ahead, ahead.Add(30*time.Second)
		b.outbox.commit(late)
		b.outbox.gates["w"] = GateState{State: GateShut, Failures: 1, Since: ahead, At: ahead, Until: ahead.Add(20 * time.Second)}
		start := time.Now()
		b.start()
		time.Sleep(time.Minute)
		b.stop()
		if got := b.receiver().got(); len(got) != 1 || got[0].at.Sub(start) > 30*time.Second {
			t.Errorf("requests %+v", got)
		}
	})
}

// give_up_after counts from the first attempt, or from the replay, also over a restart.
func TestGiveUpAfterCountsFromTheFirstAttemptOrTheReplayOverRestarts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.Retry.PauseAfter = 0 })
		down := b.event("w", "a")
		down.At = time.Now().Add(-100 * time.Hour) // it waited for long before anybody tried
		b.outbox.commit(down)
		b.receiver().set(func(post) reply { return reply{status: http.StatusInternalServerError} })
		settled := func(since time.Time) {
			t.Helper()
			for b.outbox.row(down.Ref).state == "pending" {
				time.Sleep(7 * time.Hour)
				b.stop()
				b.start()
			}
			row := b.outbox.row(down.Ref)
			if took := row.parked.Sub(since); took < 72*time.Hour || took > 72*time.Hour+time.Minute {
				t.Errorf("given up after %s", took)
			}
		}
		b.start()
		settled(time.Now())
		time.Sleep(10 * 24 * time.Hour)
		b.outbox.replay(down.Ref)
		b.d.Requeue()
		settled(time.Now())
		b.stop()
	})
}

func TestWhatWasSettledBehindItsBackIsNotSentFromMemory(t *testing.T) {
	for _, packs := range []bool{false, true} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t, func(w *Webhook) {
				if packs {
					w.Batch.MaxEvents = 10
				}
			})
			b.start()
			b.d.Pause("w", "paused by hand")
			old := b.emit("a", "a", "b", "c")
			time.Sleep(time.Second)
			for _, d := range old {
				b.outbox.lose(d.Ref)
			}
			if !b.d.Reread("w") || b.d.Reread("nobody") {
				t.Fatal("the wrong webhook was read again")
			}
			fresh := b.emit("a")[0]
			b.d.Resume("w")
			time.Sleep(time.Minute)
			b.stop()
			got := b.receiver().got()
			if len(got) != 1 {
				t.Fatalf("packs %t: %d requests: %+v", packs, len(got), got)
			}
			if sent := got[0].events(); !slices.Equal(sent, []string{fmt.Sprint("a ", fresh.Sequence)}) {
				t.Errorf("packs %t: %q was sent, want event %d of a", packs, sent, fresh.Sequence)
			}
		})
	}
}
