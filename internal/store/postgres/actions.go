package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	// A write to a shard that runs under its lease holds its row for sharing: an action waits for all of them, and they for it.
	standstillSQL = `SELECT count(*) FROM (SELECT 1 FROM dh_shard ORDER BY id FOR NO KEY UPDATE) s`
	rightSQL      = `SELECT (SELECT count(*) FROM dh_shard s JOIN unnest($1::integer[], $2::bigint[]) t(id, epoch) ON t.id = s.id AND t.epoch = s.epoch
		WHERE s.owner = $3 || '#' || $4::bigint), EXISTS (SELECT 1 FROM dh_member WHERE name = $3 AND incarnation = $4 AND expires_at > clock_timestamp())`
	stirSQL = `UPDATE dh_shard SET stirred = stirred + 1 WHERE id = ANY($1::integer[]) AND owner IS DISTINCT FROM $2`
	// The attempt that succeeded stands in the delivery itself until then.
	replaySQL = `WITH t AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::integer[], $3::timestamptz[]) t(seq, webhook, next_at)),
		l AS MATERIALIZED (SELECT d.seq, d.webhook, d.state, d.tries, d.attempts, d.tried_at, d.took, d.status, d.cause, t.next_at
			FROM t JOIN dh_delivery d ON d.seq = t.seq AND d.webhook = t.webhook WHERE d.state IN (1, 2, 3) FOR UPDATE OF d),
		a AS (INSERT INTO dh_attempt(seq, webhook, ordinal, number, at, took, status, reason, error, excerpt, cause, request)
			SELECT seq, webhook, tries, attempts, tried_at, took, status, '', '', '', cause, '' FROM l WHERE state = 1 ON CONFLICT DO NOTHING),
		u AS (UPDATE dh_delivery d SET state = 0, parked = false, replay = true, loose = 0, batch = '', attempts = 0, since = $4, next_at = l.next_at,
			settled_at = NULL FROM l WHERE d.seq = l.seq AND d.webhook = l.webhook RETURNING d.shard, d.webhook, d.seq)
		INSERT INTO dh_queue(shard, webhook, seq) SELECT shard, webhook, seq FROM u
			ON CONFLICT (shard, webhook, seq) DO UPDATE SET plain = false, batch = NULL`
	dropSQL = `UPDATE dh_delivery d SET state = 3, parked = false, settled_at = $4, why = $3::text || '; it was parked: ' || why
		FROM unnest($1::bigint[], $2::integer[]) t(seq, webhook) WHERE d.seq = t.seq AND d.webhook = t.webhook AND d.state = 2`
	skipSQL = `WITH u AS (UPDATE dh_delivery d SET state = 3, replay = false, loose = 0, batch = '', next_at = NULL, settled_at = $4, why = $3::text
			FROM unnest($1::bigint[], $2::integer[]) t(seq, webhook) WHERE d.seq = t.seq AND d.webhook = t.webhook AND d.state = 0
			RETURNING d.shard, d.webhook, d.seq), q AS (` + dequeueHead + `u` + dequeueTail + `)
		SELECT FROM u`
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

// action changes deliveries and says how many.
type action func(ctx context.Context, tx pgx.Tx, rows []deliveryRow) (int64, error)

// act applies an action to what the query selects, step by step.
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
	unlock, err := m.lock(ctx, slices.Collect(maps.Keys(held))...) // our own writes wait for each other here, and not in the database
	if err != nil {
		return 0, 0, 0, err
	}
	defer unlock()
	err = m.s.change(ctx, func(ctx context.Context) error {
		return m.s.transaction(ctx, func(tx pgx.Tx) error {
			if err := m.standstill(ctx, tx, held); err != nil {
				return err
			}
			rows, err := selectDeliveries(ctx, tx, q, limit)
			if err != nil {
				return err
			}
			if looked = len(rows); looked > 0 {
				last = rows[looked-1].Seq
			}
			n, err := do(ctx, tx, rows)
			if changed = int(n); err == nil && n > 0 {
				err = m.stir(ctx, tx, rows)
			}
			return err
		})
	})
	return looked, last, changed, err
}

// standstill keeps everybody from writing until the transaction ends. It fails when a lease is lost, or, of a member that holds none,
// the membership.
func (m *member) standstill(ctx context.Context, tx pgx.Tx, held map[int]int64) error {
	shards, epochs := make([]int, 0, len(held)), make([]int64, 0, len(held))
	for shard, epoch := range held {
		shards, epochs = append(shards, shard), append(epochs, epoch)
	}
	var n int
	var lives bool
	err := tx.QueryRow(ctx, standstillSQL).Scan(&n)
	if err == nil {
		err = tx.QueryRow(ctx, rightSQL, shards, epochs, m.name, m.current()).Scan(&n, &lives)
	}
	if err == nil && (n != len(held) || n == 0 && !lives) {
		err = poller.ErrFenced
	}
	return err
}

// stir lets those who own the shards look again.
func (m *member) stir(ctx context.Context, tx pgx.Tx, rows []deliveryRow) error {
	var shards []int
	for i := range rows {
		if !slices.Contains(shards, rows[i].Shard) {
			shards = append(shards, rows[i].Shard)
		}
	}
	_, err := tx.Exec(ctx, stirSQL, shards, m.ID())
	return err
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
