package sqlite

import (
	"context"
	"database/sql"
)

// each calls fn for every row of a query.
func each(ctx context.Context, q querier, fn func(r *sql.Rows) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // what went wrong is in rows.Err
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// collect gathers the rows of a query.
func collect[T any](ctx context.Context, q querier, scan func(r *sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	var list []T
	err := each(ctx, q, func(r *sql.Rows) error {
		v, err := scan(r)
		list = append(list, v)
		return err
	}, query, args...)
	return list, err
}
