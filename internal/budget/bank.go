// Package budget divides what a receiver or an API allows among the members of one store: how many requests there may be in a
// second and how many at the same time, and until when there may be none.
//
// Whatever is granted is taken out of the store before it is used, so that nothing is exceeded whatever happens to a member. A
// member who is alone needs no store: the same arithmetic runs in its memory.
package budget

import (
	"context"
	"math"
	"time"
)

// Bank is where the members of a store draw from; time goes by its own clock. A store implements it. Keys are chosen by those who
// share something: "webhook app", "host erp.example.com".
type Bank interface {
	// Tokens sells tokens of a bucket. What it does not sell stays there, what was sold is gone, whether it is used or not.
	Tokens(ctx context.Context, o Order) (Grant, error)
	// Places makes want of the places that a key has, most, this member's, or as many as the other living members leave, and
	// says how many it has now. Those of a member that has expired are free.
	Places(ctx context.Context, key string, most, want int) (int, error)
	// Hold lets nobody use a key until a time; a longer hold that there is stays.
	Hold(ctx context.Context, key string, h Hold) error
	// Holds gives those that are not over, by key.
	Holds(ctx context.Context) (map[string]Hold, error)
	// ID is this member's name, another one after it was taken for dead.
	ID() string
}

// Order asks for tokens of a bucket.
type Order struct {
	Key      string
	Rate     float64       // tokens in a second; more than 0
	Burst    int           // that may be used at once after a pause; at least 1
	Want     int           // at least 1
	Patience time.Duration // none are wanted when the first could not be used before
}

// Lasts is the time in which so many tokens flow into the bucket, rounded up to a unit: nobody is to be faster than the rate.
func (o *Order) Lasts(tokens int, unit time.Duration) time.Duration {
	return time.Duration(math.Ceil(float64(tokens)*float64(time.Second)/o.Rate/float64(unit))) * unit
}

// step is the time between two tokens.
func (o *Order) step() time.Duration { return o.Lasts(1, 1) }

// Slack is how far ahead of the rate a burst may be.
func (o *Order) Slack() time.Duration { return time.Duration(max(o.Burst, 1)-1) * o.step() }

// Grant is what was sold.
type Grant struct {
	Tokens int // all that were wanted, or none
	// Wait is until the first may be used; each other one follows 1/Rate after the one before it. Negative: it, and perhaps
	// some more, have been due for so long. Of none: how long to wait before asking again.
	Wait time.Duration
}

// Hold is a time in which a key is not used.
type Hold struct {
	Until  time.Time // by the clock of this process
	Status int       // of the answer that caused it
	Why    string    // for people
}
