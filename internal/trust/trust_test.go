package trust_test

import (
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/trust"
)

func TestAWindowIsOpenUntilItsEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var none *trust.Window
		var zero, w trust.Window
		w.Extend(time.Now().Add(time.Second))
		for _, one := range []*trust.Window{none, &zero, &w} {
			if !one.Open(time.Now()) {
				t.Error("it is closed at first")
			}
		}
		time.Sleep(time.Second)
		if w.Open(time.Now()) {
			t.Error("it is open after its end")
		}
		if !none.Open(time.Now()) || !zero.Open(time.Now()) {
			t.Error("one without an end is closed")
		}
		w.Extend(time.Now().Add(time.Second))
		if !w.Open(time.Now()) {
			t.Error("it is closed although it was extended")
		}
	})
}

// The monotonic clock of some systems stands still while a machine sleeps.
func TestAWindowThatWasSleptThroughIsClosed(t *testing.T) {
	var w trust.Window
	now := time.Now()
	w.Extend(now.Add(10 * time.Second))
	awake := now.Add(time.Minute) // on the wall
	if w.Open(awake.Round(0)) {
		t.Error("it is open")
	}
}
