package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

// waitingSQL finds what the events of a chunk may be merged with, under the lease. Only the last that waits of a record is loose.
const waitingSQL = `WITH ` + fenceCTE + `
	SELECT t.webhook, d.seq, e.id, e.source, e.key, e.body,
		EXISTS (SELECT FROM (SELECT p.seq FROM dh_event p WHERE substring(p.key FROM 1 FOR 200) = substring(e.key FROM 1 FOR 200) AND p.key = e.key
			AND p.source = e.source AND p.seq < e.seq ORDER BY p.seq DESC LIMIT 1) p
			WHERE NOT EXISTS (SELECT FROM dh_delivery x WHERE x.seq = p.seq AND x.webhook = t.webhook))
	FROM f CROSS JOIN unnest($4::integer[], $5::bigint[]) t(webhook, loose)
	CROSS JOIN LATERAL (SELECT seq FROM dh_delivery d WHERE d.shard = $1 AND d.webhook = t.webhook AND d.loose = t.loose AND d.loose <> 0
		AND d.state = 0 ORDER BY seq) d JOIN dh_event e ON e.seq = d.seq ORDER BY d.seq`

// holdSQL takes the lease for a transaction that looks before it writes.
const holdSQL = `WITH ` + fenceCTE + ` SELECT count(*) FROM f`

// merges is what a chunk does to deliveries that may be merged.
type merges struct {
	wanted bool // something of the chunk may be: its deliveries are decided in their order, once it is known what waits
	queue  []queued
	fixed  map[int32]bool // webhooks whose waiting deliveries are fixed
	apart  aparts
	settle settles
	absorb absorbs
}

// queued is a copy whose delivery is not decided yet.
type queued struct {
	ordinal, webhook int32
	event            *poller.Event
	copy             *poller.Copy
}

// aparts are deliveries that were there and are fixed, because an event of the chunk stands behind them that was not merged.
type aparts struct {
	seqs     []int64
	webhooks []int32
}

// settles are deliveries that were there and go into an event of the chunk.
type settles struct {
	seqs     []int64
	webhooks []int32
	ordinals []int32
	reasons  []string
}

// absorbs are deliveries that were there and get other bodies.
type absorbs struct {
	seqs     []int64
	webhooks []int32
	bodies   [][]byte
}

// later puts a copy off until it is known what waits.
func (m *merges) later(ordinal, webhook int32, e *poller.Event, c *poller.Copy) {
	m.wanted = true
	m.queue = append(m.queue, queued{ordinal, webhook, e, c})
}

func (m *merges) fix(webhook int32) {
	if m.fixed == nil {
		m.fixed = map[int32]bool{}
	}
	m.fixed[webhook] = true
}

// part adds what has to be done to deliveries that were there.
func (m *merges) part(q *statement, now pgtype.Timestamptz) {
	if len(m.fixed) > 0 {
		var webhooks []int32
		for webhook := range m.fixed {
			webhooks = append(webhooks, webhook)
		}
		q.part(commitFix, webhooks, append([]int64{}, m.settle.seqs...))
	}
	if len(m.apart.seqs) > 0 {
		q.part(commitApart, m.apart.seqs, m.apart.webhooks)
	}
	if len(m.settle.seqs)+len(m.absorb.seqs) > 0 {
		s, a := &m.settle, &m.absorb
		q.part(commitMerges, now, s.seqs, s.webhooks, s.ordinals, s.reasons, a.seqs, a.webhooks, a.bodies)
	}
}

// waiting is a loose delivery of a record, one that was there or one of the chunk.
type waiting struct {
	seq     int64 // of one that was there
	ordinal int32 // of one of the chunk
	place   int   // of it, in the deliveries of the chunk
	id      string
	body    []byte // of the event
	missed  bool   // the webhook did not get the event of the record before it, which was there
}

// of is what loose deliveries have in common.
type of struct {
	webhook int32
	key     string
}

// merge decides the deliveries of a chunk in which something may be merged.
func (w *commit) merge(ctx context.Context, tx pgx.Tx, c *chunk) (held bool, err error) {
	there, held, err := w.waiting(ctx, tx, c)
	if err != nil || !held {
		return held, err
	}
	for _, q := range c.merges.queue {
		if q.copy.Merge != nil {
			w.mergeOne(c, there, q)
			continue
		}
		for key := range there {
			if key.webhook == q.webhook {
				delete(there, key)
			}
		}
		for i, webhook := range c.deliveries.webhooks {
			if webhook == q.webhook {
				c.deliveries.loose[i] = 0
			}
		}
		c.merges.fix(q.webhook)
		c.deliveries.add(q.ordinal, q.webhook, 0, q.copy.Body)
	}
	return true, nil
}

