package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
)

var _ store.Errands = (*Store)(nil)

const (
	askSQL   = `INSERT INTO dh_errand(shard, text) VALUES ($1, $2) RETURNING id`
	askedSQL = `SELECT id, shard, text FROM dh_errand WHERE answer IS NULL AND shard = ANY($1::integer[])
		AND asked_at > clock_timestamp() - interval '30 seconds' ORDER BY id`
	answerSQL  = `UPDATE dh_errand SET answer = $2 WHERE id = $1`
	collectSQL = `DELETE FROM dh_errand WHERE id = $1 AND (answer IS NOT NULL OR $2) RETURNING answer`
	// What nobody has collected is of one who has gone.
	oldErrandsSQL = `DELETE FROM dh_errand WHERE asked_at < clock_timestamp() - interval '1 hour'`
)

// Ask leaves an errand for whoever owns the shard.
func (s *Store) Ask(ctx context.Context, shard int, text []byte) (id int64, err error) {
	err = s.change(ctx, func(ctx context.Context) error { return s.pool.QueryRow(ctx, askSQL, shard, text).Scan(&id) })
	if err != nil {
		return 0, fmt.Errorf("ask the owner of shard %d: %w", shard, err)
	}
	return id, nil
}

// Asked lists the errands of some shards.
func (s *Store) Asked(ctx context.Context, shards []int) ([]store.Errand, error) {
	return collect(ctx, s, func(r pgx.Rows) (e store.Errand, err error) { return e, r.Scan(&e.ID, &e.Shard, &e.Text) }, askedSQL, shards)
}

// Answer says what came of an errand.
func (s *Store) Answer(ctx context.Context, id int64, text []byte) error {
	return s.change(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, answerSQL, id, notNil(text))
		return err
	})
}

// Collect gives an answer, once.
func (s *Store) Collect(ctx context.Context, id int64, last bool) (text []byte, err error) {
	err = s.change(ctx, func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, collectSQL, id, last).Scan(&text)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return text, err
}
