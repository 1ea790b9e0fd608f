package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	// A new incarnation voids the leases of the one before, which looked after its shards until its last heartbeat.
	// One whose program the schema has left behind, since it was opened, joins no more: there is no row then.
	joinSQL = `WITH o AS MATERIALIZED (SELECT name || '#' || incarnation AS id, beat_at FROM dh_member WHERE name = $1),
		m AS (INSERT INTO dh_member(name, incarnation, expires_at, info)
			SELECT $1::text, 1, clock_timestamp() + $2::interval, $3::jsonb FROM dh_meta WHERE min_compatible <= $4
			ON CONFLICT (name) DO UPDATE SET incarnation = dh_member.incarnation + 1, started_at = clock_timestamp(), beat_at = clock_timestamp(),
			expires_at = excluded.expires_at, info = excluded.info RETURNING incarnation),
		d AS (UPDATE dh_shard s SET owner = NULL, claimed_at = o.beat_at FROM o WHERE s.owner = o.id)
		SELECT incarnation FROM m`
	heartbeatSQL = `UPDATE dh_member SET expires_at = clock_timestamp() + $3::interval, beat_at = clock_timestamp()
		WHERE name = $1 AND incarnation = $2 AND expires_at > clock_timestamp()`
	tellSQL = `UPDATE dh_member SET info = $3 WHERE name = $1 AND incarnation = $2 AND expires_at > clock_timestamp()`
	// The owner of a shard is alive when it is the current incarnation of a member that has not expired. The rows are locked
	// in their order; a commit that runs under the lease of the former owner is waited for, or passed over.
	acquireSQL = `WITH me AS (UPDATE dh_member SET expires_at = clock_timestamp() + $4::interval, beat_at = clock_timestamp()
			WHERE name = $2 AND incarnation = $3 AND expires_at > clock_timestamp() RETURNING name || '#' || incarnation AS id),
		c AS (SELECT s.id, me.id AS owner, coalesce((SELECT m.beat_at FROM dh_member m WHERE m.name || '#' || m.incarnation = s.owner), s.claimed_at) AS since
			FROM dh_shard s, me WHERE s.id = ANY($1::integer[]) AND (s.owner IS NULL OR s.owner = me.id OR NOT EXISTS
			(SELECT 1 FROM dh_member m WHERE m.name || '#' || m.incarnation = s.owner AND m.expires_at > clock_timestamp()))
			ORDER BY s.id FOR UPDATE OF s`
	acquireTail = `),
		a AS (UPDATE dh_shard s SET owner = c.owner, epoch = epoch + 1, claimed_at = clock_timestamp() FROM c WHERE s.id = c.id
			RETURNING s.id, s.epoch, (extract(epoch FROM clock_timestamp() - c.since) * 1000000)::bigint AS idle)
		SELECT (SELECT count(*) FROM me), a.id, a.epoch, a.idle FROM (SELECT 1) one LEFT JOIN a ON true`
	clockSQL = `SELECT clock_timestamp()`
	// A shard that is free says in claimed_at since when nobody has looked after it. The rows are locked in their order.
	releaseSQL = `WITH u AS (SELECT s.id, u.since FROM unnest($1::integer[], $2::bigint[], $3::timestamptz[]) u(id, epoch, since)
			JOIN dh_shard s ON s.id = u.id AND s.epoch = u.epoch WHERE s.owner = $4 ORDER BY s.id FOR UPDATE OF s)
		UPDATE dh_shard s SET owner = NULL, claimed_at = u.since FROM u WHERE s.id = u.id`
	leaveSQL = `WITH d AS (UPDATE dh_shard SET owner = NULL, claimed_at = clock_timestamp() WHERE owner = $1 || '#' || $2::bigint)
		UPDATE dh_member SET expires_at = clock_timestamp() WHERE name = $1 AND incarnation = $2`
)

