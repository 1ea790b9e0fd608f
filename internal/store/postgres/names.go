package postgres

import (
	"context"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Names of sources and webhooks are stored once and stay for ever: what was recorded under a name keeps it. So whoever
// knows a number may keep it in memory.
const (
	findNameSQL = `SELECT id FROM dh_name WHERE text = $1`
	internSQL   = `INSERT INTO dh_name(text) VALUES ($1) ON CONFLICT (text) DO NOTHING`
)

// names is what is known of them.
type names struct {
	mu  sync.RWMutex
	ids map[string]int32
}

func (n *names) get(name string) int32 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.ids[name]
}

func (n *names) put(name string, id int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ids == nil {
		n.ids = map[string]int32{}
	}
	n.ids[name] = id
}

// lookup gives the number of a name, 0 for one that was never stored.
func (s *Store) lookup(ctx context.Context, name string) (int32, error) {
	if id := s.names.get(name); id != 0 {
		return id, nil
	}
	var id int32
	err := s.pool.QueryRow(ctx, findNameSQL, name).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, s.explain(err)
	}
	s.names.put(name, id)
	return id, nil
}

// intern gives the number of a name, a new one if need be. It is no part of any transaction: a name that nothing goes by
// in the end does no harm.
func (s *Store) intern(ctx context.Context, name string) (int32, error) {
	id, err := s.lookup(ctx, name)
	if err != nil || id != 0 {
		return id, err
	}
	if _, err := s.pool.Exec(ctx, internSQL, name); err != nil {
		return 0, s.explain(err)
	}
	return s.lookup(ctx, name)
}
