package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

const (
	peersSQL  = `SELECT name || '#' || incarnation, started_at, info FROM dh_member WHERE expires_at > clock_timestamp() ORDER BY name`
	ownersSQL = `SELECT s.id, s.stirred, coalesce(m.id, '') FROM dh_shard s LEFT JOIN
		(SELECT name || '#' || incarnation AS id FROM dh_member WHERE expires_at > clock_timestamp()) m ON m.id = s.owner`
	heldSourcesSQL = sourceSQL + `WHERE s.shard = ANY($1::integer[]) AND s.purged_at IS NULL AND s.version > 0 ORDER BY n.text`
)

// Sight gives who is alive and who owns what.
func (s *Store) Sight(ctx context.Context) (out store.Sight, err error) {
	batch := &pgx.Batch{}
	batch.Queue(peersSQL)
	batch.Queue(ownersSQL)
	results := s.pool.SendBatch(ctx, batch)
	defer results.Close() //nolint:errcheck // what went wrong was said by the rows
	rows, err := results.Query()
	if err == nil {
		err = drain(rows, func(r pgx.Rows) error {
			var p store.Peer
			err := r.Scan(&p.ID, (*instant)(&p.Started), &p.Info)
			out.Peers = append(out.Peers, p)
			return err
		})
	}
	if err == nil {
		rows, err = results.Query()
	}
	if err == nil {
		err = drain(rows, func(r pgx.Rows) error {
			var shard int
			var stirred int64
			var owner string
			if err := r.Scan(&shard, &stirred, &owner); err != nil || shard >= store.Shards {
				return err
			}
			out.Owners[shard], out.Stirred[shard] = owner, stirred
			return nil
		})
	}
	return out, s.explain(err)
}

// Sources lists the sources of some shards that are held.
func (m *member) Sources(ctx context.Context, shards []int) ([]store.SourceRow, error) {
	owned, err := m.owned(ctx, m.s.pool)
	if err != nil {
		return nil, err
	}
	for _, shard := range shards {
		if !owned[shard] {
			return nil, poller.ErrFenced
		}
	}
	return collect(ctx, m.s, scanSourceRow, heldSourcesSQL, shards)
}