// member is one membership. Leases are judged by the rows of the database; the map only remembers their epochs.
type member struct {
	s       *Store
	name    string
	ttl     time.Duration
	looking bool // reads without leases

	mu          sync.Mutex
	incarnation int64
	info        store.Info
	leases      map[int]lease
	locks       map[int]chan struct{} // shards that something writes to
	seenGates   time.Time             // by the clock of the server
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
	m.mu.Lock()
	info := m.info
	m.mu.Unlock()
	err := m.s.change(ctx, func(ctx context.Context) error {
		return m.s.pool.QueryRow(ctx, joinSQL, m.name, m.ttl, info, len(m.s.steps)).Scan(&next)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		_, err = m.s.fits(ctx, m.s.pool)
	}
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

// Tell lets the others know something of this member.
func (m *member) Tell(ctx context.Context, i store.Info) error {
	err := m.s.change(ctx, func(ctx context.Context) error {
		tag, err := m.s.pool.Exec(ctx, tellSQL, m.name, m.current(), i)
		if err == nil && tag.RowsAffected() == 0 {
			return store.ErrMemberLost
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("tell the others: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.info = i
	return nil
}

// Acquire takes what is free. A shard that is already held gets a new epoch, so that a commit of unknown outcome is
// either visible now or refused later.
func (m *member) Acquire(ctx context.Context, shards []int) (taken []store.Lease, err error) {
	err = m.s.change(ctx, func(ctx context.Context) error {
		taken, err = m.acquire(ctx, m.s.pool, acquireSQL+" SKIP LOCKED"+acquireTail, shards)
		return err
	})
	if err == nil && len(taken) < len(shards) {
		taken, err = m.acquireLocked(ctx, shards, taken)
	}
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

// acquireLocked takes those of the shards that others were writing to a moment ago, and gives all that were taken. What a write
// still holds after some time is left to the next call, so that it does not keep the others.
func (m *member) acquireLocked(ctx context.Context, shards []int, taken []store.Lease) ([]store.Lease, error) {
	left := slices.DeleteFunc(slices.Clone(shards), func(shard int) bool {
		return slices.ContainsFunc(taken, func(l store.Lease) bool { return l.Shard == shard })
	})
	var more []store.Lease
	err := m.s.change(ctx, func(ctx context.Context) error {
		return m.s.transaction(ctx, func(tx pgx.Tx) (err error) {
			if _, err := tx.Exec(ctx, lockTimeoutSQL); err != nil {
				return err
			}
			more, err = m.acquire(ctx, tx, acquireSQL+acquireTail, left)
			return err
		})
	})
	if lockTimeout(err) {
		return taken, nil
	}
	return append(taken, more...), err
}

func (m *member) acquire(ctx context.Context, on querier, query string, shards []int) (taken []store.Lease, err error) {
	begun := time.Now() // before the clock of the store is looked at, so that no time is lost between the two
	rows, err := on.Query(ctx, query, shards, m.name, m.current(), m.ttl)
	if err != nil {
		return nil, err
	}
	alive := 0
	err = drain(rows, func(r pgx.Rows) error {
		var shard *int
		var epoch, idle *int64
		if err := r.Scan(&alive, &shard, &epoch, &idle); err != nil || shard == nil {
			return err
		}
		l := store.Lease{Shard: *shard, Epoch: *epoch}
		if idle != nil {
			l.Since = begun.Add(-time.Duration(*idle) * time.Microsecond)
		}
		taken = append(taken, l)
		return nil
	})
	if err == nil && alive == 0 {
		err = store.ErrMemberLost
	}
	return taken, err
}

// Release gives shards back.
func (m *member) Release(ctx context.Context, shards ...store.Freed) error {
	list := make([]int, len(shards))
	for i, f := range shards {
		list[i] = f.Shard
	}
	unlock, err := m.lock(ctx, list...)
	if err != nil {
		return err
	}
	defer unlock()
	epochs := m.epochs(list)
	freed := int64(0)
	err = m.s.change(ctx, func(ctx context.Context) error {
		freed, err = m.release(ctx, shards, list, epochs)
		return err
	})
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, shard := range list {
		if m.leases[shard].epoch == epochs[i] {
			delete(m.leases, shard)
		}
	}
	if freed < int64(len(shards)) {
		return poller.ErrFenced
	}
	return nil
}

// release says by the clock of the store since when nobody looks after the shards: however long the statements wait, that is not too
// late.
func (m *member) release(ctx context.Context, shards []store.Freed, list []int, epochs []int64) (int64, error) {
	conn, err := m.s.pool.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Release()
	var clock time.Time
	if err := conn.QueryRow(ctx, clockSQL).Scan(&clock); err != nil {
		return 0, err
	}
	since, now := make([]pgtype.Timestamptz, len(shards)), time.Now()
	for i, f := range shards {
		if !f.Since.IsZero() {
			since[i] = at(clock.Add(-max(now.Sub(f.Since), 0)))
		}
	}
	tag, err := conn.Exec(ctx, releaseSQL, list, epochs, since, m.ID())
	return tag.RowsAffected(), err
}

// epochs gives those of shards that are held, below zero for others.
func (m *member) epochs(shards []int) []int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]int64, len(shards))
	for i, shard := range shards {
		held, ok := m.leases[shard]
		if out[i] = held.epoch; !ok {
			out[i] = -1
		}
	}
	return out
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
