package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

const (
	recordsSQL = `SELECT key FROM record WHERE book = ? AND key >= ? ORDER BY key LIMIT ?`
	printSQL   = `SELECT prints, missing FROM print WHERE book = ? AND hash = ?`
)

// Records lists the known records of a source by key.
func (s *Store) Records(ctx context.Context, rq store.RecordQuery) (list []store.RecordRow, err error) {
	limit := rq.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	from := rq.Prefix
	if rq.After >= from {
		from = rq.After + "\x00" // no text is between the two
	}
	err = s.read(ctx, func(q querier) error {
		book, found, err := findBook(ctx, q, rq.Source)
		if err != nil || !found {
			return err
		}
		keys, err := collect(ctx, q, func(r *sql.Rows) (key string, err error) { return key, r.Scan(&key) }, recordsSQL, book, from, limit)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if !strings.HasPrefix(key, rq.Prefix) {
				return nil
			}
			row, err := s.print(ctx, q, book, key)
			if err != nil {
				return err
			}
			list = append(list, row)
		}
		return nil
	})
	return list, err
}

// print reads what is known of one record beside its body.
func (s *Store) print(ctx context.Context, q querier, book int64, key string) (store.RecordRow, error) {
	row, hash := store.RecordRow{Key: key}, differ.NewHasher(s.seed).Key([]byte(key))
	var prints []byte
	err := q.QueryRowContext(ctx, printSQL, book, hash[:]).Scan(&prints, &row.Missing)
	if errors.Is(err, sql.ErrNoRows) {
		return row, store.ErrNotFound
	}
	if err == nil {
		row.Print, err = stored.DecodePrint(prints)
	}
	return row, err
}

// Record gives a known record with its last body.
func (s *Store) Record(ctx context.Context, source, key string) (row store.RecordRow, err error) {
	err = s.glance(ctx, func(q querier) error {
		book, found, err := findBook(ctx, q, source)
		if err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		if row, err = s.print(ctx, q, book, key); err != nil {
			return err
		}
		_, row.Body, err = s.body(ctx, q, book, differ.NewHasher(s.seed).Key([]byte(key)), nil)
		if err == nil && row.Body == nil {
			return store.ErrNotFound
		}
		return err
	})
	return row, err
}
