// Package sqlite is the embedded store: one SQLite file in WAL mode, one connection that writes, a few that read, one
// process at a time.
//
// Every commit is fsynced before it returns. Readers never wait for the writer, nor the writer for them.
package sqlite

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

// Options says what to open and how.
type Options struct {
	Path     string           // of the database file; its folder must exist
	Log      *slog.Logger     // nil: silent
	ReadOnly bool             // look only: takes no lock, changes nothing, works beside a running daemon
	Now      func() time.Time // the store's clock; nil: time.Now
}

// Store is an opened database. It is safe for concurrent use.
type Store struct {
	told    told
	path    string
	log     *slog.Logger
	now     func() time.Time
	seed    differ.Seed
	bodies  *stored.Codec
	lock    *lockFile    // nil when read-only
	opened  *opened      // nil until all is there; it belongs to whoever has the writer
	writer  chan *writer // holds the writer while nobody uses it; nil when read-only
	readers *readers
	tables  tables
	tallies tallies
	names   nameBook
	gates   generations
	till    budget.Till
	sweep   sweep // where Housekeep goes on

	checkpointer checkpointer

	lastBook int64 // the highest number of a book, 0: not known; it belongs to whoever has the writer

	closing sync.Once
	closed  error
}

var _ store.Store = (*Store)(nil)

// Seed keys all hashes of this store.
func (s *Store) Seed() differ.Seed { return s.seed }

// Shared says that no other process writes here: the lock on the file keeps it out.
func (s *Store) Shared() bool { return false }

// Close ends the store; what was committed is durable with or without it. It waits for the write in progress. Closing
// twice is harmless.
func (s *Store) Close() error {
	s.closing.Do(func() { s.closed = s.close() })
	return s.closed
}

func (s *Store) close() error {
	s.checkpointer.close()
	errs := []error{s.readers.close()}
	if s.writer != nil {
		w := <-s.writer
		close(s.writer)
		errs = append(errs, w.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	s.bodies.Close()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("store: %s: close: %w", s.path, err)
	}
	return nil
}
