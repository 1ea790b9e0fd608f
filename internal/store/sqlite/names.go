package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// Names of sources and webhooks are stored once and stay for ever: what was recorded under a name keeps it.
const (
	findNameSQL   = `SELECT id FROM name WHERE text = ?`
	insertNameSQL = `INSERT INTO name(text) VALUES (?) RETURNING id`
)

// intern gives the id of a name, a new one if need be.
func (t *tx) intern(ctx context.Context, name string) (int64, error) {
	id, err := t.lookup(ctx, name)
	if err != nil || id != 0 {
		return id, err
	}
	if err := t.QueryRowContext(ctx, insertNameSQL, name).Scan(&id); err != nil {
		return 0, err
	}
	t.remember(name, id)
	return id, nil
}

// lookup gives the id of a name, 0 for one that was never stored.
func (t *tx) lookup(ctx context.Context, name string) (int64, error) {
	if id, ok := t.w.names[name]; ok {
		return id, nil
	}
	if id, ok := t.names[name]; ok {
		return id, nil
	}
	id, err := findName(ctx, t, name)
	if err == nil && id != 0 {
		t.remember(name, id)
	}
	return id, err
}

func (t *tx) remember(name string, id int64) {
	if t.names == nil {
		t.names = map[string]int64{}
	}
	t.names[name] = id
}

// findName gives the id of a name, 0 for one that was never stored.
func findName(ctx context.Context, q querier, name string) (id int64, err error) {
	err = q.QueryRowContext(ctx, findNameSQL, name).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}
