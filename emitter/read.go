package emitter

import (
	"context"
	"time"
)

// reader is the state of reading a webhook's backlog: one page at a time.
type reader struct {
	active  bool
	windows map[*window]struct{} // that are behind
	lanes   map[*lane]struct{}   // that are behind
	shard   int                  // that is being read
	settled map[int64]struct{}   // what became durably settled during the read; nil: no read
	size    int                  // of a body, on average on the last page
}

// Pages are small at first, and then as large as bodies allow.
const (
	firstPage = 100
	minPage   = 16
	maxPage   = 500
)

// task is one page to read: for a window, or for one lane of it.
type task struct {
	win   *window
	lane  *lane // nil: all of the window
	gen   int
	after int64
	limit int
}

func (t *task) cursor() *cursor {
	if t.lane != nil {
		return &t.lane.cursor
	}
	return &t.win.cursor
}

// wantRead starts reading if there is something to read and room for it.
func (q *queue) wantRead() {
	if q.reader.active || len(q.reader.windows)+len(q.reader.lanes) == 0 {
		return
	}
	if t := q.nextTask(); t != nil {
		q.reader.active = true
		q.workers.Go(func() { q.read(t) })
	}
}

// nextTask begins to read the lane or window that has least in memory; nil when there is nothing to do. A gate that only
// probes needs no more than a probe, but one that has not failed. What has failed stands before those in the store, and has to be in
// memory, too, to be given up on in time: so it needs one of each window, which is no replay: those may stand before what has failed.
func (q *queue) nextTask() *task {
	if !q.running || q.gate.stopped() {
		return nil
	}
	enough := q.gate.Probes() && q.total.events > 0
	var w *window
	l := q.shortLane()
	if l != nil {
		w = l.win
	}
	if low := q.lowWindow(); low != nil && (l == nil || low.load.untried() == 0) {
		w, l = low, nil
	}
	if enough && (w == nil || l != nil || w.load.untried() > 0) {
		return nil
	}
	if w == nil {
		return nil
	}
	t := &task{win: w, lane: l, gen: w.gen, limit: q.pageSize(w)}
	t.after = t.cursor().begin()
	q.reader.shard, q.reader.settled = t.win.shard, map[int64]struct{}{}
	return t
}

func (q *queue) shortLane() *lane {
	var best *lane
	for l := range q.reader.lanes {
		if !l.blocked() && len(l.items) <= q.limits.Lane/2 && q.limits.room(l.win.load, q.total) && (best == nil || len(l.items) < len(best.items)) {
			best = l
		}
	}
	return best
}

func (q *queue) lowWindow() *window {
	var best *window
	for w := range q.reader.windows {
		if !w.loading && q.limits.low(w.load, q.total) && (best == nil || w.load.untried() < best.load.untried()) {
			best = w
		}
	}
	return best
}

func (q *queue) pageSize(w *window) int {
	if q.reader.size == 0 {
		return firstPage
	}
	room := min(q.limits.Bytes-w.load.bytes, q.limits.TotalBytes-q.total.bytes)
	return min(max(room/q.reader.size, minPage), maxPage)
}

// read reads pages until there is no room or nothing left.
func (q *queue) read(t *task) {
	for pause := rereadPause; t != nil; {
		page, err := q.outbox.Pending(q.lives.read, Lane{Shard: t.win.shard, Webhook: q.webhook.Name}, t.after, t.limit)
		if err == nil {
			t, pause = q.apply(t, page), rereadPause
			continue
		}
		if q.lives.read.Err() == nil {
			q.record.failed("pending", err)
		}
		waitFor(q.lives.read, pause)
		pause = min(2*pause, rereadPauseMax)
		t = q.reread(t)
	}
}

// rereadPauseMax bounds the pauses of reading from a store that fails.
const rereadPauseMax = 30 * time.Second

// reread gives up on a page and picks what is to be read now.
func (q *queue) reread(t *task) *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.gen == t.win.gen {
		t.cursor().end(t.after, true)
	}
	return q.goOn()
}

// apply takes a page into memory, and gives the next one to read.
func (q *queue) apply(t *task, page []Delivery) *task {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if t.gen == t.win.gen {
		q.fill(t, page, now)
		q.caughtUp(t)
	}
	next := q.goOn()
	q.pump(now)
	return next
}

// goOn ends a read; it is called with the lock held.
func (q *queue) goOn() *task {
	q.reader.settled = nil
	t := q.nextTask()
	q.reader.active = t != nil
	return t
}

func (q *queue) fill(t *task, page []Delivery, now time.Time) {
	last, size := t.after, 0
	for i := range page {
		d := &page[i]
		last, size = d.Seq, size+len(d.Body)
		if _, ok := q.reader.settled[d.Seq]; ok {
			continue
		}
		if !q.fit(t, d, now) {
			t.cursor().skip(d.Seq)
			break
		}
	}
	t.cursor().end(last, len(page) > 0)
	if len(page) > 0 {
		q.reader.size = max(size/len(page), 1)
	}
}

// caughtUp strikes a window or lane off the list when it is no longer behind.
func (q *queue) caughtUp(t *task) {
	switch {
	case t.cursor().behind:
	case t.lane == nil:
		delete(q.reader.windows, t.win)
	default:
		delete(q.reader.lanes, t.lane)
		if !t.lane.busy {
			q.sweep(t.lane)
		}
	}
}

// fit takes a delivery of a page, and says whether to go on.
func (q *queue) fit(t *task, d *Delivery, now time.Time) bool {
	if t.lane == nil {
		return q.admit(t.win, *d, now)
	}
	if keyOf(q.webhook.Order, d) != t.lane.key || t.win.knows(d) {
		return true
	}
	if t.lane.blocked() || len(t.lane.items) >= q.limits.Lane || !q.limits.takes(t.win.load, q.total) {
		return false
	}
	q.enter(t.lane, *d, now)
	return true
}

// waitFor waits, or until ctx is done.
func waitFor(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
