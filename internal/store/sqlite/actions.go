package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	keepSuccessSQL = `INSERT INTO attempt(seq, webhook, ordinal, number, at, took, status, reason, error, excerpt, cause)
		SELECT seq, webhook, tries, attempts, tried_at, took, status, reason, '', '', cause FROM delivery WHERE seq = ? AND webhook = ?`
	replaySQL  = `UPDATE delivery SET state = 0, replay = 1, loose = 0, batch = '', attempts = 0, since = ?, next_at = ?, settled_at = 0 WHERE seq = ? AND webhook = ?`
	dropSQL    = `UPDATE delivery SET state = 3, settled_at = ?, reason = ? || '; it was parked: ' || reason WHERE seq = ? AND webhook = ?`
	skipSQL    = `UPDATE delivery SET state = 3, replay = 0, loose = 0, batch = '', next_at = 0, settled_at = ?, reason = ? WHERE seq = ? AND webhook = ?`
	removeSQL  = `UPDATE source SET removed_at = ? WHERE id = ?`
	sourcesSQL = `SELECT s.id, n.text, s.removed_at FROM source s JOIN name n ON n.id = s.id`
)

// actionStep is how many deliveries one transaction looks at, so that nobody waits long for the writer.
const actionStep = 500

// Replay queues settled deliveries again.
func (m *member) Replay(ctx context.Context, q store.DeliveryQuery, every time.Duration) (int, error) {
	turns, err := store.NewTurns(ctx, m.s, q, every, m.s.now())
	if err != nil {
		return 0, err
	}
	return m.act(ctx, q, func(ctx context.Context, t *tx, d *deliveryRow) (bool, error) {
		change := tally{pending: 1}
		switch d.state {
		case statePending, stateMerged: // what it was merged into can be replayed
			return false, nil
		case stateDelivered:
			if _, err := t.exec(ctx, keepSuccessSQL, d.Seq, d.webhook); err != nil {
				return false, err
			}
		case stateParked:
			change.parked = -1
		}
		t.count(d.webhook, change)
		_, err := t.exec(ctx, replaySQL, micros(m.s.now()), micros(turns.Next()), d.Seq, d.webhook)
		return true, err
	})
}

// Drop settles parked deliveries, or pending ones, as dropped.
func (m *member) Drop(ctx context.Context, q store.DeliveryQuery, why string) (int, error) {
	from, query, change := stateParked, dropSQL, tally{parked: -1}
	if q.State == store.StatePending {
		from, query, change = statePending, skipSQL, tally{pending: -1}
	}
	return m.act(ctx, q, func(ctx context.Context, t *tx, d *deliveryRow) (bool, error) {
		if d.state != from {
			return false, nil
		}
		t.count(d.webhook, change)
		_, err := t.exec(ctx, query, micros(m.s.now()), why, d.Seq, d.webhook)
		return true, err
	})
}

// action changes one delivery and says whether it did.
type action func(ctx context.Context, t *tx, d *deliveryRow) (bool, error)

// act applies an action to what the query selects in the held shards, step by step.
func (m *member) act(ctx context.Context, q store.DeliveryQuery, do action) (int, error) {
	total := 0
	for left := q.Limit; ; {
		limit := actionStep
		if q.Limit > 0 {
			limit = min(limit, left)
		}
		var rows []deliveryRow
		changed := 0
		err := m.s.write(ctx, func(ctx context.Context, t *tx) (err error) {
			rows, changed, err = m.actStep(ctx, t, q, limit, do)
			return err
		})
		if err != nil {
			return total, fmt.Errorf("after %d deliveries: %w", total, err)
		}
		total += changed
		left -= len(rows)
		if len(rows) < limit || (q.Limit > 0 && left <= 0) {
			return total, nil
		}
		q.Before = rows[len(rows)-1].Seq
	}
}

func (m *member) actStep(ctx context.Context, t *tx, q store.DeliveryQuery, limit int, do action) ([]deliveryRow, int, error) {
	owned, err := m.owned(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	if len(owned) != len(m.held()) {
		return nil, 0, poller.ErrFenced
	}
	rows, err := selectDeliveries(ctx, t, q, limit)
	changed := 0
	for i := range rows {
		if err != nil {
			return nil, 0, err
		}
		if !owned[rows[i].Shard] {
			continue
		}
		var did bool
		if did, err = do(ctx, t, &rows[i]); did {
			changed++
		}
	}
	return rows, changed, err
}

// SetSources marks the sources that left the configuration, and those that came back.
func (m *member) SetSources(ctx context.Context, names []string, at time.Time) error {
	err := m.s.write(ctx, func(ctx context.Context, t *tx) error {
		configured := map[string]bool{}
		for _, name := range names {
			configured[name] = true
		}
		changes := map[int64]int64{} // source: removed_at
		err := each(ctx, t, func(r *sql.Rows) error {
			var id, removed int64
			var name string
			if err := r.Scan(&id, &name, &removed); err != nil {
				return err
			}
			switch {
			case configured[name] && removed != 0:
				changes[id] = 0
			case !configured[name] && removed == 0:
				changes[id] = micros(at)
			}
			return nil
		}, sourcesSQL)
		for id, removed := range changes {
			if err == nil {
				_, err = t.exec(ctx, removeSQL, removed, id)
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("configured sources: %w", err)
	}
	return nil
}
