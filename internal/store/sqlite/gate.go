package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

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
	gates := map[string]emitter.GateState{}
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
			gates[webhook] = state
			return nil
		}, gatesSQL)
	})
	return gates, err
}

// SaveGate stores a gate.
func (m *member) SaveGate(ctx context.Context, webhook string, state emitter.GateState) error {
	text, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("gate of %q: %w", webhook, err)
	}
	return m.s.write(ctx, func(ctx context.Context, t *tx) error {
		id, err := t.intern(ctx, webhook)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, saveGateSQL, id, string(text))
		return err
	})
}
