package postgres

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

const (
	// The index has the beginnings of keys: a whole one may be too long for it.
	recordsSQL = `SELECT key, prints, missing, NULL::bytea FROM dh_record WHERE book = ` + bookSQL + `
		AND substring(key FROM 1 FOR 200) >= substring($2::bytea FROM 1 FOR 200) AND key >= $2
		ORDER BY substring(key FROM 1 FOR 200), key LIMIT $3`
	recordSQL = `SELECT key, prints, missing, body FROM dh_record WHERE book = ` + bookSQL + ` AND hash = $2`
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
	err = s.each(ctx, func(r pgx.Rows) error {
		row, err := s.scanRecord(r)
		if err == nil && !strings.HasPrefix(row.Key, rq.Prefix) {
			return errStop
		}
		list = append(list, row)
		return err
	}, recordsSQL, rq.Source, []byte(from), limit)
	if errors.Is(err, errStop) {
		err = nil
	}
	return list, err
}

// Record gives a known record with its last body.
func (s *Store) Record(ctx context.Context, source, key string) (store.RecordRow, error) {
	hash := differ.NewHasher(s.seed).Key([]byte(key))
	row, err := s.scanRecord(s.pool.QueryRow(ctx, recordSQL, source, hash[:]))
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.Body == nil {
		return row, store.ErrNotFound
	}
	return row, s.explain(err)
}

func (s *Store) scanRecord(r pgx.Row) (row store.RecordRow, err error) {
	var key, prints, packed []byte
	if err := r.Scan(&key, &prints, &row.Missing, &packed); err != nil {
		return row, err
	}
	row.Key = string(key)
	if row.Print, err = stored.DecodePrint(prints); err != nil {
		return row, err
	}
	row.Body, err = s.unpack(nil, packed)
	return row, err
}
