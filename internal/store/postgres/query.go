package postgres

import (
	"context"
	"errors"
	"runtime"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/deltahook/deltahook/internal/store"
)

// querier is what the pool and a transaction have in common.
type querier interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

// defaultConns is what pgx takes when a url says nothing.
func defaultConns() int32 { return int32(max(4, runtime.NumCPU())) } //nolint:gosec // a few

var errStop = errors.New("stop")

// each calls fn for every row of a query.
func (s *Store) each(ctx context.Context, fn func(r pgx.Rows) error, query string, args ...any) error {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return s.explain(err)
	}
	return s.explain(drain(rows, fn))
}

func drain(rows pgx.Rows, fn func(r pgx.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// collect gathers the rows of a query.
func collect[T any](ctx context.Context, s *Store, scan func(r pgx.Rows) (T, error), query string, args ...any) ([]T, error) {
	var list []T
	err := s.each(ctx, func(r pgx.Rows) error {
		v, err := scan(r)
		list = append(list, v)
		return err
	}, query, args...)
	return list, err
}

// attempts is how often a transaction is tried that the server gives up on for the sake of another one.
const attempts = 5

// change runs something that writes, again when it had no effect for a reason that passes.
func (s *Store) change(ctx context.Context, do func(ctx context.Context) error) error {
	return s.try(ctx, attempts, do)
}

func (s *Store) try(ctx context.Context, tries int, do func(ctx context.Context) error) error {
	if s.readOnly {
		return store.ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := unbroken(ctx)
	defer cancel()
	for n := 1; ; n++ {
		err := do(ctx)
		if err == nil || n == tries || !passing(err) && !pgconn.SafeToRetry(err) {
			return s.explain(err)
		}
	}
}

// A transaction that its process has left alone, because that was stopped or cut off, ends in time for others to take over what it
// has locked.
const (
	beginSQL       = `BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'`
	lockTimeoutSQL = `SET LOCAL lock_timeout = '2s'`
)

// transaction runs fn in a transaction.
func (s *Store) transaction(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{BeginQuery: beginSQL}, fn)
}

// args numbers the parameters of a statement while it is put together.
type args []any

// add gives the place of a parameter.
func (a *args) add(v any) string {
	*a = append(*a, v)
	return "$" + strconv.Itoa(len(*a))
}
