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
	nameSQL    = `SELECT text FROM name WHERE id = ?`
	ownedSQL   = `SELECT id, epoch FROM shard WHERE owner = ?`
	pendingSQL = pendingColumns + ` FROM delivery d INDEXED BY delivery_pending` + pendingTables +
		`WHERE d.state = 0 AND d.shard = ? AND d.webhook = ? AND d.seq > ? ORDER BY d.seq LIMIT ?`
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
	err = m.s.glance(ctx, func(q querier) error {
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
		list, err = m.s.pending(ctx, q, lane, limit, pendingSQL, lane.Shard, webhook, afterSeq, limit)
		return err
	})
	return list, err
}

func settledAt(a *emitter.Attempt, now time.Time) int64 {
	if a == nil || a.At.IsZero() {
		return micros(now)
	}
	return micros(a.At.Add(a.Took))
}