// waiting reads what was there. What stands behind something of this chunk that was fixed already is not asked for.
func (w *commit) waiting(ctx context.Context, tx pgx.Tx, c *chunk) (map[of]*waiting, bool, error) {
	if w.hasher == nil {
		w.hasher = differ.NewHasher(w.m.s.seed)
	}
	var held int
	if err := tx.QueryRow(ctx, holdSQL, w.fence...).Scan(&held); err != nil || held == 0 {
		return nil, false, err
	}
	var webhooks []int32
	var loose []int64
	asked := map[of]bool{}
	for _, q := range c.merges.queue {
		key := of{q.webhook, q.event.Key}
		if q.copy.Merge == nil || asked[key] || c.merges.fixed[q.webhook] {
			continue
		}
		asked[key] = true
		webhooks, loose = append(webhooks, q.webhook), append(loose, stored.Loose(w.hasher, w.Source, q.event.Key))
	}
	there := map[of]*waiting{}
	if len(webhooks) == 0 {
		return there, true, nil
	}
	rows, err := tx.Query(ctx, waitingSQL, append(w.fence[:3:3], webhooks, loose)...)
	if err != nil {
		return nil, false, err
	}
	return there, true, drain(rows, func(r pgx.Rows) error {
		var webhook, source int32
		var key []byte
		var one waiting
		err := r.Scan(&webhook, &one.seq, &one.id, &source, &key, &one.body, &one.missed)
		if source == w.source { // a hash of two records is no reason to mix them
			there[of{webhook, string(key)}] = &one
		}
		return err
	})
}

// mergeOne queues a delivery that is fixed at its first attempt, or merges it with one that is.
func (w *commit) mergeOne(c *chunk, there map[of]*waiting, q queued) {
	key := of{q.webhook, q.event.Key}
	old := there[key]
	var absorbed []byte
	q.copy.Merged = poller.Apart
	if old != nil {
		q.copy.Merged, absorbed = q.copy.Merge(old.id, old.body, old.missed)
	}
	place := c.deliveries.add(q.ordinal, q.webhook, stored.Loose(w.hasher, w.Source, q.event.Key), q.copy.Body)
	self := &waiting{ordinal: q.ordinal, place: place, id: q.event.ID, body: notNil(q.event.Body)}
	switch q.copy.Merged {
	case poller.Absorbed:
		c.takeUp(old, q.webhook, notNil(absorbed))
		c.deliveries.goesInto(place, old, stored.ReasonAbsorbed)
	case poller.Replaced:
		c.settle(old, q.webhook, q.ordinal, stored.ReasonReplaced)
		there[key] = self
	case poller.Cancelled:
		c.settle(old, q.webhook, q.ordinal, stored.ReasonCancelled)
		c.deliveries.goesInto(place, old, stored.ReasonCancelled)
		delete(there, key)
	case poller.Apart:
		if old != nil {
			c.fix(old, q.webhook)
		}
		there[key] = self
	}
}

// fix lets a delivery take up nothing more: it might be sent after what stands behind it now.
func (c *chunk) fix(old *waiting, webhook int32) {
	if old.ordinal != 0 {
		c.deliveries.loose[old.place] = 0
		return
	}
	a := &c.merges.apart
	a.seqs, a.webhooks = append(a.seqs, old.seq), append(a.webhooks, webhook)
}

// goesInto settles a delivery of the chunk as merged into another one.
func (d *deliveries) goesInto(place int, into *waiting, reason string) {
	d.states[place], d.loose[place], d.reasons[place], d.copies[place] = stateMerged, 0, reason, nil
	if into.ordinal != 0 {
		d.intoOrd[place] = &into.ordinal
	} else {
		d.intoSeq[place] = &into.seq
	}
}

// takeUp gives a waiting delivery another body.
func (c *chunk) takeUp(old *waiting, webhook int32, body []byte) {
	if old.ordinal != 0 {
		c.deliveries.copies[old.place] = body
		return
	}
	a := &c.merges.absorb
	for i, seq := range a.seqs {
		if seq == old.seq && a.webhooks[i] == webhook {
			a.bodies[i] = body
			return
		}
	}
	a.seqs, a.webhooks, a.bodies = append(a.seqs, old.seq), append(a.webhooks, webhook), append(a.bodies, body)
}

// settle settles a waiting delivery as merged into the event with an ordinal.
func (c *chunk) settle(old *waiting, webhook, ordinal int32, reason string) {
	if old.ordinal != 0 {
		c.deliveries.goesInto(old.place, &waiting{ordinal: ordinal}, reason)
		return
	}
	s := &c.merges.settle
	s.seqs, s.webhooks = append(s.seqs, old.seq), append(s.webhooks, webhook)
	s.ordinals, s.reasons = append(s.ordinals, ordinal), append(s.reasons, reason)
}
