// Package postgres is the store for several machines: one PostgreSQL database, version 14 or newer.
//
// Whatever is hot is one statement and one round trip. A commit locks the row of its shard for sharing, so that no other
// member can take the shard over while it runs: the epoch in that row is the fencing token. Nothing depends on the state
// of a session, so that PgBouncer may stand between.
package postgres

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

// Options says what to open and how.
type Options struct {
	URL      string           // postgres://…, with the parameters that pgx knows
	Log      *slog.Logger     // nil: silent
	ReadOnly bool             // look only: changes nothing, not even the schema
	Now      func() time.Time // the clock of what people read; nil: time.Now. Leases go by the clock of the database, and retention does when this is nil

	steps []migration // nil: all
}

// Store is an opened database. It is safe for concurrent use.
type Store struct {
	pool     *pgxpool.Pool
	place    string // for people, without the password
	log      *slog.Logger
	now      func() time.Time
	byServer bool // retention goes by the clock of the database
	readOnly bool
	steps    []migration // that this program knows
	seed     differ.Seed
	bodies   *stored.Codec
	names    names
	sweep    sweep // where Housekeep goes on
	lengths  lengths
	large    chan struct{} // held by commits of several statements, so that others find a connection

	closing sync.Once
}

var _ store.Store = (*Store)(nil)

// Seed keys all hashes of this store.
func (s *Store) Seed() differ.Seed { return s.seed }

// Shared says that other processes may be at work here.
func (s *Store) Shared() bool { return true }

// Close ends the store; what was committed is durable with or without it. It waits for what is under way. Closing twice
// is harmless.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.pool.Close()
		s.bodies.Close()
	})
	return nil
}

// patience is how long one statement may take, its round trip included, before its outcome counts as unknown.
const patience = 30 * time.Second

// unbroken gives a context for statements that change something. They do not end with ctx: a connection that is cut in the middle
// leaves an outcome that nobody knows.
func unbroken(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), patience)
}
