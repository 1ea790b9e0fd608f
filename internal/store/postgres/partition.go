package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
)

// Events are partitioned by their number, and the numbers by days: at the first housekeeping of a day the sequence jumps to the first
// number of that day. So whatever is written finds its partition, however late or wrong a clock is: an event of a day that nobody has
// begun yet goes into the day before. Nothing that writes events has to know.
const dayBits = 36 // 68,719,476,736 events a day; numbers stay below 2^53 until the year 2328, as JSON wants it

// daysAhead is how many partitions are there before they are needed.
const daysAhead = 3

// schemaPartitions makes the table of events as it was the partition of all days before, without touching a row.
const schemaPartitions = `
ALTER TABLE dh_event RENAME TO dh_event_before;
ALTER INDEX dh_event_pkey RENAME TO dh_event_before_pkey;
ALTER INDEX dh_event_source RENAME TO dh_event_before_source;
ALTER INDEX dh_event_key RENAME TO dh_event_before_key;
CREATE TABLE dh_event (
  seq bigint PRIMARY KEY, id text COLLATE "C" NOT NULL, source integer NOT NULL, sequence bigint NOT NULL, type text COLLATE "C" NOT NULL,
  change smallint NOT NULL, key bytea NOT NULL, at timestamptz NOT NULL, bytes bigint NOT NULL, body bytea NOT NULL) PARTITION BY RANGE (seq);
-- An index of a partitioned table cannot say that ids are unique, that of a partition can: each has its own. Beyond a day they are
-- because they are made of source and sequence, which the version of the source guards.
CREATE INDEX dh_event_source ON dh_event (source, seq);
CREATE INDEX dh_event_key ON dh_event (substring(key FROM 1 FOR 200), seq);
DO $$
DECLARE today bigint := floor(extract(epoch FROM now()) / 86400);
BEGIN
  EXECUTE format('ALTER TABLE dh_event_before RENAME TO dh_event_d0_%s', today);
  EXECUTE format('ALTER TABLE dh_event ATTACH PARTITION dh_event_d0_%s FOR VALUES FROM (0) TO (%s)', today, today << 36);
END $$;
`

const (
	// Without the lock on the table that CREATE TABLE … PARTITION OF would take.
	newPartitionSQL = `CREATE TABLE %[1]s (LIKE dh_event INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH (autovacuum_vacuum_cost_delay = 0);
		CREATE UNIQUE INDEX %[1]s_id ON %[1]s (id);
		ALTER TABLE dh_event ATTACH PARTITION %[1]s FOR VALUES FROM (%[2]d) TO (%[3]d)`
	attachSQL   = `ALTER TABLE dh_event ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)`
	detachSQL   = `ALTER TABLE dh_event DETACH PARTITION %s CONCURRENTLY`
	finalizeSQL = `ALTER TABLE dh_event DETACH PARTITION %s FINALIZE`

	partitionsSQL = `SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false) FROM pg_catalog.pg_class c
		LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid WHERE c.relkind = 'r' AND c.relname LIKE 'dh\_event\_d%'
		AND c.relnamespace = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = 'dh_event'::regclass)`
	lastSeqSQL = `SELECT last_value FROM dh_seq`
	jumpSQL    = `SELECT setval('dh_seq', $1::bigint) FROM dh_seq WHERE last_value < $1`

	newestSQL = `SELECT at FROM dh_event WHERE seq >= $1 AND seq < $2 ORDER BY seq DESC LIMIT 1`
	// It looks once into each lane that has something pending.
	neededSQL = `WITH RECURSIVE ` + laneCTE + `
		SELECT EXISTS (SELECT 1 FROM lane l CROSS JOIN LATERAL (SELECT 1 FROM dh_queue q
				WHERE q.shard = l.shard AND q.webhook = l.webhook AND q.seq >= $1 AND q.seq < $2 LIMIT 1) x)
			OR EXISTS (SELECT 1 FROM dh_delivery WHERE parked AND seq >= $1 AND seq < $2)`
	referredSQL = `SELECT EXISTS (SELECT 1 FROM dh_delivery WHERE seq >= $1 AND seq < $2)`
	newestInSQL = `SELECT at FROM %s ORDER BY seq DESC LIMIT 1`
	weightSQL   = `SELECT coalesce(sum(bytes), 0)::bigint FROM %s`
	// What is pending or parked by now is found under the locks of settledSQL; the events go with their partition.
	wholeSQL = `SELECT seq, bytes FROM dh_event WHERE seq > $1 AND seq < $2 ORDER BY seq LIMIT $3`
	clearSQL = `WITH c AS (DELETE FROM dh_copy WHERE seq = ANY($1::bigint[])), a AS (DELETE FROM dh_attempt WHERE seq = ANY($1))
		DELETE FROM dh_delivery WHERE seq = ANY($1)`
	weighedSQL = `UPDATE dh_meta SET swept_bytes = swept_bytes + $1`
)

