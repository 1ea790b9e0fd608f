package emitter

import (
	"iter"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/due"
)

// item is one delivery in memory. Its Body is dropped when an attempt failed, and read again for the next one: what waits
// for a receiver must not fill the memory.
type item struct {
	Delivery

	lane  *lane
	due   time.Time // no attempt before
	tries int       // failures that may be the event's own: how far the schedule has gone
	fails int       // failures since the replay if there was one, probes included
	probe bool      // in flight as a probe
	bare  bool      // without Body
	fixed bool      // sealed during this attempt: Body may be an older one

	until time.Time // it is given up on then; zero: it has not failed
	last  string    // what came of the last attempt, for people; empty: that is not in memory

	replayed bool // in the store it is pending again, and anew

	bundle *bundle // that carries it; nil: none, or the webhook has no batches
	most   int     // deliveries in a bundle that has it, after a rejection; 0: as many as there may be
}

// fresh says that no attempt has failed.
func (it *item) fresh() bool { return it.fails == 0 }

// trigger says why an attempt is made.
func (it *item) trigger() string {
	switch {
	case it.probe:
		return "probe"
	case it.Replay && it.fails == 0:
		return "replay"
	case it.Attempts > 0:
		return "retry"
	}
	return "initial"
}

// laneKey is what deliveries of one lane have in common: by order = "key" source and key, by "source" the source, by "none"
// nothing but themselves.
type laneKey struct {
	source, key string
	seq         int64
}

func keyOf(order string, d *Delivery) laneKey {
	switch order {
	case orderSource:
		return laneKey{source: d.Source}
	case orderNone:
		return laneKey{seq: d.Seq}
	}
	return laneKey{source: d.Source, key: d.Key}
}

// lane has deliveries that go out one after the other, in order of Seq.
type lane struct {
	key    laneKey
	win    *window
	items  []*item
	busy   bool      // the first item, or those of its bundle, are in flight or being settled
	cursor cursor    // behind: later items are in the store only
	placed time.Time // when it was last put into the agenda

	// A lane that is not busy stands in one of the lists of an agenda.
	in         *laneList
	prev, next *lane // in that list
	index      int   // among those that wait; 0: it does not
	until      time.Time
	aging      int // among those whose first delivery has failed, by until; 0: it has not
}

func (l *lane) head() *item { return l.items[0] }

// blocked says whether the lane waits for another attempt of its head: what is behind it stays in the store.
func (l *lane) blocked() bool { return len(l.items) > 0 && l.items[0].bare }

// held gives how many of the first items stay together: those of a bundle, or the first one alone.
func (l *lane) held() int {
	n := min(1, len(l.items))
	for n < len(l.items) && l.items[0].bundle != nil && l.items[n].bundle == l.items[0].bundle {
		n++
	}
	return n
}

// bundled says whether the lane begins with a bundle: that always is at the front, where it is held together.
func (l *lane) bundled() bool { return len(l.items) > 0 && l.items[0].bundle != nil }

// insert keeps items in order of Seq, without getting before one that is in flight, before a bundle or between those of one. It says
// whether there is a new head.
func (l *lane) insert(it *item) bool {
	at, _ := slices.BinarySearchFunc(l.items, it, func(a, b *item) int { return int(a.Seq - b.Seq) })
	if l.busy || at > 0 || l.bundled() {
		at = max(at, l.held())
	}
	l.items = slices.Insert(l.items, at, it)
	return at == 0
}

// drop removes an item, wherever it stands.
func (l *lane) drop(it *item) {
	if i := slices.Index(l.items, it); i >= 0 {
		l.items = slices.Delete(l.items, i, i+1)
	}
}

// shift removes the head.
func (l *lane) shift() {
	l.items[0] = nil
	l.items = l.items[1:]
	if len(l.items) == 0 {
		l.items = nil
	}
}

// agenda says which lane comes next: fresh events before repeated ones, but not always; among each, lanes take turns.
type agenda struct {
	fresh, again laneList
	waiting      due.Queue[*lane, byDue]
	aging        due.Queue[*lane, byUntil]
	turn         int
}

// againEvery lets a repeated delivery go first now and then, however many fresh ones there are.
const againEvery = 4

// place puts a lane that is not busy and has items where it belongs at this time.
func (a *agenda) place(l *lane, now time.Time) {
	head := l.head()
	l.placed = now
	a.age(l)
	switch {
	case head.due.After(now):
		a.waiting.Set(l)
	case head.Attempts == 0:
		a.fresh.push(l)
	default:
		a.again.push(l)
	}
}

// remove takes a lane out, wherever it is.
func (a *agenda) remove(l *lane) {
	if l.in != nil {
		l.in.remove(l)
	}
	a.waiting.Drop(l)
	a.aging.Drop(l)
}

// peek gives the lane whose turn it is; nil when none is due.
func (a *agenda) peek(now time.Time) *lane {
	for _, from := range a.due(now) {
		if from.first != nil {
			return from.first
		}
	}
	return nil
}

// due gives the lanes that are due, in two lists of which the first has its turn.
func (a *agenda) due(now time.Time) [2]*laneList {
	for l, ok := a.waiting.First(); ok && !l.head().due.After(now); l, ok = a.waiting.First() {
		a.remove(l)
		a.place(l, now)
	}
	if a.turn%againEvery == againEvery-1 {
		return [2]*laneList{&a.again, &a.fresh}
	}
	return [2]*laneList{&a.fresh, &a.again}
}

// inTurn lists the lanes that are due, in the order of their turns.
func (a *agenda) inTurn(now time.Time) iter.Seq2[int, *lane] {
	return func(yield func(int, *lane) bool) {
		n := 0
		for _, from := range a.due(now) {
			for next := from.first; next != nil; n++ {
				l := next
				next = l.next // before l leaves the list
				if !yield(n, l) {
					return
				}
			}
		}
	}
}

// has says whether a lane stands in the agenda.
func (a *agenda) has(l *lane) bool { return l.in != nil || l.index > 0 }

// nextDue gives when the first waiting lane is due.
func (a *agenda) nextDue() (time.Time, bool) {
	l, ok := a.waiting.First()
	if !ok {
		return time.Time{}, false
	}
	return l.head().due, true
}

// byDue orders waiting lanes by when they are due.
type byDue struct{}

// Due is that of the first delivery.
func (byDue) Due(l *lane) time.Time { return l.head().due }

// Place is that among those that wait.
func (byDue) Place(l *lane) *int { return &l.index }
