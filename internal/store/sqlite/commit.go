package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

const (
	lastSeqSQL    = `SELECT max((SELECT value FROM meta WHERE name = 'seq'), (SELECT coalesce(max(seq), 0) FROM event))`
	lastRecordSQL = `SELECT coalesce(max(id), 0) FROM record`
	lastBookSQL   = `SELECT max((SELECT coalesce(max(book), 0) FROM source), (SELECT coalesce(max(book), 0) FROM trash))`

	insertSourceSQL = `INSERT INTO source(id, version, sequence, records, book, state, committed_at) VALUES (?, 0, 0, 0, ?, '', 0)`
	updateSourceSQL = `UPDATE source SET version = version + 1, sequence = ?, records = ?, book = ?, state = ?, etag = ?,
		last_modified = ?, cursor = ?, polls = ?, committed_at = ?, purged_at = 0 WHERE id = ?`
	insertPollSQL = `INSERT INTO poll(source, slot, number, body) VALUES (?, ?, ?, ?)
		ON CONFLICT (source, slot) DO UPDATE SET number = excluded.number, body = excluded.body`

	insertCopySQL = `INSERT INTO event_copy(body) VALUES (?) RETURNING id`
)

// commit is a poll on its way into the database.
type commit struct {
	s       *Store
	t       *tx
	source  sourceRow
	shard   int
	book    book
	seq     int64 // of the last event in the store
	records int64 // known after what was written so far
	merger  merger
	tables
}

// Commit writes one poll.
func (m *member) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	shard := store.ShardOf(c.Source)
	err := m.s.write(ctx, func(quiet context.Context, t *tx) error {
		if err := m.fenced(quiet, t, shard); err != nil {
			return err
		}
		w, err := m.s.beginCommit(quiet, t, c, shard)
		if err != nil {
			return err
		}
		if err := w.writeAll(ctx, quiet, c); err != nil {
			return err
		}
		return w.finish(quiet, c)
	})
	if err != nil {
		return poller.Committed{}, fmt.Errorf("commit of source %q: %w", c.Source, err)
	}
	return poller.Committed{Version: c.Expect + 1}, nil
}

// beginCommit checks the version and makes room for a source that is new.
func (s *Store) beginCommit(ctx context.Context, t *tx, c poller.Commit, shard int) (*commit, error) {
	source, err := findSource(ctx, t, c.Source)
	if err != nil {
		return nil, err
	}
	if source.state.Version != c.Expect {
		return nil, fmt.Errorf("%w: version %d, expected %d", poller.ErrConflict, source.state.Version, c.Expect)
	}
	w := &commit{s: s, t: t, source: source, shard: shard, records: source.state.Records, tables: s.tables}
	if err := t.QueryRowContext(ctx, lastSeqSQL).Scan(&w.seq); err != nil {
		return nil, err
	}
	if err := w.forget(ctx, c.Forget); err != nil {
		return nil, err
	}
	if !w.source.book.Valid {
		if w.source.book, err = s.newBook(ctx, t); err != nil {
			return nil, err
		}
	}
	if source.id == 0 {
		if w.source.id, err = t.intern(ctx, c.Source); err != nil {
			return nil, err
		}
		if _, err := t.exec(ctx, insertSourceSQL, w.source.id, w.source.book); err != nil {
			return nil, err
		}
	}
	w.book = book{s: s, t: t, id: w.source.book.Int64, empty: w.records == 0}
	return w, t.QueryRowContext(ctx, lastRecordSQL).Scan(&w.book.last)
}

// newBook gives the number of a book that was never used. The last one is looked for once: there may be very many sources.
func (s *Store) newBook(ctx context.Context, t *tx) (sql.NullInt64, error) {
	if s.lastBook == 0 {
		if err := t.QueryRowContext(ctx, lastBookSQL).Scan(&s.lastBook); err != nil {
			return sql.NullInt64{}, err
		}
	}
	s.lastBook++
	return sql.NullInt64{Int64: s.lastBook, Valid: true}, nil
}

// forget drops what the commit does not build on. The records go to the trash as a whole; housekeeping empties it.
func (w *commit) forget(ctx context.Context, what poller.Forget) error {
	if what == poller.ForgetNothing || w.source.id == 0 {
		return nil
	}
	if w.source.book.Valid {
		if _, err := w.t.exec(ctx, trashSQL, w.source.book.Int64); err != nil {
			return err
		}
	}
	w.source.book, w.records = sql.NullInt64{}, 0
	if what != poller.ForgetAll {
		return nil
	}
	w.source.state.Sequence, w.source.polls = 0, 0
	_, err := w.t.exec(ctx, forgetSQL, w.source.id)
	return err
}

