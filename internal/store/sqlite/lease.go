package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	joinSQL = `INSERT INTO member(name, incarnation, expires_at) VALUES (?1, 1, ?2)
		ON CONFLICT (name) DO UPDATE SET incarnation = incarnation + 1, expires_at = ?2 RETURNING incarnation`
	heartbeatSQL = `UPDATE member SET expires_at = ?3 WHERE name = ?1 AND incarnation = ?2 AND expires_at > ?4`
	// The owner of a shard is alive when it is the current incarnation of a member that has not expired.
	acquireSQL = `UPDATE shard SET owner = ?2, epoch = epoch + 1 WHERE id IN (SELECT value FROM json_each(?1)) AND (owner IS NULL OR owner = ?2
		OR NOT EXISTS (SELECT 1 FROM member WHERE name || '#' || incarnation = owner AND expires_at > ?3)) RETURNING id, epoch`
	releaseSQL = `UPDATE shard SET owner = NULL WHERE id = ? AND owner = ? AND epoch = ?`
	disownSQL  = `UPDATE shard SET owner = NULL WHERE owner = ?`
	leaveSQL   = `UPDATE member SET expires_at = 0 WHERE name = ? AND incarnation = ?`
	fenceSQL   = `SELECT 1 FROM shard WHERE id = ? AND owner = ? AND epoch = ?`
)

// member is one membership. Leases are judged by the rows of the database; the map only remembers their epochs.
type member struct {
	s       *Store
	name    string
	ttl     time.Duration
	looking bool // reads without leases

	mu          sync.Mutex
	incarnation int64
	leases      map[int]int64 // shard: epoch
}

var _ store.Member = (*member)(nil)

// buryMembers ends every membership of the processes before this one: the lock of the file proves that they are gone.
func buryMembers(ctx context.Context, t *tx) error {
	if _, err := t.exec(ctx, `UPDATE member SET expires_at = 0 WHERE expires_at > 0`); err != nil {
		return err
	}
	_, err := t.exec(ctx, `UPDATE shard SET owner = NULL WHERE owner IS NOT NULL`)
	return err
}

// Join starts a new incarnation of a member.
func (s *Store) Join(ctx context.Context, name string, ttl time.Duration) (store.Member, error) {
	m, err := s.join(ctx, name, ttl)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (s *Store) join(ctx context.Context, name string, ttl time.Duration) (*member, error) {
	m := &member{s: s, name: name, ttl: ttl, leases: map[int]int64{}}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := t.QueryRowContext(ctx, joinSQL, name, micros(s.now().Add(ttl))).Scan(&m.incarnation); err != nil {
			return err
		}
		_, err := t.exec(ctx, disownSQL, memberID(name, m.incarnation-1))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("join as %q: %w", name, err)
	}
	return m, nil
}

func memberID(name string, incarnation int64) string { return fmt.Sprintf("%s#%d", name, incarnation) }

// ID is name and incarnation.
func (m *member) ID() string { return memberID(m.name, m.current()) }

func (m *member) current() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.incarnation
}

// Heartbeat extends the membership.
func (m *member) Heartbeat(ctx context.Context) error {
	return m.s.write(ctx, func(ctx context.Context, t *tx) error { return m.extend(ctx, t) })
}

func (m *member) extend(ctx context.Context, t *tx) error {
	now := m.s.now()
	n, err := t.exec(ctx, heartbeatSQL, m.name, m.current(), micros(now.Add(m.ttl)), micros(now))
	if err == nil && n == 0 {
		return store.ErrMemberLost
	}
	return err
}

// Rejoin starts a new incarnation.
func (m *member) Rejoin(ctx context.Context) error {
	next, err := m.s.join(ctx, m.name, m.ttl)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.incarnation = next.incarnation
	clear(m.leases)
	return nil
}

// Acquire takes what is free. A shard that is already held gets a new epoch, so that a commit of unknown outcome is
// either visible now or refused later.
func (m *member) Acquire(ctx context.Context, shards []int) ([]store.Lease, error) {
	var taken []store.Lease
	err := m.s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := m.extend(ctx, t); err != nil {
			return err
		}
		wanted, err := json.Marshal(shards)
		if err != nil {
			return err
		}
		taken, err = collect(ctx, t, func(r *sql.Rows) (store.Lease, error) {
			var l store.Lease
			err := r.Scan(&l.Shard, &l.Epoch)
			return l, err
		}, acquireSQL, string(wanted), m.ID(), micros(m.s.now()))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("acquire: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range taken {
		m.leases[l.Shard] = max(m.leases[l.Shard], l.Epoch) // another Acquire may have been faster
	}
	return taken, nil
}

// Release gives shards back.
func (m *member) Release(ctx context.Context, shards ...store.Freed) error {
	held, freed := m.held(), 0
	err := m.s.write(ctx, func(ctx context.Context, t *tx) error {
		freed = 0
		for _, f := range shards {
			n, err := t.exec(ctx, releaseSQL, f.Shard, m.ID(), held[f.Shard])
			if err != nil {
				return err
			}
			freed += int(n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range shards {
		delete(m.leases, f.Shard)
	}
	if freed < len(shards) {
		return poller.ErrFenced
	}
	return nil
}

// Leave releases everything and ends the membership.
func (m *member) Leave(ctx context.Context) error {
	err := m.s.write(ctx, func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, disownSQL, m.ID()); err != nil {
			return err
		}
		_, err := t.exec(ctx, leaveSQL, m.name, m.current())
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

func (m *member) epoch(shard int) (epoch int64, held bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	epoch, held = m.leases[shard]
	return epoch, held
}

func (m *member) held() map[int]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.leases)
}

// fenced fails with ErrFenced unless the shard is this member's in the transaction q.
func (m *member) fenced(ctx context.Context, q querier, shard int) error {
	epoch, held := m.epoch(shard)
	if !held {
		return poller.ErrFenced
	}
	var one int
	err := q.QueryRowContext(ctx, fenceSQL, shard, m.ID(), epoch).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return poller.ErrFenced
	}
	return err
}

// read runs fn in a snapshot in which the shard is this member's.
func (m *member) read(ctx context.Context, shard int, fn func(q querier) error) error {
	return m.s.glance(ctx, func(q querier) error {
		if m.looking {
			return fn(q)
		}
		if err := m.fenced(ctx, q, shard); err != nil {
			return err
		}
		return fn(q)
	})
}
