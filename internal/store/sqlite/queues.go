package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/store"
)

// Queues gives the length of every queue. Lengths come from memory, the oldest event from one probe per lane. As long as no
// queue has changed nothing is read: whoever watches them costs nothing.
func (s *Store) Queues(ctx context.Context) ([]store.Queue, error) {
	kept, changes, same := s.tallies.queues()
	if same && s.writer != nil {
		return kept, nil
	}
	lengths, err := s.lengths(ctx)
	if err != nil {
		return nil, err
	}
	var list []store.Queue
	err = s.glance(ctx, func(q querier) error {
		oldest, err := oldestPending(ctx, q)
		if err != nil {
			return err
		}
		for webhook, n := range lengths {
			if n == (tally{}) {
				continue
			}
			row := store.Queue{Pending: n.pending, Parked: n.parked, Oldest: oldest[webhook]}
			if err := q.QueryRowContext(ctx, nameSQL, webhook).Scan(&row.Webhook); err != nil {
				return err
			}
			list = append(list, row)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b store.Queue) int { return cmp.Compare(a.Webhook, b.Webhook) })
	if err == nil {
		s.tallies.keep(list, changes)
	}
	return list, err
}

// oldestPending gives the detection time of the oldest pending event by webhook.
func oldestPending(ctx context.Context, q querier) (map[int64]time.Time, error) {
	oldest := map[int64]time.Time{}
	return oldest, eachLane(ctx, q, func(h laneHead) error {
		at := fromMicros(h.at)
		if old, ok := oldest[h.webhook]; !ok || at.Before(old) {
			oldest[h.webhook] = at
		}
		return nil
	})
}
