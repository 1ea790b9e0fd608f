package postgres

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	holdsSQL = `SELECT count(*) > 0 FROM dh_shard WHERE id = $1 AND owner = $2 AND epoch = $3`
	ownedSQL = `SELECT id, epoch FROM dh_shard WHERE owner = $1`
)

// epoch gives the token of a shard that is held, after any doubt about it is settled.
func (m *member) epoch(ctx context.Context, shard int) (int64, error) {
	l, ok := m.known(shard)
	if ok && l.doubt {
		if _, err := m.Acquire(ctx, []int{shard}); err != nil {
			return 0, err
		}
		if l, ok = m.known(shard); l.doubt { // somebody else has it
			m.forget(shard)
			return 0, poller.ErrFenced
		}
	}
	if !ok {
		return 0, poller.ErrFenced
	}
	return l.epoch, nil
}

func (m *member) known(shard int) (lease, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, ok := m.leases[shard]
	return l, ok
}

func (m *member) forget(shard int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.leases, shard)
}

// doubt notes that a write to the shard may still happen, or have happened.
func (m *member) doubt(shard int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l, ok := m.leases[shard]; ok {
		l.doubt = true
		m.leases[shard] = l
	}
}

// held gives the leases, after any doubt about them is settled.
func (m *member) held(ctx context.Context) (map[int]int64, error) {
	m.mu.Lock()
	all := maps.Clone(m.leases)
	m.mu.Unlock()
	epochs := make(map[int]int64, len(all))
	for shard, l := range all {
		if l.doubt {
			epoch, err := m.epoch(ctx, shard)
			if errors.Is(err, poller.ErrFenced) {
				continue
			}
			if err != nil {
				return nil, err
			}
			l.epoch = epoch
		}
		epochs[shard] = l.epoch
	}
	return epochs, nil
}

// owned gives the held shards that nobody has taken.
func (m *member) owned(ctx context.Context, q querier) (map[int]bool, error) {
	held, err := m.held(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, ownedSQL, m.ID())
	if err != nil {
		return nil, m.s.explain(err)
	}
	owned := map[int]bool{}
	err = drain(rows, func(r pgx.Rows) error {
		var shard int
		var epoch int64
		err := r.Scan(&shard, &epoch)
		if have, ok := held[shard]; ok && have == epoch {
			owned[shard] = true
		}
		return err
	})
	return owned, m.s.explain(err)
}

// lock lets one write of this process at a time have each of the shards: more than one would only wait for each other in the
// database, where two that share a row lock cost more than one. The order of commits is that of their locks.
func (m *member) lock(ctx context.Context, shards ...int) (unlock func(), err error) {
	shards = slices.Compact(slices.Sorted(slices.Values(shards))) // always in this order: no two wait for each other
	var taken []chan struct{}
	unlock = func() {
		for _, c := range taken {
			<-c
		}
	}
	for _, shard := range shards {
		c := m.gate(shard)
		select {
		case c <- struct{}{}:
			taken = append(taken, c)
		case <-ctx.Done():
			unlock()
			return nil, ctx.Err()
		}
	}
	return unlock, nil
}

func (m *member) gate(shard int) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.locks[shard]
	if c == nil {
		c = make(chan struct{}, 1)
		m.locks[shard] = c
	}
	return c
}

// fenced runs a write of one shard under its lease: one at a time, and with doubt about the lease when its outcome is
// unknown. The statement begins with fenceCTE, whose parameters are shard, owner and epoch; fn says whether it held.
func (m *member) fenced(ctx context.Context, shard int, fn func(ctx context.Context, fence []any) (held bool, err error)) error {
	unlock, err := m.lock(ctx, shard)
	if err != nil {
		return err
	}
	defer unlock()
	return m.underLease(ctx, shard, attempts, fn)
}

// underLease is fenced for who has the lock already.
func (m *member) underLease(ctx context.Context, shard, tries int, fn func(ctx context.Context, fence []any) (held bool, err error)) error {
	epoch, err := m.epoch(ctx, shard)
	if err != nil {
		return err
	}
	sure := true
	err = m.s.try(ctx, tries, func(ctx context.Context) error {
		held, err := fn(ctx, []any{shard, m.ID(), epoch})
		sure = err == nil || failedForSure(err) || harmless(err)
		if err == nil && !held {
			return poller.ErrFenced
		}
		return err
	})
	if !sure {
		m.doubt(shard)
	}
	return err
}

// harmlessError is what went wrong before the database was asked to commit anything.
type harmlessError struct{ error }

func (e harmlessError) Unwrap() error { return e.error }

func harmless(err error) bool {
	_, ok := errors.AsType[harmlessError](err)
	return ok || errors.Is(err, poller.ErrFenced) || errors.Is(err, poller.ErrConflict) || errors.Is(err, store.ErrNotFound)
}

// read asks for rows of a shard that is held. Both questions are one round trip.
func (m *member) read(ctx context.Context, shard int, scan func(r pgx.Rows) error, query string, params ...any) error {
	if m.looking {
		return m.s.each(ctx, scan, query, params...)
	}
	epoch, err := m.epoch(ctx, shard)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(holdsSQL, shard, m.ID(), epoch)
	batch.Queue(query, params...)
	results := m.s.pool.SendBatch(ctx, batch)
	defer results.Close() //nolint:errcheck // what went wrong was said by the rows
	var holds bool
	if err := results.QueryRow().Scan(&holds); err != nil {
		return m.s.explain(err)
	}
	if !holds {
		return poller.ErrFenced
	}
	rows, err := results.Query()
	if err != nil {
		return m.s.explain(err)
	}
	return m.s.explain(drain(rows, scan))
}
