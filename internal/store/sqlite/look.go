package sqlite

import "github.com/deltahook/deltahook/poller"

// Look gives the memory of all sources for reading, without a lease.
func (s *Store) Look() poller.Ledger { return &member{s: s, looking: true} }
