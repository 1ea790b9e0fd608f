package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// defaultPage is the length of a list when the query does not say.
const defaultPage = 100

const (
	pollsSQL = `SELECT p.body FROM poll p JOIN name n ON n.id = p.source WHERE n.text = ? ORDER BY p.number DESC LIMIT ?`
	eventSQL = `SELECT e.seq, e.id, n.text, e.sequence, e.type, e.key, e.at FROM event e CROSS JOIN name n ON n.id = e.source `
	bytesSQL = `SELECT body FROM event_body WHERE seq = ?`
)

// filter gathers the conditions of a query.
type filter struct {
	where []string
	args  []any
}

// add restricts the query; the condition has one placeholder.
func (f *filter) add(condition string, arg any) {
	f.where = append(f.where, condition)
	f.args = append(f.args, arg)
}

func (f *filter) text(condition, value string) {
	if value != "" {
		f.add(condition, value)
	}
}

// source restricts to a source. The plus keeps SQLite from taking the index of sources where a key says much more.
func (f *filter) source(name, key string) {
	if key != "" {
		f.text("+e.source = (SELECT id FROM name WHERE text = ?)", name)
		return
	}
	f.text("e.source = (SELECT id FROM name WHERE text = ?)", name)
}

func (f *filter) number(condition string, value int64) {
	if value != 0 {
		f.add(condition, value)
	}
}

func (f *filter) String() string {
	if len(f.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.where, " AND ")
}

// Polls gives the last polls of a source.
func (s *Store) Polls(ctx context.Context, source string, limit int) (list []poller.Poll, err error) {
	if limit <= 0 {
		limit = defaultPage
	}
	err = s.read(ctx, func(q querier) error {
		list, err = collect(ctx, q, func(r *sql.Rows) (p poller.Poll, err error) {
			var text []byte
			if err := r.Scan(&text); err != nil {
				return p, err
			}
			if err := json.Unmarshal(text, &p); err != nil {
				return p, fmt.Errorf("poll of %q: %w", source, err)
			}
			return p, nil
		}, pollsSQL, source, limit)
		return err
	})
	return list, err
}

// Events lists events, newest first.
func (s *Store) Events(ctx context.Context, eq store.EventQuery) (list []store.EventRow, err error) {
	var f filter
	f.number("e.seq < ?", eq.Before)
	f.source(eq.Source, eq.Key)
	f.text("e.type = ?", eq.Type)
	f.text("e.key = ?", eq.Key)
	f.number("e.at >= ?", micros(eq.Since))
	f.number("e.at < ?", micros(eq.Until))
	limit := eq.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	err = s.read(ctx, func(q querier) error {
		list, err = collect(ctx, q, func(r *sql.Rows) (store.EventRow, error) { return scanEvent(r.Scan) },
			eventSQL+f.String()+" ORDER BY e.seq DESC LIMIT ?", append(f.args, limit)...)
		return err
	})
	return list, err
}

// Event gives one event.
func (s *Store) Event(ctx context.Context, id string) (e store.EventRow, err error) {
	err = s.glance(ctx, func(q querier) error {
		e, err = scanEvent(q.QueryRowContext(ctx, eventSQL+"WHERE e.id = ?", id).Scan)
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		err = q.QueryRowContext(ctx, bytesSQL, e.Seq).Scan(&e.Body)
		e.Body = notNil(e.Body)
		return err
	})
	return e, err
}

func scanEvent(scan func(dest ...any) error) (e store.EventRow, err error) {
	var at int64
	err = scan(&e.Seq, &e.ID, &e.Source, &e.Sequence, &e.Type, &e.Key, &at)
	e.At = fromMicros(at)
	return e, err
}
