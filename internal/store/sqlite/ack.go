package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/deltahook/deltahook/emitter"
)

const (
	ackSQL = `UPDATE delivery SET state = 1, attempts = ?, tries = tries + 1, replay = 0, next_at = 0, settled_at = ?,
		tried_at = ?, took = ?, status = ?, reason = '', cause = ? WHERE seq = ? AND webhook = ? AND state = `
	ackPendingSQL = ackSQL + `0`
	ackParkedSQL  = ackSQL + `2`
	ackDroppedSQL = ackSQL + `3`

	// What the rows of a run differ in is in ?7, ackField characters for each value: a statement for each row takes half as long again.
	ackRunSQL = `UPDATE delivery SET state = 1, attempts = ?1, tries = tries + 1, replay = 0, next_at = 0, status = ?2, reason = '', cause = ?3,
		settled_at = CAST(substr(?7, (seq - ?4) * 51 + 1, 17) AS INTEGER),
		tried_at = CAST(substr(?7, (seq - ?4) * 51 + 18, 17) AS INTEGER),
		took = CAST(substr(?7, (seq - ?4) * 51 + 35, 17) AS INTEGER)
		WHERE seq BETWEEN ?4 AND ?5 AND webhook = ?6 AND state = 0`
	ackField = 17
)

// ackRun is from how many rows on a run of them is acknowledged by one statement.
const ackRun = 8

// Ack settles deliveries, all of them in one transaction. What is settled as delivered stays as it is.
func (m *member) Ack(ctx context.Context, receipts []emitter.Receipt) error {
	sorted := make([]*emitter.Receipt, len(receipts))
	for i := range receipts {
		sorted[i] = &receipts[i]
	}
	slices.SortStableFunc(sorted, func(a, b *emitter.Receipt) int {
		return cmp.Or(cmp.Compare(a.Webhook, b.Webhook), cmp.Compare(a.Seq, b.Seq))
	})
	err := m.s.write(ctx, func(ctx context.Context, t *tx) error {
		for rest := sorted; len(rest) > 0; {
			n := runLength(rest)
			if err := m.s.ack(ctx, t, rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("acknowledge %d deliveries: %w", len(receipts), err)
	}
	return nil
}

// runLength says how many receipts, from the first on, are of events that follow each other and differ in their times only.
func runLength(list []*emitter.Receipt) int {
	first, n := list[0], 1
	for n < len(list) {
		r := list[n]
		if r.Seq != first.Seq+int64(n) || r.Webhook != first.Webhook || r.Attempt.Number != first.Attempt.Number ||
			r.Attempt.Status != first.Attempt.Status || r.Attempt.Trigger != first.Attempt.Trigger {
			break
		}
		n++
	}
	return n
}

// ack settles a run of deliveries.
func (s *Store) ack(ctx context.Context, t *tx, run []*emitter.Receipt) error {
	webhook, err := t.lookup(ctx, run[0].Webhook)
	if err != nil || webhook == 0 {
		return err
	}
	if len(run) >= ackRun {
		all, err := s.ackAll(ctx, t, webhook, run)
		if err != nil || all {
			return err
		}
	}
	for _, r := range run {
		if err := s.ackOne(ctx, t, webhook, r); err != nil {
			return err
		}
	}
	return nil
}

// ackAll settles those of a run that are pending, and says whether all were.
func (s *Store) ackAll(ctx context.Context, t *tx, webhook int64, run []*emitter.Receipt) (all bool, err error) {
	times := make([]byte, 0, 3*ackField*len(run))
	for _, r := range run {
		for _, value := range [...]int64{settledAt(&r.Attempt, s.now()), micros(r.Attempt.At), r.Attempt.Took.Microseconds()} {
			var digits [20]byte
			text := strconv.AppendInt(digits[:0], value, 10)
			if len(text) > ackField {
				return false, nil // a time of another age
			}
			for range ackField - len(text) {
				times = append(times, ' ')
			}
			times = append(times, text...)
		}
	}
	first, last := run[0], run[len(run)-1]
	n, err := t.exec(ctx, ackRunSQL, first.Attempt.Number, first.Attempt.Status, first.Attempt.Trigger, first.Seq, last.Seq, webhook, times)
	t.count(webhook, tally{pending: -n})
	return n == int64(len(run)), err
}

func (s *Store) ackOne(ctx context.Context, t *tx, webhook int64, r *emitter.Receipt) error {
	settled := settledAt(&r.Attempt, s.now())
	for _, from := range []struct {
		query  string
		change tally
	}{{ackPendingSQL, tally{pending: -1}}, {ackParkedSQL, tally{parked: -1}}, {ackDroppedSQL, tally{}}} {
		n, err := t.exec(ctx, from.query, r.Attempt.Number, settled, micros(r.Attempt.At), r.Attempt.Took.Microseconds(),
			r.Attempt.Status, r.Attempt.Trigger, r.Seq, webhook)
		if err != nil {
			return err
		}
		if n > 0 {
			t.count(webhook, from.change)
			return nil
		}
	}
	return nil
}
