package sqlite

import (
	"context"
	"database/sql"
	"slices"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/store"
)

// What members share lies in memory: all of them live in this process, the lock on the file keeps others out.

// Tokens sells tokens of a bucket.
func (m *member) Tokens(ctx context.Context, o budget.Order) (budget.Grant, error) {
	if err := ctx.Err(); err != nil {
		return budget.Grant{}, err
	}
	return m.s.till.Tokens(m.s.now(), o), nil
}

// Places divides the places of a key among the living.
func (m *member) Places(ctx context.Context, key string, most, want int) (held int, err error) {
	err = m.s.write(ctx, func(ctx context.Context, t *tx) error { // one at a time, so that nobody is forgotten who has just joined
		alive, err := m.s.living(ctx, t)
		if err != nil {
			return err
		}
		if !slices.Contains(alive, m.ID()) {
			return store.ErrMemberLost
		}
		held = m.s.till.Places(key, m.ID(), most, want, alive)
		return nil
	})
	return held, err
}

// Hold lets nobody use a key until a time.
func (m *member) Hold(ctx context.Context, key string, h budget.Hold) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.s.till.Hold(key, h)
	return nil
}

// Holds gives those that are not over.
func (m *member) Holds(ctx context.Context) (map[string]budget.Hold, error) {
	return m.s.till.Holds(m.s.now()), ctx.Err()
}

// NewGates gives all gates: they are few.
func (m *member) NewGates(ctx context.Context) (map[string]emitter.GateState, error) {
	return m.Gates(ctx)
}

// sweepTill forgets what nobody uses any more.
func (s *Store) sweepTill(ctx context.Context, t *tx) (bool, error) {
	alive, err := s.living(ctx, t)
	if err == nil {
		s.till.Sweep(s.now(), alive)
	}
	return false, err
}

func (s *Store) living(ctx context.Context, q querier) (ids []string, err error) {
	err = each(ctx, q, func(r *sql.Rows) error {
		var name string
		var incarnation int64
		err := r.Scan(&name, &incarnation)
		ids = append(ids, memberID(name, incarnation))
		return err
	}, peersSQL, micros(s.now()))
	return ids, err
}
