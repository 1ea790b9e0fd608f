package emitter

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Acknowledgements are collected for a moment, so that one transaction takes many.
const (
	lingerTime  = 25 * time.Millisecond
	lingerCount = 1000
)

// spareAcks bounds the memory that is kept for acknowledgements to come.
const spareAcks = 4 * lingerCount

// roundEntries is for how many deliveries entries are written before acknowledgements, gates and notes get their turn: each entry is
// a transaction of its own, and a receiver that refuses everything makes thousands of them.
const roundEntries = 64

// Pauses after the store has refused.
const (
	refusedPause    = 100 * time.Millisecond
	refusedPauseMax = 10 * time.Second
)

// entry is something durable to write about one delivery.
type entry struct {
	queue   *queue
	item    *item
	attempt Attempt   // its Number is 0 when there was none
	next    time.Time // of a retry
	park    string    // reason; empty: a retry
	outcome Outcome   // of a park

	bundle []*item // of a batch, whose first item is item; nil: it is about a single delivery
	split  bool    // the batch is none any more
}

type ack struct {
	queue   *queue
	item    *item
	receipt Receipt
}

// recorder writes down what happened, in the order in which it happened, and asks a store that refuses again until it takes it.
// One goroutine does it; nobody else waits for the store.
type recorder struct {
	outbox  Outbox
	observe *Observer

	mu      sync.Mutex
	acks    []ack
	entries []entry
	gates   map[string]gateNote
	notes   []func(*Observer)
	waiting []barrier
	open    map[int]int // entries that are not written, by shard

	spare    []ack     // for the next acknowledgements, while those before them are written
	receipts []Receipt // of one round; only the goroutine that writes has it

	wake chan struct{} // something is there
	full chan struct{} // enough for a transaction is there
}

