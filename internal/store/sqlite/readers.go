package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

const (
	maxReaders  = 4           // lists that can be read at the same time
	readerIdle  = time.Minute // then a connection, and the pages that it keeps, are given back
	maxPrepared = 64          // statements of one connection: filters make them of many texts
)

// readers are the connections that read: as many as are wanted at the same time, maxReaders at most.
type readers struct {
	db    *sql.DB
	turns chan struct{} // has one element for each that reads now

	mu     sync.Mutex
	idle   []*reader // the last one was used last
	closed bool
}

// reader is one of these connections. Its statements are prepared once.
type reader struct {
	conn  *sql.Conn
	since time.Time // when it became idle
	statements
}

func newReaders(db *sql.DB) *readers {
	db.SetMaxIdleConns(-1) // what is closed here is closed
	return &readers{db: db, turns: make(chan struct{}, maxReaders)}
}

func (r *reader) close() error { return errors.Join(r.statements.close(), r.conn.Close()) }

// take gives a connection, which has to be given back.
func (p *readers) take(ctx context.Context) (*reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r, err := p.connected(ctx)
	if err != nil {
		<-p.turns
	}
	return r, err
}

func (p *readers) connected(ctx context.Context) (*reader, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	if last := len(p.idle) - 1; last >= 0 {
		r := p.idle[last]
		p.idle = p.idle[:last]
		p.mu.Unlock()
		return r, nil
	}
	p.mu.Unlock()
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &reader{conn: conn, statements: newStatements(conn)}, nil
}

// give takes a connection back; one that is not sound is closed.
func (p *readers) give(r *reader, sound bool) error {
	defer func() { <-p.turns }()
	var errs []error
	if len(r.byText) > maxPrepared {
		errs = append(errs, r.statements.close())
	}
	for _, old := range p.keep(r, sound) {
		errs = append(errs, old.close())
	}
	return errors.Join(errs...)
}

// keep keeps a connection for the next one, and gives those that are to be closed.
func (p *readers) keep(r *reader, sound bool) []*reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !sound || p.closed {
		return []*reader{r}
	}
	r.since = time.Now()
	p.idle = append(p.idle, r)
	if old := p.idle[0]; r.since.Sub(old.since) > readerIdle {
		p.idle = p.idle[1:]
		return []*reader{old}
	}
	return nil
}

// close ends all that are idle; the others end when they are given back.
func (p *readers) close() error {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	var errs []error
	for _, r := range idle {
		errs = append(errs, r.close())
	}
	return errors.Join(append(errs, p.db.Close())...)
}

// read runs fn in one snapshot of the database, which ends when fn returns. Its queries end with ctx.
func (s *Store) read(ctx context.Context, fn func(q querier) error) error {
	return s.snapshot(ctx, fn, false)
}

// glance is read for what takes no time: its queries, once begun, do not end with ctx. Watching one costs more than a row.
func (s *Store) glance(ctx context.Context, fn func(q querier) error) error {
	return s.snapshot(ctx, fn, true)
}

func (s *Store) snapshot(ctx context.Context, fn func(q querier) error, quiet bool) (err error) {
	r, err := s.readers.take(ctx)
	if err != nil {
		return s.explain(err)
	}
	sound := false
	defer func() { err = errors.Join(err, s.readers.give(r, sound)) }() // also when fn panics
	r.quiet = quiet
	sound, err = r.within(context.WithoutCancel(ctx), fn)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // not that a query was interrupted
	}
	return s.explain(err)
}

// within runs fn in a transaction that changes nothing, and says whether the connection is as it was before.
func (r *reader) within(ctx context.Context, fn func(q querier) error) (sound bool, err error) {
	if _, err := r.exec(ctx, "BEGIN"); err != nil {
		return false, err
	}
	err = fn(&r.statements)
	if _, end := r.exec(ctx, "ROLLBACK"); end != nil {
		return false, cmp.Or(err, end) // after an error SQLite may have rolled back by itself
	}
	return true, err
}