// partition has the events of some days, of one but for the first.
type partition struct {
	from, to int64 // days since 1970
	attached bool
	leaving  bool // it was being detached when somebody died
}

func (p *partition) name() string { return fmt.Sprintf("dh_event_d%d_%d", p.from, p.to) }
func (p *partition) lo() int64    { return p.from << dayBits }
func (p *partition) hi() int64    { return p.to << dayBits }

func (p *partition) has(day int64) bool { return p.attached && p.from <= day && day < p.to }

func dayOf(t time.Time) int64 { return t.Unix() / int64((24 * time.Hour).Seconds()) }

var partitionName = regexp.MustCompile(`^dh_event_d(\d{1,6})_(\d{1,6})$`)

// partitions lists what there is, oldest first.
func partitions(ctx context.Context, q querier) (list []partition, err error) {
	rows, err := q.Query(ctx, partitionsSQL+` ORDER BY length(c.relname), c.relname`)
	if err != nil {
		return nil, err
	}
	err = drain(rows, func(r pgx.Rows) error {
		var p partition
		var name string
		if err := r.Scan(&name, &p.attached, &p.leaving); err != nil {
			return err
		}
		if found := partitionName.FindStringSubmatch(name); found != nil {
			p.from, _ = strconv.ParseInt(found[1], 10, 64)
			p.to, _ = strconv.ParseInt(found[2], 10, 64)
			list = append(list, p)
		}
		return nil
	})
	return list, err
}

// beginDay makes the partitions of the days to come and lets the numbers of events begin at today's.
func beginDay(ctx context.Context, tx pgx.Tx, today int64) error {
	list, err := partitions(ctx, tx)
	if err != nil {
		return err
	}
	for day := today; day <= today+daysAhead; day++ {
		if err := makeDay(ctx, tx, list, day); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, jumpSQL, today<<dayBits)
	return err
}

func makeDay(ctx context.Context, tx pgx.Tx, list []partition, day int64) error {
	for i := range list {
		if list[i].has(day) {
			return nil
		}
	}
	p := partition{from: day, to: day + 1}
	if _, err := tx.Exec(ctx, fmt.Sprintf(newPartitionSQL, p.name(), p.lo(), p.hi()), pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("partition of day %d: %w", day, err)
	}
	return nil
}

// cover makes partitions for all numbers up to those of a day, wherever there is none: for the events of another store.
func cover(ctx context.Context, tx pgx.Tx, day int64) error {
	list, err := partitions(ctx, tx)
	if err != nil {
		return err
	}
	next := int64(0)
	for _, p := range append(list, partition{from: day + 1, attached: true}) {
		if !p.attached {
			continue
		}
		if p.from > next {
			gap := partition{from: next, to: p.from}
			if _, err := tx.Exec(ctx, fmt.Sprintf(newPartitionSQL, gap.name(), gap.lo(), gap.hi()), pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("partition of the days up to %d: %w", p.from, err)
			}
		}
		next = max(next, p.to)
	}
	return nil
}

// wait bounds how long the statements of a transaction wait for locks: whoever comes after them would wait as well.
func wait(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, lockTimeoutSQL)
	return err
}

// newDay is beginDay where the day has changed since this process looked last, and ends what a dead one has left half done.
func (s *Store) newDay(ctx context.Context, today int64, r store.Retention) error {
	if s.sweep.day == today {
		return nil
	}
	err := s.change(ctx, func(ctx context.Context) error {
		return s.transaction(ctx, func(tx pgx.Tx) error {
			if err := wait(ctx, tx); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, housekeepingLock); err != nil {
				return err
			}
			return beginDay(ctx, tx, today)
		})
	})
	if err != nil {
		return err
	}
	list, err := partitions(ctx, s.pool)
	if err != nil {
		return s.explain(err)
	}
	for i := range list {
		if p := &list[i]; p.leaving || !p.attached {
			if _, err := s.retire(ctx, p, r.EventsBefore, -1); err != nil {
				return err
			}
		}
	}
	s.sweep.day = today
	return nil
}

// sealed finds the oldest partition that goes as a whole: nothing is written to it any more, all of it is old, and nothing in it
// is waited for. Nil when there is none.
func sealed(ctx context.Context, tx pgx.Tx, before time.Time) (*partition, error) {
	list, err := partitions(ctx, tx)
	if err != nil {
		return nil, err
	}
	var last int64
	if err := tx.QueryRow(ctx, lastSeqSQL).Scan(&last); err != nil {
		return nil, err
	}
	for i := range list {
		p := &list[i]
		if !p.attached || p.leaving || p.hi() > last {
			continue
		}
		if old, err := allOld(ctx, tx, before, newestSQL, p.lo(), p.hi()); err != nil || !old { // so are those that follow
			return nil, err
		}
		var needed bool
		if err := tx.QueryRow(ctx, neededSQL, p.lo(), p.hi()).Scan(&needed); err != nil {
			return nil, err
		}
		if !needed {
			return p, nil
		}
	}
	return nil, nil
}

