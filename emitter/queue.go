package emitter

import (
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/trust"
)

// queue is everything about one webhook: its deliveries in memory, its gate, its budget of attempts. Webhooks share nothing but
// the store.
type queue struct {
	webhook Webhook
	send    func(within *span, d Delivery) Outcome
	outbox  Outbox
	observe *Observer
	record  *recorder
	seal    *sealer
	trust   *trust.Window
	batch   int // deliveries in one request; 0: each is one
	limits  Window
	workers sync.WaitGroup // attempts and reads
	lives   lives          // its own, within those of the dispatcher
	close   func()         // the connections

	begun chan struct{} // closed when it delivers, or never will
	ended chan struct{} // closed when it was replaced or removed and has nothing left to do

	mu       sync.Mutex
	running  bool
	gate     *Gate
	rate     budget.Rate
	places   budget.Places
	commons  commons
	lanes    map[laneKey]*lane
	agenda   agenda
	windows  map[int]*window
	total    load
	inFlight int
	probing  bool
	failing  time.Time // an attempt has failed, here or at another member, and that counts until then: see fails
	parking  int       // what was given up on, and is not yet durably parked
	timer    *time.Timer
	wake     time.Time // when the timer fires; zero: it does not
	reader   reader
	// unreadUntil keeps a probe from asking a store that fails over and over.
	unreadUntil time.Time
	tally       Stats
	clock       clockWatch
	former      Stats    // of the one that it replaces, when it did
	wishes      []func() // of people, until it has a gate
	over        bool     // it was stopped
}

func newQueue(w Webhook, d *Dispatcher, s *Sender) *queue {
	q := &queue{
		webhook: w, send: s.send, close: s.closeIdle, begun: make(chan struct{}), ended: make(chan struct{}), outbox: d.opts.Outbox, observe: &d.opts.Observer, limits: d.opts.Window,
		record: d.record, trust: d.opts.Trust, seal: &sealer{outbox: d.opts.Outbox}, batch: w.batchEvents(),
		lanes: map[laneKey]*lane{}, windows: map[int]*window{}, tally: Stats{Webhook: w.Name},
		reader: reader{lanes: map[*lane]struct{}{}, windows: map[*window]struct{}{}},
	}
	q.share(d.opts.Pool)
	return q
}

// add takes a delivery that was just committed.
func (q *queue) add(d Delivery, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[d.Shard]
	if w == nil || !w.owned {
		return
	}
	if w.loading || w.cursor.behind || !q.admit(w, d, now) {
		q.fallBehind(w, d.Seq)
	}
}

// admit takes a delivery into its lane, and says whether there was room. It knows those that are there already.
func (q *queue) admit(w *window, d Delivery, now time.Time) bool {
	if w.knows(&d) {
		return true
	}
	l := q.laneOf(w, &d)
	if l.cursor.behind || l.blocked() || len(l.items) >= q.limits.Lane {
		q.leave(l, d.Seq)
		return true
	}
	if !q.limits.takes(w.load, q.total) {
		q.sweep(l)
		return false
	}
	q.enter(l, d, now)
	return true
}

// newItem makes the item of a delivery that was read or dispatched.
func (q *queue) newItem(l *lane, d Delivery, now time.Time) *item {
	it := &item{
		Delivery: d, lane: l, due: q.credible(asOf(d.NextAt, d.TriedAt, now), now),
		fails: d.Attempts, tries: min(d.Attempts, resumedTries),
	}
	// An event that a clock far ahead of this one made has no age: its wait would begin anew whenever it is read.
	if first := q.webhook.Retry.wait(0); d.Attempts == 0 && !d.Replay && d.At.Sub(now) < first {
		it.due = later(it.due, asOf(d.At.Add(first), d.At, now))
	}
	if d.tried() {
		it.until = asOf(d.Since, d.TriedAt, now).Add(q.webhook.Retry.GiveUpAfter.Std())
	}
	return it
}

// enter puts a delivery into its lane.
func (q *queue) enter(l *lane, d Delivery, now time.Time) {
	it := q.newItem(l, d, now)
	if it.due.After(now) || it.fails > 0 {
		it.bare, it.Body = true, nil
	}
	l.win.known[d.Seq] = it
	q.count(it, 1)
	if l.insert(it) && !l.busy {
		q.agenda.remove(l)
		q.place(l, now)
	}
}

// asOf corrects a time that was set at another one, by a clock that was ahead of what it shows now.
func asOf(t, set, now time.Time) time.Time {
	if !t.IsZero() && set.After(now) {
		return t.Add(now.Sub(set))
	}
	return t
}

// asOf is the state as of now, see asOf.
func (s GateState) asOf(now time.Time) GateState {
	s.Until, s.Since = asOf(s.Until, s.At, now), asOf(s.Since, s.At, now)
	if s.At.After(now) {
		s.At = now
	}
	return s
}

// By is the state as whoever else's clock is ahead by d would have it.
func (s GateState) By(d time.Duration) GateState {
	for _, t := range []*time.Time{&s.Since, &s.Until, &s.At} {
		if !t.IsZero() {
			*t = t.Add(d)
		}
	}
	return s
}

// credible bounds a stored time: written by a clock that was wrong, it must not stop a delivery for years.
func (q *queue) credible(at, now time.Time) time.Time {
	schedule := &q.webhook.Retry
	longest := max(2*schedule.wait(len(schedule.Schedule)), retryAfterMax)
	if at.Sub(now) > longest {
		return now.Add(longest)
	}
	return at
}

