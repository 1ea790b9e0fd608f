package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/emitter"
)

const (
	lanesSQL = `WITH RECURSIVE ` + laneCTE + ` SELECT l.shard, n.text FROM lane l JOIN dh_name n ON n.id = l.webhook`
	// The name of the source is looked up in memory. Each delivery, event and copy is looked for by itself, whatever is known of the
	// tables: a page of a lane reads that page only.
	pendingColumns = `SELECT q.seq, d.attempts, d.since, d.tried_at, d.next_at, d.replay, d.loose <> 0, d.batch, d.status, d.why, e.id, e.source, e.key, e.type, e.sequence, e.at,
		CASE WHEN q.plain THEN e.body ELSE coalesce((SELECT c.body FROM dh_copy c WHERE c.seq = q.seq AND c.webhook = q.webhook), e.body) END`
	pendingTables = ` q LEFT JOIN LATERAL (SELECT * FROM dh_delivery d WHERE NOT q.plain AND d.seq = q.seq AND d.webhook = q.webhook LIMIT 1) d ON true
		CROSS JOIN LATERAL (SELECT * FROM dh_event e WHERE e.seq = q.seq LIMIT 1) e `
	pendingSQL = pendingColumns + ` FROM (SELECT seq, webhook, plain FROM dh_queue WHERE shard = $1 AND webhook = $2 AND seq > $3 ORDER BY seq LIMIT $4)` +
		pendingTables + `ORDER BY q.seq`
	batchesSQL = `SELECT DISTINCT batch FROM dh_queue WHERE shard = $1 AND webhook = $2 AND batch IS NOT NULL ORDER BY batch`
	batchSQL   = pendingColumns + ` FROM (SELECT seq, webhook, plain FROM dh_queue WHERE shard = $1 AND webhook = $2 AND batch = $3)` +
		pendingTables + `ORDER BY q.seq`
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
	list := pendings{list: make([]emitter.Delivery, 0, room), sources: make([]int32, 0, room)}
	err = m.read(ctx, lane.Shard, func(r pgx.Rows) error { return list.scan(r, lane) }, query, append([]any{lane.Shard, webhook}, params...)...)
	if err == nil {
		err = m.s.named(ctx, m.s.pool, list.sources, list.list)
	}
	if err != nil {
		return nil, fmt.Errorf("deliveries to %q: %w", lane.Webhook, err)
	}
	return list.list, nil
}

// pendings are pending deliveries, with the numbers of the sources that they are of.
type pendings struct {
	list    []emitter.Delivery
	sources []int32
}

func (p *pendings) scan(r pgx.Row, lane emitter.Lane) error {
	d := emitter.Delivery{Ref: emitter.Ref{Lane: lane}}
	var key []byte
	var source int32
	var attempts, status *int
	var replay, loose *bool
	var batch, why *string
	err := r.Scan(&d.Seq, &attempts, (*instant)(&d.Since), (*instant)(&d.TriedAt), (*instant)(&d.NextAt), &replay, &loose, &batch, &status, &why, &d.ID, &source, &key, &d.Type, &d.Sequence, (*instant)(&d.At), &d.Body)
	d.Key, d.Body = string(key), notNil(d.Body)
	if attempts != nil { // else it is plain
		d.Attempts, d.Replay, d.Loose, d.Batch = *attempts, *replay, *loose, *batch
		d.Status, d.Reason = *status, *why
	}
	p.list, p.sources = append(p.list, d), append(p.sources, source)
	return err
}
