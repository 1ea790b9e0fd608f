package emitter

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

// batches makes the webhook one that gets batches.
func batches(events int) func(*Webhook) {
	return func(w *Webhook) { w.Batch.MaxEvents = events }
}

func oneAtATime(w *Webhook) { w.MaxInFlight = 1 }

func TestEventsThatWaitGoOutInOneRequestUpToTheSizeOfABatch(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, batches(10))
		b.start()
		synctest.Wait()
		b.emit(keys(95)...)
		time.Sleep(time.Second)
		b.stop()
		checkOrder(t, b.receiver(), 95, true)
		got := b.receiver().got()
		if len(got) != 10 || len(got[0].events()) != 10 || len(got[9].events()) != 5 {
			t.Errorf("%d requests for 95 events, the last with %d", len(got), len(got[len(got)-1].events()))
		}
		for _, p := range got {
			if !strings.HasPrefix(p.id, "bat_") || p.body[0] != '[' || p.attempt != "1" || p.count != strconv.Itoa(len(p.events())) {
				t.Errorf("a batch is %+v", p)
			}
		}
		if s := b.outbox.states("w"); s["delivered"] != 95 || b.stats().Delivered != 95 {
			t.Errorf("outbox %v, counted %d", s, b.stats().Delivered)
		}
	})
}

func TestAnEventWaitsForOthersAsLongAsItLingersAndNoLonger(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, batches(10), func(w *Webhook) { w.Batch.Linger = setting.Duration(time.Second) })
		b.start()
		synctest.Wait()
		start := time.Now()
		for _, key := range keys(4) {
			b.emit(key)
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		b.stop()
		got := b.receiver().got()
		if len(got) != 1 || got[0].at.Sub(start) != time.Second || len(got[0].events()) != 4 {
			t.Errorf("%d requests, the first after %v: %s", len(got), got[0].at.Sub(start), got[0].body)
		}
	})
}

// A source whose events are few does not hold up one that has a batch together.
func TestALingeringSourceDoesNotDelayAFullBatchOfAnotherOne(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, batches(10), func(w *Webhook) { w.Batch.Linger = setting.Duration(time.Hour) })
		b.start()
		synctest.Wait()
		few := b.event("w", "few")
		few.Source = "other"
		b.d.Dispatch(1, b.outbox.commit(few), true)
		b.emit(keys(10)...)
		time.Sleep(time.Second)
		if n := len(b.receiver().delivered()); n != 10 {
			t.Errorf("%d delivered beside an event that lingers", n)
		}
		time.Sleep(2 * time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 11, true)
		for _, p := range b.receiver().got() {
			if len(keysIn(p)) > 1 && strings.Contains(p.body, "few") {
				t.Errorf("two sources in one batch: %s", p.body)
			}
		}
	})
}

func TestABatchIsNoLargerThanItMayBe(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, batches(100), func(w *Webhook) { w.Batch.MaxBytes = 20 })
		b.start()
		synctest.Wait()
		long := b.event("w", "long")
		long.Body = []byte("long " + strconv.FormatInt(long.Seq, 10) + strings.Repeat(" ", 50))
		b.d.Dispatch(1, b.outbox.commit(long), true)
		b.emit(keys(30)...)
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 31, true)
		for _, p := range b.receiver().got() {
			if len(p.body) > 20 && len(p.events()) > 1 {
				t.Errorf("%d bytes: %s", len(p.body), p.body)
			}
		}
		if n := len(b.receiver().got()); n > 20 {
			t.Errorf("%d requests", n)
		}
	})
}

// P4: batches side by side never have a record in common, and each has its events in order.
func TestARecordIsInOneBatchAtATimeAndInOrder(t *testing.T) {
	for _, order := range []string{"key", "source", "none"} {
		t.Run(order, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				b := newBench(t, batches(7), func(w *Webhook) { w.Order = order })
				b.receiver().set(func(post) reply { return reply{status: 200, took: rand.N(time.Second)} })
				b.start()
				for range 30 {
					b.emit(keys(20)...)
					b.emit(repeat("hot", 10)...)
					time.Sleep(rand.N(2 * time.Second))
				}
				time.Sleep(time.Hour)
				b.stop()
				if order != "none" {
					checkOrder(t, b.receiver(), 900, true)
				}
				for _, p := range b.receiver().got() {
					if !slices.IsSortedFunc(p.events(), func(a, b string) int {
						return byNumber(a[strings.Index(a, " ")+1:], b[strings.Index(b, " ")+1:])
					}) {
						t.Errorf("a batch out of order: %s", p.body)
					}
				}
			})
		})
	}
}

