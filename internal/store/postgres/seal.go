package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

const (
	// It gives what of a parcel is still to be sent, in the order that was asked for.
	contentsSQL = `WITH ` + fenceCTE + ` ` + pendingColumns + ` FROM f CROSS JOIN unnest($4::bigint[]) WITH ORDINALITY t(seq, o)
		CROSS JOIN LATERAL (SELECT * FROM dh_delivery q WHERE q.seq = t.seq AND q.webhook = $5::integer AND q.shard = $1 AND q.state = 0 LIMIT 1) d` +
		pendingTables + `ORDER BY t.o`
	fixSQL = `UPDATE dh_delivery d SET loose = 0 WHERE d.ctid = ANY(ARRAY(SELECT x.c FROM unnest($1::bigint[]) t(seq) CROSS JOIN LATERAL
		(SELECT q.ctid AS c FROM dh_delivery q WHERE q.seq = t.seq AND q.webhook = $2::integer LIMIT 1) x)) AND d.loose <> 0 AND d.state = 0`
	unbindSQL = `UPDATE dh_delivery SET batch = '' WHERE shard = $1 AND webhook = $2 AND batch = ANY($3::text[]) AND batch <> '' AND state = 0`
	bindSQL   = `UPDATE dh_delivery d SET batch = $3, attempts = 0, loose = 0 WHERE d.ctid = ANY(ARRAY(SELECT x.c FROM unnest($1::bigint[]) t(seq) CROSS JOIN LATERAL
		(SELECT q.ctid AS c FROM dh_delivery q WHERE q.seq = t.seq AND q.webhook = $2::integer LIMIT 1) x)) AND d.batch <> $3 AND d.state = 0`
)

// Seal fixes deliveries before their first attempt.
func (m *member) Seal(ctx context.Context, parcels []emitter.Parcel) ([][]emitter.Delivery, error) {
	sealed := make([][]emitter.Delivery, len(parcels))
	shards := make([]int, len(parcels))
	for i := range parcels {
		shards[i] = parcels[i].Shard
	}
	unlock, err := m.lock(ctx, shards...)
	if err != nil {
		return nil, err
	}
	defer unlock()
	fences, err := m.fences(ctx, shards)
	if err == nil {
		err = m.s.change(ctx, func(ctx context.Context) error {
			return m.s.transaction(ctx, func(tx pgx.Tx) error {
				for _, i := range inOrder(shards) { // of the locks that others take
					if fence := fences[parcels[i].Shard]; fence != nil {
						if sealed[i], err = m.seal(ctx, tx, fence, &parcels[i]); err != nil {
							return err
						}
					}
				}
				return nil
			})
		})
	}
	if err != nil {
		return nil, fmt.Errorf("seal %d parcels: %w", len(parcels), err)
	}
	return sealed, nil
}

// inOrder gives the places of the shards, the lowest shard first.
func inOrder(shards []int) []int {
	places := make([]int, len(shards))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return shards[a] - shards[b] })
	return places
}

// fences gives the parameters of the fence for each of the shards that is held.
func (m *member) fences(ctx context.Context, shards []int) (map[int][]any, error) {
	fences := map[int][]any{}
	for _, shard := range shards {
		epoch, err := m.epoch(ctx, shard)
		if errors.Is(err, poller.ErrFenced) {
			continue
		}
		if err != nil {
			return nil, err
		}
		fences[shard] = []any{shard, m.ID(), epoch}
	}
	return fences, nil
}

func (m *member) seal(ctx context.Context, tx pgx.Tx, fence []any, p *emitter.Parcel) ([]emitter.Delivery, error) {
	webhook, err := m.s.lookup(ctx, p.Webhook)
	if err != nil || webhook == 0 || len(p.Seqs) == 0 {
		return nil, err
	}
	list, err := contents(ctx, tx, fence, p, webhook)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if p.Batch {
		return list, bind(ctx, tx, p, webhook, list)
	}
	_, err = tx.Exec(ctx, fixSQL, seqsOf(list), webhook)
	return list, err
}

// contents gives what of a parcel can be sent.
func contents(ctx context.Context, tx pgx.Tx, fence []any, p *emitter.Parcel, webhook int32) (list []emitter.Delivery, err error) {
	rows, err := tx.Query(ctx, contentsSQL, append(fence[:3:3], p.Seqs, webhook)...)
	if err != nil {
		return nil, err
	}
	size, full := 0, false
	err = drain(rows, func(r pgx.Rows) error {
		if full {
			return nil
		}
		d, err := scanPending(r, p.Lane)
		d.Loose = false
		if size = emitter.BatchSize(size, d.Body); p.Batch && size > p.MaxBytes && len(list) > 0 {
			full = true
			return err
		}
		list = append(list, d)
		return err
	})
	return list, err
}

// bind makes the deliveries one batch. A batch that one of them belonged to is none any more.
func bind(ctx context.Context, tx pgx.Tx, p *emitter.Parcel, webhook int32, list []emitter.Delivery) error {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	id := emitter.BatchID(ids)
	var former []string
	for i := range list {
		d := &list[i]
		if d.Batch == id {
			continue
		}
		if d.Batch != "" {
			former = append(former, d.Batch)
		}
		d.Batch, d.Attempts = id, 0
	}
	if len(former) > 0 {
		if _, err := tx.Exec(ctx, unbindSQL, p.Shard, webhook, former); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, bindSQL, seqsOf(list), webhook, id)
	return err
}

func seqsOf(list []emitter.Delivery) []int64 {
	seqs := make([]int64, len(list))
	for i := range list {
		seqs[i] = list[i].Seq
	}
	return seqs
}
