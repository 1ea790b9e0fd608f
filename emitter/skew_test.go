package emitter

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// T11: a wrong clock is told once, long before signatures are refused, and once more when it is right again.
func TestT11AClockThatIsWrongIsToldOnceAndOnceWhenItIsRight(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var said []string
		b := newBench(t)
		b.observer.Clock = func(_ string, skew time.Duration, off bool) { said = append(said, fmt.Sprint(skew, off)) }
		var skew atomic.Int64
		var undated atomic.Bool
		b.receiver().set(func(p post) reply {
			r := reply{status: 200}
			if !undated.Load() {
				r.date = p.at.Add(time.Duration(skew.Load()))
			}
			return r
		})
		b.start()
		answers := func(n int, off time.Duration) {
			skew.Store(int64(off))
			for range n {
				b.emit("a")
				time.Sleep(time.Second)
			}
		}
		answers(5, 59*time.Second) // not worth a word
		answers(5, -2*time.Minute) // told
		answers(2, 0)              // may be the other machine behind the same address
		answers(1, -3*time.Minute) // known
		answers(2, 0)
		if s := b.stats(); !s.ClockOff {
			t.Errorf("stats %+v", s)
		}
		undated.Store(true)
		answers(5, 0) // an answer without a date tells nothing
		undated.Store(false)
		answers(1, 0)
		answers(5, time.Hour) // told anew
		b.stop()
		if want := []string{"-2m0s true", "0s false", "1h0m0s true"}; !slices.Equal(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
		if s := b.stats(); !s.ClockOff || s.Skew != time.Hour {
			t.Errorf("stats %+v", s)
		}
	})
}
