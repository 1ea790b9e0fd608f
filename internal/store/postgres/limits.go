package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/store"
)

// The schema of what the members share: buckets and holds by key, places by key and member, and gates that are compared before they
// are set. The column sold says until when all tokens of a bucket are sold, and deal how many the last order got; clock is that of
// whoever wrote the gate.
const schemaLimits = `
CREATE TABLE dh_bucket (
  key text COLLATE "C" PRIMARY KEY, sold timestamptz, deal integer NOT NULL DEFAULT 0,
  held_until timestamptz, held_status integer NOT NULL DEFAULT 0, held_why text NOT NULL DEFAULT '', used_at timestamptz NOT NULL DEFAULT clock_timestamp())
  WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
CREATE TABLE dh_place (key text COLLATE "C", member text COLLATE "C", held integer NOT NULL, PRIMARY KEY (key, member))
  WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE dh_gate ADD COLUMN gen bigint NOT NULL DEFAULT 0, ADD COLUMN changed_at timestamptz NOT NULL DEFAULT clock_timestamp(), ADD COLUMN clock timestamptz;
CREATE INDEX dh_gate_changed ON dh_gate (changed_at);
`

const (
	// The arithmetic of budget.Bucket, as of the begin of the statement. An upsert reads the row as the one before it left it,
	// however many wait for it. Parameters: key, wanted, how long that lasts, how far a burst may be ahead, patience.
	tokensSQL = `INSERT INTO dh_bucket AS b (key, sold, deal) VALUES ($1, now() + $3::interval, $2)
		ON CONFLICT (key) DO UPDATE SET used_at = now(),
			sold = CASE WHEN ` + dueSQL + ` THEN greatest(b.sold, now()) + $3::interval ELSE b.sold END,
			deal = CASE WHEN ` + dueSQL + ` THEN $2::integer ELSE 0 END
		RETURNING deal, sold - now() - $4::interval`
	dueSQL = `greatest(b.sold, now()) - $4::interval <= now() + $5::interval`

	// The lock comes first, and the places are read by a statement of their own: it sees what was there when it got the lock.
	lockKeySQL = `INSERT INTO dh_bucket(key) VALUES ($1) ON CONFLICT (key) DO UPDATE SET used_at = clock_timestamp()`
	placesSQL  = `WITH o AS (SELECT coalesce(sum(p.held), 0) AS held FROM dh_place p JOIN dh_member m ON m.name || '#' || m.incarnation = p.member
			WHERE p.key = $1 AND p.member <> $2 AND m.expires_at > clock_timestamp()),
		me AS (SELECT 1 FROM dh_member WHERE name || '#' || incarnation = $2 AND expires_at > clock_timestamp())
		INSERT INTO dh_place(key, member, held) SELECT $1, $2, greatest(0, least($4::bigint, $3::bigint - o.held)) FROM o, me
		ON CONFLICT (key, member) DO UPDATE SET held = excluded.held RETURNING held`

	leaveAloneSQL = `INSERT INTO dh_bucket AS b (key, held_until, held_status, held_why) VALUES ($1, clock_timestamp() + $2::interval, $3, $4)
		ON CONFLICT (key) DO UPDATE SET held_until = excluded.held_until, held_status = excluded.held_status, held_why = excluded.held_why, used_at = clock_timestamp()
		WHERE b.held_until IS NULL OR b.held_until < excluded.held_until`
	heldSQL = `SELECT key, held_until - clock_timestamp(), held_status, held_why FROM dh_bucket WHERE held_until > clock_timestamp()`

	idleBucketsSQL = `DELETE FROM dh_bucket WHERE used_at < clock_timestamp() - interval '1 day' AND coalesce(greatest(sold, held_until), used_at) < clock_timestamp()`
	deadPlacesSQL  = `DELETE FROM dh_place p WHERE NOT EXISTS
		(SELECT 1 FROM dh_member m WHERE m.name || '#' || m.incarnation = p.member AND m.expires_at > clock_timestamp())`
)

// Tokens sells tokens of a bucket.
func (m *member) Tokens(ctx context.Context, o budget.Order) (budget.Grant, error) {
	lasts := o.Lasts(o.Want, time.Microsecond)
	var g budget.Grant
	err := m.s.change(ctx, func(ctx context.Context) error {
		return m.s.pool.QueryRow(ctx, tokensSQL, o.Key, o.Want, lasts, o.Slack(), o.Patience).Scan(&g.Tokens, &g.Wait)
	})
	if err != nil {
		return budget.Grant{}, fmt.Errorf("tokens of %s: %w", o.Key, err)
	}
	if g.Tokens > 0 {
		g.Wait -= lasts
	}
	return g, nil
}

// Places divides the places of a key among the living.
func (m *member) Places(ctx context.Context, key string, most, want int) (held int, err error) {
	err = m.s.change(ctx, func(ctx context.Context) error {
		batch := &pgx.Batch{} // one transaction
		batch.Queue(lockKeySQL, key)
		batch.Queue(placesSQL, key, m.ID(), most, want)
		results := m.s.pool.SendBatch(ctx, batch)
		defer results.Close() //nolint:errcheck // what went wrong is said by the rows
		if _, err := results.Exec(); err != nil {
			return err
		}
		rows, err := results.Query()
		if err != nil {
			return err
		}
		lives := false
		err = drain(rows, func(r pgx.Rows) error {
			lives = true
			return r.Scan(&held)
		})
		if err == nil && !lives {
			err = store.ErrMemberLost
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("places of %s: %w", key, err)
	}
	return held, nil
}

// Hold lets nobody use a key until a time.
func (m *member) Hold(ctx context.Context, key string, h budget.Hold) error {
	return m.s.change(ctx, func(ctx context.Context) error {
		_, err := m.s.pool.Exec(ctx, leaveAloneSQL, key, time.Until(h.Until), h.Status, h.Why)
		return err
	})
}

// Holds gives those that are not over.
func (m *member) Holds(ctx context.Context) (map[string]budget.Hold, error) {
	holds := map[string]budget.Hold{}
	err := m.s.each(ctx, func(r pgx.Rows) error {
		var key string
		var h budget.Hold
		var left time.Duration
		if err := r.Scan(&key, &left, &h.Status, &h.Why); err != nil {
			return err
		}
		h.Until = time.Now().Add(left)
		holds[key] = h
		return nil
	}, heldSQL)
	return holds, err
}
