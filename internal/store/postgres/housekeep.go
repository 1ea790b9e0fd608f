package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
)

// housekeepingLock is the advisory lock under which one of several replicas keeps house. It ends with its transaction.
const housekeepingLock = migrationLock + 1

const (
	sweepSQL = `SELECT seq, at, bytes, EXISTS (SELECT 1 FROM dh_delivery d WHERE d.seq = e.seq AND d.state IN (0, 2)) FROM dh_event e
		WHERE seq > $1 ORDER BY seq LIMIT $2`
	// What was settled a moment ago may be replayed now: it is looked at again under locks.
	settledSQL = `WITH l AS MATERIALIZED (SELECT seq, state FROM dh_delivery WHERE seq = ANY($1::bigint[]) ORDER BY seq, webhook FOR UPDATE)
		SELECT s.seq FROM unnest($1::bigint[]) s(seq) WHERE NOT EXISTS (SELECT 1 FROM l WHERE l.seq = s.seq AND l.state IN (0, 2))`
	deleteSQL = `WITH c AS (DELETE FROM dh_copy WHERE seq = ANY($1::bigint[])), a AS (DELETE FROM dh_attempt WHERE seq = ANY($1)),
		d AS (DELETE FROM dh_delivery WHERE seq = ANY($1)), e AS (DELETE FROM dh_event WHERE seq = ANY($1) RETURNING bytes)
		UPDATE dh_meta SET swept_bytes = swept_bytes + (SELECT coalesce(sum(bytes), 0) FROM e)`
	// Files do not shrink when rows are deleted, so what is in use is counted: what came in and what went, and the records.
	usedSQL = `SELECT coalesce((SELECT sum(event_bytes) FROM dh_source), 0)::bigint - (SELECT swept_bytes FROM dh_meta) + pg_total_relation_size('dh_record')`

	triedEventsSQL = `SELECT DISTINCT seq FROM dh_attempt WHERE seq > $1 ORDER BY seq LIMIT $2`
	oldAttemptsSQL = `DELETE FROM dh_attempt a USING dh_delivery d WHERE a.seq > $1 AND a.seq <= $2 AND d.seq = a.seq AND d.webhook = a.webhook
		AND d.state IN (1, 3) AND greatest(d.settled_at, d.tried_at) < $3`

	// The records go to the trash as a whole, so that nobody can meet half of them.
	purgeSQL = `WITH g AS MATERIALIZED (SELECT id, book FROM dh_source WHERE removed_at < $1 AND purged_at IS NULL LIMIT 1 FOR NO KEY UPDATE),
		t AS (INSERT INTO dh_trash(book) SELECT book FROM g WHERE book IS NOT NULL ON CONFLICT DO NOTHING),
		p AS (DELETE FROM dh_poll p USING g WHERE p.source = g.id), v AS (DELETE FROM dh_vault v USING g WHERE v.source = g.id)
		UPDATE dh_source s SET version = version + 1, records = 0, book = NULL, state = '', etag = NULL, last_modified = NULL, cursor = NULL,
			purged_at = $2 FROM g WHERE s.id = g.id`
	burnSQL = `WITH b AS MATERIALIZED (SELECT book FROM dh_trash ORDER BY book LIMIT 1)
		DELETE FROM dh_record WHERE ctid = ANY(ARRAY(SELECT r.ctid FROM b JOIN dh_record r ON r.book = b.book LIMIT $1))`
	emptiedSQL = `DELETE FROM dh_trash t WHERE NOT EXISTS (SELECT 1 FROM dh_record r WHERE r.book = t.book)`
	trashSQL   = `SELECT count(*) > 0 FROM dh_trash`
	membersSQL = `DELETE FROM dh_member m WHERE expires_at < clock_timestamp() - interval '1 day'
		AND NOT EXISTS (SELECT 1 FROM dh_shard s WHERE s.owner = m.name || '#' || m.incarnation)`
)

// sweepStep is how many events or records one call of Housekeep deletes, lookStep how many events it looks at for that.
const (
	sweepStep = 1000
	lookStep  = 5000
)

// sweep is where the deletion of events is.
type sweep struct {
	after    int64 // the events up to this number were looked at
	attempts int64 // the attempts of the events up to this number too
	bySize   bool  // the store is too large: settled events go however young they are
	deleted  bool  // since bySize began
	day      int64 // the partitions of this day are there
	whole    whole
}

