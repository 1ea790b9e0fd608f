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
	contentsSQL = `WITH ` + fenceCTE + ` ` + pendingColumns + ` FROM (SELECT r.*, t.o FROM f CROSS JOIN unnest($4::bigint[]) WITH ORDINALITY t(seq, o)
		CROSS JOIN LATERAL (SELECT seq, webhook, plain FROM dh_queue r WHERE r.shard = $1 AND r.webhook = $5::integer AND r.seq = t.seq LIMIT 1) r)` +
		pendingTables + `ORDER BY q.o`
	sealedRows = ` WHERE webhook = $2::integer AND seq = ANY((SELECT $1::bigint[])::bigint[])` // see ackSQL
	fixSQL     = `UPDATE dh_delivery SET loose = 0` + sealedRows + ` AND loose <> 0 AND state = 0`
	unbindSQL  = `WITH q AS (UPDATE dh_queue SET batch = NULL WHERE shard = $1 AND webhook = $2 AND batch = ANY($3::text[]) RETURNING seq)
		UPDATE dh_delivery SET batch = '' WHERE webhook = $2 AND seq = ANY(ARRAY(SELECT seq FROM q)) AND state = 0`
	bindSQL = `WITH u AS (UPDATE dh_delivery SET batch = $3, attempts = 0, loose = 0` + sealedRows + ` AND batch <> $3 AND state = 0 RETURNING seq)
		UPDATE dh_queue SET plain = false, batch = $3 WHERE shard = $4 AND webhook = $2 AND seq = ANY(ARRAY(SELECT seq FROM u))`
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
	list, err := m.contents(ctx, tx, fence, p, webhook)
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
func (m *member) contents(ctx context.Context, tx pgx.Tx, fence []any, p *emitter.Parcel, webhook int32) ([]emitter.Delivery, error) {
	rows, err := tx.Query(ctx, contentsSQL, append(fence[:3:3], p.Seqs, webhook)...)
	if err != nil {
		return nil, err
	}
	var found pendings
	if err := drain(rows, func(r pgx.Rows) error { return found.scan(r, p.Lane) }); err != nil {
		return nil, err
	}
	list, size := found.list, 0
	for i := range list {
		list[i].Loose = false
		if size = emitter.BatchSize(size, list[i].Body); p.Batch && size > p.MaxBytes && i > 0 {
			list = list[:i]
			break
		}
	}
	return list, m.s.named(ctx, tx, found.sources[:len(list)], list)
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
	_, err := tx.Exec(ctx, bindSQL, seqsOf(list), webhook, id, p.Shard)
	return err
}

func seqsOf(list []emitter.Delivery) []int64 {
	seqs := make([]int64, len(list))
	for i := range list {
		seqs[i] = list[i].Seq
	}
	return seqs
}
