package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
)

const queuesSQL = `WITH p AS (SELECT l.webhook, sum(l.n) AS n, min(e.at) AS oldest
		FROM (SELECT shard, webhook, count(*) AS n, min(seq) AS first FROM dh_queue GROUP BY shard, webhook) l
		JOIN dh_event e ON e.seq = l.first GROUP BY l.webhook),
	k AS (SELECT webhook, count(*) AS n FROM dh_delivery WHERE parked GROUP BY webhook)
	SELECT n.text, coalesce(p.n, 0)::bigint, coalesce(k.n, 0), p.oldest FROM p FULL JOIN k USING (webhook) JOIN dh_name n ON n.id = webhook ORDER BY n.text`

// lengths remembers the queues. They are counted, by several replicas at that: where it takes long because millions wait,
// a number of some seconds ago will do.
type lengths struct {
	mu   sync.Mutex
	list []store.Queue
	many int64 // deliveries in it
	took time.Duration
	at   time.Time
}

// Counting takes at most this share of the time, once there is much to count.
const (
	muchToCount = 100_000
	countShare  = 20
)

// Queues gives the length of every queue.
func (s *Store) Queues(ctx context.Context) ([]store.Queue, error) {
	l := &s.lengths
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.many > muchToCount && time.Since(l.at) < countShare*l.took {
		return l.list, nil
	}
	begin := time.Now()
	list, err := collect(ctx, s, func(r pgx.Rows) (q store.Queue, err error) {
		return q, r.Scan(&q.Webhook, &q.Pending, &q.Parked, (*instant)(&q.Oldest))
	}, queuesSQL)
	if err != nil {
		return nil, err
	}
	l.list, l.at, l.took, l.many = list, time.Now(), time.Since(begin), 0
	for _, q := range list {
		l.many += q.Pending + q.Parked
	}
	return list, nil
}
