package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"sync"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	peersSQL  = `SELECT name, incarnation FROM member WHERE expires_at > ? ORDER BY name`
	ownersSQL = `SELECT s.id, s.owner FROM shard s JOIN member m ON m.name || '#' || m.incarnation = s.owner WHERE m.expires_at > ?`
)

// told is what members have said of themselves. They are of one process, and go with it.
type told struct {
	mu   sync.Mutex
	info map[string]store.Info // by name
}

func (t *told) by(name string) store.Info {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.info[name]
}

// Tell lets the others know something of this member.
func (m *member) Tell(ctx context.Context, i store.Info) error {
	if err := m.Heartbeat(ctx); err != nil {
		return err
	}
	m.s.told.mu.Lock()
	defer m.s.told.mu.Unlock()
	if m.s.told.info == nil {
		m.s.told.info = map[string]store.Info{}
	}
	m.s.told.info[m.name] = i
	return nil
}

// Sight gives who is alive and who owns what.
func (s *Store) Sight(ctx context.Context) (out store.Sight, err error) {
	now := micros(s.now())
	err = s.glance(ctx, func(q querier) error {
		err := each(ctx, q, func(r *sql.Rows) error {
			var name string
			var incarnation int64
			err := r.Scan(&name, &incarnation)
			out.Peers = append(out.Peers, store.Peer{ID: memberID(name, incarnation), Info: s.told.by(name)})
			return err
		}, peersSQL, now)
		if err != nil {
			return err
		}
		return each(ctx, q, func(r *sql.Rows) error {
			var shard int
			var owner string
			if err := r.Scan(&shard, &owner); err != nil || shard >= store.Shards {
				return err
			}
			out.Owners[shard] = owner
			return nil
		}, ownersSQL, now)
	})
	return out, err
}

// Sources lists the sources of some shards that are held.
func (m *member) Sources(ctx context.Context, shards []int) (list []store.SourceRow, err error) {
	err = m.s.glance(ctx, func(q querier) error {
		owned, err := m.owned(ctx, q)
		if err != nil {
			return err
		}
		for _, shard := range shards {
			if !owned[shard] {
				return poller.ErrFenced
			}
		}
		list, err = listSources(ctx, q)
		return err
	})
	return slices.DeleteFunc(list, func(s store.SourceRow) bool { return !slices.Contains(shards, s.Shard) }), err
}
