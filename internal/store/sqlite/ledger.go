package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
)

const (
	bookSQL = `SELECT s.book FROM source s JOIN name n ON n.id = s.id WHERE n.text = ? AND s.book IS NOT NULL`
	bodySQL = `SELECT r.key, r.body FROM print p JOIN record r ON r.id = p.record WHERE p.book = ? AND p.hash = ?`
)

func findBook(ctx context.Context, q querier, source string) (book int64, found bool, err error) {
	err = q.QueryRowContext(ctx, bookSQL, source).Scan(&book)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	return book, err == nil, err
}

var errStop = errors.New("stop")

// Bodies gives the stored bodies of the hashes that are known.
func (m *member) Bodies(ctx context.Context, source string, hashes []differ.Hash, yield func(hash differ.Hash, key string, body []byte) error) error {
	return m.read(ctx, store.ShardOf(source), func(q querier) error {
		book, found, err := findBook(ctx, q, source)
		if err != nil || !found {
			return err
		}
		var buf []byte
		for _, hash := range hashes {
			key, body, err := m.s.body(context.WithoutCancel(ctx), q, book, hash, buf[:0])
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if err := yield(hash, key, body); err != nil {
				return err
			}
			buf = body
		}
		return nil
	})
}

// body reads one record; the body is nil when none is stored, and is written to buf when that is large enough.
func (s *Store) body(ctx context.Context, q querier, book int64, hash differ.Hash, buf []byte) (key string, body []byte, err error) {
	var packed []byte
	err = q.QueryRowContext(ctx, bodySQL, book, hash[:]).Scan(&key, &packed)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, store.ErrNotFound
	}
	if err != nil || packed == nil {
		return key, nil, err
	}
	body, err = s.bodies.Unpack(buf, packed)
	return key, body, err
}