// Housekeep deletes what is old, or too much, in one short transaction. While another replica does it, there is nothing to do.
func (s *Store) Housekeep(ctx context.Context, r store.Retention) (out store.Swept, err error) {
	if s.readOnly {
		return out, store.ErrReadOnly
	}
	today, r, err := s.atServer(ctx, r)
	if err == nil {
		err = s.newDay(ctx, today, r)
	}
	if err != nil {
		return out, fmt.Errorf("housekeeping: %w", err)
	}
	at := s.sweep
	err = s.change(ctx, func(ctx context.Context) error {
		s.sweep, out = at, store.Swept{} // of a try that failed
		return s.transaction(ctx, func(tx pgx.Tx) error {
			var mine bool
			if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, housekeepingLock).Scan(&mine); err != nil || !mine {
				return err
			}
			return s.housekeep(ctx, tx, r, &out)
		})
	})
	if err != nil {
		s.sweep = at
		return store.Swept{}, fmt.Errorf("housekeeping: %w", err)
	}
	if w := s.sweep.whole; w.through {
		s.sweep.whole = whole{}
		if out.More, err = s.retire(ctx, w.partition, r.EventsBefore, w.bytes); err != nil {
			return store.Swept{}, fmt.Errorf("housekeeping: %w", err)
		}
	}
	return out, nil
}

// atServer gives the day and the times of retention by the clock of the server: the one of this machine may be wrong, and would delete for
// all what is not old.
func (s *Store) atServer(ctx context.Context, r store.Retention) (today int64, at store.Retention, err error) {
	here := s.now()
	there := here
	if s.byServer {
		err = s.explain(s.pool.QueryRow(ctx, clockSQL).Scan(&there))
	}
	for _, t := range []*time.Time{&r.EventsBefore, &r.AttemptsBefore, &r.RemovedBefore} {
		if !t.IsZero() {
			*t = t.Add(there.Sub(here))
		}
	}
	return dayOf(there), r, err
}

