package sqlite

import (
	"context"
	"strings"
)

// batchRows is how many rows one INSERT of a batch has. More per statement measure no better.
const batchRows = 16

// batch gathers rows of one table and inserts many with one statement, which takes two thirds of the time.
type batch struct {
	one, many string // statements
	columns   int
	args      []any
}

// tables has an empty batch for each table that a commit writes many rows to.
type tables struct{ events, bodies, deliveries batch }

func newTables() tables {
	return tables{
		events:     newBatch("event", "seq", "id", "source", "sequence", "type", "change", "key", "at"),
		bodies:     newBatch("event_body", "seq", "body"),
		deliveries: newBatch("delivery", "seq", "webhook", "shard", "copy"),
	}
}

// newBatch makes a batch for a table.
func newBatch(table string, columns ...string) batch {
	row := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ") + ")"
	one := "INSERT INTO " + table + "(" + strings.Join(columns, ", ") + ") VALUES " + row
	return batch{one: one, many: one + strings.Repeat(", "+row, batchRows-1), columns: len(columns)}
}

// add puts a row in the batch. What it refers to must not change before the batch is flushed.
func (b *batch) add(ctx context.Context, t *tx, values ...any) error {
	b.args = append(b.args, values...)
	if len(b.args) < batchRows*b.columns {
		return nil
	}
	_, err := t.exec(ctx, b.many, b.args...)
	b.args = b.args[:0]
	return err
}

// flush inserts the rows that are left.
func (b *batch) flush(ctx context.Context, t *tx) error {
	for rows := b.args; len(rows) > 0; rows = rows[b.columns:] {
		if _, err := t.exec(ctx, b.one, rows[:b.columns]...); err != nil {
			return err
		}
	}
	b.args = b.args[:0]
	return nil
}
