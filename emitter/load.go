package emitter

import (
	"maps"
	"slices"
)

// load finds out where the store has something to deliver.
func (d *Dispatcher) load(queues map[string]*queue, shards []int) {
	d.ask("lanes", func() error {
		lanes, err := d.opts.Outbox.Lanes(d.lives.read)
		if err != nil {
			return err
		}
		batches, err := d.batches(queues, shards, lanes)
		if err == nil {
			loaded(queues, shards, lanes, batches)
		}
		return err
	})
}

// ask asks the store until it answers, or nobody wants to know any more.
func (d *Dispatcher) ask(op string, question func() error) {
	for pause := rereadPause; d.lives.read.Err() == nil; pause = min(2*pause, rereadPauseMax) {
		err := question()
		if err == nil {
			return
		}
		if d.lives.read.Err() == nil {
			d.record.failed(op, err)
		}
		waitFor(d.lives.read, pause)
	}
}

// batches reads what was sealed as a batch and is not settled.
func (d *Dispatcher) batches(queues map[string]*queue, shards []int, lanes []Lane) (map[Lane]map[string][]Delivery, error) {
	found := map[Lane]map[string][]Delivery{}
	for _, lane := range lanes {
		q := queues[lane.Webhook]
		if q == nil || !q.packs() || !slices.Contains(shards, lane.Shard) {
			continue
		}
		list, err := d.batchesOf(q, lane)
		if err != nil {
			return nil, err
		}
		found[lane] = list
	}
	return found, nil
}

func loaded(queues map[string]*queue, shards []int, lanes []Lane, batches map[Lane]map[string][]Delivery) {
	pending := make(map[Lane]struct{}, len(lanes))
	for _, l := range lanes {
		pending[l] = struct{}{}
	}
	for name, q := range queues {
		for _, s := range shards {
			lane := Lane{Shard: s, Webhook: name}
			_, ok := pending[lane]
			q.loaded(s, ok, batches[lane])
		}
	}
}

// Reread forgets what of a webhook is in memory and not in flight, and reads it from the store again: deliveries were settled there
// behind the dispatcher's back. It says whether there is such a webhook.
func (d *Dispatcher) Reread(webhook string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	q, ok := d.all()[webhook]
	if !ok {
		return false
	}
	shards := slices.Collect(maps.Keys(d.taken))
	for _, s := range shards {
		q.take(s)
	}
	d.loaders.Go(func() { d.load(map[string]*queue{webhook: q}, shards) })
	return true
}

// Requeue looks into the store again after deliveries were queued there behind the dispatcher's back (a replay). It returns at
// once; what is committed meanwhile goes behind what was queued.
func (d *Dispatcher) Requeue() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	queues, shards := d.all(), slices.Collect(maps.Keys(d.taken))
	for _, q := range queues {
		q.relook()
	}
	d.loaders.Go(func() {
		d.ask("lanes", func() error {
			lanes, err := d.opts.Outbox.Lanes(d.lives.read)
			if err == nil {
				loaded(queues, shards, lanes, nil)
			}
			return err
		})
	})
}
