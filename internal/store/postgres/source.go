package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

// sourceRow is a row of dh_source.
type sourceRow struct {
	name               string
	state              poller.State
	committed, removed time.Time
}

const sourceSQL = `SELECT n.text, s.version, s.sequence, s.records, s.state, s.etag, s.last_modified, s.cursor, s.committed_at, s.removed_at
	FROM dh_source s JOIN dh_name n ON n.id = s.id `

func scanSource(r pgx.Row) (sourceRow, error) {
	var s sourceRow
	var row stored.StateRow
	err := r.Scan(&s.name, &s.state.Version, &s.state.Sequence, &s.state.Records, &row.Text, &row.ETag, &row.LastModified, &row.Cursor,
		(*instant)(&s.committed), (*instant)(&s.removed))
	if err != nil {
		return sourceRow{}, err
	}
	return s, row.Decode(&s.state)
}

// Load gives the state of a source.
func (m *member) Load(ctx context.Context, source string) (st poller.State, err error) {
	err = m.read(ctx, store.ShardOf(source), func(r pgx.Rows) error {
		s, err := scanSource(r)
		st = s.state
		return err
	}, sourceSQL+`WHERE n.text = $1`, source)
	return st, err
}

// Sources lists the sources.
func (s *Store) Sources(ctx context.Context) ([]store.SourceRow, error) {
	return collect(ctx, s, scanSourceRow, sourceSQL+`WHERE s.purged_at IS NULL AND s.version > 0 ORDER BY n.text`)
}

func scanSourceRow(r pgx.Rows) (store.SourceRow, error) {
	s, err := scanSource(r)
	return store.SourceRow{Name: s.name, Shard: store.ShardOf(s.name), State: s.state, Committed: s.committed, Removed: s.removed}, err
}
