package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	// A new incarnation voids the leases of the one before.
	joinSQL = `WITH m AS (INSERT INTO dh_member(name, incarnation, expires_at) VALUES ($1, 1, clock_timestamp() + $2::interval)
			ON CONFLICT (name) DO UPDATE SET incarnation = dh_member.incarnation + 1, started_at = clock_timestamp(), expires_at = excluded.expires_at
			RETURNING name, incarnation),
		d AS (UPDATE dh_shard s SET owner = NULL FROM m WHERE s.owner = m.name || '#' || (m.incarnation - 1))
		SELECT incarnation FROM m`
	heartbeatSQL = `UPDATE dh_member SET expires_at = clock_timestamp() + $3::interval
		WHERE name = $1 AND incarnation = $2 AND expires_at > clock_timestamp()`
	liveSQL = `SELECT name || '#' || incarnation FROM dh_member WHERE expires_at > clock_timestamp() ORDER BY name`
	// The owner of a shard is alive when it is the current incarnation of a member that has not expired. The rows are locked
	// in their order; a commit that runs under the lease of the former owner is waited for.
	acquireSQL = `WITH me AS (UPDATE dh_member SET expires_at = clock_timestamp() + $4::interval
			WHERE name = $2 AND incarnation = $3 AND expires_at > clock_timestamp() RETURNING name || '#' || incarnation AS id),
		c AS (SELECT s.id, me.id AS owner FROM dh_shard s, me WHERE s.id = ANY($1::integer[]) AND (s.owner IS NULL OR s.owner = me.id OR NOT EXISTS
			(SELECT 1 FROM dh_member m WHERE m.name || '#' || m.incarnation = s.owner AND m.expires_at > clock_timestamp()))
			ORDER BY s.id FOR UPDATE OF s),
		a AS (UPDATE dh_shard s SET owner = c.owner, epoch = epoch + 1, claimed_at = clock_timestamp() FROM c WHERE s.id = c.id RETURNING s.id, s.epoch)
		SELECT (SELECT count(*) FROM me), a.id, a.epoch FROM (SELECT 1) one LEFT JOIN a ON true`
	releaseSQL = `UPDATE dh_shard SET owner = NULL WHERE id = $1 AND owner = $2 AND epoch = $3`
	leaveSQL   = `WITH d AS (UPDATE dh_shard SET owner = NULL WHERE owner = $1 || '#' || $2::bigint)
		UPDATE dh_member SET expires_at = clock_timestamp() WHERE name = $1 AND incarnation = $2`
	holdsSQL = `SELECT count(*) > 0 FROM dh_shard WHERE id = $1 AND owner = $2 AND epoch = $3`
	ownedSQL = `SELECT id, epoch FROM dh_shard WHERE owner = $1`

	// The fence holds the lease until the end of the transaction: nobody takes the shard over meanwhile.
	fenceCTE = `f AS MATERIALIZED (SELECT 1 FROM dh_shard WHERE id = $1::integer AND owner = $2 AND epoch = $3::bigint FOR SHARE)`
)

// member is one membership. Leases are judged by the rows of the database; the map only remembers their epochs.
type member struct {
	s       *Store
	name    string
	ttl     time.Duration
	looking bool // reads without leases

	mu          sync.Mutex
	incarnation int64
	leases      map[int]lease
	locks       map[int]chan struct{} // shards that something writes to
}

// lease is what a member knows of its right to a shard. After a write whose outcome is unknown the lease is in doubt: it has to
// be taken again, which waits for the write if it still runs, before anything is read or written under it.
type lease struct {
	epoch int64
	doubt bool
}

var _ store.Member = (*member)(nil)

// Join starts a new incarnation of a member.
func (s *Store) Join(ctx context.Context, name string, ttl time.Duration) (store.Member, error) {
	m := &member{s: s, name: name, ttl: ttl, leases: map[int]lease{}, locks: map[int]chan struct{}{}}
	if err := m.Rejoin(ctx); err != nil {
		return nil, err
	}
	return m, nil
}

// Rejoin starts a new incarnation.
func (m *member) Rejoin(ctx context.Context) error {
	var next int64
	err := m.s.change(ctx, func(ctx context.Context) error {
		return m.s.pool.QueryRow(ctx, joinSQL, m.name, m.ttl).Scan(&next)
	})
	if err != nil {
		return fmt.Errorf("join as %q: %w", m.name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.incarnation = next
	clear(m.leases)
	return nil
}

// ID is name and incarnation.
func (m *member) ID() string { return fmt.Sprintf("%s#%d", m.name, m.current()) }

func (m *member) current() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.incarnation
}

// Heartbeat extends the membership.
func (m *member) Heartbeat(ctx context.Context) error {
	tag, err := m.s.pool.Exec(ctx, heartbeatSQL, m.name, m.current(), m.ttl)
	if err != nil {
		return m.s.explain(err)
	}
	if tag.RowsAffected() == 0 {
		return store.ErrMemberLost
	}
	return nil
}

// Live lists the members that have not expired.
func (m *member) Live(ctx context.Context) ([]string, error) {
	return collect(ctx, m.s, func(r pgx.Rows) (id string, err error) { return id, r.Scan(&id) }, liveSQL)
}

// Acquire takes what is free. A shard that is already held gets a new epoch, so that a commit of unknown outcome is
// either visible now or refused later.
func (m *member) Acquire(ctx context.Context, shards []int) (taken []store.Lease, err error) {
	err = m.s.change(ctx, func(ctx context.Context) error {
		taken, err = m.acquire(ctx, shards)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("acquire: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range taken {
		if old := m.leases[l.Shard]; l.Epoch > old.epoch { // another Acquire may have been faster
			m.leases[l.Shard] = lease{epoch: l.Epoch}
		}
	}
	return taken, nil
}

func (m *member) acquire(ctx context.Context, shards []int) (taken []store.Lease, err error) {
	rows, err := m.s.pool.Query(ctx, acquireSQL, shards, m.name, m.current(), m.ttl)
	if err != nil {
		return nil, err
	}
	alive := 0
	err = drain(rows, func(r pgx.Rows) error {
		var shard *int
		var epoch *int64
		if err := r.Scan(&alive, &shard, &epoch); err != nil || shard == nil {
			return err
		}
		taken = append(taken, store.Lease{Shard: *shard, Epoch: *epoch})
		return nil
	})
	if err == nil && alive == 0 {
		err = store.ErrMemberLost
	}
	return taken, err
}

// Release gives a shard back.
func (m *member) Release(ctx context.Context, shard int) error {
	unlock, err := m.lock(ctx, shard)
	if err != nil {
		return err
	}
	defer unlock()
	m.mu.Lock()
	held, ok := m.leases[shard]
	m.mu.Unlock()
	if !ok {
		return poller.ErrFenced
	}
	err = m.s.change(ctx, func(ctx context.Context) error {
		tag, err := m.s.pool.Exec(ctx, releaseSQL, shard, m.ID(), held.epoch)
		if err == nil && tag.RowsAffected() == 0 {
			return poller.ErrFenced
		}
		return err
	})
	if err == nil || errors.Is(err, poller.ErrFenced) {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.leases, shard)
	}
	return err
}

// Leave releases everything and ends the membership.
func (m *member) Leave(ctx context.Context) error {
	err := m.s.change(ctx, func(ctx context.Context) error {
		_, err := m.s.pool.Exec(ctx, leaveSQL, m.name, m.current())
		return err
	})
	if err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.leases)
	return nil
}

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
