package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

	"github.com/deltahook/deltahook/internal/store"
)

// writer is the one connection that changes the database. Its statements are prepared once.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	names map[string]int64 // interned names that are committed
	statements
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &writer{db: db, conn: conn, names: map[string]int64{}, statements: newStatements(conn)}, nil
}

func (w *writer) close() error {
	return errors.Join(w.statements.close(), w.conn.Close(), w.db.Close())
}

// tx is a write transaction. It remembers what has to be known to the process once it is committed.
type tx struct {
	*statements
	w      *writer
	names  map[string]int64 // interned in this transaction
	counts map[int64]tally  // change of the queues by webhook
	gates  map[string]int64 // generations by webhook
}

// write runs fn in one transaction, which is committed, and durable, when write returns nil. Waiting for the writer ends
// with ctx. What fn does ends with it only where fn looks: the context it is given is never cancelled, because
// interrupting single statements costs more than it saves.
func (s *Store) write(ctx context.Context, fn func(ctx context.Context, t *tx) error) error {
	if s.writer == nil {
		return store.ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case w, open := <-s.writer:
		if !open {
			return errClosed
		}
		defer func() { s.writer <- w }()
		return s.explain(s.transact(context.WithoutCancel(ctx), w, fn))
	}
}

var errClosed = errors.New("the store is closed")

func (s *Store) transact(ctx context.Context, w *writer, fn func(ctx context.Context, t *tx) error) error {
	t := &tx{w: w, statements: &w.statements}
	w.rows = 0
	if err := s.inPlace(); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	committed := false
	defer func() { // also when fn panics
		if !committed {
			_, _ = t.exec(ctx, "ROLLBACK") // fails when SQLite has rolled back by itself
		}
	}()
	if err := fn(ctx, t); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "COMMIT"); err != nil {
		s.tallies.forget()
		return fmt.Errorf("commit, outcome unknown: %w", err)
	}
	committed = true
	s.checkpointer.wrote(w.rows, s.checkpoint)
	maps.Copy(w.names, t.names)
	s.tallies.add(t.counts)
	if t.gates != nil {
		s.gates.put(t.gates)
	}
	return nil
}
