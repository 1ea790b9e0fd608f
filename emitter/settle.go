package emitter

import (
	"context"
	"time"
)

// work makes attempts, one after the other, until nothing may be sent. Its context is its own, so that attempts that come and
// go do not queue up for the lock of the one that they all end with.
func (q *queue) work(it *item) {
	ctx, cancel := context.WithCancel(q.lives.send)
	defer cancel()
	within := &span{parent: ctx}
	for it != nil {
		o, how := q.attempt(within, it)
		it = q.settle(it, o, how)
	}
}

// attempt sends one item.
func (q *queue) attempt(within *span, it *item) (Outcome, ending) {
	d, how := q.prepare(within.parent, it)
	if how != sent {
		return Outcome{}, how
	}
	o := q.send(within, d)
	if q.observe.Attempted != nil && o.Class != Aborted && o.Class != Withheld {
		d.Body = nil
		q.observe.Attempted(d, o)
	}
	return o, sent
}

// prepare gives a delivery as it is to be sent: sealed when it never was, with its body read again when it was dropped.
func (q *queue) prepare(ctx context.Context, it *item) (Delivery, ending) {
	d := it.Delivery
	var page []Delivery
	var err error
	op := "pending"
	switch {
	case it.Loose:
		op = "seal"
		page, err = q.seal.seal(ctx, Parcel{Lane: d.Lane, Seqs: []int64{d.Seq}})
	case it.bare:
		page, err = q.outbox.Pending(ctx, d.Lane, d.Seq-1, 1)
	default:
		return d, sent
	}
	if err != nil {
		if ctx.Err() == nil {
			q.record.failed(op, err)
		}
		return Delivery{}, unread
	}
	if len(page) == 0 || page[0].Seq != d.Seq {
		return Delivery{}, vanished
	}
	d.Body, it.fixed = page[0].Body, it.Loose
	return d, sent
}

// ending is how far an attempt got.
type ending uint8

const (
	sent     ending = iota // there is an outcome
	vanished               // the store no longer has the delivery as unsettled
	unread                 // the store could not be read
)

// settle draws the conclusions of an attempt, and gives the delivery that the same worker sends next.
func (q *queue) settle(it *item, o Outcome, how ending) *item {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	q.inFlight--
	claimed := it.probe && q.probed()
	q.takeSeal(it)
	switch how {
	case sent:
		q.conclude(it, o, now)
	case vanished:
		q.forget(it)
		q.advance(it.lane, now)
	case unread:
		it.due = now.Add(rereadPause)
		q.unreadUntil = it.due
		q.release(it.lane, now)
	}
	if claimed {
		q.saveGate() // others may probe again, by what came of it
	}
	next := q.next(now)
	q.pump(now)
	return next
}

func (q *queue) conclude(it *item, o Outcome, now time.Time) {
	switch o.Class {
	case Delivered:
		q.delivered(it, o, now)
	case Rejected:
		q.tallyFailure(o)
		q.park(it, o, "the receiver refuses the event: "+o.Error)
	case Failed:
		q.tallyFailure(o)
		q.failed(it, o, now)
	case Gone:
		q.tallyFailure(o)
		q.gone(it, o, now)
	case Withheld:
		q.withheld(it, o, now)
	case Aborted:
		q.release(it.lane, now)
	}
	if o.Limit > 0 {
		q.allow(o.Limit, now)
	}
}

// takeSeal drops the body that a delivery had before it was sealed, so that the next attempt reads the one that was sealed.
func (q *queue) takeSeal(it *item) {
	if !it.fixed {
		return
	}
	it.fixed, it.Loose = false, false
	if !it.bare {
		q.strip(it)
	}
}

// rereadPause is how long a delivery waits when its body could not be read.
const rereadPause = time.Second

func (q *queue) tallyFailure(o Outcome) {
	q.tally.Failed++
	q.tally.LastError, q.tally.LastAt = o.Error, o.At
	q.tallySkew(o)
}

// delivered lets the lane go on before the acknowledgement is durable: a crash in between repeats both, in order.
func (q *queue) delivered(it *item, o Outcome, now time.Time) {
	q.tally.Delivered++
	q.succeeded(it.probe, o, now)
	q.record.ack(q, it, Receipt{Ref: it.Ref, Attempt: attemptOf(it, o)})
	it.lane.shift()
	q.release(it.lane, now)
}

// succeeded lets the gate hear of a success.
func (q *queue) succeeded(probe bool, o Outcome, now time.Time) {
	q.tallySkew(o)
	was := q.gate.State()
	opened, changed := q.gate.Succeeded(now, probe)
	q.setPace(now)
	if changed {
		q.saveGate()
	}
	if opened {
		q.record.note(func(ob *Observer) {
			if ob.Recovered != nil {
				ob.Recovered(q.webhook.Name, was)
			}
		})
	}
}

// withheld hears that nothing was sent. The gate alone decides when that is tried again: no attempt was made.
func (q *queue) withheld(it *item, o Outcome, now time.Time) {
	q.tally.LastError, q.tally.LastAt = o.Error, o.At
	q.moveGate(it, o, now)
	q.release(it.lane, now)
}

