package emitter

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// took answers 200 after a while.
func took(d time.Duration) func(post) reply {
	return func(post) reply { return reply{status: http.StatusOK, took: d} }
}

func TestEventsOfOneRecordGoOutOneAfterTheOtherAndThoseOfManyTogether(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(post) reply { return reply{status: 200, took: rand.N(time.Second)} })
		b.start()
		for range 20 {
			b.emit(keys(10)...)
		}
		time.Sleep(time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 200, true)
		if b.receiver().atOnce() != 8 {
			t.Errorf("at most %d at the same time, max_in_flight is 8", b.receiver().atOnce())
		}
		if s := b.outbox.states("w"); s["delivered"] != 200 || s["pending"] != 0 {
			t.Errorf("outbox %v", s)
		}
	})
}

func TestOrderSourceSendsOneEventOfASourceAtATime(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.Order = "source" })
		b.receiver().set(took(100 * time.Millisecond))
		b.start()
		b.emit(keys(50)...)
		time.Sleep(time.Minute)
		b.stop()
		var want []string
		for _, p := range b.receiver().got() {
			want = append(want, p.id)
		}
		if b.receiver().atOnce() != 1 || len(want) != 50 || !slices.IsSortedFunc(want, byNumber) {
			t.Errorf("%d at the same time, order %v", b.receiver().atOnce(), want)
		}
	})
}

func byNumber(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func TestOrderNoneDoesNotWaitForEarlierEventsOfARecord(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.Order = "none" })
		b.receiver().set(took(time.Second))
		b.start()
		b.emit(repeat("a", 36)...)
		time.Sleep(9 * time.Second) // 1+2+…+8 in the slow start
		if n := len(b.receiver().delivered()); n != 36 {
			t.Errorf("%d delivered, want 36", n)
		}
		b.stop()
	})
}

// T4: a long backlog of one record does not keep other records waiting, not even with a single attempt at a time.
func TestT4AFreshEventOvertakesTheBacklogOfAnotherRecord(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { w.MaxInFlight = 1 })
		b.receiver().set(took(time.Second))
		b.start()
		b.emit(repeat("hot", 10_000)...)
		time.Sleep(10 * time.Second)
		b.emit("fresh")
		time.Sleep(3 * time.Second)
		if got := b.receiver().delivered(); !slices.Contains(got, "fresh 10001") {
			t.Errorf("after 3 s the last are %q", got[len(got)-3:])
		}
		time.Sleep(3 * time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 10_001, true)
	})
}

// T4: a dead receiver delays no other one.
func TestT4ADeadWebhookDelaysNoOther(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		dead := b.webhook("dead")
		dead.set(took(time.Hour))
		b.start()
		for _, key := range keys(100) {
			b.d.Dispatch(1, b.outbox.commit(b.event("dead", key), b.event("w", key)), true)
		}
		time.Sleep(time.Second)
		if n := len(b.receiver().delivered()); n != 100 {
			t.Errorf("%d of 100 delivered beside a dead webhook", n)
		}
		b.stop()
	})
}

// D4: a rate that is configured is enforced.
func TestD4TheRateIsNeverExceeded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { mustRate(t, w, "50/s") })
		b.start()
		start := time.Now()
		b.emit(keys(1000)...)
		time.Sleep(time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 1000, true)
		perSecond := map[time.Duration]int{}
		for _, p := range b.receiver().got() {
			perSecond[p.at.Sub(start)/time.Second]++
		}
		for second, n := range perSecond {
			if n > 50 {
				t.Errorf("%d requests in second %d, the rate is 50/s", n, second)
			}
		}
		if len(perSecond) > 21 {
			t.Errorf("1,000 events at 50/s took %d s", len(perSecond))
		}
	})
}

func mustRate(t *testing.T, w *Webhook, text string) {
	t.Helper()
	if err := w.Rate.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
}