// resumedTries is how far the schedule of a delivery has gone at most after a restart: probes of a shut gate count as attempts
// too, and must not make it wait for hours once the receiver is back.
const resumedTries = 3

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func (q *queue) count(it *item, sign int) {
	it.lane.win.load.add(it, sign)
	q.total.add(it, sign)
}

// strip drops the body of an item that has to wait.
func (q *queue) strip(it *item) {
	q.count(it, -1)
	it.bare, it.Body = true, nil
	q.count(it, 1)
}

// fallBehind leaves a delivery to the store until there is room.
func (q *queue) fallBehind(w *window, seq int64) {
	w.cursor.skip(seq)
	q.reader.windows[w] = struct{}{}
}

// leave leaves a delivery, and those behind it, to the store until the lane has room for them.
func (q *queue) leave(l *lane, seq int64) {
	l.cursor.skip(seq)
	q.reader.lanes[l] = struct{}{}
}

// shed leaves what is behind a head that waits, or behind its bundle, to the store.
func (q *queue) shed(l *lane) {
	stay := l.held()
	if len(l.items) <= stay {
		return
	}
	q.leave(l, l.items[stay].Seq)
	for _, it := range l.items[stay:] {
		q.unload(it)
	}
	clear(l.items[stay:])
	l.items = l.items[:stay]
}

// unload takes an item out of memory.
func (q *queue) unload(it *item) {
	delete(it.lane.win.known, it.Seq)
	q.count(it, -1)
}

func (q *queue) laneOf(w *window, d *Delivery) *lane {
	key := keyOf(q.webhook.Order, d)
	l := q.lanes[key]
	if l == nil {
		l = &lane{key: key, win: w}
		q.lanes[key] = l
	}
	return l
}

// sweep forgets a lane that has nothing left to do.
func (q *queue) sweep(l *lane) {
	if len(l.items) == 0 && !l.cursor.behind {
		delete(q.lanes, l.key)
		delete(q.reader.lanes, l)
	}
}

// pump starts what may start now. It is called with the lock held, after anything that may allow more.
func (q *queue) pump(now time.Time) {
	q.giveUp(now)
	for q.packs() {
		b := q.nextBundle(now)
		if b == nil {
			break
		}
		q.workers.Go(func() { q.carry(b) })
	}
	for !q.packs() {
		it := q.next(now)
		if it == nil {
			break
		}
		q.workers.Go(func() { q.work(it) })
	}
	q.wantRead()
}

// next takes the delivery that may be sent now; nil when there is none. If only time is missing, it sets the timer.
func (q *queue) next(now time.Time) *item {
	if !q.running || q.inFlight >= q.webhook.MaxInFlight || q.distrusted(now) {
		return nil
	}
	if q.gate.Probes() {
		if l := q.nextProbe(now); l != nil {
			return q.launch(l, true)
		}
		return nil
	}
	if q.inFlight >= q.gate.Window() {
		return nil
	}
	l := q.agenda.peek(now)
	if l == nil {
		if due, ok := q.agenda.nextDue(); ok {
			q.wakeAt(due, now)
		}
		return nil
	}
	if !q.admitted(now) {
		return nil
	}
	q.agenda.turn++
	return q.launch(l, false)
}

// distrusted says that somebody else may own the shards by now.
func (q *queue) distrusted(now time.Time) bool {
	if q.trust.Open(now) {
		return false
	}
	q.wakeAt(now.Add(trust.Pause), now)
	return true
}

// nextProbe picks what a gate that is not open is tried with: the oldest delivery that is due, or else the one that is due first, and rather
// one that failed less: it may be the event that the receiver cannot digest.
func (q *queue) nextProbe(now time.Time) *lane {
	if q.probing {
		return nil
	}
	if at := later(q.gate.earliest(), q.unreadUntil); at.After(now) {
		q.wakeAt(at, now)
		return nil
	}
	l := q.candidate(now)
	if l == nil {
		return nil
	}
	if at := q.gate.ProbeAt(l.head().fresh()); at.After(now) {
		q.wakeAt(at, now)
		return nil
	}
	if !q.placed(now) || !q.claims(now) || !q.paced(now) {
		return nil
	}
	q.probing = true
	return l
}

func (q *queue) candidate(now time.Time) *lane {
	var best *lane
	for _, l := range q.lanes {
		if !l.busy && len(l.items) > 0 && l.leads() && (best == nil || q.better(l.head(), best.head(), now)) {
			best = l
		}
	}
	return best
}

func (q *queue) better(a, b *item, now time.Time) bool {
	aDue, bDue := !a.due.After(now), !b.due.After(now)
	switch {
	case aDue != bDue:
		return aDue
	case a.fails != b.fails:
		return a.fails < b.fails
	case !aDue && !a.due.Equal(b.due):
		return a.due.Before(b.due)
	}
	return a.Seq < b.Seq
}

func (q *queue) launch(l *lane, probe bool) *item {
	q.agenda.remove(l)
	l.busy = true
	it := l.head()
	it.probe = probe
	q.inFlight++
	return it
}

// wakeAt makes sure that pump runs at that time, or before.
func (q *queue) wakeAt(at, now time.Time) {
	if !q.wake.IsZero() && !at.Before(q.wake) {
		return
	}
	q.wake = at
	if q.timer == nil {
		q.timer = time.AfterFunc(at.Sub(now), q.awake)
		return
	}
	q.timer.Reset(at.Sub(now))
}

func (q *queue) awake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wake = time.Time{}
	q.pump(time.Now())
}
