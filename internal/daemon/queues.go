package daemon

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

// queues knows how long each webhook's queue is, a few seconds ago, and which of them are full. A full one counts as full until a
// tenth of it is free again, so that its sources do not stop and go with each delivery.
type queues struct {
	store store.Reader
	log   *slog.Logger
	pulse *pulse
	last  atomic.Pointer[map[string]store.Queue]

	mu     sync.Mutex
	limits map[string]int64
	filled map[string]bool
}

func newQueues(s store.Reader, webhooks []emitter.Webhook, log *slog.Logger, pulse *pulse) *queues {
	q := &queues{store: s, log: log, pulse: pulse, filled: map[string]bool{}}
	q.limit(webhooks)
	q.last.Store(&map[string]store.Queue{})
	return q
}

// limit sets how long the queues may be.
func (q *queues) limit(webhooks []emitter.Webhook) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limits = make(map[string]int64, len(webhooks))
	for i := range webhooks {
		q.limits[webhooks[i].Name] = webhooks[i].MaxQueue
	}
	maps.DeleteFunc(q.filled, func(webhook string, _ bool) bool { _, ok := q.limits[webhook]; return !ok })
}

func (q *queues) watch(ctx context.Context) {
	const period = 2 * time.Second
	failed := false
	q.pulse.every(ctx, "queues", period, func(ctx context.Context) {
		err := q.read(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !failed:
			q.log.ErrorContext(ctx, "cannot read the queues; it is tried again", "err", err)
		case err == nil && failed:
			q.log.InfoContext(ctx, "the queues can be read again")
		}
		failed = err != nil
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
	q.judge(now)
	return nil
}

// judge says which queues are full, and tells when that changes.
func (q *queues) judge(now map[string]store.Queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for webhook, limit := range q.limits {
		pending, was := now[webhook].Pending, q.filled[webhook]
		q.filled[webhook] = pending >= limit || was && pending > limit-max(limit/10, 1)
		switch is := q.filled[webhook]; {
		case is && !was:
			q.log.Warn("the queue of a webhook is full; its sources do not poll until there is room, nothing is lost",
				"webhook", webhook, "queued", pending, "max_queue", limit)
		case was && !is:
			q.log.Info("the queue of a webhook has room again; its sources go on", "webhook", webhook, "queued", pending)
		}
	}
}

func (q *queues) full(webhook string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.filled[webhook]
}
