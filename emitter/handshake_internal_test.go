package emitter

import (
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

func shaking(w *Webhook) {
	w.Handshake = Handshake{Kind: handshakeEvents, Origin: "deltahook.example", Every: setting.Duration(24 * time.Hour)}
}

var agreed = map[string]string{headerAllowedOrigin: "deltahook.example"}

// Nothing was sent, so the events keep their three days: a receiver that agrees after four gets them all.
func TestAReceiverThatAgreesAfterDaysGetsEveryEvent(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var h heard
		b := newBench(t, shaking)
		b.observer = h.observer()
		b.start()
		refs := b.emit("a", "a", "b")
		time.Sleep(4 * 24 * time.Hour)
		if got := b.receiver().got(); len(got) != 0 {
			t.Fatalf("%d requests to a receiver that did not agree", len(got))
		}
		if row := b.outbox.row(refs[0].Ref); row.state != "pending" || len(row.attempts) != 0 {
			t.Errorf("the first event is %s after %d attempts", row.state, len(row.attempts))
		}
		if s := b.stats(); s.Gate.State != GateShut || !strings.Contains(s.LastError, "does not agree") {
			t.Errorf("stats %+v", s)
		}
		if n := b.receiver().questions(); n > 4*24*12+20 { // every five minutes, in the end
			t.Errorf("it was asked %d times", n)
		}
		b.receiver().allow(agreed)
		time.Sleep(6 * time.Minute)
		b.stop()
		checkOrder(t, b.receiver(), 3, true)
		if row := b.outbox.row(refs[0].Ref); row.state != "delivered" {
			t.Errorf("the first event is %s", row.state)
		}
		if len(h.lines) != 2 || !strings.HasPrefix(h.lines[0], "failing w: the receiver does not agree") || !strings.HasPrefix(h.lines[1], "recovered w") {
			t.Errorf("the observer heard %q", h.lines)
		}
	})
}

func TestAnAgreementIsRenewedEachDayAndItsEndStopsDeliveries(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, shaking)
		b.receiver().allow(agreed)
		b.start()
		for range 49 {
			b.emit(keys(5)...)
			time.Sleep(time.Hour)
		}
		if n := b.receiver().questions(); n != 3 {
			t.Errorf("asked %d times in two days and an hour, want 3", n)
		}
		checkOrder(t, b.receiver(), 49*5, true)
		b.receiver().allow(nil)
		time.Sleep(24 * time.Hour)
		b.emit("late")
		time.Sleep(time.Hour)
		b.stop()
		checkOrder(t, b.receiver(), 49*5, true)
	})
}

func TestTheRateThatAReceiverAllowsLowersThatOfTheWebhook(t *testing.T) {
	tests := []struct {
		name, rate, allowed string
		perMinute           int
	}{
		{"lower", "50/s", "60", 60},
		{"higher changes nothing", "1/s", "6000", 60},
		{"without a rate of our own", "", "120", 120},
		{"as many as we like", "2/s", "*", 120},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				b := newBench(t, shaking, func(w *Webhook) {
					if tt.rate != "" {
						mustRate(t, w, tt.rate)
					}
				})
				b.receiver().allow(map[string]string{headerAllowedOrigin: "*", headerAllowedRate: tt.allowed})
				b.start()
				b.emit(keys(1000)...)
				time.Sleep(5 * time.Minute)
				if n := len(b.receiver().got()); n < 5*tt.perMinute-5 || n > 5*tt.perMinute+5 {
					t.Errorf("%d deliveries in 5 minutes, want %d", n, 5*tt.perMinute)
				}
				b.stop()
			})
		})
	}
}
