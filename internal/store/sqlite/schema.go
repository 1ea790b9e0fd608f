package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
)

// applicationID marks the file as a deltahook store: "dhok" in its header.
const applicationID = 0x64686f6b

// migrations make a database of version n, by user_version, into one of version n+1. The list is append-only: a released
// step is never changed.
func migrations() []string {
	return []string{schema1, schema2, schema3, schema4, schema5, schema6, schema7}
}

const schema1 = `
-- seed: keys all hashes; seq: the highest event number that was ever given, as far as it is not in event itself
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE member (name TEXT PRIMARY KEY, incarnation INTEGER NOT NULL, expires_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE shard (id INTEGER PRIMARY KEY, owner TEXT, epoch INTEGER NOT NULL DEFAULT 0) STRICT;

-- names of sources and webhooks
CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;

-- book is where the records of the source are; a source that starts anew gets a new book, the old one goes to trash
CREATE TABLE source (
  id INTEGER PRIMARY KEY, version INTEGER NOT NULL, sequence INTEGER NOT NULL, records INTEGER NOT NULL, book INTEGER,
  state TEXT NOT NULL, etag BLOB, last_modified BLOB, cursor BLOB, polls INTEGER NOT NULL DEFAULT 0,
  committed_at INTEGER NOT NULL, removed_at INTEGER NOT NULL DEFAULT 0, purged_at INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE TABLE poll (source INTEGER, slot INTEGER, number INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (source, slot)) STRICT, WITHOUT ROWID;

-- prints: raw and canonical hash of the record, 8 bytes each
CREATE TABLE print (
  book INTEGER, hash BLOB, prints BLOB NOT NULL, missing INTEGER NOT NULL, record INTEGER NOT NULL,
  PRIMARY KEY (book, hash)) STRICT, WITHOUT ROWID;
CREATE TABLE record (id INTEGER PRIMARY KEY, key TEXT NOT NULL, body BLOB) STRICT;
CREATE TABLE trash (book INTEGER PRIMARY KEY) STRICT;

-- the bytes of an event have a table of their own, so that looking through events reads little
CREATE TABLE event (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, source INTEGER NOT NULL, sequence INTEGER NOT NULL, type TEXT NOT NULL,
  change INTEGER NOT NULL, key TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE TABLE event_body (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

-- copy: the body for this webhook in event_copy, NULL when it is the event's.
-- tried_at, took, status, reason, number, cause are of the last attempt; tries counts all attempts, attempts those since a replay.
CREATE TABLE delivery (
  seq INTEGER, webhook INTEGER, shard INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, copy INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0, tries INTEGER NOT NULL DEFAULT 0, replay INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL DEFAULT 0, settled_at INTEGER NOT NULL DEFAULT 0,
  tried_at INTEGER NOT NULL DEFAULT 0, took INTEGER NOT NULL DEFAULT 0, status INTEGER NOT NULL DEFAULT 0,
  reason TEXT NOT NULL DEFAULT '', cause TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (seq, webhook)) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_pending ON delivery (shard, webhook, seq) WHERE state = 0;
CREATE INDEX delivery_parked ON delivery (seq) WHERE state = 2;
CREATE TABLE event_copy (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

CREATE TABLE attempt (
  seq INTEGER, webhook INTEGER, ordinal INTEGER, number INTEGER NOT NULL, at INTEGER NOT NULL, took INTEGER NOT NULL,
  status INTEGER NOT NULL, reason TEXT NOT NULL, error TEXT NOT NULL, excerpt TEXT NOT NULL, cause TEXT NOT NULL,
  PRIMARY KEY (seq, webhook, ordinal)) STRICT, WITHOUT ROWID;

CREATE TABLE gate (webhook INTEGER PRIMARY KEY, state TEXT NOT NULL) STRICT;
`

// since: from when give_up_after counts, 0 before the first attempt. request: header lines of a failed attempt.
const schema2 = `
ALTER TABLE delivery ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE delivery SET since = tried_at WHERE state = 0;
ALTER TABLE attempt ADD COLUMN request TEXT NOT NULL DEFAULT '';
`

