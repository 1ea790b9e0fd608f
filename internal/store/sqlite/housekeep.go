package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
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

	goneSQL     = `SELECT id, book FROM source WHERE removed_at > 0 AND removed_at < ? AND purged_at = 0 LIMIT 1`
	trashSQL    = `INSERT INTO trash(book) VALUES (?) ON CONFLICT DO NOTHING`
	forgetSQL   = `DELETE FROM poll WHERE source = ?`
	purgeSQL    = `UPDATE source SET version = version + 1, records = 0, book = NULL, state = '', etag = NULL, last_modified = NULL, cursor = NULL, purged_at = ? WHERE id = ?`
	nextBookSQL = `SELECT book FROM trash LIMIT 1`
	burnSQL     = `DELETE FROM record WHERE id IN (SELECT record FROM print WHERE book = ? ORDER BY hash LIMIT ?)`
	burnIndex   = `DELETE FROM print WHERE book = ?1 AND hash IN (SELECT hash FROM print WHERE book = ?1 ORDER BY hash LIMIT ?2)`
	emptiedSQL  = `DELETE FROM trash WHERE book = ?`
)

// sweepStep is how many events or records one call of Housekeep deletes.
const sweepStep = 256

// Housekeep deletes what is old, in one short transaction.
func (s *Store) Housekeep(ctx context.Context, eventsBefore, removedBefore time.Time) (more bool, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		for _, chore := range []func() (bool, error){
			func() (bool, error) { return s.sweepEvents(ctx, t, micros(eventsBefore)) },
			func() (bool, error) { return s.purgeSource(ctx, t, micros(removedBefore)) },
			func() (bool, error) { return burn(ctx, t) },
		} {
			again, err := chore()
			if err != nil {
				return err
			}
			more = more || again
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("housekeeping: %w", err)
	}
	return more, nil
}

// span is a run of event numbers, both ends included.
type span struct{ first, last int64 }

// sweepEvents deletes settled events before the given time among the next ones. It goes on where it stopped, so that
// events that have to stay are not looked at again and again, and starts anew when it is through.
func (s *Store) sweepEvents(ctx context.Context, t *tx, before int64) (bool, error) {
	var runs []span
	n, last := 0, s.swept
	err := each(ctx, t, func(r *sql.Rows) error {
		var seq, at int64
		var needed bool
		if err := r.Scan(&seq, &at, &needed); err != nil {
			return err
		}
		if at >= before { // events stand in order of detection, near enough
			return errStop
		}
		n, last = n+1, seq
		if needed {
			return nil
		}
		if k := len(runs) - 1; k >= 0 && runs[k].last == seq-1 {
			runs[k].last = seq
		} else {
			runs = append(runs, span{seq, seq})
		}
		return nil
	}, sweepSQL, s.swept, sweepStep)
	if err != nil && !errors.Is(err, errStop) {
		return false, err
	}
	through := errors.Is(err, errStop) || n < sweepStep
	if err := deleteEvents(ctx, t, runs); err != nil {
		return false, err
	}
	if s.swept = last; through {
		s.swept = 0
	}
	return !through, nil
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
