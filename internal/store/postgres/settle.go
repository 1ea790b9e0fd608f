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
	// the first of them. See ackSQL for why it joins nothing.
	failSQL = `WITH ` + fenceCTE + `,
		u AS (UPDATE dh_delivery SET
				attempts = CASE WHEN $17 THEN 0 WHEN $6 THEN $7 ELSE attempts END, tries = tries + $6::boolean::integer,
				batch = CASE WHEN $17 THEN '' ELSE batch END,
				next_at = CASE WHEN $16 OR $17 THEN NULL ELSE $15::timestamptz END,
				tried_at = CASE WHEN $6 THEN $8::timestamptz ELSE tried_at END, took = CASE WHEN $6 THEN $9::bigint ELSE took END,
				status = CASE WHEN $6 THEN $10::integer ELSE status END, cause = CASE WHEN $6 THEN $11 ELSE cause END,
				since = CASE WHEN $6 THEN coalesce(since, $8) ELSE since END,
				why = CASE WHEN $16 THEN $18 WHEN $6 THEN $12 ELSE why END,
				state = CASE WHEN $16 THEN 2 ELSE state END, parked = $16, replay = replay AND NOT $16::boolean,
				settled_at = CASE WHEN $16 THEN $19::timestamptz ELSE settled_at END
			WHERE EXISTS (SELECT 1 FROM f) AND webhook = $4::integer AND seq = ANY((SELECT $5::bigint[])::bigint[]) AND shard = $1 AND state = 0
			RETURNING seq, tries),
		q AS (DELETE FROM dh_queue WHERE shard = $1 AND webhook = $4 AND seq = ANY(ARRAY(SELECT seq FROM u WHERE $16))),
		s AS (UPDATE dh_queue SET plain = false, batch = CASE WHEN $17 THEN NULL ELSE batch END WHERE shard = $1 AND webhook = $4
			AND seq = ANY(ARRAY(SELECT seq FROM u WHERE NOT $16)) AND (plain OR $17 AND batch IS NOT NULL)),
		a AS (INSERT INTO dh_attempt(seq, webhook, ordinal, number, at, took, status, reason, error, excerpt, cause, request)
			SELECT seq, $4, tries, $7::integer, $8, $9, $10, $12, $13::text, CASE WHEN seq = ($5::bigint[])[1] THEN $14::text ELSE '' END, $11::text,
				CASE WHEN seq = ($5::bigint[])[1] THEN $20::text ELSE '' END FROM u WHERE $6),
		c AS (DELETE FROM dh_attempt WHERE ctid = ANY(ARRAY(SELECT x.c FROM u CROSS JOIN LATERAL (SELECT a.ctid AS c FROM dh_attempt a
			WHERE a.seq = u.seq AND a.webhook = $4 AND a.ordinal <= u.tries - $21::integer OFFSET 0) x WHERE u.tries > $21)))
		SELECT (SELECT count(*) FROM f), (SELECT count(*) FROM u),
			(SELECT count(*) FROM dh_delivery WHERE seq = ANY((SELECT $5)::bigint[]) AND webhook = $4 AND shard = $1)`
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
	made := &attempt
	if attempt.Number == 0 {
		made = nil
	}
	if _, err := m.fail(ctx, lane, seqs, made, next, next.Park != "" && !next.Split); err != nil {
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
