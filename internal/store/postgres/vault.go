package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	keptSQL  = `SELECT v.value FROM dh_vault v JOIN dh_name n ON n.id = v.source WHERE n.text = $1 AND v.name = $2`
	keepSQL  = `INSERT INTO dh_vault(source, name, value) VALUES ($1, $2, $3) ON CONFLICT (source, name) DO UPDATE SET value = excluded.value`
	letGoSQL = `DELETE FROM dh_vault WHERE source = $1 AND name = $2`
)

// Kept gives a value of the source's vault.
func (m *member) Kept(ctx context.Context, source, name string) (value []byte, err error) {
	err = m.read(ctx, store.ShardOf(source), func(r pgx.Rows) error { return r.Scan(&value) }, keptSQL, source, name)
	return value, err
}

// Keep replaces a value of the source's vault.
func (m *member) Keep(ctx context.Context, source, name string, old, value []byte) error {
	id, err := m.s.intern(ctx, source)
	if err == nil {
		err = m.fenced(ctx, store.ShardOf(source), func(ctx context.Context, fence []any) (held bool, err error) {
			err = m.s.transaction(ctx, func(tx pgx.Tx) error {
				var holds int
				if err := tx.QueryRow(ctx, holdSQL, fence...).Scan(&holds); err != nil || holds == 0 {
					return err
				}
				held = true
				return replaceKept(ctx, tx, source, id, name, old, value)
			})
			return held || err != nil, err
		})
	}
	if err != nil {
		return fmt.Errorf("vault of source %q: %w", source, err) // without what was to be kept
	}
	return nil
}

func replaceKept(ctx context.Context, tx pgx.Tx, source string, id int32, name string, old, value []byte) error {
	var found []byte
	if err := tx.QueryRow(ctx, keptSQL, source, name).Scan(&found); err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if (found == nil) != (old == nil) || !bytes.Equal(found, old) {
		return poller.ErrConflict
	}
	if value == nil {
		_, err := tx.Exec(ctx, letGoSQL, id, name)
		return err
	}
	_, err := tx.Exec(ctx, keepSQL, id, name, value)
	return err
}
