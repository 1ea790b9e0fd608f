package sqlite

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"sync"

	"github.com/deltahook/deltahook/internal/store"
)

// tally is the length of a webhook's queue.
type tally struct{ pending, parked int64 }

// tallies keeps the lengths of all queues in memory, so that nobody has to count rows: this process alone changes them.
// The zero value does not know them yet.
type tallies struct {
	mu      sync.Mutex
	by      map[int64]tally // webhook; nil: not counted yet
	changes int             // how often by has changed
	list    []store.Queue   // as Queues gave it last; nil: not yet
	listed  int             // changes that it knows of
}

// add takes over what a transaction has changed.
func (a *tallies) add(changes map[int64]tally) {
	if len(changes) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
	if a.by == nil {
		return
	}
	for webhook, c := range changes {
		old := a.by[webhook]
		a.by[webhook] = tally{old.pending + c.pending, old.parked + c.parked}
	}
}

// forget makes the next one count anew.
func (a *tallies) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.by, a.changes = nil, a.changes+1
}

// queues gives the list that was kept, if nothing has changed since, and what keep has to be told.
func (a *tallies) queues() (list []store.Queue, changes int, same bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.list), a.changes, a.list != nil && a.listed == a.changes
}

// keep keeps a list that was read after so many changes.
func (a *tallies) keep(list []store.Queue, changes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list, a.listed = append([]store.Queue{}, list...), changes
}

func (a *tallies) get() map[int64]tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.by)
}

func (a *tallies) set(by map[int64]tally) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.by = by
}

// count notes a change of a queue's length in this transaction.
func (t *tx) count(webhook int64, change tally) {
	if t.counts == nil {
		t.counts = map[int64]tally{}
	}
	old := t.counts[webhook]
	t.counts[webhook] = tally{old.pending + change.pending, old.parked + change.parked}
}

const (
	countPendingSQL = `SELECT webhook, count(*), 0 FROM delivery INDEXED BY delivery_pending WHERE state = 0 GROUP BY shard, webhook`
	countParkedSQL  = `SELECT webhook, 0, count(*) FROM delivery INDEXED BY delivery_parked WHERE state = 2 GROUP BY webhook`
)

// lengths gives the queues that are not empty. The first call counts, which holds up writing meanwhile.
func (s *Store) lengths(ctx context.Context) (by map[int64]tally, err error) {
	if by := s.tallies.get(); by != nil {
		return by, nil
	}
	if s.writer == nil {
		err = s.read(ctx, func(q querier) error {
			by, err = countQueues(ctx, q)
			return err
		})
		return by, err
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		by, err = countQueues(ctx, t)
		if err == nil {
			s.tallies.set(maps.Clone(by))
		}
		return err
	})
	return by, err
}

func countQueues(ctx context.Context, q querier) (map[int64]tally, error) {
	by := map[int64]tally{}
	add := func(r *sql.Rows) error {
		var webhook int64
		var n tally
		if err := r.Scan(&webhook, &n.pending, &n.parked); err != nil {
			return err
		}
		old := by[webhook]
		by[webhook] = tally{old.pending + n.pending, old.parked + n.parked}
		return nil
	}
	if err := each(ctx, q, add, countPendingSQL); err != nil {
		return nil, err
	}
	return by, each(ctx, q, add, countParkedSQL)
}
