package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deltahook/deltahook/emitter"
)

const (
	// It joins nothing: what the rows differ in is in arrays beside the sorted $2, and the place of a row in them is looked up. A join, of
	// however little, is planned for the ten values that the planner expects of any array, as a loop in a loop: 500 rows took 100 ms.
	// The subquery hides how many values there are in truth. Five hundred probes of the index look dearer to the planner than reading a table
	// that it takes for as small as its few live rows once were; ten never do.
	ackSQL = `WITH u AS (UPDATE dh_delivery SET state = 1, parked = false, attempts = $4::integer, tries = tries + 1, replay = false, loose = 0, next_at = NULL,
		settled_at = ($6::timestamptz[])[width_bucket(seq, $2::bigint[])], tried_at = ($7::timestamptz[])[width_bucket(seq, $2::bigint[])],
		took = ($8::bigint[])[width_bucket(seq, $2::bigint[])], status = $5::integer, why = '', cause = $3
		WHERE webhook = $1 AND seq = ANY((SELECT $2::bigint[])::bigint[]) AND state IN (0, 2, 3) RETURNING shard, webhook, seq) `
	ackLaneSQL  = ackSQL + `DELETE FROM dh_queue WHERE shard = $9::integer AND webhook = $1 AND seq = ANY(ARRAY(SELECT seq FROM u))`
	ackLanesSQL = ackSQL + dequeueHead + `u` + dequeueTail
)

// Ack settles deliveries, all of them in one transaction. What is settled as delivered stays as it is.
func (m *member) Ack(ctx context.Context, receipts []emitter.Receipt) error {
	if err := m.ack(ctx, receipts); err != nil {
		return fmt.Errorf("acknowledge %d deliveries: %w", len(receipts), err)
	}
	return nil
}

func (m *member) ack(ctx context.Context, receipts []emitter.Receipt) error {
	list, err := m.s.acknowledgements(ctx, receipts)
	if err != nil || len(list) == 0 {
		return err
	}
	return m.s.change(ctx, func(ctx context.Context) error {
		batch := &pgx.Batch{} // what is sent together is one transaction
		for _, a := range list {
			params := []any{a.webhook, a.seqs, a.cause, a.number, a.status, a.settled, a.tried, a.took}
			if a.lanes > 1 {
				batch.Queue(ackLanesSQL, params...)
			} else {
				batch.Queue(ackLaneSQL, append(params, a.shard)...)
			}
		}
		left, err := m.s.acknowledge(ctx, batch, list)
		if err != nil || len(left) == 0 {
			return err
		}
		return m.s.settledOut(ctx, left)
	})
}

// acknowledge gives those of which not all were in the queue: they were acknowledged before, or parked, or somebody had their rows there.
func (s *Store) acknowledge(ctx context.Context, batch *pgx.Batch, list []*acknowledgement) (left []*acknowledgement, err error) {
	results := s.pool.SendBatch(ctx, batch)
	for _, a := range list {
		tag, err := results.Exec()
		if err != nil {
			return nil, errors.Join(err, results.Close())
		}
		if tag.RowsAffected() < int64(len(a.seqs)) {
			left = append(left, a)
		}
	}
	return left, results.Close()
}

func (s *Store) settledOut(ctx context.Context, list []*acknowledgement) error {
	batch := &pgx.Batch{}
	for _, a := range list {
		batch.Queue(settledOutSQL, a.webhook, a.seqs)
	}
	return s.pool.SendBatch(ctx, batch).Close()
}

// acknowledgement is a set of receipts that differ in little, which is in arrays, in the order of seqs. A value in an array of texts would
// be found only by walking there.
type acknowledgement struct {
	alike

	shard, lanes int // of the last one, and how often it was another one than before
	seqs         []int64
	settled      []pgtype.Timestamptz
	tried        []pgtype.Timestamptz
	took         []int64
}

// alike is what all of them have in common.
type alike struct {
	webhook int32
	cause   string
	number  int
	status  int
}

// acknowledgements sorts receipts. Of several for a delivery the first counts.
func (s *Store) acknowledgements(ctx context.Context, receipts []emitter.Receipt) (list []*acknowledgement, err error) {
	sorted := make([]*emitter.Receipt, len(receipts))
	for i := range receipts {
		sorted[i] = &receipts[i]
	}
	slices.SortStableFunc(sorted, func(a, b *emitter.Receipt) int {
		return cmp.Or(cmp.Compare(a.Webhook, b.Webhook), cmp.Compare(a.Seq, b.Seq))
	})
	sorted = slices.CompactFunc(sorted, func(a, b *emitter.Receipt) bool { return a.Webhook == b.Webhook && a.Seq == b.Seq })
	now := s.now()
	for _, r := range sorted {
		webhook, err := s.lookup(ctx, r.Webhook)
		if err != nil {
			return nil, err
		}
		if webhook == 0 {
			continue
		}
		key := alike{webhook, clean(r.Attempt.Trigger), r.Attempt.Number, r.Attempt.Status}
		i := slices.IndexFunc(list, func(a *acknowledgement) bool { return a.alike == key })
		if i < 0 {
			i = len(list)
			list = append(list, &acknowledgement{alike: key})
		}
		list[i].add(r, now)
	}
	return list, nil
}

func (a *acknowledgement) add(r *emitter.Receipt, now time.Time) {
	if len(a.seqs) == 0 || a.shard != r.Shard {
		a.shard, a.lanes = r.Shard, a.lanes+1
	}
	a.seqs = append(a.seqs, r.Seq)
	a.settled, a.tried = append(a.settled, settledAt(&r.Attempt, now)), append(a.tried, at(r.Attempt.At))
	a.took = append(a.took, r.Attempt.Took.Microseconds())
}
