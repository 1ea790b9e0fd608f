package emitter

import (
	"context"
	"time"
)

// carry makes attempts at batches, one after the other, until nothing may be sent; see work.
func (q *queue) carry(b *bundle) {
	ctx, cancel := context.WithCancel(q.lives.send)
	defer cancel()
	within := &span{parent: ctx}
	for b != nil {
		o, how := q.attemptBundle(within, b)
		b = q.settleBundle(b, o, how)
	}
}

// attemptBundle sends one batch: what the store has sealed.
func (q *queue) attemptBundle(within *span, b *bundle) (Outcome, ending) {
	list, how := q.open(within.parent, b)
	if how != sent {
		return Outcome{}, how
	}
	d := batchOf(list)
	o := q.send(within, d)
	if q.observe.Attempted != nil && o.Class != Aborted && o.Class != Withheld {
		d.Body = nil
		q.observe.Attempted(d, o)
	}
	return o, sent
}

// open gives the deliveries of a bundle, sealed when it never was.
func (q *queue) open(ctx context.Context, b *bundle) (list []Delivery, how ending) {
	where, op := b.lead().Lane, "seal"
	var err error
	if b.id == "" {
		p := Parcel{Lane: where, Batch: true, MaxBytes: int(q.webhook.Batch.MaxBytes)}
		for _, it := range b.items {
			p.Seqs = append(p.Seqs, it.Seq)
		}
		list, err = q.seal.seal(ctx, p)
	} else {
		op = "pending"
		list, err = q.outbox.Batch(ctx, where, b.id)
	}
	if err != nil {
		if ctx.Err() == nil {
			q.record.failed(op, err)
		}
		return nil, unread
	}
	return list, q.match(b, list)
}

// match takes in what the store says of a bundle, and says whether it can be sent. When it is sealed, what is settled leaves it, and
// what is too much for it waits for another one. One that was sealed before and is not whole any more, because deliveries were
// settled or sealed anew, is none: sealing what it had tells what is left of that.
func (q *queue) match(b *bundle, list []Delivery) ending {
	q.mu.Lock()
	defer q.mu.Unlock()
	if b.id != "" && len(list) < len(b.items) {
		b.dissolve() // its id was that of all
		return vanished
	}
	there := make(map[int64]*Delivery, len(list))
	last := int64(-1)
	for i := range list {
		there[list[i].Seq], last = &list[i], list[i].Seq
	}
	all, kept := b.items, make([]*item, 0, len(list))
	for _, it := range all {
		switch d := there[it.Seq]; {
		case d != nil:
			kept = append(kept, it)
			it.Attempts, it.Loose = d.Attempts, false
		case last >= 0 && it.Seq > last:
			it.bundle = nil
		default:
			q.forget(it)
			it.lane.drop(it)
		}
	}
	b.items = kept
	q.freeOthers(all, kept, time.Now())
	if len(kept) == 0 {
		return vanished
	}
	b.id = list[0].Batch
	return sent
}

// freeOthers frees the lanes from which nothing is left in a bundle.
func (q *queue) freeOthers(all, kept []*item, now time.Time) {
	if len(kept) == len(all) {
		return
	}
	stay := map[*lane]struct{}{}
	for _, l := range lanesOf(kept) {
		stay[l] = struct{}{}
	}
	for _, l := range lanesOf(all) {
		if _, ok := stay[l]; !ok {
			q.release(l, now)
		}
	}
	q.pump(now)
}

// settleBundle draws the conclusions of an attempt, and gives the bundle that the same worker sends next.
func (q *queue) settleBundle(b *bundle, o Outcome, how ending) *bundle {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.inFlight--
	claimed := b.probe && q.probed()
	switch how {
	case sent:
		q.concludeBundle(b, o, now)
	case vanished:
		q.releaseAll(b.items, now)
	case unread:
		q.unreadUntil = now.Add(rereadPause)
		for _, it := range b.items {
			it.due = q.unreadUntil
		}
		if b.id == "" {
			b.dissolve()
		}
		q.releaseAll(b.items, now)
	}
	if claimed {
		q.saveGate() // others may probe again, by what came of it
	}
	next := q.nextBundle(now)
	q.pump(now)
	return next
}

func (q *queue) concludeBundle(b *bundle, o Outcome, now time.Time) {
	switch o.Class {
	case Delivered:
		q.tally.Delivered += int64(len(b.items))
		q.succeeded(b.probe, o, now)
		q.record.ackAll(q, b.items, o)
	case Rejected:
		q.tallyFailure(o)
		q.rejected(b, o)
	case Failed:
		q.tallyFailure(o)
		q.failedBundle(b, o, now)
	case Gone:
		q.tallyFailure(o)
		if !q.gate.stopped() {
			q.pauseGate(now, o.Error)
		}
		for _, it := range b.items {
			q.age(it, o, now)
		}
		q.retryBundle(b, attemptOf(b.lead(), o), now)
	case Withheld:
		q.tally.LastError, q.tally.LastAt = o.Error, o.At
		q.moveGate(b.lead(), o, now)
		q.releaseAll(b.items, now)
	case Aborted:
		q.releaseAll(b.items, now)
	}
	if o.Limit > 0 {
		q.allow(o.Limit, now)
	}
}

// rejected splits a batch that the receiver refuses, until the event that is at fault stands alone and is parked.
func (q *queue) rejected(b *bundle, o Outcome) {
	if len(b.items) == 1 {
		q.park(b.lead(), o, "the receiver refuses the event: "+o.Error)
		return
	}
	q.record.failBundle(q, b.items, attemptOf(b.lead(), o), Next{Split: true}, o)
}

// failedBundle moves the gate, and the batch on its schedule.
func (q *queue) failedBundle(b *bundle, o Outcome, now time.Time) {
	lead := b.lead()
	attempt := attemptOf(lead, o)
	f := q.moveGate(lead, o, now)
	for _, it := range b.items {
		q.reschedule(it, o, f, now)
		lead.due = later(lead.due, it.due)
	}
	for _, it := range b.items {
		it.due = lead.due
	}
	if !b.until().After(now) {
		q.record.failBundle(q, b.items, attempt, Next{Park: q.gaveUp(o.Error)}, o)
		return
	}
	q.retryBundle(b, attempt, now)
}

// retryBundle records a failed attempt and lets the batch wait.
func (q *queue) retryBundle(b *bundle, attempt Attempt, now time.Time) {
	q.record.failBundle(q, b.items, attempt, Next{At: b.lead().due}, Outcome{})
	for _, it := range b.items {
		it.Attempts++
		if !it.bare {
			q.strip(it)
		}
	}
	for _, l := range lanesOf(b.items) {
		q.shed(l)
	}
	q.releaseAll(b.items, now)
}

// unpack hears that the deliveries of batches are durably acknowledged, or that deliveries are parked. Their lanes have waited for
// it: what was sealed after an acknowledged batch must not meet it again after a crash.
func (q *queue) unpack(items []*item, now time.Time) {
	for _, it := range items {
		it.lane.drop(it)
	}
	q.releaseAll(items, now)
	q.pump(now)
}

// split hears that a batch is durably none any more. Each of its deliveries goes into one of half the size at most.
func (q *queue) split(items []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for _, it := range items {
		it.bundle, it.Attempts, it.most = nil, 0, (len(items)+1)/2
	}
	q.releaseAll(items, now)
	q.pump(now)
}
