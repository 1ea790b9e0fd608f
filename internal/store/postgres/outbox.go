package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/emitter"
)

const (
	// It walks from lane to lane, two probes of the index each, however many deliveries wait.
	lanesSQL = `WITH RECURSIVE lane AS (
			(SELECT shard, webhook FROM dh_delivery WHERE state = 0 ORDER BY shard, webhook, seq LIMIT 1)
		UNION ALL
			SELECT n.shard, n.webhook FROM lane l CROSS JOIN LATERAL (
				SELECT shard, webhook FROM dh_delivery WHERE state = 0 AND (shard, webhook) > (l.shard, l.webhook) ORDER BY shard, webhook, seq LIMIT 1) n)
		SELECT l.shard, n.text FROM lane l JOIN dh_name n ON n.id = l.webhook`
	pendingColumns = `SELECT d.seq, d.attempts, d.since, d.tried_at, d.next_at, d.replay, d.loose <> 0, d.batch, e.id, n.text, e.key, e.type, e.sequence, e.at,
		coalesce(c.body, e.body)`
	pendingTables = ` JOIN dh_event e ON e.seq = d.seq JOIN dh_name n ON n.id = e.source LEFT JOIN dh_copy c ON c.seq = d.seq AND c.webhook = d.webhook `
	// Only the index of what is pending has the order of three columns. Were the lane said to be one, the order of the primary key would
	// do as well, and behind the last delivery of a lane all deliveries of all others were read.
	pendingSQL = pendingColumns + ` FROM (SELECT * FROM dh_delivery WHERE state = 0 AND (shard, webhook, seq) > ($1, $2, $3) AND (shard, webhook) <= ($1, $2)
		ORDER BY shard, webhook, seq LIMIT $4) d` + pendingTables + `ORDER BY d.seq`
	batchesSQL = `SELECT DISTINCT batch FROM dh_delivery WHERE shard = $1 AND webhook = $2 AND batch <> '' AND state = 0 ORDER BY batch`
	batchSQL   = pendingColumns + ` FROM dh_delivery d` + pendingTables +
		`WHERE d.shard = $1 AND d.webhook = $2 AND d.batch = $3 AND d.batch <> '' AND d.state = 0 ORDER BY d.seq`
)

// Lanes lists the lanes of the shards that are still held.
func (m *member) Lanes(ctx context.Context) (lanes []emitter.Lane, err error) {
	owned, err := m.owned(ctx, m.s.pool)
	if err != nil {
		return nil, err
	}
	err = m.s.each(ctx, func(r pgx.Rows) error {
		var lane emitter.Lane
		err := r.Scan(&lane.Shard, &lane.Webhook)
		if owned[lane.Shard] {
			lanes = append(lanes, lane)
		}
		return err
	}, lanesSQL)
	return lanes, err
}

// Pending pages one lane.
func (m *member) Pending(ctx context.Context, lane emitter.Lane, afterSeq int64, limit int) ([]emitter.Delivery, error) {
	return m.deliveries(ctx, lane, limit, pendingSQL, afterSeq, limit)
}

// Batches lists the batches of a lane.
func (m *member) Batches(ctx context.Context, lane emitter.Lane) (list []string, err error) {
	webhook, err := m.s.lookup(ctx, lane.Webhook)
	if err != nil || webhook == 0 {
		return nil, err
	}
	err = m.read(ctx, lane.Shard, func(r pgx.Rows) error {
		var id string
		err := r.Scan(&id)
		list = append(list, id)
		return err
	}, batchesSQL, lane.Shard, webhook)
	return list, err
}

// Batch gives the unsettled deliveries of a batch.
func (m *member) Batch(ctx context.Context, lane emitter.Lane, id string) ([]emitter.Delivery, error) {
	return m.deliveries(ctx, lane, 0, batchSQL, id)
}

// deliveries reads pending deliveries of a lane; the parameters of the query begin with shard and webhook.
func (m *member) deliveries(ctx context.Context, lane emitter.Lane, room int, query string, params ...any) ([]emitter.Delivery, error) {
	webhook, err := m.s.lookup(ctx, lane.Webhook)
	if err != nil {
		return nil, err
	}
	list := make([]emitter.Delivery, 0, room)
	err = m.read(ctx, lane.Shard, func(r pgx.Rows) error {
		d, err := scanPending(r, lane)
		list = append(list, d)
		return err
	}, query, append([]any{lane.Shard, webhook}, params...)...)
	if err != nil {
		return nil, fmt.Errorf("deliveries to %q: %w", lane.Webhook, err)
	}
	return list, nil
}

func scanPending(r pgx.Row, lane emitter.Lane) (emitter.Delivery, error) {
	d := emitter.Delivery{Ref: emitter.Ref{Lane: lane}}
	var key []byte
	err := r.Scan(&d.Seq, &d.Attempts, (*instant)(&d.Since), (*instant)(&d.TriedAt), (*instant)(&d.NextAt), &d.Replay, &d.Loose, &d.Batch,
		&d.ID, &d.Source, &key, &d.Type, &d.Sequence, (*instant)(&d.At), &d.Body)
	d.Key, d.Body = string(key), notNil(d.Body)
	return d, err
}
