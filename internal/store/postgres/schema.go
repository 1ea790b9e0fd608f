package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
)

// migration makes a database of the version before into one of its own. Compatible is the oldest version of the program, by
// the number of migrations it knows, that can work with the database afterwards: replicas are updated one by one.
type migration struct {
	sql        string
	compatible int
}

// migrations stand in their order. The list is append-only: a released step is never changed.
func migrations() []migration {
	return []migration{
		{sql: schema1, compatible: 1},
		{sql: schemaBoard, compatible: 1},
		{sql: schemaPartitions, compatible: 1},
		{sql: schemaLimits, compatible: 1},
		{sql: schemaQueue, compatible: 5},
	}
}

// All names begin with dh_, because people may keep other things in the same database.
const schema1 = `
CREATE TABLE dh_meta (
  one boolean PRIMARY KEY DEFAULT true CHECK (one), version integer NOT NULL, min_compatible integer NOT NULL, shards integer NOT NULL,
  seed bytea NOT NULL, token text NOT NULL, swept_bytes bigint NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now());

-- The clock of leases is clock_timestamp() of this server, and no other. beat_at: of the last heartbeat.
CREATE TABLE dh_member (
  name text COLLATE "C" PRIMARY KEY, incarnation bigint NOT NULL, info jsonb NOT NULL DEFAULT '{}', started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  beat_at timestamptz NOT NULL DEFAULT clock_timestamp(), expires_at timestamptz NOT NULL) WITH (fillfactor = 50);
-- claimed_at: since when it is owned, or, when it is not, nobody has looked after it. stirred: how often others than its owner have
-- changed its deliveries.
CREATE TABLE dh_shard (
  id integer PRIMARY KEY, owner text, epoch bigint NOT NULL DEFAULT 0, claimed_at timestamptz, stirred bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);

-- what one member wants another one to do, which owns the shard
CREATE TABLE dh_errand (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, shard integer NOT NULL, text bytea NOT NULL, asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  answer bytea);

-- names of sources and webhooks
CREATE TABLE dh_name (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text COLLATE "C" NOT NULL UNIQUE);

-- book is where the records of the source are; a source that starts anew gets a new book, the old one goes to trash.
-- event_bytes is what its events have ever come to; version 0: never committed.
CREATE SEQUENCE dh_book;
CREATE TABLE dh_source (
  id integer PRIMARY KEY, shard integer NOT NULL, version bigint NOT NULL DEFAULT 0, sequence bigint NOT NULL DEFAULT 0,
  records bigint NOT NULL DEFAULT 0, book bigint, polls bigint NOT NULL DEFAULT 0, event_bytes bigint NOT NULL DEFAULT 0,
  state text NOT NULL DEFAULT '', etag bytea, last_modified bytea, cursor bytea,
  committed_at timestamptz, removed_at timestamptz, purged_at timestamptz)
  WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE dh_poll (source integer, slot integer, number bigint NOT NULL, body text NOT NULL, PRIMARY KEY (source, slot)) WITH (fillfactor = 70);
CREATE TABLE dh_vault (source integer, name text COLLATE "C", value bytea NOT NULL, PRIMARY KEY (source, name));

-- body is compressed already. prints: raw and canonical hash of the record, 8 bytes each.
CREATE TABLE dh_record (
  book bigint, hash bytea, prints bytea NOT NULL, missing integer NOT NULL, key bytea NOT NULL, body bytea, PRIMARY KEY (book, hash))
  WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE dh_record ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX dh_record_key ON dh_record (book, substring(key FROM 1 FOR 200)); -- whole keys may be too long for an index
CREATE TABLE dh_trash (book bigint PRIMARY KEY);

-- bytes: what the event takes up with all that belongs to it, as the retention by size counts it.
CREATE SEQUENCE dh_seq;
CREATE TABLE dh_event (
  seq bigint PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE, source integer NOT NULL, sequence bigint NOT NULL, type text COLLATE "C" NOT NULL,
  change smallint NOT NULL, key bytea NOT NULL, at timestamptz NOT NULL, bytes bigint NOT NULL, body bytea NOT NULL)
  WITH (autovacuum_vacuum_cost_delay = 0);
CREATE INDEX dh_event_source ON dh_event (source, seq);
CREATE INDEX dh_event_key ON dh_event (substring(key FROM 1 FOR 200), seq);
-- the body for one webhook, where that is not the event's
CREATE TABLE dh_copy (seq bigint, webhook integer, body bytea NOT NULL, PRIMARY KEY (seq, webhook));

-- state: 0 pending, 1 delivered, 2 parked, 3 dropped, 4 merged. loose: a hash of source and key while a later event of the record may
-- still change it, 0 from the first attempt on. batch: the id under which it was sealed together with others.
-- tried_at, took (microseconds), status, reason, cause are of the last attempt; tries counts all attempts, attempts those since a replay.
CREATE TABLE dh_delivery (
  seq bigint, webhook integer, shard integer NOT NULL, state smallint NOT NULL DEFAULT 0,
  attempts integer NOT NULL DEFAULT 0, tries integer NOT NULL DEFAULT 0, replay boolean NOT NULL DEFAULT false,
  loose bigint NOT NULL DEFAULT 0, merged_into bigint, batch text COLLATE "C" NOT NULL DEFAULT '',
  since timestamptz, next_at timestamptz, settled_at timestamptz, tried_at timestamptz, took bigint NOT NULL DEFAULT 0,
  status integer NOT NULL DEFAULT 0, reason text NOT NULL DEFAULT '', cause text NOT NULL DEFAULT '',
  PRIMARY KEY (seq, webhook))
  WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX dh_delivery_pending ON dh_delivery (shard, webhook, seq) WHERE state = 0;
CREATE INDEX dh_delivery_parked ON dh_delivery (seq) WHERE state = 2;
CREATE INDEX dh_delivery_webhook ON dh_delivery (webhook, seq);
CREATE INDEX dh_delivery_loose ON dh_delivery (shard, webhook, loose, seq) WHERE loose <> 0;
CREATE INDEX dh_delivery_batch ON dh_delivery (shard, webhook, batch, seq) WHERE batch <> '' AND state = 0;

CREATE TABLE dh_attempt (
  seq bigint, webhook integer, ordinal integer, number integer NOT NULL, at timestamptz, took bigint NOT NULL, status integer NOT NULL,
  reason text NOT NULL, error text NOT NULL, excerpt text NOT NULL, cause text NOT NULL, request text NOT NULL,
  PRIMARY KEY (seq, webhook, ordinal));

CREATE TABLE dh_gate (webhook integer PRIMARY KEY, state text NOT NULL) WITH (fillfactor = 50);
`

