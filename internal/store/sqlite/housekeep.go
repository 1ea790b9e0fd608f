package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"github.com/deltahook/deltahook/internal/store"
)

const (
	sweepSQL = `SELECT seq, at, EXISTS (SELECT 1 FROM delivery d WHERE d.seq = event.seq AND d.state IN (0, 2)) FROM event
		WHERE seq > ? ORDER BY seq LIMIT ?`
	// Numbers that were given once are never given again, even when the last event goes.
	keepSeqSQL = `UPDATE meta SET value = max(value, (SELECT coalesce(max(seq), 0) FROM event)) WHERE name = 'seq'`

	sweepCopiesSQL     = `DELETE FROM event_copy WHERE id IN (SELECT copy FROM delivery WHERE seq BETWEEN ? AND ?)`
	sweepAttemptsSQL   = `DELETE FROM attempt WHERE seq BETWEEN ? AND ?`
	sweepDeliveriesSQL = `DELETE FROM delivery WHERE seq BETWEEN ? AND ?`
	sweepBodiesSQL     = `DELETE FROM event_body WHERE seq BETWEEN ? AND ?`
	sweepEventsSQL     = `DELETE FROM event WHERE seq BETWEEN ? AND ?`

	triedEventsSQL = `SELECT DISTINCT seq FROM attempt WHERE seq > ? ORDER BY seq LIMIT ?`
	oldAttemptsSQL = `DELETE FROM attempt WHERE seq > ? AND seq <= ? AND EXISTS (SELECT 1 FROM delivery d
		WHERE d.seq = attempt.seq AND d.webhook = attempt.webhook AND d.state IN (1, 3) AND max(d.settled_at, d.tried_at) < ?)`

	goneSQL     = `SELECT id, book FROM source WHERE removed_at > 0 AND removed_at < ? AND purged_at = 0 LIMIT 1`
	trashSQL    = `INSERT INTO trash(book) VALUES (?) ON CONFLICT DO NOTHING`
	forgetSQL   = `DELETE FROM poll WHERE source = ?`
	purgeSQL    = `UPDATE source SET version = version + 1, records = 0, book = NULL, state = '', etag = NULL, last_modified = NULL, cursor = NULL, purged_at = ? WHERE id = ?`
	nextBookSQL = `SELECT book FROM trash LIMIT 1`
	burnSQL     = `DELETE FROM record WHERE id IN (SELECT record FROM print WHERE book = ? ORDER BY hash LIMIT ?)`
	burnIndex   = `DELETE FROM print WHERE book = ?1 AND hash IN (SELECT hash FROM print WHERE book = ?1 ORDER BY hash LIMIT ?2)`
	emptiedSQL  = `DELETE FROM trash WHERE book = ?`
)

// sweepStep is how many events or records one call of Housekeep deletes, lookStep how many events it looks at for that.
const (
	sweepStep = 256
	lookStep  = 2048
)

// Housekeep deletes what is old, or too much, in one short transaction.
func (s *Store) Housekeep(ctx context.Context, r store.Retention) (out store.Swept, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		for _, chore := range []func() (bool, error){
			func() (bool, error) { return s.sweepEvents(ctx, t, r, &out) },
			func() (bool, error) { return s.sweepAttempts(ctx, t, r) },
			func() (bool, error) { return s.purgeSource(ctx, t, micros(r.RemovedBefore)) },
			func() (bool, error) { return burn(ctx, t) },
			func() (bool, error) { return shrink(ctx, t) },
			func() (bool, error) { return s.sweepTill(ctx, t) },
		} {
			again, err := chore()
			if err != nil {
				return err
			}
			out.More = out.More || again
		}
		return nil
	})
	if err != nil {
		return store.Swept{}, fmt.Errorf("housekeeping: %w", err)
	}
	return out, nil
}

// sweep is where the deletion of events is. It belongs to whoever has the writer.
type sweep struct {
	after    int64 // the events up to this number were looked at
	attempts int64 // the attempts of the events up to this number too
	bySize   bool  // the store is too large: settled events go however young they are
	deleted  bool  // since bySize began
}

// span is a run of event numbers, both ends included.
type span struct{ first, last int64 }

// sweepEvents deletes settled events that are old, or, while the store is too large, the oldest ones. It goes on where it
// stopped, so that events that have to stay are not looked at again and again, and starts anew when it is through.
func (s *Store) sweepEvents(ctx context.Context, t *tx, r store.Retention, out *store.Swept) (bool, error) {
	before, err := s.sweepBefore(ctx, t, r, out)
	if err != nil {
		return false, err
	}
	runs, last, through, err := lookAt(ctx, t, s.sweep.after, before)
	if err != nil {
		return false, err
	}
	if err := deleteEvents(ctx, t, runs); err != nil {
		return false, err
	}
	s.sweep.deleted = s.sweep.deleted || len(runs) > 0
	if s.sweep.after = last; !through {
		return true, nil
	}
	s.sweep.after = 0
	out.Stuck = s.sweep.bySize && !s.sweep.deleted
	again := s.sweep.bySize && s.sweep.deleted // some that stood before were settled meanwhile
	s.sweep.deleted = false
	return again, nil
}

