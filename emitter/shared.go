package emitter

import (
	"context"
	"time"

	"github.com/deltahook/deltahook/internal/budget"
)

// commons is what a webhook shares with the same one of other members.
type commons struct {
	pool *budget.Pool // nil: there are no others
	key  string
	gen  int64 // of the gate, as it is known here

	claiming bool
	claimed  time.Time // a probe may begin until then; zero: it may not
	claimEnd time.Time // nobody else probes before

	ordering bool
}

// probeSpare is how long a claim lasts beyond the time that a probe may take: it has to begin, and what came of it has to be stored.
const probeSpare = 10 * time.Second

// share makes the limits those of all members.
func (q *queue) share(pool *budget.Pool) {
	q.commons.pool, q.commons.key = pool, "webhook "+q.webhook.Name
	q.rate = budget.NewRate(q.commons.key, pool.Shared())
	q.places = budget.NewPlaces(q.commons.key, q.webhook.MaxInFlight, pool.Shared())
}

// setPace lets the gate say how fast attempts may follow each other.
func (q *queue) setPace(now time.Time) {
	perSecond := q.gate.Rate()
	q.rate.Set(now, perSecond, burstOf(perSecond))
}

// burstOf allows what a rate amounts to in 10 ms, so that timers need not be finer than that; slow rates send one by one.
func burstOf(perSecond float64) int { return max(1, int(perSecond/100)) }

// admitted takes one attempt out of what may be made.
func (q *queue) admitted(now time.Time) bool { return q.placed(now) && q.paced(now) }

// paced takes one attempt out of the rate.
func (q *queue) paced(now time.Time) bool {
	wait, ok, ask := q.rate.Take(now, 0)
	switch {
	case ok:
		return true
	case ask:
		q.buy()
	default:
		q.wakeAt(now.Add(wait), now)
	}
	return false
}

// sellAhead is how far before its time a member may buy a token; else it asks again.
const sellAhead = time.Second

// buy orders tokens of the rate that all members share.
func (q *queue) buy() {
	if q.commons.ordering {
		return
	}
	q.commons.ordering = true
	order := q.rate.Order(sellAhead)
	q.workers.Go(func() {
		grant, err := q.commons.pool.Bank().Tokens(q.lives.read, order)
		q.bankFailed(err)
		q.mu.Lock()
		defer q.mu.Unlock()
		now := time.Now()
		q.commons.ordering = false
		q.rate.Bought(now, order, grant, err)
		q.pump(now)
	})
}

func (q *queue) bankFailed(err error) {
	if err != nil && q.lives.read.Err() == nil {
		q.record.failed("limits", err)
	}
}

// placed says whether there is a place for one more attempt.
func (q *queue) placed(now time.Time) bool {
	pool := q.commons.pool
	if !pool.Shared() {
		return true // next has looked at max_in_flight
	}
	v := pool.View(now)
	if q.inFlight < q.places.Limit(now, v) {
		return true
	}
	if wait := q.seekPlaces(now, v, true); wait > 0 && q.inFlight == 0 {
		q.wakeAt(now.Add(wait), now)
	}
	return false
}

// seekPlaces asks for places, or gives some back, where that is the time.
func (q *queue) seekPlaces(now time.Time, v budget.View, more bool) (wait time.Duration) {
	want, ask, wait := q.places.Want(now, v, q.inFlight, more)
	if !ask {
		return wait
	}
	q.workers.Go(func() {
		held, err := q.commons.pool.Bank().Places(q.lives.read, q.commons.key, q.webhook.MaxInFlight, want)
		q.bankFailed(err)
		q.mu.Lock()
		defer q.mu.Unlock()
		now := time.Now()
		q.places.Got(now, want, held, err)
		q.pump(now)
	})
	return 0
}

// leavePlaces gives all places back when nothing is under way any more. Where that fails they are taken by nobody until this member
// wants some again, or ends.
func (q *queue) leavePlaces(ctx context.Context) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.places.Any() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, rereadPause)
	defer cancel()
	if _, err := q.commons.pool.Bank().Places(ctx, q.commons.key, q.webhook.MaxInFlight, 0); err != nil {
		q.record.failed("limits", err)
	}
}

// claims says whether this member may probe. Among several one may: who stores the gate first.
func (q *queue) claims(now time.Time) bool {
	switch c := &q.commons; {
	case !c.pool.Shared() || c.claimed.After(now):
		return true
	case c.claiming:
	case q.record.unsaved(q.webhook.Name):
		q.wakeAt(now.Add(lingerTime), now)
	default:
		c.claiming = true
		claim := q.gateState()
		claimed := now.Add(probeSpare / 2)
		claim.Until, claim.At, claim.Doubt = now.Add(probeSpare+q.webhook.Timeout.Std()), now, false
		q.workers.Go(func() { q.claim(claim, claimed) })
	}
	return false
}

func (q *queue) claim(claim GateState, until time.Time) {
	stored, saved, err := q.outbox.SaveGate(q.lives.read, q.webhook.Name, claim)
	if err != nil && q.lives.read.Err() == nil {
		q.record.failed("gate", err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.commons.claiming = false
	switch {
	case err != nil:
		q.unreadUntil = now.Add(rereadPause)
	case saved:
		q.commons.gen = max(q.commons.gen, stored.Gen)
		q.record.rebase(q.webhook.Name, claim.Gen, stored.Gen)
		q.commons.claimed, q.commons.claimEnd = until, claim.Until
	default:
		q.follow(stored)
	}
	q.pump(now)
}

// probed hears that a probe has ended, and says whether others wait to know.
func (q *queue) probed() (claimed bool) {
	q.probing = false
	return q.unclaim()
}

func (q *queue) unclaim() (claimed bool) {
	claimed = !q.commons.claimEnd.IsZero()
	q.commons.claimed, q.commons.claimEnd = time.Time{}, time.Time{}
	return claimed
}

// Refresh takes in what other members have stored of the gates since, and divides anew what is shared. With a Pool it is to be called
// about every second, after the Pool's own.
func (d *Dispatcher) Refresh(ctx context.Context) error {
	gates, err := d.opts.Outbox.NewGates(ctx)
	for name, q := range d.all() {
		q.refresh(gates[name])
	}
	return err
}

func (q *queue) refresh(stored GateState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.running {
		return
	}
	now := time.Now()
	q.follow(stored)
	if c := &q.commons; !q.probing && !c.claimed.IsZero() && now.After(c.claimed) { // there was nothing to probe with
		q.unclaim()
		q.saveGate()
	}
	q.seekPlaces(now, q.commons.pool.View(now), false)
	q.pump(now)
}
