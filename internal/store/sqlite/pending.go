package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/deltahook/deltahook/emitter"
)

// pendingColumns are those of a delivery that is to be sent. Its body is that of the webhook, or else the event's.
const pendingColumns = `SELECT d.seq, d.attempts, d.since, d.tried_at, d.next_at, d.replay, d.loose <> 0, d.batch, d.status, d.reason,
	e.id, e.source, e.key, e.type, e.sequence, e.at, coalesce(c.body, b.body)`

const pendingTables = ` CROSS JOIN event e ON e.seq = d.seq CROSS JOIN event_body b ON b.seq = d.seq LEFT JOIN event_copy c ON c.id = d.copy `

// pendingRow reads rows of pendingColumns, one after the other into the same places: a backlog has many.
type pendingRow struct {
	seq, attempts, since, tried, next, replay, loose, status, source, sequence, at integer

	batch, reason, id, key, kind string
	body                         blob
	dest                         []any
}

func newPendingRow() *pendingRow {
	p := &pendingRow{}
	p.dest = []any{
		&p.seq, &p.attempts, &p.since, &p.tried, &p.next, &p.replay, &p.loose, &p.batch, &p.status, &p.reason,
		&p.id, &p.source, &p.key, &p.kind, &p.sequence, &p.at, &p.body,
	}
	return p
}

// pending lists the deliveries of a lane that a query of pendingColumns finds, about limit of them.
func (s *Store) pending(ctx context.Context, q querier, lane emitter.Lane, limit int, query string, args ...any) ([]emitter.Delivery, error) {
	list, sources := make([]emitter.Delivery, 0, limit), make([]int64, 0, limit)
	row := newPendingRow()
	err := each(context.WithoutCancel(ctx), q, func(r *sql.Rows) error {
		if err := r.Scan(row.dest...); err != nil {
			return err
		}
		list, sources = append(list, row.delivery(lane)), append(sources, int64(row.source))
		return nil
	}, query, args...)
	for i := range list {
		if err == nil {
			list[i].Source, err = s.names.of(ctx, q, sources[i])
		}
	}
	return list, err
}

func (p *pendingRow) delivery(lane emitter.Lane) emitter.Delivery {
	return emitter.Delivery{
		Ref: emitter.Ref{Lane: lane, Seq: int64(p.seq)},
		ID:  p.id, Key: p.key, Type: p.kind, Sequence: int64(p.sequence), At: fromMicros(int64(p.at)), Body: notNil(p.body),
		Attempts: int(p.attempts), Since: fromMicros(int64(p.since)), TriedAt: fromMicros(int64(p.tried)), NextAt: fromMicros(int64(p.next)),
		Replay: p.replay != 0, Loose: p.loose != 0, Batch: p.batch, Status: int(p.status), Reason: p.reason,
	}
}

// integer is scanned as it comes: database/sql goes by way of texts, or of reflection.
type integer int64

// Scan takes an integer.
func (i *integer) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("%T where an integer should be: %s", src, damagedHint)
	}
	*i = integer(v)
	return nil
}

// blob is scanned without another copy: the driver makes a new one of each value, and keeps none.
type blob []byte

// Scan takes bytes, or nothing.
func (b *blob) Scan(src any) error {
	v, ok := src.([]byte)
	if !ok && src != nil {
		return fmt.Errorf("%T where bytes should be: %s", src, damagedHint)
	}
	*b = v
	return nil
}

// nameBook knows the names of ids that were asked for: they stay for ever, and there are few.
type nameBook struct {
	mu sync.Mutex
	by map[int64]string
}

func (b *nameBook) of(ctx context.Context, q querier, id int64) (string, error) {
	b.mu.Lock()
	name, ok := b.by[id]
	b.mu.Unlock()
	if ok {
		return name, nil
	}
	if err := q.QueryRowContext(ctx, nameSQL, id).Scan(&name); err != nil {
		return "", err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by == nil {
		b.by = map[int64]string{}
	}
	b.by[id] = name
	return name, nil
}
