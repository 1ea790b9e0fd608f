package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

// sourceRow is a row of the table source.
type sourceRow struct {
	id        int64 // 0: there is no such row
	name      string
	book      sql.NullInt64
	state     poller.State
	polls     int64
	committed time.Time
	removed   time.Time
}

const sourceSQL = `SELECT s.id, n.text, s.book, s.version, s.sequence, s.records, s.state, s.etag, s.last_modified, s.cursor,
	s.polls, s.committed_at, s.removed_at FROM source s JOIN name n ON n.id = s.id `

func scanSource(scan func(dest ...any) error) (sourceRow, error) {
	var s sourceRow
	var row stored.StateRow
	var committed, removed int64
	err := scan(&s.id, &s.name, &s.book, &s.state.Version, &s.state.Sequence, &s.state.Records, &row.Text, &row.ETag,
		&row.LastModified, &row.Cursor, &s.polls, &committed, &removed)
	if err != nil {
		return sourceRow{}, err
	}
	s.committed, s.removed = fromMicros(committed), fromMicros(removed)
	return s, row.Decode(&s.state)
}

// findSource gives the row of a source; one with id 0 when there is none.
func findSource(ctx context.Context, q querier, name string) (sourceRow, error) {
	s, err := scanSource(q.QueryRowContext(ctx, sourceSQL+`WHERE n.text = ?`, name).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return sourceRow{name: name}, nil
	}
	return s, err
}

// Load gives the state of a source.
func (m *member) Load(ctx context.Context, source string) (st poller.State, err error) {
	err = m.read(ctx, store.ShardOf(source), func(q querier) error {
		s, err := findSource(ctx, q, source)
		st = s.state
		return err
	})
	return st, err
}

// Sources lists the sources.
func (s *Store) Sources(ctx context.Context) (list []store.SourceRow, err error) {
	err = s.read(ctx, func(q querier) error {
		list, err = listSources(ctx, q)
		return err
	})
	return list, err
}

func listSources(ctx context.Context, q querier) ([]store.SourceRow, error) {
	return collect(ctx, q, func(r *sql.Rows) (store.SourceRow, error) {
		s, err := scanSource(r.Scan)
		return store.SourceRow{
			Name: s.name, Shard: store.ShardOf(s.name), State: s.state, Committed: s.committed, Removed: s.removed,
		}, err
	}, sourceSQL+`WHERE s.purged_at = 0 ORDER BY n.text`)
}
