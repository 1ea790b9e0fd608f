package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/emitter"
)

const (
	gatesSQL    = `SELECT n.text, g.state FROM dh_gate g JOIN dh_name n ON n.id = g.webhook`
	saveGateSQL = `INSERT INTO dh_gate(webhook, state) VALUES ($1, $2) ON CONFLICT (webhook) DO UPDATE SET state = excluded.state`
)

// Gates gives the durable gates.
func (m *member) Gates(ctx context.Context) (map[string]emitter.GateState, error) {
	return m.s.GateStates(ctx)
}

// GateStates gives the durable gates.
func (s *Store) GateStates(ctx context.Context) (map[string]emitter.GateState, error) {
	gates := map[string]emitter.GateState{}
	err := s.each(ctx, func(r pgx.Rows) error {
		var webhook, text string
		var state emitter.GateState
		if err := r.Scan(&webhook, &text); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			return fmt.Errorf("gate of %q: %w", webhook, err)
		}
		gates[webhook] = state
		return nil
	}, gatesSQL)
	return gates, err
}

// SaveGate stores a gate.
func (m *member) SaveGate(ctx context.Context, webhook string, state emitter.GateState) error {
	text, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("gate of %q: %w", webhook, err)
	}
	id, err := m.s.intern(ctx, webhook)
	if err != nil {
		return err
	}
	return m.s.change(ctx, func(ctx context.Context) error {
		_, err := m.s.pool.Exec(ctx, saveGateSQL, id, string(text))
		return err
	})
}
