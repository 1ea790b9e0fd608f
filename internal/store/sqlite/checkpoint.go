package sqlite

import (
	"context"
	"sync"
	"time"
)

// SQLite moves what was committed from its log into the database file when the log has become long, and whoever commits then waits for
// that: tens of milliseconds. Here it is done a moment later, when nobody waits for the commit any more. Only when it cannot be done in
// time, SQLite does it as usual, at walMost pages.
const (
	walMost       = 8000
	walEnough     = 1500 // pages
	walPause      = 200 * time.Millisecond
	pagesOfCommit = 8 // that each commit changes, whatever it writes
	rowsOfPage    = 4 // roughly: rows that one poll changes stand beside each other in some tables, and alone in others

	checkpointSQL = `PRAGMA wal_checkpoint(PASSIVE)`
)

// checkpointer moves the log into the database file.
type checkpointer struct {
	mu     sync.Mutex
	pages  int64       // in the log, as an estimate
	timer  *time.Timer // nil: none is due
	closed bool
}

// wrote hears that a transaction has changed so many rows.
func (c *checkpointer) wrote(rows int64, run func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pages += pagesOfCommit + rows/rowsOfPage; c.pages < walEnough || c.timer != nil || c.closed {
		return
	}
	c.timer = time.AfterFunc(walPause, run)
}

// begins says whether a checkpoint that is due shall run.
func (c *checkpointer) begins() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pages, c.timer = 0, nil
	return !c.closed
}

func (c *checkpointer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// checkpoint takes the writer's turn, so that nobody adds to the log meanwhile and it can begin anew.
func (s *Store) checkpoint() {
	w, open := <-s.writer
	if !open {
		return
	}
	defer func() { s.writer <- w }()
	if !s.checkpointer.begins() {
		return
	}
	ctx := context.Background()
	var busy, length, moved int
	if err := w.QueryRowContext(ctx, checkpointSQL).Scan(&busy, &length, &moved); err != nil {
		s.log.DebugContext(ctx, "the log of the database waits for its next checkpoint", "err", err)
	}
}