// The states of a delivery as they are stored. What is pending has a row in dh_queue, and what is parked says so in a column of its own.
const (
	statePending   = 0
	stateDelivered = 1
	stateParked    = 2
	stateDropped   = 3
	stateMerged    = 4
)

// migrationLock is the advisory lock under which one of several replicas brings the schema up to date. It ends with its
// transaction.
const migrationLock = 0x64686f6b

// migrate brings the database to the version that this program knows, or fails when the two do not fit. Replicas of the version before
// work meanwhile: it waits for them in turns, so that they do not wait for it.
func (s *Store) migrate(ctx context.Context) error {
	if version, err := s.fits(ctx, s.pool); err != nil || version >= len(s.steps) || s.readOnly {
		return err
	}
	const most = 30
	for tries := 1; ; tries++ {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.migrateIn(ctx, tx) })
		older, found := errors.AsType[*olderError](err)
		if !busy(err) && !found || tries == most {
			return err
		}
		if found {
			s.log.InfoContext(ctx, "replicas are running that cannot work with the new schema; the migration waits until they have stopped", "database", s.place, "replicas", older.names)
		} else {
			s.log.InfoContext(ctx, "the schema is in use; the migration is tried again", "database", s.place, "tries", tries)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (s *Store) migrateIn(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationLock); err != nil {
		return err
	}
	version, err := s.fits(ctx, tx) // another replica may have been faster
	if err != nil || version >= len(s.steps) {
		return err
	}
	if err := wait(ctx, tx); err != nil {
		return err
	}
	if last := s.steps[len(s.steps)-1]; version > 0 && version < last.compatible {
		if err := s.alone(ctx, tx, version); err != nil {
			return err
		}
	}
	for n := version; n < len(s.steps); n++ {
		if _, err := tx.Exec(ctx, s.steps[n].sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("migration to schema %d: %w", n+1, err)
		}
	}
	if version == 0 {
		if err := fill(ctx, tx); err != nil {
			return fmt.Errorf("new database: %w", err)
		}
	}
	_, err = tx.Exec(ctx, `UPDATE dh_meta SET version = $1, min_compatible = $2`, len(s.steps), s.steps[len(s.steps)-1].compatible)
	if version > 0 {
		s.log.InfoContext(ctx, "store migrated", "database", s.place, "from", version, "to", len(s.steps))
	}
	return err
}