// T25: one bad record does not fail its batch for ever: it ends alone and is parked, and all others arrive.
func TestT25APoisonedBatchIsBisectedUntilTheEventAtFaultIsParked(t *testing.T) {
	for _, status := range []int{400, 413, 415, 422} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t, batches(200), oneAtATime)
			b.receiver().set(func(p post) reply {
				for _, e := range p.events() {
					if strings.HasPrefix(e, "k77 ") || strings.HasPrefix(e, "k150 ") {
						return reply{status: status}
					}
				}
				return reply{status: http.StatusOK}
			})
			b.start()
			synctest.Wait()
			list := b.emit(keys(200)...)
			time.Sleep(time.Hour)
			b.stop()
			checkOrder(t, b.receiver(), 198, true)
			if s := b.outbox.states("w"); s["parked"] != 2 || s["delivered"] != 198 {
				t.Errorf("outbox %v", s)
			}
			for _, n := range []int{77, 150} {
				if row := b.outbox.row(list[n].Ref); row.state != "parked" || !strings.Contains(row.reason, strconv.Itoa(status)) {
					t.Errorf("%s is %s: %s", row.ID, row.state, row.reason)
				}
			}
			if n := len(b.receiver().got()); n > 1+2*2*8 {
				t.Errorf("%d requests to find two of 200", n)
			}
			if g := b.outbox.gate("w"); g.State == GateShut {
				t.Error("a refused event shut the gate")
			}
			bodies := map[string]string{}
			for _, p := range b.receiver().got() {
				if body, ok := bodies[p.id]; ok && body != p.body {
					t.Errorf("%s came with two bodies", p.id)
				}
				bodies[p.id] = p.body
			}
		})
	}
}

// P3: a batch that failed is sent again as it was, whatever has come meanwhile, also by the next process.
func TestABatchIsRepeatedUnderItsIDWithItsBytesAlsoAfterACrash(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, batches(5))
		b.receiver().set(func(post) reply { return reply{status: http.StatusServiceUnavailable} })
		b.start()
		synctest.Wait()
		b.emit(keys(3)...) // two more would fit
		time.Sleep(10 * time.Second)
		b.emit("x", "y", "z", "k0", "k1")
		time.Sleep(time.Minute)
		b.stop()
		before := b.receiver().got()
		b.start()
		time.Sleep(10 * time.Minute)
		b.receiver().set(nil)
		time.Sleep(time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 8, true)
		attempts, bodies, batchOf := map[string]int{}, map[string]string{}, map[string]string{}
		for _, p := range b.receiver().got() {
			attempts[p.id]++
			if body, ok := bodies[p.id]; ok && body != p.body || p.attempt != strconv.Itoa(attempts[p.id]) {
				t.Errorf("attempt %d is %+v", attempts[p.id], p)
			}
			bodies[p.id] = p.body
			for _, e := range p.events() {
				if id, ok := batchOf[e]; ok && id != p.id {
					t.Errorf("%q came in the batches %s and %s", e, id, p.id)
				}
				batchOf[e] = p.id
			}
		}
		if len(before) < 3 || len(attempts) > 3 {
			t.Errorf("%d attempts before the restart, %v in all", len(before), attempts)
		}
	})
}

// sealedBatch commits what is sealed as one batch, and was tried in vain.
func sealedBatch(rows []Delivery, batch ...int) {
	ids := make([]string, len(batch))
	for i, n := range batch {
		ids[i] = rows[n].ID
	}
	for _, n := range batch {
		rows[n].Batch, rows[n].Attempts = BatchID(ids), 1
	}
}

// P4: an edit of order counts for what was sealed before it as well.
func TestBatchesSealedUnderAnotherOrderNeitherOvertakeAnEventNorWaitForEachOther(t *testing.T) {
	for _, sealed := range [][][]int{{}, {{0, 2}, {1, 3}}, {{0, 2}}, {{1, 3}}, {{0, 3}, {1, 2}}, {{0, 1}, {2, 3}}, {{3}}, {{1, 2}}} {
		for order, names := range map[string][]string{orderSource: keys(4), orderKey: {"a", "b", "b", "a"}} {
			bubble.Test(t, func(t *testing.T) {
				b := newBench(t, batches(2), func(w *Webhook) { w.Order = order })
				rows := make([]Delivery, len(names))
				for i, key := range names {
					rows[i] = b.event("w", key)
				}
				for _, batch := range sealed {
					sealedBatch(rows, batch...)
				}
				b.outbox.commit(rows...)
				b.start()
				time.Sleep(time.Minute)
				b.stop()
				checkOrder(t, b.receiver(), 4, true)
				var got []string
				for _, p := range b.receiver().got() {
					got = append(got, p.events()...)
				}
				if order == orderSource && !slices.Equal(got, []string{"k0 1", "k1 2", "k2 3", "k3 4"}) {
					t.Errorf("sealed %v: delivered %q", sealed, got)
				}
			})
		}
	}
}

