package sqlite

import (
	"context"
	"errors"
	"fmt"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

const (
	fixSQL    = `UPDATE delivery SET loose = 0 WHERE seq = ? AND webhook = ? AND loose <> 0`
	sealedSQL = pendingColumns + ` FROM delivery d` + pendingTables + `WHERE d.seq = ? AND d.webhook = ? AND d.shard = ? AND d.state = 0`
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

func (m *member) seal(ctx context.Context, t *tx, p *emitter.Parcel) ([]emitter.Delivery, error) {
	if err := m.fenced(ctx, t, p.Shard); err != nil {
		return nil, err
	}
	webhook, err := t.lookup(ctx, p.Webhook)
	if err != nil {
		return nil, err
	}
	list, err := m.contents(ctx, t, p, webhook)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Loose = false
		if _, err := t.exec(ctx, fixSQL, list[i].Seq, webhook); err != nil {
			return nil, err
		}
	}
	if p.Batch {
		return list, t.bind(ctx, p, webhook, list)
	}
	return list, nil
}

// contents gives what of a parcel can be sent.
func (m *member) contents(ctx context.Context, t *tx, p *emitter.Parcel, webhook int64) (list []emitter.Delivery, err error) {
	size := 0
	for _, seq := range p.Seqs {
		one, err := m.s.pending(ctx, t, p.Lane, 1, sealedSQL, seq, webhook, p.Shard)
		if err != nil {
			return nil, err
		}
		for _, d := range one {
			if size = emitter.BatchSize(size, d.Body); p.Batch && size > p.MaxBytes && len(list) > 0 {
				return list, nil
			}
			list = append(list, d)
		}
	}
	return list, nil
}