func newRecorder(outbox Outbox, observe *Observer) *recorder {
	return &recorder{
		outbox: outbox, observe: observe, gates: map[string]gateNote{}, open: map[int]int{},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (r *recorder) ack(q *queue, it *item, receipt Receipt) {
	r.mu.Lock()
	r.acks = append(r.acks, ack{queue: q, item: it, receipt: receipt})
	full := len(r.acks) >= lingerCount
	r.mu.Unlock()
	signal(r.wake)
	if full {
		signal(r.full)
	}
}

// ackAll acknowledges the deliveries of a batch in one transaction.
func (r *recorder) ackAll(q *queue, items []*item, o Outcome) {
	r.mu.Lock()
	for _, it := range items {
		r.acks = append(r.acks, ack{queue: q, item: it, receipt: Receipt{Ref: it.Ref, Attempt: attemptOf(it, o)}})
	}
	r.mu.Unlock()
	signal(r.wake)
	signal(r.full) // their lanes wait for it
}

// failBundle records a failed attempt at a batch.
func (r *recorder) failBundle(q *queue, items []*item, attempt Attempt, next Next, o Outcome) {
	r.enter(entry{queue: q, item: items[0], bundle: items, attempt: attempt, next: next.At, split: next.Split, park: next.Park, outcome: o})
}

func (r *recorder) retry(q *queue, it *item, attempt Attempt, next time.Time) {
	r.enter(entry{queue: q, item: it, attempt: attempt, next: next})
}

func (r *recorder) park(q *queue, it *item, attempt Attempt, reason string, o Outcome) {
	r.enter(entry{queue: q, item: it, attempt: attempt, park: reason, outcome: o})
}

// giveUp parks deliveries of which no further attempt was made: one, or those of a batch.
func (r *recorder) giveUp(q *queue, lead *item, bundle []*item, reason string, o Outcome) {
	r.enter(entry{queue: q, item: lead, bundle: bundle, park: reason, outcome: o})
}

func (r *recorder) enter(e entry) {
	r.mu.Lock()
	r.entries = append(r.entries, e)
	r.open[e.item.Shard]++
	r.mu.Unlock()
	signal(r.wake)
}

// settled says whether each entry of a shard is written, or will never be.
func (r *recorder) settled(shard int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open[shard] == 0
}

// note tells the observer, in order.
func (r *recorder) note(tell func(*Observer)) {
	r.mu.Lock()
	r.notes = append(r.notes, tell)
	r.mu.Unlock()
	signal(r.wake)
}

// failed tells the observer that the store refused.
func (r *recorder) failed(op string, err error) {
	r.note(func(ob *Observer) {
		if ob.StoreFailed != nil {
			ob.StoreFailed(op, err)
		}
	})
}

// run writes until last is closed; ctx bounds the writing itself.
func (r *recorder) run(ctx context.Context, last <-chan struct{}) {
	pause := refusedPause
	for {
		select {
		case <-r.wake:
		case <-last:
			return
		}
		r.pause(lingerTime, last, r.full)
		more, err := r.flush(ctx)
		if err == nil {
			if pause = refusedPause; more {
				signal(r.wake)
				signal(r.full)
			}
			continue
		}
		r.pause(pause, last, nil)
		pause = min(2*pause, refusedPauseMax)
		signal(r.wake)
	}
}

// pause waits, or until one of the channels has something.
func (r *recorder) pause(d time.Duration, last, early <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-early:
	case <-last:
	}
}

// finish writes what is left, until ctx is done.
func (r *recorder) finish(ctx context.Context) error {
	for pause := refusedPause; ; {
		more, err := r.flush(ctx)
		if more && err == nil {
			if err = ctx.Err(); err == nil {
				continue
			}
		}
		if err == nil || ctx.Err() != nil {
			r.tell()
			return err
		}
		waitFor(ctx, pause)
		pause = min(2*pause, refusedPauseMax)
	}
}

// flush writes one round, and keeps what was refused; more says that there are entries that were not tried.
func (r *recorder) flush(ctx context.Context) (more bool, refused error) {
	r.tell()
	r.mu.Lock()
	acks, entries, gates := r.acks, r.entries, r.gates
	r.acks, r.spare, r.entries, r.gates = r.spare[:0], nil, nil, map[string]gateNote{}
	r.mu.Unlock()
	written := acks
	gateErr := r.flushGates(ctx, gates)
	entries, rest, entryErr := r.flushEntries(ctx, entries)
	acks, later := inOrder(acks, rest)
	acks, ackErr := r.flushAcks(ctx, acks, &entries)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(acks)+len(later) > 0 {
		r.acks = slices.Concat(acks, later, r.acks)
	} else if clear(written); cap(written) <= spareAcks {
		r.spare = written[:0]
	}
	r.entries = slices.Concat(entries, rest, r.entries)
	clear(r.open)
	for i := range r.entries {
		r.open[r.entries[i].item.Shard]++
	}
	r.lift()
	return len(rest) > 0, cmp.Or(gateErr, entryErr, ackErr)
}

// inOrder puts off acknowledgements of deliveries whose failed attempts are not written yet.
func inOrder(acks []ack, rest []entry) (now, later []ack) {
	if len(rest) == 0 {
		return acks, nil
	}
	unwritten := make(map[*item]struct{}, len(rest))
	for i := range rest {
		for _, it := range rest[i].items() {
			unwritten[it] = struct{}{}
		}
	}
	for _, a := range acks {
		if _, ok := unwritten[a.item]; ok {
			later = append(later, a)
			continue
		}
		now = append(now, a)
	}
	return now, later
}

func (r *recorder) tell() {
	r.mu.Lock()
	notes := r.notes
	r.notes = nil
	r.mu.Unlock()
	for _, tell := range notes {
		tell(r.observe)
	}
}

// flushEntries writes some entries. It gives what was refused and what was not tried, in order. Entries of a shard that somebody
// else looks after now are his to make.
func (r *recorder) flushEntries(ctx context.Context, entries []entry) (kept, rest []entry, refused error) {
	written := 0
	for i, e := range entries {
		if written >= roundEntries {
			return kept, entries[i:], refused
		}
		if !e.queue.owns(e.item.Shard) {
			e.queue.disowned(e)
			continue
		}
		op, err := e.write(ctx, r.outbox)
		if err != nil {
			kept, refused = append(kept, e), fmt.Errorf("%s: %w", op, err)
			r.failed(op, err)
			continue
		}
		written += len(e.items())
		switch {
		case e.split:
			e.queue.split(e.bundle)
		case e.park != "":
			r.parked(e)
		}
	}
	return kept, nil, refused
}

func (e *entry) write(ctx context.Context, outbox Outbox) (op string, err error) {
	switch {
	case e.bundle != nil:
		seqs := make([]int64, len(e.bundle))
		for i, it := range e.bundle {
			seqs[i] = it.Seq
		}
		return "retry", outbox.FailBatch(ctx, e.item.Lane, seqs, e.attempt, Next{At: e.next, Split: e.split, Park: e.park})
	case e.untried():
		return "park", outbox.Park(ctx, e.item.Ref, e.park, nil)
	case e.park != "":
		return "park", outbox.Park(ctx, e.item.Ref, e.park, &e.attempt)
	}
	return "retry", outbox.Retry(ctx, e.item.Ref, e.attempt, e.next)
}

// untried says that the entry is about what was given up on without another attempt.
func (e *entry) untried() bool { return e.attempt.Number == 0 }

// items are the deliveries that the entry is about.
func (e *entry) items() []*item {
	if e.bundle != nil {
		return e.bundle
	}
	return []*item{e.item}
}

func (r *recorder) parked(e entry) {
	for _, it := range e.items() {
		if r.observe.Parked != nil {
			d := it.Delivery
			d.Body = nil
			r.observe.Parked(d, e.park, e.outcome)
		}
	}
	e.queue.parked(e)
}

// flushAcks acknowledges all at once. Refused entries of deliveries that are settled now need not be written any more.
func (r *recorder) flushAcks(ctx context.Context, acks []ack, entries *[]entry) (kept []ack, refused error) {
	if len(acks) == 0 {
		return nil, nil
	}
	settled := make(map[*item]struct{}, len(*entries))
	for i := range acks {
		if len(*entries) > 0 {
			settled[acks[i].item] = struct{}{}
		}
	}
	if err := r.outbox.Ack(ctx, r.receiptsOf(acks)); err != nil {
		r.failed("ack", err)
		return acks, fmt.Errorf("acknowledge %d deliveries: %w", len(acks), err)
	}
	*entries = slices.DeleteFunc(*entries, func(e entry) bool { _, ok := settled[e.item]; return ok })
	for from := 0; from < len(acks); {
		items := make([]*item, 0, len(acks)-from)
		q := acks[from].queue
		for ; from < len(acks) && acks[from].queue == q; from++ {
			items = append(items, acks[from].item)
		}
		q.acked(items)
	}
	return nil, nil
}

// receiptsOf gives what is to be written of acknowledgements; it is good until the next call.
func (r *recorder) receiptsOf(acks []ack) []Receipt {
	if cap(r.receipts) > spareAcks {
		r.receipts = nil
	}
	r.receipts = r.receipts[:0]
	for i := range acks {
		r.receipts = append(r.receipts, acks[i].receipt)
	}
	return r.receipts
}
