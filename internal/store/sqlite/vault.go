package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	keptSQL       = `SELECT v.value FROM vault v JOIN name n ON n.id = v.source WHERE n.text = ? AND v.name = ?`
	keepSQL       = `INSERT INTO vault(source, name, value) VALUES (?, ?, ?) ON CONFLICT (source, name) DO UPDATE SET value = excluded.value`
	letGoSQL      = `DELETE FROM vault WHERE source = ? AND name = ?`
	emptyVaultSQL = `DELETE FROM vault WHERE source = ?`
)

func kept(ctx context.Context, q querier, source, name string) (value []byte, err error) {
	err = q.QueryRowContext(ctx, keptSQL, source, name).Scan(&value)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err == nil && value == nil: // how an empty value is read
		value = []byte{}
	}
	return value, err
}

// Kept gives a value of the source's vault.
func (m *member) Kept(ctx context.Context, source, name string) (value []byte, err error) {
	err = m.read(ctx, store.ShardOf(source), func(q querier) error {
		value, err = kept(ctx, q, source, name)
		return err
	})
	return value, err
}

// Keep replaces a value of the source's vault.
func (m *member) Keep(ctx context.Context, source, name string, old, value []byte) error {
	err := m.s.write(ctx, func(ctx context.Context, t *tx) error {
		if err := m.fenced(ctx, t, store.ShardOf(source)); err != nil {
			return err
		}
		found, err := kept(ctx, t, source, name)
		if err != nil {
			return err
		}
		if (found == nil) != (old == nil) || !bytes.Equal(found, old) {
			return poller.ErrConflict
		}
		id, err := t.intern(ctx, source)
		if err != nil {
			return err
		}
		if value == nil {
			_, err = t.exec(ctx, letGoSQL, id, name)
			return err
		}
		_, err = t.exec(ctx, keepSQL, id, name, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("vault of source %q: %w", source, err) // without what was to be kept
	}
	return nil
}
