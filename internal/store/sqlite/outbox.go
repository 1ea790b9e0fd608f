package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/deltahook/deltahook/emitter"
)

const (
	// The next lane is one of the same shard or the first of a later one: two probes of the index, however many deliveries
	// wait. A comparison of pairs, (shard, webhook) > (?, ?), would walk through all deliveries of the lane.
	nextLaneSQL = `SELECT * FROM (SELECT d.shard, d.webhook, e.at FROM delivery d INDEXED BY delivery_pending CROSS JOIN event e ON e.seq = d.seq
			WHERE d.state = 0 AND d.shard = ?1 AND d.webhook > ?2 ORDER BY d.webhook, d.seq LIMIT 1)
		UNION ALL SELECT * FROM (SELECT d.shard, d.webhook, e.at FROM delivery d INDEXED BY delivery_pending CROSS JOIN event e ON e.seq = d.seq
			WHERE d.state = 0 AND d.shard > ?1 ORDER BY d.shard, d.webhook, d.seq LIMIT 1) LIMIT 1`
	nameSQL        = `SELECT text FROM name WHERE id = ?`
	ownedSQL       = `SELECT id, epoch FROM shard WHERE owner = ?`
	pendingColumns = `SELECT d.seq, d.attempts, d.since, d.tried_at, d.next_at, d.replay, d.loose <> 0, d.batch, e.id, n.text, e.key, e.type, e.sequence, e.at, coalesce(c.body, b.body)`
	pendingSQL     = pendingColumns + ` FROM delivery d INDEXED BY delivery_pending CROSS JOIN event e ON e.seq = d.seq CROSS JOIN name n ON n.id = e.source
		CROSS JOIN event_body b ON b.seq = d.seq LEFT JOIN event_copy c ON c.id = d.copy
		WHERE d.state = 0 AND d.shard = ? AND d.webhook = ? AND d.seq > ? ORDER BY d.seq LIMIT ?`
)

// laneHead is a lane and the time of its first pending event.
type laneHead struct {
	shard   int
	webhook int64
	at      int64
}

// eachLane calls fn for every lane that has pending deliveries, in order of shard and webhook.
func eachLane(ctx context.Context, q querier, fn func(laneHead) error) error {
	head := laneHead{shard: -1}
	for {
		err := q.QueryRowContext(ctx, nextLaneSQL, head.shard, head.webhook).Scan(&head.shard, &head.webhook, &head.at)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			err = fn(head)
		}
		if err != nil {
			return err
		}
	}
}

// Lanes lists the lanes of the shards that are still held.
func (m *member) Lanes(ctx context.Context) (lanes []emitter.Lane, err error) {
	err = m.s.read(ctx, func(q querier) error {
		owned, err := m.owned(ctx, q)
		if err != nil {
			return err
		}
		return eachLane(ctx, q, func(h laneHead) error {
			if !owned[h.shard] {
				return nil
			}
			lane := emitter.Lane{Shard: h.shard}
			err := q.QueryRowContext(ctx, nameSQL, h.webhook).Scan(&lane.Webhook)
			lanes = append(lanes, lane)
			return err
		})
	})
	return lanes, err
}

// owned gives the held shards that nobody has taken.
func (m *member) owned(ctx context.Context, q querier) (map[int]bool, error) {
	held, owned := m.held(), map[int]bool{}
	err := each(ctx, q, func(r *sql.Rows) error {
		var shard int
		var epoch int64
		err := r.Scan(&shard, &epoch)
		if have, ok := held[shard]; ok && have == epoch {
			owned[shard] = true
		}
		return err
	}, ownedSQL, m.ID())
	return owned, err
}

// Pending pages one lane.
func (m *member) Pending(ctx context.Context, lane emitter.Lane, afterSeq int64, limit int) (list []emitter.Delivery, err error) {
	err = m.read(ctx, lane.Shard, func(q querier) error {
		webhook, err := findName(ctx, q, lane.Webhook)
		if err != nil || webhook == 0 {
			return err
		}
		list = make([]emitter.Delivery, 0, limit)
		return each(ctx, q, func(r *sql.Rows) error {
			d, err := scanPending(r, lane)
			list = append(list, d)
			return err
		}, pendingSQL, lane.Shard, webhook, afterSeq, limit)
	})
	return list, err
}

func scanPending(r *sql.Rows, lane emitter.Lane) (emitter.Delivery, error) {
	d := emitter.Delivery{Ref: emitter.Ref{Lane: lane}}
	var since, tried, next, at int64
	err := r.Scan(&d.Seq, &d.Attempts, &since, &tried, &next, &d.Replay, &d.Loose, &d.Batch, &d.ID, &d.Source, &d.Key, &d.Type, &d.Sequence, &at, &d.Body)
	d.Since, d.TriedAt, d.NextAt = fromMicros(since), fromMicros(tried), fromMicros(next)
	d.At, d.Body = fromMicros(at), notNil(d.Body)
	return d, err
}

// excerptLimit bounds what is kept of an answer, and of the headers of a request.
const excerptLimit = 4 << 10

// keptAttempts is how many attempts of a delivery stay listed.
const keptAttempts = 100

func settledAt(a *emitter.Attempt, now time.Time) int64 {
	if a == nil || a.At.IsZero() {
		return micros(now)
	}
	return micros(a.At.Add(a.Took))
}