func (s *Store) housekeep(ctx context.Context, tx pgx.Tx, r store.Retention, out *store.Swept) error {
	for _, chore := range []func() (bool, error){
		func() (bool, error) { return s.sweepEvents(ctx, tx, r, out) },
		func() (bool, error) { return s.sweepAttempts(ctx, tx, r) },
		func() (bool, error) { return s.purgeSource(ctx, tx, r.RemovedBefore) },
		func() (bool, error) { return burn(ctx, tx) },
	} {
		again, err := chore()
		if err != nil {
			return err
		}
		out.More = out.More || again
	}
	for _, query := range []string{membersSQL, oldReportsSQL, oldErrandsSQL, deadPlacesSQL, idleBucketsSQL} {
		if _, err := tx.Exec(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// sweepEvents deletes settled events that are old, or, while the store is too large, the oldest ones. It goes on where it
// stopped, so that events that have to stay are not looked at again and again, and starts anew when it is through.
func (s *Store) sweepEvents(ctx context.Context, tx pgx.Tx, r store.Retention, out *store.Swept) (bool, error) {
	want, err := s.sweepWant(ctx, tx, r, out)
	if err != nil {
		return false, err
	}
	if s.sweep.after == 0 && want.excess == 0 {
		if some, err := s.sweepWhole(ctx, tx, want.before); err != nil || some {
			return some, err
		}
	}
	found, last, through, err := lookAt(ctx, tx, s.sweep.after, want)
	if err != nil {
		return false, err
	}
	deleted, err := deleteEvents(ctx, tx, found)
	if err != nil {
		return false, err
	}
	s.sweep.deleted = s.sweep.deleted || deleted
	if s.sweep.after = last; !through {
		return true, nil
	}
	s.sweep.after = 0
	out.Stuck = s.sweep.bySize && !s.sweep.deleted
	again := s.sweep.bySize && s.sweep.deleted // some that stood before were settled meanwhile
	s.sweep.deleted = false
	return again, nil
}

// wanted says which settled events go: those before a time, or, when too much is in use, the oldest ones that come to some
// bytes.
type wanted struct {
	before time.Time
	excess int64
}

// sweepWant says which settled events go. Once the store is too large, they go until there is some room.
func (s *Store) sweepWant(ctx context.Context, tx pgx.Tx, r store.Retention, out *store.Swept) (wanted, error) {
	if err := tx.QueryRow(ctx, usedSQL).Scan(&out.Used); err != nil {
		return wanted{}, err
	}
	room := r.MaxSize / 10 * 9
	switch {
	case r.MaxSize > 0 && out.Used > r.MaxSize && !s.sweep.bySize:
		s.sweep = sweep{bySize: true, attempts: s.sweep.attempts, day: s.sweep.day}
	case s.sweep.bySize && (r.MaxSize <= 0 || out.Used <= room):
		s.sweep.bySize, s.sweep.after = false, 0
	}
	if s.sweep.bySize {
		return wanted{excess: out.Used - room}, nil
	}
	return wanted{before: r.EventsBefore}, nil
}

// lookAt finds the next settled events that go; through says that there are no more.
func lookAt(ctx context.Context, tx pgx.Tx, after int64, want wanted) (found []int64, last int64, through bool, err error) {
	rows, err := tx.Query(ctx, sweepSQL, after, lookStep)
	if err != nil {
		return nil, 0, false, err
	}
	looked, freed, full := 0, int64(0), false
	last = after
	err = drain(rows, func(r pgx.Rows) error {
		var seq, bytes int64
		var at time.Time
		var needed bool
		if err := r.Scan(&seq, (*instant)(&at), &bytes, &needed); err != nil {
			return err
		}
		if want.excess == 0 && !at.Before(want.before) { // events stand in order of detection, near enough
			through = true
			return errStop
		}
		looked, last = looked+1, seq
		if needed {
			return nil
		}
		found, freed = append(found, seq), freed+bytes
		if len(found) == sweepStep || want.excess > 0 && freed >= want.excess {
			full = true
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return nil, 0, false, err
	}
	return found, last, through || !full && looked < lookStep, nil
}

func deleteEvents(ctx context.Context, tx pgx.Tx, seqs []int64) (bool, error) {
	settled, err := settledOf(ctx, tx, seqs)
	if err != nil || len(settled) == 0 {
		return false, err
	}
	_, err = tx.Exec(ctx, deleteSQL, settled)
	return true, err
}

// settledOf gives the events of which nothing is pending or parked, and keeps that so until the transaction ends.
func settledOf(ctx context.Context, tx pgx.Tx, seqs []int64) ([]int64, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, settledSQL, seqs)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// sweepAttempts deletes the old attempts of settled deliveries, for those who keep them shorter than the events.
func (s *Store) sweepAttempts(ctx context.Context, tx pgx.Tx, r store.Retention) (bool, error) {
	if !r.AttemptsBefore.After(r.EventsBefore) {
		return false, nil
	}
	rows, err := tx.Query(ctx, triedEventsSQL, s.sweep.attempts, sweepStep)
	if err != nil {
		return false, err
	}
	tried, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(tried) == 0 {
		s.sweep.attempts = 0
		return false, err
	}
	last := tried[len(tried)-1]
	if _, err := tx.Exec(ctx, oldAttemptsSQL, s.sweep.attempts, last, at(r.AttemptsBefore)); err != nil {
		return false, err
	}
	if s.sweep.attempts = last; len(tried) < sweepStep {
		s.sweep.attempts = 0
	}
	return len(tried) == sweepStep, nil
}

// purgeSource forgets the state of one source that left the configuration.
func (s *Store) purgeSource(ctx context.Context, tx pgx.Tx, before time.Time) (bool, error) {
	if before.IsZero() {
		return false, nil
	}
	tag, err := tx.Exec(ctx, purgeSQL, at(before), at(s.now()))
	return tag.RowsAffected() > 0, err
}

// burn deletes some records of a book in the trash.
func burn(ctx context.Context, tx pgx.Tx) (more bool, err error) {
	if err := tx.QueryRow(ctx, trashSQL).Scan(&more); err != nil || !more {
		return false, err
	}
	tag, err := tx.Exec(ctx, burnSQL, sweepStep)
	if err == nil && tag.RowsAffected() < sweepStep {
		_, err = tx.Exec(ctx, emptiedSQL)
	}
	return true, err
}
