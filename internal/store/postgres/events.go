package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// defaultPage is the length of a list when the query does not say.
const defaultPage = 100

const (
	pollsSQL = `SELECT p.body FROM dh_poll p JOIN dh_name n ON n.id = p.source WHERE n.text = $1 ORDER BY p.number DESC LIMIT $2`
	eventSQL = `SELECT e.seq, e.id, n.text, e.sequence, e.type, e.key, e.at%s FROM dh_event e JOIN dh_name n ON n.id = e.source`
)

// Polls gives the last polls of a source.
func (s *Store) Polls(ctx context.Context, source string, limit int) ([]poller.Poll, error) {
	if limit <= 0 {
		limit = defaultPage
	}
	return collect(ctx, s, func(r pgx.Rows) (p poller.Poll, err error) {
		var text []byte
		if err := r.Scan(&text); err != nil {
			return p, err
		}
		if err := json.Unmarshal(text, &p); err != nil {
			return p, fmt.Errorf("poll of %q: %w", source, err)
		}
		return p, nil
	}, pollsSQL, source, limit)
}

// Events lists events, newest first.
func (s *Store) Events(ctx context.Context, eq store.EventQuery) ([]store.EventRow, error) {
	var f filter
	f.number("e.seq < ?", eq.Before)
	f.text("e.source = (SELECT id FROM dh_name WHERE text = ?)", eq.Source)
	f.text("e.type = ?", clean(eq.Type))
	f.key(eq.Key)
	if !eq.Since.IsZero() {
		f.restrict("e.at >= ?", at(eq.Since))
	}
	if !eq.Until.IsZero() {
		f.restrict("e.at < ?", at(eq.Until))
	}
	limit := eq.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	query := fmt.Sprintf(eventSQL, "") + f.String() + " ORDER BY e.seq DESC LIMIT " + f.add(limit)
	return collect(ctx, s, func(r pgx.Rows) (store.EventRow, error) { return scanEvent(r) }, query, f.args...)
}

// Event gives one event.
func (s *Store) Event(ctx context.Context, id string) (store.EventRow, error) {
	var body []byte
	e, err := scanEvent(s.pool.QueryRow(ctx, fmt.Sprintf(eventSQL, ", e.body")+" WHERE e.id = $1", id), &body)
	if errors.Is(err, pgx.ErrNoRows) {
		return e, store.ErrNotFound
	}
	e.Body = notNil(body)
	return e, s.explain(err)
}

func scanEvent(r pgx.Row, more ...any) (e store.EventRow, err error) {
	var key []byte
	err = r.Scan(append([]any{&e.Seq, &e.ID, &e.Source, &e.Sequence, &e.Type, &key, (*instant)(&e.At)}, more...)...)
	e.Key = string(key)
	return e, err
}
