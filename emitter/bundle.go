package emitter

import (
	"cmp"
	"slices"
	"time"
)

// bundle is a batch on its way: deliveries of one source that one request carries.
type bundle struct {
	id    string  // under which it was sealed; empty: not yet
	items []*item // in order of Seq; in each lane the first ones
	probe bool    // in flight as a probe
}

func (b *bundle) lead() *item { return b.items[0] }

// ready says whether the deliveries stand first in their lanes and nothing is under way there.
func (b *bundle) ready() bool {
	at := map[*lane]int{}
	for _, it := range b.items {
		l := it.lane
		if l.busy || at[l] >= len(l.items) || l.items[at[l]] != it {
			return false
		}
		at[l]++
	}
	return true
}

// lanes lists the lanes of the items.
func lanesOf(items []*item) []*lane {
	var list []*lane
	seen := map[*lane]struct{}{}
	for _, it := range items {
		if _, ok := seen[it.lane]; !ok {
			seen[it.lane] = struct{}{}
			list = append(list, it.lane)
		}
	}
	return list
}

// leads says whether something can be sent from the lane by itself: a bundle is sent from the lane of its first delivery.
func (l *lane) leads() bool {
	b := l.head().bundle
	return b == nil || b.lead().lane == l && b.ready()
}

// packs says whether the webhook gets batches.
func (q *queue) packs() bool { return q.batch > 0 }

// place puts a lane that is not busy into the agenda. Of the lanes of a bundle one stands there, when all are ready.
func (q *queue) place(l *lane, now time.Time) {
	b := l.head().bundle
	if b == nil {
		q.agenda.place(l, now)
		return
	}
	if lead := b.lead().lane; b.ready() && !q.agenda.has(lead) {
		q.agenda.place(lead, now)
	}
}

// nextBundle takes what may be sent now in one request; nil when there is nothing. If only time is missing, it sets the timer.
func (q *queue) nextBundle(now time.Time) *bundle {
	if !q.running || q.inFlight >= q.webhook.MaxInFlight || q.distrusted(now) {
		return nil
	}
	if q.gate.Probes() {
		l := q.nextProbe(now)
		if l == nil {
			return nil
		}
		b, _ := q.gather(l, now)
		return q.launchBundle(b, true)
	}
	if q.inFlight >= q.gate.Window() {
		return nil
	}
	b := q.nextFull(now)
	if b == nil || !q.admitted(now) {
		return nil
	}
	q.agenda.turn++
	return q.launchBundle(b, false)
}

// nextFull gives the next bundle that is full, or whose deliveries have waited long enough for others.
func (q *queue) nextFull(now time.Time) *bundle {
	var wake time.Time
	if due, ok := q.agenda.nextDue(); ok {
		wake = due
	}
	linger := q.webhook.Batch.Linger.Std()
	lingers := map[string]struct{}{} // sources
	for _, l := range q.agenda.inTurn(now) {
		if !l.leads() {
			q.agenda.remove(l) // until it is ready
			continue
		}
		source := l.head().Source
		if _, ok := lingers[source]; ok {
			continue
		}
		b, full := q.gather(l, now)
		until := l.placed.Add(linger)
		if full || !until.After(now) {
			return b
		}
		lingers[source] = struct{}{}
		if wake.IsZero() || until.Before(wake) {
			wake = until
		}
	}
	if !wake.IsZero() {
		q.wakeAt(wake, now)
	}
	return nil
}

// gather makes the bundle that begins with a lane, without taking anything yet; full says that no more will fit.
func (q *queue) gather(first *lane, now time.Time) (b *bundle, full bool) {
	if b := first.head().bundle; b != nil {
		return b, true
	}
	p := packing{most: q.batch, maxBytes: int(q.webhook.Batch.MaxBytes), now: now}
	p.take(first)
	source := first.head().Source
	for _, l := range q.agenda.inTurn(now) {
		if p.full {
			break
		}
		if l != first && l.head().Source == source {
			p.take(l)
		}
	}
	slices.SortFunc(p.items, func(a, b *item) int { return cmp.Compare(a.Seq, b.Seq) })
	return &bundle{items: p.items}, p.full
}

// packing is a bundle in the making.
type packing struct {
	items    []*item
	size     int
	most     int
	maxBytes int
	full     bool
	now      time.Time
}

// take adds what fits of a lane: its first deliveries, in order. The very first one is taken also before it is due: a probe is.
func (p *packing) take(l *lane) {
	for _, it := range l.items {
		if it.bundle != nil || it.due.After(p.now) && len(p.items) > 0 {
			return
		}
		most, size := p.most, BatchSize(p.size, it.Body)
		if it.most > 0 {
			most = min(most, it.most)
		}
		if len(p.items) >= most {
			return // it was in a batch that was rejected, and this one is too large for it
		}
		if p.full = len(p.items) > 0 && size > p.maxBytes; p.full {
			return
		}
		p.items, p.size, p.most = append(p.items, it), size, most
		if p.full = len(p.items) >= p.most; p.full {
			return
		}
	}
}

func (q *queue) launchBundle(b *bundle, probe bool) *bundle {
	b.probe = probe
	for _, it := range b.items {
		it.bundle, it.probe = b, probe
		if !it.lane.busy {
			q.agenda.remove(it.lane)
			it.lane.busy = true
		}
	}
	q.inFlight++
	return b
}

// dissolve lets the deliveries of a bundle go their own ways.
func (b *bundle) dissolve() {
	for _, it := range b.items {
		it.bundle = nil
	}
}

// releaseAll frees the lanes of a bundle that was under way.
func (q *queue) releaseAll(items []*item, now time.Time) {
	for _, l := range lanesOf(items) {
		q.release(l, now)
	}
}