// olderError says that replicas are alive which the new schema would make write what others do not see.
type olderError struct {
	names          []string
	version, known int
}

func (e *olderError) Error() string {
	return fmt.Sprintf("the database has schema %d, and replicas that cannot work with schema %d are running: %s; stop all replicas, then start those of the new version",
		e.version, e.known, strings.Join(e.names, ", "))
}

// alone fails when somebody may still work with the schema as it is, and lets nobody join until the end of the transaction. Who joins
// later looks at the schema, see joinSQL.
func (s *Store) alone(ctx context.Context, tx pgx.Tx, version int) error {
	if _, err := tx.Exec(ctx, `LOCK TABLE dh_member IN SHARE ROW EXCLUSIVE MODE`); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `SELECT name FROM dh_member WHERE expires_at > clock_timestamp() ORDER BY name`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(names) > 0 {
		err = &olderError{names: names, version: version, known: len(s.steps)}
	}
	return err
}

// busy says whether a lock could not be had in time.
func busy(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "55P03"
}

// fill makes what every new database has: its seed and its shards.
func fill(ctx context.Context, tx pgx.Tx) error {
	var seed differ.Seed
	if _, err := rand.Read(seed[:]); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `INSERT INTO dh_meta(version, min_compatible, shards, seed, token) VALUES (0, 0, $1, $2, $3)`,
		store.Shards, seed[:], rand.Text()); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO dh_shard(id) SELECT generate_series(0, $1::integer - 1)`, store.Shards)
	return err
}

// fits gives the version of the schema, 0 for a database without one, and fails when this program cannot work with it.
func (s *Store) fits(ctx context.Context, q querier) (version int, err error) {
	var found bool
	// Not by to_regclass: that may remember that there was none before the lock.
	if err := q.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_tables WHERE tablename = 'dh_meta' AND schemaname = ANY(current_schemas(false)))`).Scan(&found); err != nil {
		return 0, err
	}
	known := len(s.steps)
	if !found {
		if s.readOnly {
			return 0, errors.New("there is no deltahook in this database yet: start deltahook run once, or check store.url")
		}
		return 0, nil
	}
	var compatible, shards int
	if err := q.QueryRow(ctx, `SELECT version, min_compatible, shards FROM dh_meta`).Scan(&version, &compatible, &shards); err != nil {
		return 0, err
	}
	switch {
	case shards != store.Shards:
		return 0, fmt.Errorf("the database has %d shards, this deltahook %d", shards, store.Shards)
	case compatible > known:
		return 0, fmt.Errorf("the database has schema %d, which needs a deltahook that knows schema %d; this one knows %d: run the newer version", version, compatible, known)
	case version < known && s.readOnly:
		return 0, fmt.Errorf("the database has schema %d, this deltahook needs %d: start deltahook run once to bring it up to date", version, known)
	}
	return version, nil
}
