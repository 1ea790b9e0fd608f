package emitter

import (
	"net/http"
	"sync/atomic"
	"time"
)

// skewLimit is how far a receiver's clock may be from ours before a person should hear of it: verifiers refuse signatures
// that are DefaultTolerance away.
const skewLimit = time.Minute

// skewCalm is how many answers in a row must be within the limit before that is over: of several machines behind one
// address, one may be wrong.
const skewCalm = 3

// lastDate remembers the Date that was read last: within a second, all answers have the same.
type lastDate struct{ atomic.Pointer[date] }

type date struct {
	text string
	at   time.Time
}

func (l *lastDate) read(text string) (at time.Time, ok bool) {
	if last := l.Load(); last != nil && last.text == text {
		return last.at, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return time.Time{}, false
	}
	l.Store(&date{text, at})
	return at, true
}

// clockSkew compares the receiver's Date with our clock, and says whether there is one. Date has whole seconds, so that up
// to a second means nothing.
func (s *Sender) clockSkew(h http.Header, now time.Time) (skew time.Duration, known bool) {
	at, ok := s.dated.read(h.Get("Date"))
	if !ok {
		return 0, false
	}
	skew = at.Sub(now.Truncate(time.Second))
	if skew.Abs() <= time.Second {
		skew = 0
	}
	return skew, true
}

// clockWatch knows whether the clocks of a receiver and of ours are known to differ.
type clockWatch struct {
	off  bool
	calm int // answers in a row that were right
}

// hear takes what one answer showed, and says whether that turned things.
func (c *clockWatch) hear(skew time.Duration) (turned bool) {
	if skew.Abs() >= skewLimit {
		turned = !c.off
		c.off, c.calm = true, 0
		return turned
	}
	if c.calm++; !c.off || c.calm < skewCalm {
		return false
	}
	c.off = false
	return true
}

// tallySkew hears of the clock of a receiver that answered.
func (q *queue) tallySkew(o Outcome) {
	if !o.Dated {
		return
	}
	q.tally.Skew = o.Skew
	if q.clock.hear(o.Skew) {
		q.tally.ClockOff = q.clock.off
		q.noteClock(o.Skew, q.clock.off)
	}
}

func (q *queue) noteClock(skew time.Duration, off bool) {
	q.record.note(func(ob *Observer) {
		if ob.Clock != nil {
			ob.Clock(q.webhook.Name, skew, off)
		}
	})
}
