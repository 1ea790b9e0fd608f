package emitter

import "time"

// former are the batches of a lane of the store that an earlier process or configuration has sealed. Those go out as they were
// sealed whose deliveries come first now; under another order an earlier event may stand before them, or they may wait for each
// other. Such a batch is none any more: its deliveries are sealed anew.
type former struct {
	order   string
	batches map[string][]Delivery
	turn    map[laneKey]string // the batch that may go first, as long as nothing else was met; empty: what is not in one
	last    int64              // the last delivery of a batch
}

func newFormer(order string) *former {
	return &former{order: order, batches: map[string][]Delivery{}, turn: map[laneKey]string{}}
}

// add takes a batch, unless it is not as it was sealed: its id was that of all.
func (f *former) add(id string, list []Delivery) {
	ids := make([]string, len(list))
	for i := range list {
		ids[i], list[i].Body = list[i].ID, nil
	}
	if BatchID(ids) != id {
		return
	}
	f.batches[id], f.last = list, max(f.last, list[len(list)-1].Seq)
}

// pass sees all that is pending, in order of Seq. What is sent again in no batch is no earlier event: it has its place behind.
func (f *former) pass(d *Delivery) {
	batch := d.Batch
	if _, ok := f.batches[batch]; !ok {
		batch = ""
	}
	if batch == "" && d.Replay {
		return
	}
	key := keyOf(f.order, d)
	if turn, ok := f.turn[key]; ok && turn != batch {
		delete(f.batches, batch)
		batch = ""
	}
	f.turn[key] = batch
}

// batchesOf reads the batches of a lane that go out as they were sealed.
func (d *Dispatcher) batchesOf(q *queue, lane Lane) (map[string][]Delivery, error) {
	ids, err := d.opts.Outbox.Batches(d.lives.read, lane)
	if err != nil {
		return nil, err
	}
	f := newFormer(q.webhook.Order)
	for _, id := range ids {
		list, err := d.opts.Outbox.Batch(d.lives.read, lane, id)
		if err != nil {
			return nil, err
		}
		f.add(id, list)
	}
	for after := int64(0); after < f.last; {
		page, err := d.opts.Outbox.Pending(d.lives.read, lane, after, firstPage)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		for i := range page {
			f.pass(&page[i])
		}
		after = page[len(page)-1].Seq
	}
	return f.batches, nil
}

// adopt takes over a batch that was sealed before, unless something of its lanes is in memory already.
func (q *queue) adopt(w *window, list []Delivery, now time.Time) {
	for i := range list {
		if l := q.lanes[keyOf(q.webhook.Order, &list[i])]; l != nil && len(l.items) > 0 || w.known[list[i].Seq] != nil {
			return
		}
	}
	b := &bundle{id: list[0].Batch}
	for i := range list {
		l := q.laneOf(w, &list[i])
		it := q.newItem(l, list[i], now)
		it.bundle, it.bare, it.Body = b, true, nil
		w.known[it.Seq] = it
		q.count(it, 1)
		b.items = append(b.items, it)
		l.insert(it)
	}
	q.place(b.lead().lane, now)
}
