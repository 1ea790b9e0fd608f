package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

var _ store.Port = (*Store)(nil)

const (
	exportSourcesSQL = `SELECT n.text, s.version, s.sequence, s.records, s.polls, s.state, s.etag, s.last_modified, s.cursor, s.committed_at, s.removed_at, s.purged_at
		FROM dh_source s JOIN dh_name n ON n.id = s.id WHERE s.version > 0 ORDER BY s.id`
	exportPollsSQL      = `SELECT n.text, p.number, p.body FROM dh_poll p JOIN dh_name n ON n.id = p.source ORDER BY p.source, p.number`
	exportRecordsSQL    = `SELECT n.text, r.hash, r.prints, r.missing, r.key, r.body FROM dh_source s JOIN dh_record r ON r.book = s.book JOIN dh_name n ON n.id = s.id`
	exportVaultSQL      = `SELECT n.text, v.name, v.value FROM dh_vault v JOIN dh_name n ON n.id = v.source`
	exportEventsSQL     = `SELECT e.seq, e.id, n.text, e.sequence, e.type, e.change, e.key, e.at, e.body FROM dh_event e JOIN dh_name n ON n.id = e.source ORDER BY e.seq`
	exportDeliveriesSQL = `SELECT d.seq, w.text, n.text, d.state, d.attempts, d.tries, d.status, d.replay, d.loose, coalesce(d.merged_into, 0), d.since, d.next_at,
		d.settled_at, d.tried_at, d.took, d.why, d.cause, d.batch, c.body FROM dh_delivery d JOIN dh_event e ON e.seq = d.seq JOIN dh_name n ON n.id = e.source
		JOIN dh_name w ON w.id = d.webhook LEFT JOIN dh_copy c ON c.seq = d.seq AND c.webhook = d.webhook ORDER BY d.seq, d.webhook`
	exportAttemptsSQL = `SELECT a.seq, w.text, a.ordinal, a.number, a.at, a.took, a.status, a.reason, a.error, a.excerpt, a.cause, a.request
		FROM dh_attempt a JOIN dh_name w ON w.id = a.webhook ORDER BY a.seq, a.webhook, a.ordinal`
)

// Export gives every row, as of one moment.
func (s *Store) Export(ctx context.Context, yield func(store.Row) error) error {
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var o store.Origin
		if err := tx.QueryRow(ctx, `SELECT seed, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM dh_seq) FROM dh_meta`).Scan((*seedBytes)(&o.Seed), &o.LastSeq); err != nil {
			return err
		}
		if err := yield(o); err != nil {
			return err
		}
		for _, kind := range []struct {
			query string
			scan  func(r pgx.Rows) (store.Row, error)
		}{
			{exportSourcesSQL, scanPortSource},
			{exportPollsSQL, scanPortPoll},
			{exportRecordsSQL, s.scanPortRecord},
			{exportVaultSQL, scanPortSecret},
			{exportEventsSQL, scanPortEvent},
			{exportDeliveriesSQL, scanPortDelivery},
			{exportAttemptsSQL, scanPortAttempt},
			{portGatesSQL, scanPortGate},
		} {
			rows, err := tx.Query(ctx, kind.query)
			if err != nil {
				return err
			}
			err = drain(rows, func(r pgx.Rows) error {
				row, err := kind.scan(r)
				if err != nil {
					return err
				}
				return yield(row)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return s.explain(err)
}

func scanPortSource(r pgx.Rows) (store.Row, error) {
	var p store.PortSource
	var text string
	err := r.Scan(&p.Name, &p.Version, &p.Sequence, &p.Records, &p.Polls, &text, &p.ETag, &p.Modified, &p.Cursor,
		(*instant)(&p.Committed), (*instant)(&p.Removed), (*instant)(&p.Purged))
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &p.State)
	}
	p.ETag, p.Modified, p.Cursor = store.NilIfEmpty(p.ETag), store.NilIfEmpty(p.Modified), store.NilIfEmpty(p.Cursor)
	return p, err
}

func scanPortPoll(r pgx.Rows) (store.Row, error) {
	var p store.PortPoll
	return p, r.Scan(&p.Source, &p.Number, &p.Body)
}

func (s *Store) scanPortRecord(r pgx.Rows) (store.Row, error) {
	var p store.PortRecord
	var hash, prints, packed []byte
	err := r.Scan(&p.Source, &hash, &prints, &p.Missing, &p.Key, &packed)
	if err != nil {
		return nil, err
	}
	copy(p.Hash[:], hash)
	if p.Print, err = stored.DecodePrint(prints); err != nil {
		return nil, err
	}
	p.Body, err = s.unpack(nil, packed)
	return p, err
}

func scanPortSecret(r pgx.Rows) (store.Row, error) {
	var p store.PortSecret
	return p, r.Scan(&p.Source, &p.Name, &p.Value)
}

func scanPortEvent(r pgx.Rows) (store.Row, error) {
	var p store.PortEvent
	var change int
	err := r.Scan(&p.Seq, &p.ID, &p.Source, &p.Sequence, &p.Type, &change, &p.Key, (*instant)(&p.At), &p.Body)
	p.Change = kindOf(change)
	return p, err
}

func scanPortDelivery(r pgx.Rows) (store.Row, error) {
	var p store.PortDelivery
	var state int
	err := r.Scan(&p.Seq, &p.Webhook, &p.Source, &state, &p.Attempts, &p.Tries, &p.Status, &p.Replay, &p.Loose, &p.MergedInto, (*instant)(&p.Since),
		(*instant)(&p.NextAt), (*instant)(&p.SettledAt), (*instant)(&p.TriedAt), (*micros)(&p.Took), &p.Reason, &p.Cause, &p.Batch, &p.Body)
	p.State = stateNames()[state]
	return p, err
}

func scanPortAttempt(r pgx.Rows) (store.Row, error) {
	var p store.PortAttempt
	return p, r.Scan(&p.Seq, &p.Webhook, &p.Ordinal, &p.Number, (*instant)(&p.At), (*micros)(&p.Took), &p.Status, &p.Reason, &p.Error,
		&p.Excerpt, &p.Trigger, &p.Request)
}

func scanPortGate(r pgx.Rows) (store.Row, error) {
	var p store.PortGate
	return p, r.Scan(&p.Webhook, &p.State)
}

// Import takes all rows in, or none.
func (s *Store) Import(ctx context.Context, rows iter.Seq2[store.Row, error]) error {
	if s.readOnly {
		return store.ErrReadOnly
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var full bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM dh_source WHERE version > 0) OR EXISTS (SELECT 1 FROM dh_event)`).Scan(&full); err != nil {
			return err
		}
		if full {
			return store.ErrNotEmpty
		}
		in := &importer{s: s, tx: tx, names: map[string]int32{}, books: map[string]int64{}}
		for row, err := range rows {
			if err == nil {
				err = in.add(ctx, row)
			}
			if err != nil {
				return err
			}
		}
		return in.finish(ctx)
	})
	if err != nil {
		return fmt.Errorf("write the copy: %w", s.explain(err))
	}
	return nil
}
