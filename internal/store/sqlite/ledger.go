package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
)

const (
	bookSQL = `SELECT s.book FROM source s JOIN name n ON n.id = s.id WHERE n.text = ? AND s.book IS NOT NULL`
	bodySQL = `SELECT r.key, r.body FROM print p JOIN record r ON r.id = p.record WHERE p.book = ? AND p.hash = ?`

	// The hashes stand in the first parameter, one behind the other: to run a statement takes longer than to find a record.
	bodiesSQL = `WITH RECURSIVE wanted(hash, at) AS (
			SELECT substr(?1, 1, 16), 1 UNION ALL SELECT substr(?1, at + 16, 16), at + 16 FROM wanted WHERE at + 16 < length(?1))
		SELECT wanted.hash, r.key, r.body FROM wanted CROSS JOIN print p CROSS JOIN record r
		WHERE p.book = ?2 AND p.hash = wanted.hash AND r.id = p.record`
	bodiesAtOnce = 256
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
		for part := range slices.Chunk(hashes, bodiesAtOnce) {
			if err := m.s.eachBody(ctx, q, book, part, yield); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachBody yields the bodies of some records.
func (s *Store) eachBody(ctx context.Context, q querier, book int64, hashes []differ.Hash, yield func(differ.Hash, string, []byte) error) error {
	wanted := make([]byte, 0, len(hashes)*len(differ.Hash{}))
	for i := range hashes {
		wanted = append(wanted, hashes[i][:]...)
	}
	var buf []byte
	var raw, packed sql.RawBytes
	var key string
	return each(context.WithoutCancel(ctx), q, func(r *sql.Rows) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.Scan(&raw, &key, &packed)
		if err != nil {
			return err
		}
		var body []byte
		if packed != nil {
			if buf, err = s.bodies.Unpack(buf[:0], packed); err != nil {
				return err
			}
			body = buf
		}
		return yield(differ.Hash(raw), key, body)
	}, bodiesSQL, wanted, book)
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
