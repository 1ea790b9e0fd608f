package emitter

import "time"

// take begins to look after a shard, or does so anew. Until loaded is called, what is dispatched is left to the store.
func (q *queue) take(shard int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[shard]
	if w == nil {
		w = &window{shard: shard, known: map[int64]*item{}}
		q.windows[shard] = w
	}
	q.disown(w)
	w.owned, w.loading, w.yielding = true, true, false
}

// loaded hears whether the store has something for a shard that was taken.
func (q *queue) loaded(shard int, pending bool, batches map[string][]Delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[shard]
	if w == nil || !w.owned || !q.running { // not yet, or not any more
		return
	}
	w.loading = false
	for _, list := range batches {
		q.adopt(w, list, time.Now())
	}
	if pending {
		q.fallBehind(w, 1)
	}
	if len(batches) > 0 {
		q.pump(time.Now())
	}
	q.wantRead()
}

// yield ends looking after a shard in good order: what is in flight is still ours to write down.
func (q *queue) yield(shard int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.windows[shard]; w != nil {
		q.disown(w)
		w.yielding = true
	}
}

// settled says whether nothing of a shard is in flight, or not acknowledged durably.
func (q *queue) settled(shard int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[shard]
	return w == nil || len(w.known) == 0
}

// drop ends looking after a shard. What is in flight stays known, so that the same process never sends it twice at a time.
func (q *queue) drop(shard int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.windows[shard]; w != nil {
		q.disown(w)
		w.yielding = false
	}
}

func (q *queue) disown(w *window) {
	w.gen++
	w.owned, w.loading, w.cursor = false, false, cursor{}
	delete(q.reader.windows, w)
	for _, l := range q.lanes {
		if l.win != w {
			continue
		}
		if l.busy {
			q.shed(l)
			l.cursor = cursor{}
			delete(q.reader.lanes, l)
			continue
		}
		q.abandon(l)
	}
}

// owns says whether what becomes of deliveries of the shard is ours to write down.
func (q *queue) owns(shard int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := q.windows[shard]
	return w != nil && (w.owned || w.yielding)
}

// relook makes the queue wait for word of what the store has for its shards; what is in memory goes on.
func (q *queue) relook() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range q.windows {
		w.loading = w.owned
	}
}

// requeue makes the queue read a shard from the start; what is in memory is not repeated.
func (q *queue) requeue(shard int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.windows[shard]; w != nil && w.owned {
		q.fallBehind(w, 1)
	}
	q.wantRead()
}

// resume lets a paused or failing webhook go on at once.
func (q *queue) resume() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wish(q.resumeNow)
}

// wish does what a person wants, as soon as there is a gate.
func (q *queue) wish(do func()) {
	if q.gate == nil {
		q.wishes = append(q.wishes, do)
		return
	}
	do()
}

func (q *queue) resumeNow() {
	now := time.Now()
	paused := q.gate.State().State == GatePaused
	if q.gate.Resume(now) {
		q.failing = time.Time{}
		q.setPace(now)
		q.insistGate()
	}
	if paused {
		q.record.note(func(ob *Observer) {
			if ob.Resumed != nil {
				ob.Resumed(q.webhook.Name)
			}
		})
	}
	q.pump(now)
}

// pause stops the webhook for a person's sake.
func (q *queue) pause(reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wish(func() {
		if !q.gate.stopped() {
			q.pauseGate(time.Now(), reason)
		}
	})
}

// kick lets the queue send what was added.
func (q *queue) kick() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pump(time.Now())
}

// stats tells what the queue does now.
func (q *queue) stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.tally
	s.Gate = q.former.Gate // until it has its own
	if q.gate != nil {
		s.Gate, s.Ramping = q.gate.State(), q.gate.Ramping(time.Now())
	}
	s.InFlight, s.Spilled = q.inFlight, len(q.reader.lanes)+len(q.reader.windows) > 0
	for _, w := range q.windows {
		s.Spilled = s.Spilled || w.loading
	}
	for _, l := range q.lanes {
		s.Queued += len(l.items)
		if len(l.items) > 0 && (s.Oldest.IsZero() || l.head().At.Before(s.Oldest)) {
			s.Oldest = l.head().At
		}
	}
	return s
}
