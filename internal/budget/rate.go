package budget

import "time"

// What a member orders at a time: as many tokens as it uses, at most what the rate makes in portion, within these bounds.
const (
	portion     = 250 * time.Millisecond
	fewest      = 1
	most        = 1000
	reorder     = 250 * time.Millisecond // after the bank did not answer; doubles
	reorderMost = 5 * time.Second
)

// keep is how long a token may be used after its time. Later it is lost: tokens that were saved up would be a burst.
const keep = 250 * time.Millisecond

// Rate hands out tokens of one bucket: of its own to a member who is alone, else of what it has ordered from the bank. The zero value
// is alone and has no limit. It is not safe for concurrent use, and has no clock.
type Rate struct {
	shared bool
	order  Order  // without Want and Patience
	own    Bucket // of one who is alone

	left    int       // tokens that were bought and not used
	next    time.Time // when the first of them may be used
	bought  time.Time
	size    int           // of what was bought last
	used    int           // of that
	retry   time.Time     // no order before
	refused time.Duration // the last pause because the bank did not answer
}

// NewRate makes the rate of a key. Without limit until Set.
func NewRate(key string, shared bool) Rate {
	return Rate{shared: shared, order: Order{Key: key, Burst: 1}}
}

// Set changes the limit; perSecond 0 is none. What is saved up of a burst stays.
func (r *Rate) Set(now time.Time, perSecond float64, burst int) {
	burst = max(burst, 1)
	if perSecond == r.order.Rate && burst == r.order.Burst {
		return
	}
	if ahead := r.own.sold.Sub(now); ahead > 0 && perSecond > 0 && r.order.Rate > 0 {
		r.own.sold = now.Add(time.Duration(float64(ahead) * r.order.Rate / perSecond))
	}
	r.order.Rate, r.order.Burst, r.retry = perSecond, burst, time.Time{}
	if perSecond == 0 {
		r.own, r.left = Bucket{}, 0
	}
}

// Limited says whether there is a limit.
func (r *Rate) Limited() bool { return r.order.Rate > 0 }

// Take takes one token, to be used after wait, unless that is longer than patience. With ask there is none at hand: order some.
func (r *Rate) Take(now time.Time, patience time.Duration) (wait time.Duration, ok, ask bool) {
	switch {
	case r.order.Rate <= 0:
		return 0, true, false
	case !r.shared:
		o := r.order
		o.Want, o.Patience = 1, patience
		g := r.own.Sell(now, o)
		return max(g.Wait, 0), g.Tokens > 0, false
	}
	if r.Dry(now) {
		return 0, false, true
	}
	if r.left == 0 {
		return r.retry.Sub(now), false, false
	}
	if wait = max(r.next.Sub(now), 0); wait > patience {
		return wait, false, false
	}
	r.left, r.used, r.next = r.left-1, r.used+1, r.next.Add(r.order.step())
	return wait, true, false
}

// Untake takes back what Take gave last and nobody used, where that is possible.
func (r *Rate) Untake() {
	if !r.shared && r.order.Rate > 0 {
		r.own.Return(r.order)
	}
}

// Dry says whether there is none at hand, and the bank may be asked.
func (r *Rate) Dry(now time.Time) bool {
	r.lapse(now)
	return r.left == 0 && !r.retry.After(now)
}

// lapse drops tokens whose time is over.
func (r *Rate) lapse(now time.Time) {
	for r.left > 0 {
		since := r.next
		if since.Before(r.bought) { // it was part of a burst
			since = r.bought
		}
		if !since.Add(keep).Before(now) {
			return
		}
		r.left, r.next = r.left-1, r.next.Add(r.order.step())
	}
}

// Order gives what to ask the bank for. Who uses up all that was bought gets twice as much the next time, who does not gets what
// was used.
func (r *Rate) Order(patience time.Duration) Order {
	o := r.order
	o.Want, o.Patience = r.used, max(patience, o.step())
	if r.used == r.size {
		o.Want *= 2
	}
	limit := min(max(int(o.Rate*portion.Seconds()), fewest), most)
	o.Want = min(max(o.Want, fewest), limit)
	return o
}

// Bought hears what came of an order.
func (r *Rate) Bought(now time.Time, o Order, g Grant, err error) {
	switch {
	case err != nil:
		r.refused = min(max(2*r.refused, reorder), reorderMost)
		r.retry = now.Add(r.refused)
		return
	case g.Tokens == 0:
		r.refused, r.retry = 0, now.Add(max(g.Wait, time.Millisecond))
		return
	}
	r.refused, r.retry = 0, time.Time{}
	r.left, r.size, r.used = g.Tokens, g.Tokens, 0
	r.bought, r.next = now, now.Add(g.Wait)
}
