package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/emitter"
)

const (
	portGatesSQL = `SELECT n.text, g.state FROM dh_gate g JOIN dh_name n ON n.id = g.webhook`
	gatesSQL     = `SELECT n.text, g.state, g.gen, g.changed_at, g.clock, clock_timestamp() FROM dh_gate g JOIN dh_name n ON n.id = g.webhook`
	gateSQL      = gatesSQL + ` WHERE g.webhook = $1`
	newGatesSQL  = gatesSQL + ` WHERE g.changed_at > $1`
	saveGateSQL  = `INSERT INTO dh_gate AS g (webhook, state, gen, clock) VALUES ($1, $2, 1, $4)
		ON CONFLICT (webhook) DO UPDATE SET state = excluded.state, gen = g.gen + 1, changed_at = clock_timestamp(), clock = excluded.clock
		WHERE g.gen = $3 RETURNING gen`
)

// Gates gives the durable gates.
func (m *member) Gates(ctx context.Context) (map[string]emitter.GateState, error) {
	return m.s.GateStates(ctx)
}

// GateStates gives the durable gates.
func (s *Store) GateStates(ctx context.Context) (map[string]emitter.GateState, error) {
	gates, _, err := s.gates(ctx, gatesSQL)
	return gates, err
}

// NewGates gives the gates that were stored since the last call. What is written last may be seen late: the change has the time when
// it began, and is there when its transaction has ended. So each call looks back as far as that can take.
func (m *member) NewGates(ctx context.Context) (map[string]emitter.GateState, error) {
	m.mu.Lock()
	since := m.seenGates
	m.mu.Unlock()
	if !since.IsZero() {
		since = since.Add(-patience - 5*time.Second)
	}
	gates, now, err := m.s.gates(ctx, newGatesSQL, since)
	if err == nil && !now.IsZero() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.seenGates = now
	}
	return gates, err
}

// gates reads gates, and the time of the server when there are any.
func (s *Store) gates(ctx context.Context, query string, args ...any) (gates map[string]emitter.GateState, now time.Time, err error) {
	gates = map[string]emitter.GateState{}
	err = s.each(ctx, func(r pgx.Rows) error {
		var webhook, text string
		var state emitter.GateState
		var changed time.Time
		var clock *time.Time
		if err := r.Scan(&webhook, &text, &state.Gen, &changed, &clock, &now); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			return fmt.Errorf("gate of %q: %w", webhook, err)
		}
		if clock != nil {
			state = state.By(clockOff(time.Now().Add(-now.Sub(changed)).Sub(*clock)))
		}
		gates[webhook] = state
		return nil
	}, query, args...)
	return gates, now, err
}

// clockOff is how far the clock here is ahead of the one of whoever wrote something, as far as it matters.
func clockOff(by time.Duration) time.Duration {
	const much = time.Second
	if by.Abs() < much {
		return 0
	}
	return by
}

// SaveGate stores a gate in the place of the generation before it.
func (m *member) SaveGate(ctx context.Context, webhook string, state emitter.GateState) (now emitter.GateState, saved bool, err error) {
	text, err := json.Marshal(state)
	if err != nil {
		return now, false, fmt.Errorf("gate of %q: %w", webhook, err)
	}
	id, err := m.s.intern(ctx, webhook)
	if err != nil {
		return now, false, err
	}
	now = state
	err = m.s.change(ctx, func(ctx context.Context) error {
		err := m.s.pool.QueryRow(ctx, saveGateSQL, id, string(text), state.Gen, time.Now()).Scan(&now.Gen)
		saved = err == nil
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil || saved {
		return now, saved, err
	}
	gates, _, err := m.s.gates(ctx, gateSQL, id)
	return gates[webhook], false, err
}
