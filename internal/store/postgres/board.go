package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
)

var _ store.Board = (*Store)(nil)

// schemaBoard is for what members tell each other.
const schemaBoard = `
CREATE TABLE dh_report (part text COLLATE "C" PRIMARY KEY, member text NOT NULL, at timestamptz NOT NULL, body text NOT NULL) WITH (fillfactor = 50);
`

const (
	// In the order of the parts, so that no two wait for each other.
	reportSQL = `INSERT INTO dh_report(part, member, at, body) SELECT t.part, $1::text, clock_timestamp(), t.body
			FROM unnest($2::text[], $3::text[]) t(part, body) ORDER BY t.part
		ON CONFLICT (part) DO UPDATE SET member = excluded.member, at = excluded.at, body = excluded.body`
	reportsSQL = `SELECT part, member, at, body FROM dh_report WHERE at > $1 ORDER BY at`
	// Of members that are gone, and of shards that nobody reports of any more because there is one member left.
	oldReportsSQL = `DELETE FROM dh_report WHERE at < clock_timestamp() - interval '1 day'`
)

// Report writes down what is known in one process only.
func (s *Store) Report(ctx context.Context, member string, reports []store.Report) error {
	if len(reports) == 0 {
		return nil
	}
	parts, bodies := make([]string, len(reports)), make([]string, len(reports))
	for i := range reports {
		parts[i], bodies[i] = reports[i].Part, clean(string(reports[i].Body))
	}
	err := s.change(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, reportSQL, member, parts, bodies)
		return err
	})
	if err != nil {
		return fmt.Errorf("report of %s: %w", member, err)
	}
	return nil
}

// Reports gives what was reported after a time.
func (s *Store) Reports(ctx context.Context, after time.Time) ([]store.Report, error) {
	since := at(after)
	if after.IsZero() {
		since = at(time.Unix(0, 0))
	}
	return collect(ctx, s, func(r pgx.Rows) (one store.Report, err error) {
		var body string
		err = r.Scan(&one.Part, &one.By, (*instant)(&one.At), &body)
		one.Body = []byte(body)
		return one, err
	}, reportsSQL, since)
}
