package sqlite

import (
	"context"
	"database/sql"
	"fmt"
)

// The pages that deletions leave behind are used again. When there are many, some are given back to the file system, few at a
// time: each costs the move of another page. What stays free spares the next events the way back.
const (
	vacuumStep  = 256     // pages
	vacuumFrom  = 2048    // free pages, and
	vacuumShare = 1.0 / 4 // of all pages
)

// shrink gives some free pages back.
func shrink(ctx context.Context, t *tx) (bool, error) {
	pages, free, _, err := pageCounts(ctx, t)
	if err != nil || free < vacuumFrom || float64(free) < vacuumShare*float64(pages) {
		return false, err
	}
	freed := 0
	err = each(ctx, t, func(*sql.Rows) error { // a row for each page
		freed++
		return nil
	}, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumStep))
	return freed == vacuumStep, err
}

// usedBytes gives how much of the database file is in use.
func usedBytes(ctx context.Context, q querier) (int64, error) {
	pages, free, size, err := pageCounts(ctx, q)
	return (pages - free) * size, err
}

func pageCounts(ctx context.Context, q querier) (pages, free, size int64, err error) {
	for query, into := range map[string]*int64{"PRAGMA page_count": &pages, "PRAGMA freelist_count": &free, "PRAGMA page_size": &size} {
		if err := q.QueryRowContext(ctx, query).Scan(into); err != nil {
			return 0, 0, 0, err
		}
	}
	return pages, free, size, nil
}
