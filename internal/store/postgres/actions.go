package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	fencesSQL = `SELECT s.id FROM dh_shard s JOIN unnest($1::integer[], $2::bigint[]) t(id, epoch) ON t.id = s.id AND t.epoch = s.epoch
		WHERE s.owner = $3 ORDER BY s.id FOR SHARE OF s`
	// The attempt that succeeded stands in the delivery itself until then.
	replaySQL = `WITH t AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[]) t(seq, webhook, next_at)),
		l AS MATERIALIZED (SELECT d.seq, d.webhook, d.state, d.tries, d.attempts, d.tried_at, d.took, d.status, d.cause, t.next_at
			FROM t JOIN dh_delivery d ON d.seq = t.seq AND d.webhook = t.webhook WHERE d.state IN (1, 2, 3) FOR UPDATE OF d),
		a AS (INSERT INTO dh_attempt(seq, webhook, ordinal, number, at, took, status, reason, error, excerpt, cause, request)
			SELECT seq, webhook, tries, attempts, tried_at, took, status, '', '', '', cause, '' FROM l WHERE state = 1 ON CONFLICT DO NOTHING)
		UPDATE dh_delivery d SET state = 0, replay = true, loose = 0, batch = '', attempts = 0, since = $4, next_at = l.next_at, settled_at = NULL
			FROM l WHERE d.seq = l.seq AND d.webhook = l.webhook`
	dropSQL = `UPDATE dh_delivery d SET state = 3, settled_at = $4, reason = $3::text || '; it was parked: ' || reason
		FROM unnest($1::bigint[], $2::integer[]) t(seq, webhook) WHERE d.seq = t.seq AND d.webhook = t.webhook AND d.state = 2`
	skipSQL = `UPDATE dh_delivery d SET state = 3, replay = false, loose = 0, batch = '', next_at = NULL, settled_at = $4, reason = $3::text
		FROM unnest($1::bigint[], $2::integer[]) t(seq, webhook) WHERE d.seq = t.seq AND d.webhook = t.webhook AND d.state = 0`
	sourcesSQL = `UPDATE dh_source s SET removed_at = CASE WHEN n.text = ANY($1::text[]) THEN NULL ELSE $2::timestamptz END
		FROM dh_name n WHERE n.id = s.id AND (n.text = ANY($1)) = (s.removed_at IS NOT NULL)`
)

// actionStep is how many deliveries one transaction looks at.
const actionStep = 500

// Replay queues settled deliveries again.
func (m *member) Replay(ctx context.Context, q store.DeliveryQuery, every time.Duration) (int, error) {
	turns, err := store.NewTurns(ctx, m.s, q, every, m.s.now())
	if err != nil {
		return 0, err
	}
	return m.act(ctx, q, func(ctx context.Context, tx pgx.Tx, rows []deliveryRow) (int64, error) {
		var t targets
		var next []pgtype.Timestamptz
		for i := range rows {
			if s := rows[i].state; s == statePending || s == stateMerged { // what it was merged into can be replayed
				continue
			}
			t.add(&rows[i])
			next = append(next, at(turns.Next()))
		}
		tag, err := tx.Exec(ctx, replaySQL, t.seqs, t.webhooks, next, at(m.s.now()))
		return tag.RowsAffected(), err
	})
}

// targets are deliveries that an action changes.
type targets struct {
	seqs     []int64
	webhooks []int32
}

func (t *targets) add(d *deliveryRow) {
	t.seqs, t.webhooks = append(t.seqs, d.Seq), append(t.webhooks, d.webhook)
}

// Drop settles parked deliveries, or pending ones, as dropped.
func (m *member) Drop(ctx context.Context, q store.DeliveryQuery, why string) (int, error) {
	from, query := stateParked, dropSQL
	if q.State == store.StatePending {
		from, query = statePending, skipSQL
	}
	return m.act(ctx, q, func(ctx context.Context, tx pgx.Tx, rows []deliveryRow) (int64, error) {
		var t targets
		for i := range rows {
			if rows[i].state == from {
				t.add(&rows[i])
			}
		}
		tag, err := tx.Exec(ctx, query, t.seqs, t.webhooks, clean(why), at(m.s.now()))
		return tag.RowsAffected(), err
	})
}

// action changes deliveries of held shards and says how many.
type action func(ctx context.Context, tx pgx.Tx, rows []deliveryRow) (int64, error)

// act applies an action to what the query selects in the held shards, step by step.
func (m *member) act(ctx context.Context, q store.DeliveryQuery, do action) (int, error) {
	total := 0
	for left := q.Limit; ; {
		limit := actionStep
		if q.Limit > 0 {
			limit = min(limit, left)
		}
		looked, last, changed, err := m.actStep(ctx, &q, limit, do)
		if err != nil {
			return total, fmt.Errorf("after %d deliveries: %w", total, err)
		}
		total += changed
		left -= looked
		if looked < limit || (q.Limit > 0 && left <= 0) {
			return total, nil
		}
		q.Before = last
	}
}

func (m *member) actStep(ctx context.Context, q *store.DeliveryQuery, limit int, do action) (looked int, last int64, changed int, err error) {
	held, err := m.held(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	shards, epochs := make([]int, 0, len(held)), make([]int64, 0, len(held))
	for shard, epoch := range held {
		shards, epochs = append(shards, shard), append(epochs, epoch)
	}
	unlock, err := m.lock(ctx, shards...)
	if err != nil {
		return 0, 0, 0, err
	}
	defer unlock()
	err = m.s.change(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, m.s.pool, func(tx pgx.Tx) error {
			if err := m.holdAll(ctx, tx, shards, epochs); err != nil {
				return err
			}
			rows, err := selectDeliveries(ctx, tx, q, limit)
			if err != nil {
				return err
			}
			if looked = len(rows); looked > 0 {
				last = rows[looked-1].Seq
			}
			var mine []deliveryRow
			for i := range rows {
				if _, ok := held[rows[i].Shard]; ok {
					mine = append(mine, rows[i])
				}
			}
			n, err := do(ctx, tx, mine)
			changed = int(n)
			return err
		})
	})
	return looked, last, changed, err
}

// holdAll keeps the leases until the transaction ends, or fails when one of them is lost.
func (m *member) holdAll(ctx context.Context, tx pgx.Tx, shards []int, epochs []int64) error {
	rows, err := tx.Query(ctx, fencesSQL, shards, epochs, m.ID())
	if err != nil {
		return err
	}
	n := 0
	if err := drain(rows, func(pgx.Rows) error { n++; return nil }); err != nil {
		return err
	}
	if n != len(shards) {
		return poller.ErrFenced
	}
	return nil
}

// SetSources marks the sources that left the configuration, and those that came back.
func (m *member) SetSources(ctx context.Context, names []string, when time.Time) error {
	err := m.s.change(ctx, func(ctx context.Context) error {
		_, err := m.s.pool.Exec(ctx, sourcesSQL, append([]string{}, names...), at(when))
		return err
	})
	if err != nil {
		return fmt.Errorf("configured sources: %w", err)
	}
	return nil
}
