package emitter

import (
	"container/heap"
	"container/list"
	"slices"
	"time"
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
	busy   bool   // the first item is in flight or being parked
	cursor cursor // behind: later items are in the store only

	// A lane that is not busy stands in one of the lists of an agenda.
	elem  *list.Element
	in    *list.List
	index int // in the heap of those that wait; -1: not there
}

func (l *lane) head() *item { return l.items[0] }

// blocked says whether the lane waits for another attempt of its head: what is behind it stays in the store.
func (l *lane) blocked() bool { return len(l.items) > 0 && l.items[0].bare }

// insert keeps items in order of Seq, without getting before one that is in flight. It says whether there is a new head.
func (l *lane) insert(it *item) bool {
	at, _ := slices.BinarySearchFunc(l.items, it, func(a, b *item) int { return int(a.Seq - b.Seq) })
	if l.busy {
		at = max(at, 1)
	}
	l.items = slices.Insert(l.items, at, it)
	return at == 0
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
	fresh, again list.List
	waiting      laneHeap
	turn         int
}

// againEvery lets a repeated delivery go first now and then, however many fresh ones there are.
const againEvery = 4

// place puts a lane that is not busy and has items where it belongs at this time.
func (a *agenda) place(l *lane, now time.Time) {
	head := l.head()
	switch {
	case head.due.After(now):
		heap.Push(&a.waiting, l)
	case head.Attempts == 0:
		l.in, l.elem = &a.fresh, a.fresh.PushBack(l)
	default:
		l.in, l.elem = &a.again, a.again.PushBack(l)
	}
}

// remove takes a lane out, wherever it is.
func (a *agenda) remove(l *lane) {
	if l.elem != nil {
		l.in.Remove(l.elem)
		l.elem, l.in = nil, nil
	}
	if l.index >= 0 {
		heap.Remove(&a.waiting, l.index)
	}
}

// peek gives the lane whose turn it is; nil when none is due.
func (a *agenda) peek(now time.Time) *lane {
	for len(a.waiting) > 0 && !a.waiting[0].head().due.After(now) {
		l := a.waiting[0]
		a.remove(l)
		a.place(l, now)
	}
	first, second := &a.fresh, &a.again
	if a.turn%againEvery == againEvery-1 {
		first, second = second, first
	}
	for _, from := range []*list.List{first, second} {
		if e := from.Front(); e != nil {
			l, _ := e.Value.(*lane)
			return l
		}
	}
	return nil
}

// nextDue gives when the first waiting lane is due.
func (a *agenda) nextDue() (time.Time, bool) {
	if len(a.waiting) == 0 {
		return time.Time{}, false
	}
	return a.waiting[0].head().due, true
}

// laneHeap orders waiting lanes by when they are due.
type laneHeap []*lane

func (h laneHeap) Len() int           { return len(h) }
func (h laneHeap) Less(i, j int) bool { return h[i].head().due.Before(h[j].head().due) }
func (h laneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push adds a lane.
func (h *laneHeap) Push(x any) {
	l, _ := x.(*lane)
	l.index = len(*h)
	*h = append(*h, l)
}

// Pop removes the last lane.
func (h *laneHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	l.index = -1
	return l
}
