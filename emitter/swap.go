package emitter

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Prepared are webhooks that can be sent to, and are not yet.
type Prepared struct{ queues map[string]*queue }

// Prepare makes all that webhooks need, without any effect. It fails when one of them cannot be sent to.
func (d *Dispatcher) Prepare(webhooks ...Webhook) (*Prepared, error) {
	p := &Prepared{queues: map[string]*queue{}}
	for _, w := range webhooks {
		s, err := d.sender(w)
		if err != nil {
			return nil, err
		}
		p.queues[w.Name] = newQueue(w, d, s)
	}
	return p, nil
}

// Apply lets webhooks take the places of those of the same names, and removes others; the rest does not notice. It returns at
// once. What a replaced or removed one has in flight ends first and is written down, so that its successor sends nothing twice
// and nothing out of order; what waits for a removed one stays in the store. A successor goes on with the gate, and tries at
// once when that is shut: what is configured now may be the cure.
func (d *Dispatcher) Apply(p *Prepared, remove ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	next, shards := maps.Clone(d.all()), slices.Collect(maps.Keys(d.taken))
	for _, name := range remove {
		if q := next[name]; q != nil {
			d.retire(q)
			delete(next, name)
		}
	}
	for name, q := range p.queues {
		former, replaces := next[name]
		if replaces {
			d.retire(former)
			q.former = former.stats()
			q.tally = q.former
			q.tally.Queued, q.tally.Oldest = 0, time.Time{} // which are not counted, but looked up
		} else {
			former = d.leaving[name]
		}
		q.lives = d.lives.within()
		for _, s := range shards {
			q.take(s)
		}
		next[name] = q
		d.loaders.Go(func() { d.succeed(q, former, replaces) })
	}
	d.queues.Store(&next)
}

// halt lets nothing be replaced any more, and gives all that may still be at work.
func (d *Dispatcher) halt() []*queue {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	return d.everyone()
}

// everyone gives all that may still be at work, those included that were replaced or removed. It is called with the lock held.
func (d *Dispatcher) everyone() []*queue {
	return slices.AppendSeq(slices.Collect(maps.Values(d.all())), maps.Values(d.leaving))
}

// succeed begins to deliver when the former one has ended, and goes on counting where it was replaced.
func (d *Dispatcher) succeed(q, former *queue, replaces bool) {
	if former != nil {
		select {
		case <-former.ended:
		case <-d.lives.read.Done():
		}
	}
	if replaces {
		q.inherit(former.counted())
	}
	q.start(d.durableGate(q.webhook.Name))
	d.mu.Lock()
	shards := slices.Collect(maps.Keys(d.taken))
	d.mu.Unlock()
	d.load(map[string]*queue{q.webhook.Name: q}, shards)
}

// durableGate reads a gate.
func (d *Dispatcher) durableGate(name string) (state GateState) {
	d.ask("gate", func() error {
		gates, err := d.opts.Outbox.Gates(d.lives.read)
		if err == nil {
			state = gates[name].eager(time.Now())
		}
		return err
	})
	return state
}

// eager lets a shut gate be probed at once.
func (s GateState) eager(now time.Time) GateState {
	if s.State == GateShut {
		s.Until, s.At = now, now
	}
	return s
}

// retireTime is what a webhook that is replaced or removed has for its attempts in flight; then they are cancelled.
const retireTime = time.Minute

// retire lets a webhook end. It is called with the lock held.
func (d *Dispatcher) retire(q *queue) {
	q.stop()
	q.lives.stopRead()
	d.leaving[q.webhook.Name] = q
	d.endings.Go(func() {
		d.end(q)
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.leaving[q.webhook.Name] == q {
			delete(d.leaving, q.webhook.Name)
		}
	})
}

// end waits until nothing of a webhook is in flight or unwritten.
func (d *Dispatcher) end(q *queue) {
	<-q.begun
	cancel := time.AfterFunc(retireTime, q.lives.stopSend)
	q.workers.Wait()
	cancel.Stop()
	q.lives.stopSend()
	select {
	case <-d.record.written(q):
	case <-d.lives.written:
	}
	q.leavePlaces(d.lives.write)
	q.close()
	close(q.ended)
}

// within makes the lifetimes of one webhook.
func (l *lives) within() lives {
	own := *l
	own.send, own.stopSend = context.WithCancel(l.send)
	own.read, own.stopRead = context.WithCancel(l.read)
	return own
}

// counted gives the counters alone.
func (q *queue) counted() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tally
}

// inherit adds what the former one has counted since it was replaced.
func (q *queue) inherit(now Stats) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tally.Delivered += now.Delivered - q.former.Delivered
	q.tally.Failed += now.Failed - q.former.Failed
	q.tally.Parked += now.Parked - q.former.Parked
	q.tally.Merged += now.Merged - q.former.Merged
}

// barrier waits until nothing of a webhook is left to write.
type barrier struct {
	queue *queue
	done  chan struct{}
}

// written gives a channel that is closed once all that was noted of the webhook is durable. Nothing more may be noted.
func (r *recorder) written(q *queue) <-chan struct{} {
	b := barrier{queue: q, done: make(chan struct{})}
	r.mu.Lock()
	r.waiting = append(r.waiting, b)
	r.mu.Unlock()
	signal(r.wake)
	return b.done
}

// lift lets those go on of whom nothing is left. It is called with the lock held, when all that is left is back in the lists.
func (r *recorder) lift() {
	r.waiting = slices.DeleteFunc(r.waiting, func(b barrier) bool {
		_, gate := r.gates[b.queue.webhook.Name]
		if gate || slices.ContainsFunc(r.acks, func(a ack) bool { return a.queue == b.queue }) ||
			slices.ContainsFunc(r.entries, func(e entry) bool { return e.queue == b.queue }) {
			return false
		}
		close(b.done)
		return true
	})
}
