package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

func TestALoopThatStoppedIsNoticedAfterThreePeriods(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var p pulse
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stuck := make(chan struct{})
		rounds := 0
		go p.every(ctx, "queues", time.Minute, func(context.Context) {
			if rounds++; rounds == 10 {
				<-stuck
			}
		})
		go p.every(ctx, "others", time.Second, func(context.Context) {})
		for range 11 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if err := p.stopped(); err != nil {
				t.Fatalf("after %d rounds: %v", rounds, err)
			}
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if err := p.stopped(); err == nil || !strings.Contains(err.Error(), "the queues has not gone round for 3m") {
			t.Errorf("stuck: %v", err)
		}
		close(stuck)
		synctest.Wait()
		if err := p.stopped(); err != nil {
			t.Errorf("it goes round again: %v", err)
		}
	})
}

func TestAStoreThatTakesNoWritesIsNoticedAndNobodyWaitsForIt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		asked, full, stuck := 0, error(nil), chan struct{}(nil)
		p := probe{write: func(context.Context) error {
			asked++
			if stuck != nil {
				<-stuck
			}
			return full
		}}
		check := func(want string) {
			t.Helper()
			err := p.check(t.Context())
			synctest.Wait()
			if got := p.check(t.Context()); want == "" && (err != nil || got != nil) || want != "" && (got == nil || !strings.Contains(got.Error(), want)) {
				t.Errorf("health: %v, then %v; want %q", err, got, want)
			}
		}
		check("")
		check("")
		if asked != 1 {
			t.Errorf("it wrote %d times within ten seconds", asked)
		}
		time.Sleep(11 * time.Second)
		full = errors.New("disk full")
		check("disk full")
		full = nil
		time.Sleep(11 * time.Second)
		if err := p.check(t.Context()); err == nil {
			t.Error("it forgot what it knew before it knew better")
		}
		synctest.Wait()
		check("")
		stuck = make(chan struct{})
		time.Sleep(11 * time.Second)
		check("")
		time.Sleep(time.Minute)
		check("") // a large baseline takes a while
		time.Sleep(2 * time.Minute)
		check("has not taken a write for 3m")
		close(stuck)
		synctest.Wait()
		check("")
	})
}
