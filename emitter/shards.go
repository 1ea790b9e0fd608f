package emitter

import "slices"

// Take begins to deliver what is queued in the shards, and what will be dispatched for them. It returns at once.
func (d *Dispatcher) Take(shards ...int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	queues := d.all()
	for _, s := range shards {
		d.taken[s] = struct{}{}
		for _, q := range queues {
			q.take(s)
		}
	}
	taken := slices.Clone(shards)
	d.loaders.Go(func() { d.load(queues, taken) })
}

// Yield stops delivering for the shards in good order: what is in flight ends and is written down, see Settled. They are still ours
// until Drop. It returns at once.
func (d *Dispatcher) Yield(shards ...int) { d.leave(shards, (*queue).yield) }

// Settled says that nothing of a shard is in flight or unwritten.
func (d *Dispatcher) Settled(shard int) bool {
	for _, q := range d.working() {
		if !q.settled(shard) {
			return false
		}
	}
	return d.record.settled(shard)
}

// Drop stops delivering for the shards, except for what is in flight. What becomes of that is no longer ours to write down, but for
// acknowledgements. It returns at once.
func (d *Dispatcher) Drop(shards ...int) { d.leave(shards, (*queue).drop) }

func (d *Dispatcher) leave(shards []int, how func(q *queue, shard int)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range shards {
		delete(d.taken, s)
		for _, q := range d.everyone() {
			how(q, s)
		}
	}
}

// working gives all that may still be at work.
func (d *Dispatcher) working() []*queue {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.everyone()
}
