package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"sync"

	"github.com/deltahook/deltahook/emitter"
)

const (
	gatesSQL    = `SELECT n.text, g.state FROM gate g JOIN name n ON n.id = g.webhook`
	saveGateSQL = `INSERT INTO gate(webhook, state) VALUES (?, ?) ON CONFLICT (webhook) DO UPDATE SET state = excluded.state`
)

// Gates gives the durable gates.
func (m *member) Gates(ctx context.Context) (map[string]emitter.GateState, error) {
	return m.s.GateStates(ctx)
}

// GateStates gives the durable gates.
func (s *Store) GateStates(ctx context.Context) (map[string]emitter.GateState, error) {
	gates, gens := map[string]emitter.GateState{}, s.gates.all()
	err := s.glance(ctx, func(q querier) error {
		return each(ctx, q, func(r *sql.Rows) error {
			var webhook, text string
			var state emitter.GateState
			if err := r.Scan(&webhook, &text); err != nil {
				return err
			}
			if err := json.Unmarshal([]byte(text), &state); err != nil {
				return fmt.Errorf("gate of %q: %w", webhook, err)
			}
			state.Gen = gens[webhook] // as of before: nobody takes it for newer than it is
			gates[webhook] = state
			return nil
		}, gatesSQL)
	})
	return gates, err
}

// SaveGate stores a gate in the place of the generation before it. Generations are counted in memory: nobody else writes here.
func (m *member) SaveGate(ctx context.Context, webhook string, state emitter.GateState) (now emitter.GateState, saved bool, err error) {
	text, err := json.Marshal(state)
	if err != nil {
		return now, false, fmt.Errorf("gate of %q: %w", webhook, err)
	}
	err = m.s.write(ctx, func(ctx context.Context, t *tx) error {
		now, saved = state, m.s.gates.all()[webhook] == state.Gen
		if !saved {
			return nil
		}
		now.Gen++
		t.gates = map[string]int64{webhook: now.Gen}
		id, err := t.intern(ctx, webhook)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, saveGateSQL, id, string(text))
		return err
	})
	if err != nil || saved {
		return now, saved, err
	}
	all, err := m.Gates(ctx)
	return all[webhook], false, err
}

// generations counts how often gates were stored since the store was opened.
type generations struct {
	mu sync.Mutex
	by map[string]int64
}

func (g *generations) all() map[string]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.by)
}

func (g *generations) put(by map[string]int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by == nil {
		g.by = map[string]int64{}
	}
	maps.Copy(g.by, by)
}
