package emitter

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// D13: 429 is no end, and what waits for another attempt outlives a restart.
func TestD13APendingRetrySurvivesARestartAndA429IsNoEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(post) reply { return reply{status: http.StatusTooManyRequests, after: "60"} })
		b.start()
		first := b.emit("a", "a", "b")[0]
		time.Sleep(10 * time.Second)
		b.stop()
		before := len(b.receiver().got())
		if row := b.outbox.row(first.Ref); row.state != "pending" || len(row.attempts) != 1 {
			t.Fatalf("before the restart it is %s after %d attempts", row.state, len(row.attempts))
		}
		time.Sleep(10 * time.Second)
		b.start()
		time.Sleep(20 * time.Second)
		if n := len(b.receiver().got()); n != before {
			t.Errorf("%d requests before Retry-After was over", n-before)
		}
		b.receiver().set(nil)
		time.Sleep(time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 3, true)
	})
}

// T30: a receiver that counts gets no more than it allows, in none of its windows, and answers no 429.
func TestT30ARateKeepsToTheQuotaOfAReceiver(t *testing.T) {
	for _, quota := range []struct {
		rate   string
		window time.Duration
		most   int
	}{{"30/s", time.Second, 30}, {"20/s", time.Second, 20}, {"2000/m", 5 * time.Minute, 10_000}, {"1/s", time.Second, 1}} {
		bubble.Test(t, func(t *testing.T) {
			b := newBench(t, func(w *Webhook) { mustRate(t, w, quota.rate) })
			var mu sync.Mutex
			var recent []time.Time
			b.receiver().set(func(p post) reply {
				mu.Lock()
				defer mu.Unlock()
				for len(recent) > 0 && p.at.Sub(recent[0]) >= quota.window {
					recent = recent[1:]
				}
				if len(recent) >= quota.most {
					return reply{status: http.StatusTooManyRequests}
				}
				recent = append(recent, p.at)
				return reply{status: 200}
			})
			b.start()
			const events = 3000
			for range events / 100 {
				b.emit(keys(100)...)
			}
			time.Sleep(2 * time.Hour)
			b.stop()
			if n := len(b.receiver().got()); n != events {
				t.Errorf("%s: %d requests for %d events: %d were refused", quota.rate, n, events, n-events)
			}
			checkOrder(t, b.receiver(), events, true)
		})
	}
}

// T6: nothing is sent that the store does not have: a delivery whose body has to be read again, and that is gone, is not made up.
func TestT6WhatTheStoreDoesNotHaveIsNotSent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.receiver().set(func(post) reply { return reply{status: 500} })
		b.start()
		list := b.emit("a", "b")
		time.Sleep(3 * time.Second)
		b.outbox.lose(list[0].Ref)
		b.receiver().set(nil)
		sent := len(b.receiver().got())
		time.Sleep(time.Hour)
		b.stop()
		for _, p := range b.receiver().got()[sent:] {
			if p.id == list[0].ID {
				t.Errorf("%s was sent, and the store does not have it", p.id)
			}
		}
		if row := b.outbox.row(list[1].Ref); row.state != "delivered" {
			t.Errorf("the other one is %s", row.state)
		}
	})
}
