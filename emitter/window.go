package emitter

import "math"

// cursor says from where on a queue has to be read from the store. Not behind, everything that is unsettled in the store is
// in memory, or will be dispatched.
type cursor struct {
	behind bool
	after  int64 // unsettled deliveries after this one may be missing in memory; meaningful when behind
}

// skip notes that a delivery was not taken into memory.
func (c *cursor) skip(seq int64) {
	if !c.behind {
		c.behind, c.after = true, math.MaxInt64
	}
	c.after = min(c.after, seq-1)
}

// begin starts a read, and gives after which delivery. What is skipped until end is noted beside it.
func (c *cursor) begin() int64 {
	after := c.after
	c.after = math.MaxInt64
	return after
}

// end finishes a read that got as far as last; more is false when there was nothing behind it in the store.
func (c *cursor) end(last int64, more bool) {
	if more {
		c.after = min(c.after, last)
	}
	c.behind = c.after != math.MaxInt64
}

// Window bounds what is kept in memory; the rest is read from the store when there is room.
type Window struct {
	Events, Bytes           int // of one webhook in one shard
	TotalEvents, TotalBytes int // of one webhook
	Lane                    int // events of one lane: a long one must not fill the window
	Waiting                 int // deliveries of one webhook that wait for another attempt, kept without their bodies
}

// DefaultWindow is 5,000 events or 16 MiB of one webhook in one shard, four times that of one webhook, 256 of one lane, and
// 100,000 that wait.
func DefaultWindow() Window {
	return Window{Events: 5000, Bytes: 16 << 20, TotalEvents: 20_000, TotalBytes: 64 << 20, Lane: 256, Waiting: 100_000}
}

// window is what of one webhook in one shard is in memory.
type window struct {
	shard   int
	owned   bool
	loading bool // it is not yet known what the store has
	// yielding: nothing is begun any more, but what was begun is written down.
	yielding bool
	gen      int // grows at each change of ownership
	cursor   cursor
	known    map[int64]*item // unsettled in the store as far as we know, and seen by us: queued, in flight, or not yet durably settled
	load     load
}

// knows says whether a delivery that was read is in memory. One that was settled and replayed before we heard that it is settled
// has to be read again then.
func (w *window) knows(d *Delivery) bool {
	it := w.known[d.Seq]
	if it == nil {
		return false
	}
	it.replayed = it.replayed || d.Replay && (!it.Replay || !d.Since.Equal(it.Since))
	return true
}

// load counts what takes up memory.
type load struct {
	events, bytes int
	replays       int // among the events
	waiting       int
}

// untried counts the events that were never sent: what has failed stands before them in the store.
func (l *load) untried() int { return l.events - l.replays }

func (l *load) add(it *item, sign int) {
	if it.bare {
		l.waiting += sign
		return
	}
	l.events += sign
	l.bytes += sign * len(it.Body)
	if it.Replay {
		l.replays += sign
	}
}

// takes says whether there is room for one more delivery, of whatever size.
func (w Window) takes(l, total load) bool {
	return l.events < w.Events && l.bytes < w.Bytes && total.events < w.TotalEvents && total.bytes < w.TotalBytes
}

// room says whether there is room enough to read more of a lane.
func (w Window) room(l, total load) bool {
	return l.events < w.Events*3/4 && l.bytes < w.Bytes*3/4 && w.roomTotal(total)
}

// low says that it is time to read more of a shard.
func (w Window) low(l, total load) bool {
	return l.events <= w.Events/2 && l.bytes <= w.Bytes/2 && w.roomTotal(total)
}

func (w Window) roomTotal(total load) bool {
	return total.events < w.TotalEvents && total.bytes < w.TotalBytes && total.waiting < w.Waiting
}
