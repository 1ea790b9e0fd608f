package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// querier is what a snapshot and a write transaction have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// statements prepares each query once: preparing takes longer than running most of them.
type statements struct {
	on     *sql.Conn
	byText map[string]statement
	quiet  bool  // queries do not end with their context
	rows   int64 // that were changed
}

type statement struct{ stmt *sql.Stmt }

func newStatements(on *sql.Conn) statements {
	return statements{on: on, byText: map[string]statement{}}
}

func (p *statements) prepared(ctx context.Context, query string) (statement, error) {
	if s, ok := p.byText[query]; ok {
		return s, nil
	}
	s, err := p.on.PrepareContext(ctx, query)
	if err != nil {
		return statement{}, fmt.Errorf("prepare %q: %w", query, err)
	}
	p.byText[query] = statement{s}
	return statement{s}, nil
}

func (p *statements) close() error {
	var errs []error
	for _, s := range p.byText {
		errs = append(errs, s.stmt.Close())
	}
	clear(p.byText)
	return errors.Join(errs...)
}

// exec runs a statement and says how many rows it changed.
func (p *statements) exec(ctx context.Context, query string, args ...any) (int64, error) {
	s, err := p.prepared(ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := s.stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	p.rows += n
	return n, err
}

// QueryContext runs a query.
func (p *statements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = p.watched(ctx)
	s, err := p.prepared(ctx, query)
	if err != nil {
		return nil, err
	}
	return s.stmt.QueryContext(ctx, args...)
}

// QueryRowContext runs a query for one row.
func (p *statements) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = p.watched(ctx)
	s, err := p.prepared(ctx, query)
	if err != nil { // only a row can carry the error
		return p.on.QueryRowContext(ctx, query, args...)
	}
	return s.stmt.QueryRowContext(ctx, args...)
}

// watched gives the context that ends a query.
func (p *statements) watched(ctx context.Context) context.Context {
	if p.quiet {
		return context.WithoutCancel(ctx)
	}
	return ctx
}