// allOld says whether the newest event that a query gives is old; events stand in order of detection, near enough.
func allOld(ctx context.Context, tx pgx.Tx, before time.Time, query string, args ...any) (bool, error) {
	var newest time.Time
	err := tx.QueryRow(ctx, query, args...).Scan((*instant)(&newest))
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	return newest.Before(before), err
}

// whole is a partition that goes as a whole, once nothing refers to its events any more.
type whole struct {
	*partition

	after   int64 // the deliveries of the events up to this number are gone
	bytes   int64 // of these events
	through bool
}

// sweepWhole deletes what refers to the events of the oldest partition that goes as a whole. It says whether there was one.
func (s *Store) sweepWhole(ctx context.Context, tx pgx.Tx, before time.Time) (some bool, err error) {
	w := s.sweep.whole
	if w.partition == nil && !before.IsZero() {
		w.partition, err = sealed(ctx, tx, before)
	}
	if err != nil || w.partition == nil {
		return false, err
	}
	s.sweep.whole = whole{} // until it is known to be one still
	rows, err := tx.Query(ctx, wholeSQL, max(w.after, w.lo()-1), w.hi(), lookStep)
	if err != nil {
		return false, err
	}
	var seqs []int64
	err = drain(rows, func(r pgx.Rows) error {
		var seq, bytes int64
		err := r.Scan(&seq, &bytes)
		seqs, w.bytes = append(seqs, seq), w.bytes+bytes
		return err
	})
	if err != nil {
		return false, err
	}
	settled, err := settledOf(ctx, tx, seqs)
	if err != nil || len(settled) < len(seqs) { // somebody replays one: the next look finds it pending
		return true, err
	}
	if len(seqs) > 0 {
		w.after = seqs[len(seqs)-1]
		if _, err := tx.Exec(ctx, clearSQL, seqs); err != nil {
			return false, err
		}
	}
	w.through = len(seqs) < lookStep
	s.sweep.whole = w
	return true, nil
}

// retire takes a partition out of the table and, once nothing can be written to it any more, looks again before it is dropped: whoever
// has begun to write before is waited for. Bytes are those of its events; negative when they are not known. It says whether it is gone.
func (s *Store) retire(ctx context.Context, p *partition, before time.Time, bytes int64) (gone bool, err error) {
	ctx, cancel := unbroken(ctx)
	defer cancel()
	switch {
	case p.leaving:
		_, err = s.pool.Exec(ctx, fmt.Sprintf(finalizeSQL, p.name()), pgx.QueryExecModeSimpleProtocol)
	case p.attached: // it waits for nobody but those who use the table now, and nobody waits for it
		_, err = s.pool.Exec(ctx, fmt.Sprintf(detachSQL, p.name()), pgx.QueryExecModeSimpleProtocol)
	}
	if err == nil {
		err = s.transaction(ctx, func(tx pgx.Tx) error {
			gone, err = p.drop(ctx, tx, before, bytes)
			return err
		})
	}
	if err != nil {
		return false, s.explain(fmt.Errorf("partition %s: %w", p.name(), err))
	}
	s.log.DebugContext(ctx, "partition of events", "partition", p.name(), "dropped", gone)
	return gone, nil
}

// drop drops a partition that is detached, or attaches it again when something in it is needed after all.
func (p *partition) drop(ctx context.Context, tx pgx.Tx, before time.Time, bytes int64) (bool, error) {
	if err := wait(ctx, tx); err != nil {
		return false, err
	}
	if _, err := tx.Exec(ctx, `LOCK TABLE `+p.name()+` IN ACCESS EXCLUSIVE MODE`); err != nil {
		return false, err
	}
	var referred bool
	if err := tx.QueryRow(ctx, referredSQL, p.lo(), p.hi()).Scan(&referred); err != nil {
		return false, err
	}
	old, err := allOld(ctx, tx, before, fmt.Sprintf(newestInSQL, p.name()))
	if err != nil {
		return false, err
	}
	if referred || !old || before.IsZero() {
		_, err := tx.Exec(ctx, fmt.Sprintf(attachSQL, p.name(), p.lo(), p.hi()), pgx.QueryExecModeSimpleProtocol)
		return false, err
	}
	if bytes < 0 {
		if err := tx.QueryRow(ctx, fmt.Sprintf(weightSQL, p.name())).Scan(&bytes); err != nil {
			return false, err
		}
	}
	if _, err := tx.Exec(ctx, weighedSQL, bytes); err != nil {
		return false, err
	}
	_, err = tx.Exec(ctx, `DROP TABLE `+p.name())
	return err == nil, err
}
