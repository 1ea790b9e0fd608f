package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

const (
	// It records what came of deliveries of one lane: an attempt if there was one, and what follows. The answer is kept with
	// the first of them.
	failSQL = `WITH ` + fenceCTE + `,
		t AS MATERIALIZED (SELECT q.seq, q.o FROM f CROSS JOIN unnest($5::bigint[]) WITH ORDINALITY q(seq, o)),
		u AS (UPDATE dh_delivery d SET
				attempts = CASE WHEN $17 THEN 0 WHEN $6 THEN $7 ELSE attempts END, tries = tries + $6::boolean::integer,
				batch = CASE WHEN $17 THEN '' ELSE batch END,
				next_at = CASE WHEN $16 OR $17 THEN NULL ELSE $15::timestamptz END,
				tried_at = CASE WHEN $6 THEN $8::timestamptz ELSE tried_at END, took = CASE WHEN $6 THEN $9::bigint ELSE took END,
				status = CASE WHEN $6 THEN $10::integer ELSE status END, cause = CASE WHEN $6 THEN $11 ELSE cause END,
				since = CASE WHEN $6 THEN coalesce(since, $8) ELSE since END,
				reason = CASE WHEN $16 THEN $18 WHEN $6 THEN $12 ELSE reason END,
				state = CASE WHEN $16 THEN 2 ELSE state END, replay = replay AND NOT $16::boolean,
				settled_at = CASE WHEN $16 THEN $19::timestamptz ELSE settled_at END
			FROM t WHERE d.ctid = ANY(ARRAY(SELECT x.c FROM t CROSS JOIN LATERAL
				(SELECT q.ctid AS c FROM dh_delivery q WHERE q.seq = t.seq AND q.webhook = $4::integer AND q.shard = $1 AND q.state = 0 LIMIT 1) x))
			AND d.seq = t.seq AND d.webhook = $4 AND d.state = 0 RETURNING d.seq, d.tries, t.o),
		a AS (INSERT INTO dh_attempt(seq, webhook, ordinal, number, at, took, status, reason, error, excerpt, cause, request)
			SELECT seq, $4, tries, $7::integer, $8, $9, $10, $12, $13::text, CASE WHEN o = 1 THEN $14::text ELSE '' END, $11::text,
				CASE WHEN o = 1 THEN $20::text ELSE '' END FROM u WHERE $6),
		c AS (DELETE FROM dh_attempt x USING u WHERE x.seq = u.seq AND x.webhook = $4 AND x.ordinal <= u.tries - $21::integer)
		SELECT (SELECT count(*) FROM f), (SELECT count(*) FROM u),
			(SELECT count(*) FROM dh_delivery d WHERE d.seq = ANY($5) AND d.webhook = $4 AND d.shard = $1)`
)

func settledAt(a *emitter.Attempt, now time.Time) pgtype.Timestamptz {
	if a == nil || a.At.IsZero() {
		return at(now)
	}
	return at(a.At.Add(a.Took))
}

// Retry records a failed attempt and when the next may follow.
func (m *member) Retry(ctx context.Context, ref emitter.Ref, attempt emitter.Attempt, next time.Time) error {
	found, err := m.fail(ctx, ref.Lane, []int64{ref.Seq}, &attempt, emitter.Next{At: next}, false)
	if err == nil && found == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("retry of delivery %d to %q: %w", ref.Seq, ref.Webhook, err)
	}
	return nil
}

// Park takes a delivery out of the queue.
func (m *member) Park(ctx context.Context, ref emitter.Ref, reason string, attempt *emitter.Attempt) error {
	found, err := m.fail(ctx, ref.Lane, []int64{ref.Seq}, attempt, emitter.Next{Park: reason}, true)
	if err == nil && found == 0 {
		err = store.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("park delivery %d to %q: %w", ref.Seq, ref.Webhook, err)
	}
	return nil
}

// FailBatch records a failed attempt at the deliveries of a batch.
func (m *member) FailBatch(ctx context.Context, lane emitter.Lane, seqs []int64, attempt emitter.Attempt, next emitter.Next) error {
	if _, err := m.fail(ctx, lane, seqs, &attempt, next, next.Park != "" && !next.Split); err != nil {
		return fmt.Errorf("failed attempt at %d deliveries to %q: %w", len(seqs), lane.Webhook, err)
	}
	return nil
}

// fail records what came of pending deliveries; those that are settled stay as they are. It says how many there are at all.
func (m *member) fail(ctx context.Context, lane emitter.Lane, seqs []int64, attempt *emitter.Attempt, next emitter.Next, parks bool) (found int, err error) {
	webhook, err := m.s.lookup(ctx, lane.Webhook)
	if err != nil {
		return 0, err
	}
	a := emitter.Attempt{}
	if attempt != nil {
		a = *attempt
	}
	params := []any{
		webhook, seqs, attempt != nil, a.Number, at(a.At), a.Took.Microseconds(), a.Status, clean(a.Trigger), clean(a.Reason), clean(a.Error),
		clean(stored.Clip(a.Excerpt)), at(next.At), parks, next.Split, clean(next.Park), settledAt(attempt, m.s.now()), clean(stored.Clip(a.Request)),
		stored.KeptAttempts,
	}
	err = m.fenced(ctx, lane.Shard, func(ctx context.Context, fence []any) (bool, error) {
		var held, done int
		err := m.s.pool.QueryRow(ctx, failSQL, append(fence[:3:3], params...)...).Scan(&held, &done, &found)
		return held > 0, err
	})
	return found, err
}