// The third schema lets a delivery wait without being fixed: loose is a hash of source and key while a later event of the record may still
// change it, 0 from the first attempt on; merged_into is the event that a merged delivery went into.
const schema3 = `
ALTER TABLE delivery ADD COLUMN loose INTEGER NOT NULL DEFAULT 0;
ALTER TABLE delivery ADD COLUMN merged_into INTEGER NOT NULL DEFAULT 0;
CREATE INDEX delivery_loose ON delivery (webhook, loose, seq) WHERE loose <> 0;
`

// schema4 has a place for what a source remembers and nobody may see. Its source is a name of the table name, because there may be something to keep
// before the first commit.
const schema4 = `
CREATE TABLE vault (source INTEGER, name TEXT, value BLOB NOT NULL, PRIMARY KEY (source, name)) STRICT, WITHOUT ROWID;
`

// schema5 lets people look at one source or one webhook among millions. Both indexes grow at their ends only.
const schema5 = `
CREATE INDEX event_source ON event (source);
CREATE INDEX delivery_webhook ON delivery (webhook, seq);
`

// The sixth schema lets several deliveries go out in one request: batch is the id under which they were sealed together; it stays when they are
// settled.
const schema6 = `
ALTER TABLE delivery ADD COLUMN batch TEXT NOT NULL DEFAULT '';
CREATE INDEX delivery_batch ON delivery (shard, webhook, batch, seq) WHERE batch <> '' AND state = 0;
`

// schema7 lets people look through the records of a source by key, and finds the events of one record.
const schema7 = `
ALTER TABLE record ADD COLUMN book INTEGER NOT NULL DEFAULT 0;
UPDATE record SET book = p.book FROM print p WHERE p.record = record.id;
CREATE INDEX record_key ON record (book, key);
CREATE INDEX event_key ON event (key);
`

// The states of a delivery as they are stored. Two indexes of the schema repeat pending and parked.
const (
	statePending   = 0
	stateDelivered = 1
	stateParked    = 2
	stateDropped   = 3
	stateMerged    = 4
)

// migrate brings the database to the version that this program knows.
func (s *Store) migrate(ctx context.Context) error {
	steps := migrations()
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		version, err := schemaVersion(ctx, t)
		if err != nil {
			return err
		}
		if version > 0 && version < len(steps) {
			s.log.InfoContext(ctx, "the store is brought up to date; a large one takes minutes", "path", s.path, "from", version, "to", len(steps))
		}
		for n := version; n < len(steps); n++ {
			if _, err := t.w.conn.ExecContext(ctx, steps[n]); err != nil {
				return fmt.Errorf("migration to schema %d: %w", n+1, err)
			}
		}
		if version == 0 {
			if err := fill(ctx, t); err != nil {
				return fmt.Errorf("new database: %w", err)
			}
		}
		if version < len(steps) {
			_, err = t.w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(steps)))
		}
		if version > 0 && version < len(steps) {
			s.log.InfoContext(ctx, "store migrated", "path", s.path, "from", version, "to", len(steps))
		}
		return err
	})
}

// fill makes what every new database has: its seed and its shards.
func fill(ctx context.Context, t *tx) error {
	var seed differ.Seed
	if _, err := rand.Read(seed[:]); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `INSERT INTO meta(name, value) VALUES ('seed', ?), ('seq', 0)`, seed[:]); err != nil {
		return err
	}
	for id := range store.Shards {
		if _, err := t.exec(ctx, `INSERT INTO shard(id) VALUES (?)`, id); err != nil {
			return err
		}
	}
	_, err := t.w.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	return err
}

// schemaVersion gives the version of a database that is ours, 0 for an empty one.
func schemaVersion(ctx context.Context, q querier) (version int, err error) {
	var id, tables int
	if err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	if err := q.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, err
	}
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return 0, err
	}
	switch {
	case id == 0 && version == 0 && tables == 0:
		return 0, nil
	case id != applicationID:
		return 0, errors.New("this is a database of another program; point store.url at another file")
	case version > len(migrations()):
		return 0, fmt.Errorf("the file has schema %d, this deltahook knows %d: it was written by a newer version; run that one, or restore a backup from before the upgrade", version, len(migrations()))
	}
	return version, nil
}