// P3: what another order leaves first goes out as it was sealed, also where an event of before is sent again meanwhile.
func TestABatchThatComesFirstIsRepeatedAsItWasWhateverTheOrder(t *testing.T) {
	for i, order := range []string{orderKey, orderSource, orderNone, orderKey, orderSource, orderNone} {
		wait := time.Duration(i/3) * time.Minute // what is sent again is there before the batch is due
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t, batches(3), func(w *Webhook) { w.Order = order })
			rows := make([]Delivery, 6)
			for i, key := range []string{"a", "a", "b", "a", "b", "c"} {
				rows[i] = b.event("w", key)
			}
			rows[0].Replay, rows[3].Replay = true, true
			sealedBatch(rows, 1, 2, 4)
			for _, n := range []int{1, 2, 4} {
				rows[n].NextAt = time.Now().Add(wait)
			}
			b.outbox.commit(rows...)
			b.receiver().set(func(p post) reply {
				if p.attempt == "1" {
					return reply{status: http.StatusServiceUnavailable}
				}
				return reply{status: http.StatusOK}
			})
			b.start()
			time.Sleep(time.Hour)
			b.stop()
			if s := b.outbox.states("w"); s["delivered"] != 6 {
				t.Errorf("%s: outbox %v", order, s)
			}
			for _, p := range b.receiver().got() {
				if slices.Contains(p.events(), "a 2") && (p.id != rows[1].Batch || len(p.events()) != 3) {
					t.Errorf("%s: %q came as %s", order, p.events(), p.id)
				}
			}
		})
	}
}

// Ownership that comes and goes lets a batch be sealed anew between the look into the store and its attempt.
func TestWhatIsInAnotherBatchByNowIsSealedAnewAndNotForgotten(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, batches(5))
		rows := []Delivery{b.event("w", "a"), b.event("w", "b"), b.event("w", "c")}
		sealedBatch(rows, 0, 1, 2)
		for i := range rows {
			rows[i].NextAt = time.Now().Add(time.Minute)
		}
		b.outbox.commit(rows...)
		b.start()
		time.Sleep(time.Second)
		if _, err := b.outbox.Seal(t.Context(), []Parcel{{Lane: rows[0].Lane, Seqs: []int64{rows[0].Seq}, Batch: true, MaxBytes: 1 << 20}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 3, true)
		if s := b.outbox.states("w"); s["delivered"] != 3 {
			t.Errorf("outbox %v", s)
		}
	})
}

func TestABatchThatFailsForTooLongIsParkedAsAWhole(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var h heard
		b := newBench(t, batches(5), func(w *Webhook) { w.Retry.GiveUpAfter = setting.Duration(time.Hour) })
		b.observer = h.observer()
		b.receiver().set(func(p post) reply {
			if strings.Contains(p.body, "k0 ") {
				return reply{status: http.StatusInternalServerError}
			}
			return reply{status: http.StatusOK}
		})
		b.start()
		synctest.Wait()
		b.emit(keys(5)...)
		b.emit("k1", "other")
		time.Sleep(20 * time.Hour)
		b.stop()
		if s := b.outbox.states("w"); s["parked"] != 5 || s["delivered"] != 2 || b.stats().Parked != 5 {
			t.Errorf("outbox %v, counted %d", s, b.stats().Parked)
		}
		if n := len(slices.DeleteFunc(slices.Clone(h.lines), func(l string) bool { return !strings.HasPrefix(l, "parked") })); n != 5 {
			t.Errorf("the observer heard %q", h.lines)
		}
		if s := b.stats(); s.Queued != 0 {
			t.Errorf("%d in memory", s.Queued)
		}
	})
}

func TestTheIDOfABatchIsThatOfItsEventsInOrder(t *testing.T) {
	id := BatchID([]string{"evt_1", "evt_2"})
	if !strings.HasPrefix(id, "bat_") || len(id) != 30 || id != BatchID([]string{"evt_1", "evt_2"}) {
		t.Errorf("id %q", id)
	}
	for _, other := range [][]string{{"evt_2", "evt_1"}, {"evt_1"}, {"evt_1evt_2"}, {"evt_1", "evt_2", "evt_3"}} {
		if BatchID(other) == id {
			t.Errorf("%v has the same id", other)
		}
	}
}

func TestABatchNeedsAFormatThatIsAnElementOfAnArray(t *testing.T) {
	for format, problems := range map[string]int{"standard": 0, "cloudevents-batch": 0, "cloudevents": 1, "cloudevents-binary": 1, "record": 1, "template": 0} {
		w := validWebhook()
		w.Format, w.Batch.MaxEvents = format, 10
		if format == "template" {
			if err := w.Template.UnmarshalText([]byte(`{"id": {{json .ID}}}`)); err != nil {
				t.Fatal(err)
			}
		}
		if p := w.Validate(testSecrets()); len(p) != problems {
			t.Errorf("%s: %v", format, p)
		}
	}
	w := validWebhook()
	w.Batch = Batch{MaxEvents: -1, Linger: -1, OnReject: "drop"}
	if p := w.Validate(testSecrets()); len(p) != 4 {
		t.Errorf("%v", p)
	}
	w = validWebhook()
	if w.Format = "cloudevents-batch"; w.batchEvents() != 100 {
		t.Errorf("the format wants batches of %d", w.batchEvents())
	}
}
