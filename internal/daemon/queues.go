package daemon

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

// queues knows how long each webhook's queue is, a few seconds ago.
type queues struct {
	store  store.Reader
	limits map[string]int64
	log    *slog.Logger
	last   atomic.Pointer[map[string]store.Queue]
}

func newQueues(s store.Reader, webhooks []emitter.Webhook, log *slog.Logger) *queues {
	q := &queues{store: s, limits: map[string]int64{}, log: log}
	for i := range webhooks {
		q.limits[webhooks[i].Name] = webhooks[i].MaxQueue
	}
	q.last.Store(&map[string]store.Queue{})
	return q
}

func (q *queues) watch(ctx context.Context) {
	const period = 2 * time.Second
	every(ctx, period, func(ctx context.Context) {
		if err := q.read(ctx); err != nil && ctx.Err() == nil {
			q.log.ErrorContext(ctx, "cannot read the queues", "err", err)
		}
	})
}

func (q *queues) read(ctx context.Context) error {
	rows, err := q.store.Queues(ctx)
	if err != nil {
		return err
	}
	now := make(map[string]store.Queue, len(rows))
	for _, r := range rows {
		now[r.Webhook] = r
	}
	q.last.Store(&now)
	return nil
}

func (q *queues) full(webhook string) bool {
	limit := q.limits[webhook]
	return limit > 0 && (*q.last.Load())[webhook].Pending >= limit
}