// moveGate lets the gate hear of a failure.
func (q *queue) moveGate(it *item, o Outcome, now time.Time) Failure {
	f := Failure{
		Reason: o.Error, RetryAfter: o.RetryAfter, Endpoint: o.endpointFault(),
		Repeated: !it.fresh(), Probe: it.probe, Unsent: o.Class == Withheld, Jitter: q.webhook.Retry.spread(),
	}
	was := q.gate.State().State
	shut, changed := q.gate.Failed(now, f)
	q.heardFailure(f.Unsent || overdue(o.At.Add(q.webhook.Timeout.Std()+probeSpare), now))
	if changed {
		q.saveGate()
	}
	if shut {
		q.setPace(now)
		q.noteFailing(o)
	}
	if was != GatePaused && q.gate.State().State == GatePaused {
		q.notePaused()
	}
	return f
}

// failed moves the gate, and the delivery on its own schedule unless the failure cannot be the event's own.
func (q *queue) failed(it *item, o Outcome, now time.Time) {
	attempt := attemptOf(it, o)
	f := q.moveGate(it, o, now)
	q.reschedule(it, o, f, now)
	if !it.until.After(now) {
		q.park(it, o, q.gaveUp(o.Error))
		return
	}
	q.retry(it, attempt, now)
}

// reschedule sets when a failed delivery is due. A probe leaves the schedule where it is: it was made for the gate's sake.
func (q *queue) reschedule(it *item, o Outcome, f Failure, now time.Time) {
	q.age(it, o, now)
	wait := f.RetryAfter
	if !f.Probe {
		if !f.Endpoint {
			it.tries++
		}
		wait = max(wait, stretched(q.webhook.Retry.wait(max(it.tries, 1)), f.Jitter))
	}
	it.due = later(it.due, now.Add(wait))
}

// retry records a failed attempt and lets the delivery wait: for its own time. How long the gate is shut is stored with the gate, which
// may open before: then nothing that was read from the store may go on to wait for it.
func (q *queue) retry(it *item, attempt Attempt, now time.Time) {
	it.Attempts++
	q.record.retry(q, it, attempt, it.due)
	if !it.bare {
		q.strip(it)
	}
	q.shed(it.lane)
	q.release(it.lane, now)
}

// gone pauses the webhook: the receiver says that it wants nothing more.
func (q *queue) gone(it *item, o Outcome, now time.Time) {
	attempt := attemptOf(it, o)
	if !q.gate.stopped() {
		q.pauseGate(now, o.Error)
	}
	q.age(it, o, now)
	q.retry(it, attempt, now)
}

// park takes a delivery out. Its lane waits until that is durable: after a crash it would else be tried again, behind events
// that followed it.
func (q *queue) park(it *item, o Outcome, reason string) {
	q.record.park(q, it, attemptOf(it, o), reason, o)
}

// parked hears that deliveries are durably parked: one, or those of a batch.
func (q *queue) parked(e entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := e.items()
	q.tally.Parked += int64(len(items))
	for _, it := range items {
		q.forget(it)
	}
	q.letGo(e)
}

// letGo frees the lanes of what is parked, or is somebody else's to park.
func (q *queue) letGo(e entry) {
	if e.untried() {
		q.parking--
	}
	q.unpack(e.items(), time.Now())
}

// advance removes the head of a busy lane and frees the lane.
func (q *queue) advance(l *lane, now time.Time) {
	l.shift()
	q.release(l, now)
}

// release frees a lane for its next attempt. Items of a shard that was dropped meanwhile leave.
func (q *queue) release(l *lane, now time.Time) {
	l.busy = false
	if !l.win.owned {
		q.abandon(l)
		return
	}
	if len(l.items) > 0 {
		q.place(l, now)
		return
	}
	q.sweep(l)
}

// abandon takes a lane that is not busy out of memory.
func (q *queue) abandon(l *lane) {
	for _, it := range l.items {
		q.unload(it)
	}
	l.items, l.cursor = nil, cursor{}
	q.agenda.remove(l)
	q.sweep(l)
}

// forget drops what is known of a delivery that is durably settled. A read that is under way may still find it unsettled.
func (q *queue) forget(it *item) {
	w := it.lane.win
	if w.known[it.Seq] != it {
		return
	}
	q.unload(it)
	if it.replayed && w.owned {
		q.fallBehind(w, it.Seq)
		return
	}
	if q.reader.shard == w.shard && q.reader.settled != nil {
		q.reader.settled[it.Seq] = struct{}{}
	}
}

// acked hears that deliveries are durably acknowledged.
func (q *queue) acked(items []*item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range items {
		q.forget(it)
	}
	if q.packs() {
		q.unpack(items, time.Now())
		return
	}
	q.wantRead()
}

// stop lets nothing new start.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running, q.over = false, true
	if q.timer != nil {
		q.timer.Stop()
	}
}

// start begins to deliver, from a durable gate, unless it is to end.
func (q *queue) start(gate GateState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer close(q.begun)
	if q.over {
		return
	}
	now := time.Now()
	gate = gate.asOf(now)
	gate.Until = q.credible(gate.Until, now)
	q.commons.gen = gate.Gen
	q.gate = NewGate(gate, Limits{
		InFlight: q.webhook.MaxInFlight, Rate: q.webhook.Rate.PerSecond(), PauseAfter: q.webhook.Retry.PauseAfter.Std(),
	})
	q.setPace(now)
	q.running = true
	for _, wish := range q.wishes {
		wish()
	}
	q.wishes = nil
	q.pump(now)
}

// disowned hears that an entry is not written because the shard has gone.
func (q *queue) disowned(e entry) {
	if e.park == "" && !e.split {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range e.items() {
		q.unload(it)
	}
	q.letGo(e)
}