// sweepBefore gives the time before which settled events go. Once the store is too large, they go until there is some room.
func (s *Store) sweepBefore(ctx context.Context, t *tx, r store.Retention, out *store.Swept) (int64, error) {
	used, err := usedBytes(ctx, t)
	out.Used = used
	switch {
	case err != nil:
		return 0, err
	case r.MaxSize > 0 && used > r.MaxSize && !s.sweep.bySize:
		s.sweep = sweep{bySize: true, attempts: s.sweep.attempts}
	case s.sweep.bySize && (r.MaxSize <= 0 || used <= r.MaxSize/10*9):
		s.sweep.bySize, s.sweep.after = false, 0
	}
	if s.sweep.bySize {
		return math.MaxInt64, nil
	}
	return micros(r.EventsBefore), nil
}

// lookAt finds the next settled events before a time, as runs of numbers; through says that there are no more.
func lookAt(ctx context.Context, t *tx, after, before int64) (runs []span, last int64, through bool, err error) {
	looked, found := 0, 0
	last = after
	err = each(ctx, t, func(r *sql.Rows) error {
		var seq, at int64
		var needed bool
		if err := r.Scan(&seq, &at, &needed); err != nil {
			return err
		}
		if at >= before { // events stand in order of detection, near enough
			through = true
			return errStop
		}
		looked, last = looked+1, seq
		if needed {
			return nil
		}
		if k := len(runs) - 1; k >= 0 && runs[k].last == seq-1 {
			runs[k].last = seq
		} else {
			runs = append(runs, span{seq, seq})
		}
		if found++; found == sweepStep {
			return errStop
		}
		return nil
	}, sweepSQL, after, lookStep)
	if err != nil && !errors.Is(err, errStop) {
		return nil, 0, false, err
	}
	return runs, last, through || found < sweepStep && looked < lookStep, nil
}

func deleteEvents(ctx context.Context, t *tx, runs []span) error {
	if len(runs) == 0 {
		return nil
	}
	if _, err := t.exec(ctx, keepSeqSQL); err != nil {
		return err
	}
	for _, run := range runs {
		for _, query := range []string{sweepCopiesSQL, sweepAttemptsSQL, sweepDeliveriesSQL, sweepBodiesSQL, sweepEventsSQL} {
			if _, err := t.exec(ctx, query, run.first, run.last); err != nil {
				return err
			}
		}
	}
	return nil
}

// sweepAttempts deletes the old attempts of settled deliveries, for those who keep them shorter than the events.
func (s *Store) sweepAttempts(ctx context.Context, t *tx, r store.Retention) (bool, error) {
	if !r.AttemptsBefore.After(r.EventsBefore) {
		return false, nil
	}
	n, last := 0, s.sweep.attempts
	err := each(ctx, t, func(r *sql.Rows) error {
		n++
		return r.Scan(&last)
	}, triedEventsSQL, s.sweep.attempts, sweepStep)
	if err != nil || n == 0 {
		s.sweep.attempts = 0
		return false, err
	}
	if _, err := t.exec(ctx, oldAttemptsSQL, s.sweep.attempts, last, micros(r.AttemptsBefore)); err != nil {
		return false, err
	}
	if s.sweep.attempts = last; n < sweepStep {
		s.sweep.attempts = 0
	}
	return n == sweepStep, nil
}

// purgeSource forgets the state of one source that left the configuration. Its records go to the trash as a whole, so
// that nobody can meet half of them.
func (s *Store) purgeSource(ctx context.Context, t *tx, before int64) (bool, error) {
	var id int64
	var book sql.NullInt64
	err := t.QueryRowContext(ctx, goneSQL, before).Scan(&id, &book)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err == nil && book.Valid {
		_, err = t.exec(ctx, trashSQL, book.Int64)
	}
	if err == nil {
		_, err = t.exec(ctx, forgetSQL, id)
	}
	if err == nil {
		_, err = t.exec(ctx, emptyVaultSQL, id)
	}
	if err == nil {
		_, err = t.exec(ctx, purgeSQL, micros(s.now()), id)
	}
	return true, err
}

// burn deletes some records of a book in the trash.
func burn(ctx context.Context, t *tx) (bool, error) {
	var book int64
	err := t.QueryRowContext(ctx, nextBookSQL).Scan(&book)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := t.exec(ctx, burnSQL, book, sweepStep); err != nil {
		return false, err
	}
	n, err := t.exec(ctx, burnIndex, book, sweepStep)
	if err == nil && n < sweepStep {
		_, err = t.exec(ctx, emptiedSQL, book)
	}
	return true, err
}