// writeAll consumes the writes. It stops between two of them when ctx ends; quiet is for the statements.
func (w *commit) writeAll(ctx, quiet context.Context, c poller.Commit) error {
	if c.Writes != nil {
		for one, err := range c.Writes {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			if err := w.write(quiet, &one); err != nil {
				return fmt.Errorf("record %q: %w", one.Key, err)
			}
		}
	}
	for _, b := range []*batch{&w.events, &w.bodies, &w.deliveries} {
		if err := b.flush(quiet, w.t); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (w *commit) write(ctx context.Context, one *poller.Write) error {
	delta, err := w.book.apply(ctx, one)
	if err != nil {
		return err
	}
	w.records += delta
	if one.Event == nil {
		return nil
	}
	return w.emit(ctx, one.Event)
}

// emit stores an event and its deliveries. A gap in the sequence is refused, because no receiver could ever close it.
func (w *commit) emit(ctx context.Context, e *poller.Event) error {
	state := &w.source.state
	if e.Sequence != state.Sequence+1 {
		return fmt.Errorf("event %s has sequence %d after %d: refused", e.ID, e.Sequence, state.Sequence)
	}
	if e.Source != w.source.name || e.ID == "" {
		return fmt.Errorf("event %q of source %q: refused", e.ID, e.Source)
	}
	seq := w.seq + 1
	if err := w.events.add(ctx, w.t, seq, e.ID, w.source.id, e.Sequence, e.Type, int64(e.Change), e.Key, micros(e.At)); err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	if err := w.bodies.add(ctx, w.t, seq, notNil(e.Body)); err != nil {
		return fmt.Errorf("event %s: %w", e.ID, err)
	}
	for i := range e.To {
		if err := w.deliver(ctx, seq, e, &e.To[i]); err != nil {
			return fmt.Errorf("event %s for webhook %q: %w", e.ID, e.To[i].Webhook, err)
		}
	}
	w.seq, state.Sequence, e.Seq = seq, e.Sequence, seq
	return nil
}

func (w *commit) deliver(ctx context.Context, seq int64, e *poller.Event, c *poller.Copy) error {
	webhook, err := w.t.intern(ctx, c.Webhook)
	if err != nil {
		return err
	}
	if c.Merge != nil {
		return w.deliverLoose(ctx, seq, webhook, e, c)
	}
	if err := w.fixWaiting(ctx, webhook); err != nil {
		return err
	}
	body, err := w.copyBody(ctx, c.Body)
	if err != nil {
		return err
	}
	w.t.count(webhook, tally{pending: 1})
	return w.deliveries.add(ctx, w.t, seq, webhook, w.shard, body)
}

// copyBody stores the body for one webhook, and gives what the delivery says of it.
func (w *commit) copyBody(ctx context.Context, body []byte) (any, error) {
	if body == nil {
		return nil, nil
	}
	var id int64
	err := w.t.QueryRowContext(ctx, insertCopySQL, body).Scan(&id)
	return id, err
}

// finish writes the new state of the source and the poll's line of history.
func (w *commit) finish(ctx context.Context, c poller.Commit) error {
	if c.State.Sequence != w.source.state.Sequence {
		return fmt.Errorf("the state has sequence %d, the last event %d: refused", c.State.Sequence, w.source.state.Sequence)
	}
	state, err := stored.EncodeState(c.State)
	if err != nil {
		return err
	}
	polls := w.source.polls
	if c.Poll != nil {
		if err := w.keep(ctx, c.Poll, polls); err != nil {
			return fmt.Errorf("history: %w", err)
		}
		polls++
	}
	_, err = w.t.exec(ctx, updateSourceSQL, c.State.Sequence, w.records, w.source.book, state.Text, state.ETag,
		state.LastModified, state.Cursor, polls, micros(w.s.now()), w.source.id)
	return err
}

func (w *commit) keep(ctx context.Context, p *poller.Poll, number int64) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	_, err = w.t.exec(ctx, insertPollSQL, w.source.id, number%stored.KeptPolls, number, string(body))
	return err
}

// notNil makes an empty body one that the database takes for empty, not for missing.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
