package sqlite

import (
	"context"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// Look gives the memory of all sources for reading, without a lease.
func (s *Store) Look() poller.Ledger { return onlooker{&member{s: s, looking: true}} }

// onlooker is a member that owns nothing and may see everything.
type onlooker struct{ poller.Ledger }

// Commit fails.
func (onlooker) Commit(context.Context, poller.Commit) (poller.Committed, error) {
	return poller.Committed{}, store.ErrReadOnly
}
