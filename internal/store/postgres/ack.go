package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deltahook/deltahook/emitter"
)

// ackSQL joins nothing: what the rows differ in is in arrays beside the sorted $3, and the place of a row in them is looked up. A join, of
// however little, is planned for the ten values that the planner expects of any array, as a loop in a loop: 500 rows took 100 ms.
// The subquery hides how many values there are in truth. Five hundred probes of the index look dearer to the planner than reading a table
// that it takes for as small as its few live rows once were; ten never do.
const ackSQL = `UPDATE dh_delivery SET state = 1, attempts = ($4::integer[])[width_bucket(seq, $3::bigint[])], tries = tries + 1, replay = false,
		loose = 0, next_at = NULL, settled_at = ($5::timestamptz[])[width_bucket(seq, $3::bigint[])], tried_at = ($6::timestamptz[])[width_bucket(seq, $3::bigint[])],
		took = ($7::bigint[])[width_bucket(seq, $3::bigint[])], status = ($8::integer[])[width_bucket(seq, $3::bigint[])], reason = '', cause = $2
	WHERE webhook = $1 AND seq = ANY((SELECT $3::bigint[])::bigint[]) AND state IN (0, 2, 3)`

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
			batch.Queue(ackSQL, a.webhook, a.cause, a.seqs, a.numbers, a.settled, a.tried, a.took, a.statuses)
		}
		return m.s.pool.SendBatch(ctx, batch).Close()
	})
}

// acknowledgement is a set of receipts of one webhook as arrays, in the order of seqs. The cause is the same for all, because a value in
// an array of texts is found only by walking there.
type acknowledgement struct {
	webhook  int32
	cause    string
	seqs     []int64
	numbers  []int32
	settled  []pgtype.Timestamptz
	tried    []pgtype.Timestamptz
	took     []int64
	statuses []int32
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
		cause := clean(r.Attempt.Trigger)
		i := slices.IndexFunc(list, func(a *acknowledgement) bool { return a.webhook == webhook && a.cause == cause })
		if i < 0 {
			i = len(list)
			list = append(list, &acknowledgement{webhook: webhook, cause: cause})
		}
		list[i].add(r, now)
	}
	return list, nil
}

func (a *acknowledgement) add(r *emitter.Receipt, now time.Time) {
	a.seqs = append(a.seqs, r.Seq)
	a.numbers, a.statuses = append(a.numbers, int32(r.Attempt.Number)), append(a.statuses, int32(r.Attempt.Status)) //nolint:gosec // small
	a.settled, a.tried = append(a.settled, settledAt(&r.Attempt, now)), append(a.tried, at(r.Attempt.At))
	a.took = append(a.took, r.Attempt.Took.Microseconds())
}
