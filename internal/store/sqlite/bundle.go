package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/deltahook/deltahook/emitter"
)

const (
	bindSQL    = `UPDATE delivery SET batch = ?, attempts = 0 WHERE seq = ? AND webhook = ?`
	unbindSQL  = `UPDATE delivery SET batch = '' WHERE shard = ? AND webhook = ? AND batch = ? AND batch <> '' AND state = 0`
	batchesSQL = `SELECT DISTINCT batch FROM delivery INDEXED BY delivery_batch WHERE shard = ? AND webhook = ? AND batch <> '' AND state = 0`
	batchSQL   = pendingColumns + ` FROM delivery d INDEXED BY delivery_batch` + pendingTables + `
		WHERE d.shard = ? AND d.webhook = ? AND d.batch = ? AND d.batch <> '' AND d.state = 0 ORDER BY d.seq`
	splitSQL = `UPDATE delivery SET batch = '', attempts = 0, next_at = 0 WHERE seq = ? AND webhook = ? AND state = 0`
)

// bind makes the deliveries one batch. A batch that one of them belonged to is none any more.
func (t *tx) bind(ctx context.Context, p *emitter.Parcel, webhook int64, list []emitter.Delivery) error {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	id := emitter.BatchID(ids)
	for i := range list {
		d := &list[i]
		if d.Batch == id {
			continue
		}
		if d.Batch != "" {
			if _, err := t.exec(ctx, unbindSQL, p.Shard, webhook, d.Batch); err != nil {
				return err
			}
		}
		d.Batch, d.Attempts = id, 0
		if _, err := t.exec(ctx, bindSQL, id, d.Seq, webhook); err != nil {
			return err
		}
	}
	return nil
}

// Batches lists the batches of a lane.
func (m *member) Batches(ctx context.Context, lane emitter.Lane) (list []string, err error) {
	err = m.read(ctx, lane.Shard, func(q querier) error {
		webhook, err := findName(ctx, q, lane.Webhook)
		if err != nil || webhook == 0 {
			return err
		}
		list, err = collect(ctx, q, func(r *sql.Rows) (id string, err error) { return id, r.Scan(&id) }, batchesSQL, lane.Shard, webhook)
		return err
	})
	return list, err
}

// Batch gives the unsettled deliveries of a batch.
func (m *member) Batch(ctx context.Context, lane emitter.Lane, id string) (list []emitter.Delivery, err error) {
	err = m.read(ctx, lane.Shard, func(q querier) error {
		webhook, err := findName(ctx, q, lane.Webhook)
		if err != nil || webhook == 0 {
			return err
		}
		list, err = m.s.pending(ctx, q, lane, 0, batchSQL, lane.Shard, webhook, id)
		return err
	})
	return list, err
}

// FailBatch records a failed attempt at the deliveries of a batch.
func (m *member) FailBatch(ctx context.Context, lane emitter.Lane, seqs []int64, attempt emitter.Attempt, next emitter.Next) error {
	err := m.s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := m.fenced(ctx, t, lane.Shard); err != nil {
			return err
		}
		webhook, err := t.lookup(ctx, lane.Webhook)
		for i, seq := range seqs {
			if err != nil {
				return err
			}
			if i == 1 {
				attempt.Excerpt, attempt.Request = "", ""
			}
			err = m.failOne(ctx, t, emitter.Ref{Lane: lane, Seq: seq}, webhook, &attempt, next)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("failed attempt at %d deliveries to %q: %w", len(seqs), lane.Webhook, err)
	}
	return nil
}

func (m *member) failOne(ctx context.Context, t *tx, ref emitter.Ref, webhook int64, a *emitter.Attempt, next emitter.Next) error {
	if a.Number > 0 {
		if pending, err := t.tried(ctx, ref, webhook, a, next.At); err != nil || !pending {
			return err
		}
	}
	var err error
	switch {
	case next.Split:
		_, err = t.exec(ctx, splitSQL, ref.Seq, webhook)
	case next.Park != "":
		_, err = m.park(ctx, t, ref, webhook, a, next.Park)
	}
	return err
}
