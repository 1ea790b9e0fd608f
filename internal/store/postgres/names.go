package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/emitter"
)

// Names of sources and webhooks are stored once and stay for ever: what was recorded under a name keeps it. So whoever
// knows a number may keep it in memory.
const (
	findNameSQL = `SELECT id FROM dh_name WHERE text = $1`
	namesSQL    = `SELECT id, text FROM dh_name WHERE id = ANY($1::integer[])`
	internSQL   = `INSERT INTO dh_name(text) VALUES ($1) ON CONFLICT (text) DO NOTHING`
)

// names is what is known of them.
type names struct {
	mu    sync.RWMutex
	ids   map[string]int32
	texts map[int32]string
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
		n.ids, n.texts = map[string]int32{}, map[int32]string{}
	}
	n.ids[name], n.texts[id] = id, name
}

// fill gives each place of list the name that stands in ids there, and the numbers that are not known.
func (n *names) fill(ids []int32, list []emitter.Delivery) (missing []int32) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for i, id := range ids {
		name, ok := n.texts[id]
		if !ok && !slices.Contains(missing, id) {
			missing = append(missing, id)
		}
		list[i].Source = name
	}
	return missing
}

// named fills in the sources of deliveries by their numbers.
func (s *Store) named(ctx context.Context, on querier, ids []int32, list []emitter.Delivery) error {
	missing := s.names.fill(ids, list)
	if len(missing) == 0 {
		return nil
	}
	rows, err := on.Query(ctx, namesSQL, missing)
	if err != nil {
		return s.explain(err)
	}
	err = drain(rows, func(r pgx.Rows) error {
		var id int32
		var name string
		err := r.Scan(&id, &name)
		s.names.put(name, id)
		return err
	})
	if err == nil {
		s.names.fill(ids, list)
	}
	return s.explain(err)
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
