package store

import (
	"context"
	"time"
)

// Turns says when each of the deliveries that are replayed may be sent. The newest are replayed first and sent last.
type Turns struct {
	from  time.Time
	every time.Duration
	left  int64
}

// NewTurns counts what a replay will queue, if it has to be spread: one delivery every so long, from now on.
func NewTurns(ctx context.Context, r Reader, q DeliveryQuery, every time.Duration, now time.Time) (*Turns, error) {
	out := &Turns{from: now, every: every}
	if every <= 0 {
		return out, nil
	}
	sums, err := r.Survey(ctx, q)
	for _, s := range sums {
		if s.State != StatePending && s.State != StateMerged {
			out.left += s.Deliveries
		}
	}
	return out, err
}

// Next gives when the next one may be sent; zero: at once.
func (t *Turns) Next() time.Time {
	t.left = max(t.left-1, 0)
	if t.every <= 0 || t.left == 0 {
		return time.Time{}
	}
	return t.from.Add(time.Duration(t.left) * t.every)
}
