package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

const (
	triedSQL = `UPDATE delivery SET attempts = ?1, tries = tries + 1, next_at = ?2, tried_at = ?3, took = ?4, status = ?5,
		reason = ?6, cause = ?7, since = iif(since = 0, ?3, since)
		WHERE seq = ?8 AND webhook = ?9 AND shard = ?10 AND state = 0 RETURNING tries`
	parkSQL = `UPDATE delivery SET state = 2, replay = 0, next_at = 0, settled_at = ?, reason = ?
		WHERE seq = ? AND webhook = ? AND shard = ? AND state = 0`
	existsSQL        = `SELECT 1 FROM delivery WHERE seq = ? AND webhook = ? AND shard = ?`
	insertAttemptSQL = `INSERT INTO attempt(seq, webhook, ordinal, number, at, took, status, reason, error, excerpt, cause, request)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	oldAttemptSQL = `DELETE FROM attempt WHERE seq = ? AND webhook = ? AND ordinal <= ?`
)

// Retry records a failed attempt and when the next may follow.
func (m *member) Retry(ctx context.Context, ref emitter.Ref, attempt emitter.Attempt, next time.Time) error {
	err := m.settle(ctx, ref, func(ctx context.Context, t *tx, webhook int64) (bool, error) {
		return t.tried(ctx, ref, webhook, &attempt, next)
	})
	if err != nil {
		return fmt.Errorf("retry of delivery %d to %q: %w", ref.Seq, ref.Webhook, err)
	}
	return nil
}

// Park takes a delivery out of the queue.
func (m *member) Park(ctx context.Context, ref emitter.Ref, reason string, attempt *emitter.Attempt) error {
	err := m.settle(ctx, ref, func(ctx context.Context, t *tx, webhook int64) (bool, error) {
		if attempt != nil {
			if pending, err := t.tried(ctx, ref, webhook, attempt, time.Time{}); err != nil || !pending {
				return pending, err
			}
		}
		return m.park(ctx, t, ref, webhook, attempt, reason)
	})
	if err != nil {
		return fmt.Errorf("park delivery %d to %q: %w", ref.Seq, ref.Webhook, err)
	}
	return nil
}

// park takes a pending delivery out, after an attempt or without one; false when there is no such one.
func (m *member) park(ctx context.Context, t *tx, ref emitter.Ref, webhook int64, attempt *emitter.Attempt, reason string) (bool, error) {
	n, err := t.exec(ctx, parkSQL, settledAt(attempt, m.s.now()), reason, ref.Seq, webhook, ref.Shard)
	if err == nil && n > 0 {
		t.count(webhook, tally{pending: -1, parked: 1})
	}
	return n > 0, err
}

// settle runs fn on a delivery of a held shard and hears whether it was pending: one that was settled meanwhile stays as
// it is, one that does not exist is an error.
func (m *member) settle(ctx context.Context, ref emitter.Ref, fn func(ctx context.Context, t *tx, webhook int64) (bool, error)) error {
	return m.s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := m.fenced(ctx, t, ref.Shard); err != nil {
			return err
		}
		webhook, err := t.lookup(ctx, ref.Webhook)
		if err != nil {
			return err
		}
		if pending, err := fn(ctx, t, webhook); err != nil || pending {
			return err
		}
		var one int
		err = t.QueryRowContext(ctx, existsSQL, ref.Seq, webhook, ref.Shard).Scan(&one)
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrNotFound
		}
		return err
	})
}

// tried records a failed attempt on a pending delivery; false when there is no such one.
func (t *tx) tried(ctx context.Context, ref emitter.Ref, webhook int64, a *emitter.Attempt, next time.Time) (bool, error) {
	var ordinal int64
	err := t.QueryRowContext(ctx, triedSQL, a.Number, micros(next), micros(a.At), a.Took.Microseconds(), a.Status, a.Reason,
		a.Trigger, ref.Seq, webhook, ref.Shard).Scan(&ordinal)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	_, err = t.exec(ctx, insertAttemptSQL, ref.Seq, webhook, ordinal, a.Number, micros(a.At), a.Took.Microseconds(), a.Status,
		a.Reason, a.Error, stored.Clip(a.Excerpt), a.Trigger, stored.Clip(a.Request))
	if err == nil && ordinal > stored.KeptAttempts {
		_, err = t.exec(ctx, oldAttemptSQL, ref.Seq, webhook, ordinal-stored.KeptAttempts)
	}
	return true, err
}
