package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

const (
	fixSQL    = `UPDATE delivery SET loose = 0 WHERE seq = ? AND webhook = ? AND shard = ? AND state = 0 AND loose <> 0`
	sealedSQL = pendingColumns + ` FROM delivery d CROSS JOIN event e ON e.seq = d.seq CROSS JOIN name n ON n.id = e.source
		CROSS JOIN event_body b ON b.seq = d.seq LEFT JOIN event_copy c ON c.id = d.copy
		WHERE d.seq = ? AND d.webhook = ? AND d.shard = ? AND d.state = 0`
)

// Seal fixes deliveries before their first attempt.
func (m *member) Seal(ctx context.Context, parcels []emitter.Parcel) ([][]emitter.Delivery, error) {
	sealed := make([][]emitter.Delivery, len(parcels))
	err := m.s.write(ctx, func(ctx context.Context, t *tx) (err error) {
		for i := range parcels {
			sealed[i], err = m.seal(ctx, t, &parcels[i])
			if err != nil && !errors.Is(err, poller.ErrFenced) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("seal %d parcels: %w", len(parcels), err)
	}
	return sealed, nil
}

func (m *member) seal(ctx context.Context, t *tx, p *emitter.Parcel) (list []emitter.Delivery, err error) {
	if err := m.fenced(ctx, t, p.Shard); err != nil {
		return nil, err
	}
	webhook, err := t.lookup(ctx, p.Webhook)
	if err != nil {
		return nil, err
	}
	for _, seq := range p.Seqs {
		if _, err := t.exec(ctx, fixSQL, seq, webhook, p.Shard); err != nil {
			return nil, err
		}
		err := each(ctx, t, func(r *sql.Rows) error {
			d, err := scanPending(r, p.Lane)
			list = append(list, d)
			return err
		}, sealedSQL, seq, webhook, p.Shard)
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}
