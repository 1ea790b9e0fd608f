package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

const (
	importFullSQL   = `SELECT EXISTS (SELECT 1 FROM source) OR EXISTS (SELECT 1 FROM event)`
	importSeedSQL   = `UPDATE meta SET value = ? WHERE name = 'seed'`
	importSeqSQL    = `UPDATE meta SET value = ? WHERE name = 'seq'`
	importSourceSQL = `INSERT INTO source(id, version, sequence, records, book, state, etag, last_modified, cursor, polls, committed_at, removed_at, purged_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	importPollSQL     = `INSERT INTO poll(source, slot, number, body) VALUES (?, ?, ?, ?)`
	importPrintSQL    = `INSERT INTO print(book, hash, prints, missing, record) VALUES (?, ?, ?, ?, ?)`
	importEventSQL    = `INSERT INTO event(seq, id, source, sequence, type, change, key, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
	importBodySQL     = `INSERT INTO event_body(seq, body) VALUES (?, ?)`
	importDeliverySQL = `INSERT INTO delivery(seq, webhook, shard, state, copy, attempts, tries, replay, next_at, settled_at, tried_at, took, status, reason, cause,
		since, loose, merged_into, batch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
)

// importer writes the rows of another store.
type importer struct {
	s      *Store
	t      *tx
	books  map[string]int64
	record int64  // the last one
	packed []byte // reused
}

// Import takes all rows in, or none.
func (s *Store) Import(ctx context.Context, rows iter.Seq2[store.Row, error]) error {
	err := s.write(ctx, func(quiet context.Context, t *tx) error {
		var full bool
		if err := t.QueryRowContext(quiet, importFullSQL).Scan(&full); err != nil {
			return err
		}
		if full {
			return store.ErrNotEmpty
		}
		in := &importer{s: s, t: t, books: map[string]int64{}}
		s.lastBook = 0
		for row, err := range rows {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				err = in.add(quiet, row)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	s.tallies.forget()
	if err != nil {
		return fmt.Errorf("write the copy: %w", err)
	}
	return nil
}

func (in *importer) add(ctx context.Context, row store.Row) error {
	switch r := row.(type) {
	case store.Origin:
		if _, err := in.t.exec(ctx, importSeedSQL, r.Seed[:]); err != nil {
			return err
		}
		_, err := in.t.exec(ctx, importSeqSQL, r.LastSeq)
		return err
	case store.PortSource:
		return in.source(ctx, &r)
	case store.PortPoll:
		return in.named(ctx, r.Source, importPollSQL, r.Number%stored.KeptPolls, r.Number, r.Body)
	case store.PortRecord:
		return in.known(ctx, &r)
	case store.PortSecret:
		return in.named(ctx, r.Source, keepSQL, r.Name, notNil(r.Value))
	case store.PortEvent:
		return in.event(ctx, &r)
	case store.PortDelivery:
		return in.delivery(ctx, &r)
	case store.PortAttempt:
		webhook, err := in.t.intern(ctx, r.Webhook)
		if err == nil {
			_, err = in.t.exec(ctx, insertAttemptSQL, r.Seq, webhook, r.Ordinal, r.Number, micros(r.At), r.Took.Microseconds(), r.Status, r.Reason, r.Error,
				r.Excerpt, r.Trigger, r.Request)
		}
		return err
	case store.PortGate:
		return in.named(ctx, r.Webhook, saveGateSQL, r.State)
	}
	return fmt.Errorf("an unknown kind of row: %T", row)
}

// named runs a statement whose first parameter is the number of a name.
func (in *importer) named(ctx context.Context, name, query string, values ...any) error {
	id, err := in.t.intern(ctx, name)
	if err == nil {
		_, err = in.t.exec(ctx, query, append([]any{id}, values...)...)
	}
	return err
}

func (in *importer) source(ctx context.Context, r *store.PortSource) error {
	var book sql.NullInt64
	text := ""
	if r.Purged.IsZero() {
		book = sql.NullInt64{Int64: int64(len(in.books) + 1), Valid: true}
		in.books[r.Name] = book.Int64
		row, err := stored.EncodeState(r.State)
		if err != nil {
			return err
		}
		text = row.Text
	}
	return in.named(ctx, r.Name, importSourceSQL, r.Version, r.Sequence, r.Records, book, text, r.ETag, r.Modified, r.Cursor, r.Polls,
		micros(r.Committed), micros(r.Removed), micros(r.Purged))
}

func (in *importer) known(ctx context.Context, r *store.PortRecord) error {
	in.record++
	book := in.books[r.Source]
	if _, err := in.t.exec(ctx, importPrintSQL, book, r.Hash[:], stored.AppendPrint(nil, r.Print), r.Missing, in.record); err != nil {
		return err
	}
	packed := in.s.bodies.Pack(in.packed[:0], r.Body)
	if packed != nil {
		in.packed = packed
	}
	_, err := in.t.exec(ctx, insertRecordSQL, in.record, book, string(r.Key), packed)
	return err
}

func (in *importer) event(ctx context.Context, r *store.PortEvent) error {
	source, err := in.t.intern(ctx, r.Source)
	if err == nil {
		_, err = in.t.exec(ctx, importEventSQL, r.Seq, r.ID, source, r.Sequence, r.Type, int64(r.Change), string(r.Key), micros(r.At))
	}
	if err == nil {
		_, err = in.t.exec(ctx, importBodySQL, r.Seq, notNil(r.Body))
	}
	return err
}

func (in *importer) delivery(ctx context.Context, r *store.PortDelivery) error {
	webhook, err := in.t.intern(ctx, r.Webhook)
	if err != nil {
		return err
	}
	var body any
	if r.Body != nil {
		var id int64
		if err := in.t.QueryRowContext(ctx, insertCopySQL, r.Body).Scan(&id); err != nil {
			return err
		}
		body = id
	}
	_, err = in.t.exec(ctx, importDeliverySQL, r.Seq, webhook, store.ShardOf(r.Source), store.StateNumber(r.State), body, r.Attempts, r.Tries, r.Replay,
		micros(r.NextAt), micros(r.SettledAt), micros(r.TriedAt), r.Took.Microseconds(), r.Status, r.Reason, r.Cause, micros(r.Since), r.Loose, r.MergedInto, r.Batch)
	return err
}
