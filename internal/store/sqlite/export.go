package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
)

var _ store.Port = (*Store)(nil)

const (
	exportOriginSQL  = `SELECT (SELECT value FROM meta WHERE name = 'seed'), (` + lastSeqSQL + `)`
	exportSourcesSQL = `SELECT n.text, s.version, s.sequence, s.records, s.polls, s.state, s.etag, s.last_modified, s.cursor, s.committed_at, s.removed_at, s.purged_at
		FROM source s JOIN name n ON n.id = s.id ORDER BY s.id`
	exportPollsSQL      = `SELECT n.text, p.number, p.body FROM poll p JOIN name n ON n.id = p.source ORDER BY p.source, p.number`
	exportRecordsSQL    = `SELECT n.text, p.hash, p.prints, p.missing, r.key, r.body FROM source s JOIN name n ON n.id = s.id JOIN print p ON p.book = s.book JOIN record r ON r.id = p.record`
	exportVaultSQL      = `SELECT n.text, v.name, v.value FROM vault v JOIN name n ON n.id = v.source`
	exportEventsSQL     = `SELECT e.seq, e.id, n.text, e.sequence, e.type, e.change, e.key, e.at, b.body FROM event e JOIN name n ON n.id = e.source JOIN event_body b ON b.seq = e.seq ORDER BY e.seq`
	exportDeliveriesSQL = `SELECT d.seq, w.text, n.text, d.state, d.attempts, d.tries, d.status, d.replay, d.loose, d.merged_into, d.since, d.next_at,
		d.settled_at, d.tried_at, d.took, d.reason, d.cause, d.batch, c.body FROM delivery d JOIN event e ON e.seq = d.seq JOIN name n ON n.id = e.source
		JOIN name w ON w.id = d.webhook LEFT JOIN event_copy c ON c.id = d.copy ORDER BY d.seq, d.webhook`
	exportAttemptsSQL = `SELECT a.seq, w.text, a.ordinal, a.number, a.at, a.took, a.status, a.reason, a.error, a.excerpt, a.cause, a.request
		FROM attempt a JOIN name w ON w.id = a.webhook ORDER BY a.seq, a.webhook, a.ordinal`
)

// Export gives every row, as of one moment.
func (s *Store) Export(ctx context.Context, yield func(store.Row) error) error {
	return s.read(ctx, func(q querier) error {
		var o store.Origin
		var seed []byte
		if err := q.QueryRowContext(ctx, exportOriginSQL).Scan(&seed, &o.LastSeq); err != nil {
			return err
		}
		copy(o.Seed[:], seed)
		if err := yield(o); err != nil {
			return err
		}
		for _, kind := range []struct {
			query string
			scan  func(r *sql.Rows) (store.Row, error)
		}{
			{exportSourcesSQL, scanPortSource},
			{exportPollsSQL, scanPortPoll},
			{exportRecordsSQL, s.scanPortRecord},
			{exportVaultSQL, scanPortSecret},
			{exportEventsSQL, scanPortEvent},
			{exportDeliveriesSQL, scanPortDelivery},
			{exportAttemptsSQL, scanPortAttempt},
			{gatesSQL, scanPortGate},
		} {
			err := each(ctx, q, func(r *sql.Rows) error {
				row, err := kind.scan(r)
				if err != nil {
					return err
				}
				return yield(row)
			}, kind.query)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func scanPortSource(r *sql.Rows) (store.Row, error) {
	var p store.PortSource
	var text string
	var committed, removed, purged int64
	err := r.Scan(&p.Name, &p.Version, &p.Sequence, &p.Records, &p.Polls, &text, &p.ETag, &p.Modified, &p.Cursor, &committed, &removed, &purged)
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &p.State)
	}
	p.ETag, p.Modified, p.Cursor = store.NilIfEmpty(p.ETag), store.NilIfEmpty(p.Modified), store.NilIfEmpty(p.Cursor)
	p.Committed, p.Removed, p.Purged = fromMicros(committed), fromMicros(removed), fromMicros(purged)
	return p, err
}

func scanPortPoll(r *sql.Rows) (store.Row, error) {
	var p store.PortPoll
	err := r.Scan(&p.Source, &p.Number, &p.Body)
	return p, err
}

func (s *Store) scanPortRecord(r *sql.Rows) (store.Row, error) {
	var p store.PortRecord
	var hash, prints, packed []byte
	err := r.Scan(&p.Source, &hash, &prints, &p.Missing, &p.Key, &packed)
	if err != nil {
		return nil, err
	}
	copy(p.Hash[:], hash)
	if p.Print, err = stored.DecodePrint(prints); err != nil {
		return nil, fmt.Errorf("%w: %s", err, damagedHint)
	}
	if packed != nil {
		p.Body, err = s.bodies.Unpack(nil, packed)
	}
	p.Key = notNil(p.Key)
	return p, err
}

func scanPortSecret(r *sql.Rows) (store.Row, error) {
	var p store.PortSecret
	err := r.Scan(&p.Source, &p.Name, &p.Value)
	p.Value = notNil(p.Value)
	return p, err
}

func scanPortEvent(r *sql.Rows) (store.Row, error) {
	var p store.PortEvent
	var change, at int64
	err := r.Scan(&p.Seq, &p.ID, &p.Source, &p.Sequence, &p.Type, &change, &p.Key, &at, &p.Body)
	p.Change, p.At = differ.Kind(change), fromMicros(at) //nolint:gosec // one of a few
	p.Type, p.Key, p.Body = stored.Clean(p.Type), notNil(p.Key), notNil(p.Body)
	return p, err
}

func scanPortDelivery(r *sql.Rows) (store.Row, error) {
	var p store.PortDelivery
	var state int
	var since, next, settled, tried, took int64
	err := r.Scan(&p.Seq, &p.Webhook, &p.Source, &state, &p.Attempts, &p.Tries, &p.Status, &p.Replay, &p.Loose, &p.MergedInto, &since, &next,
		&settled, &tried, &took, &p.Reason, &p.Cause, &p.Batch, &p.Body)
	p.Since, p.NextAt, p.SettledAt, p.TriedAt = fromMicros(since), fromMicros(next), fromMicros(settled), fromMicros(tried)
	p.State, p.Took = stateNames()[state], time.Duration(took)*time.Microsecond
	p.Reason, p.Cause = stored.Clean(p.Reason), stored.Clean(p.Cause)
	return p, err
}

func scanPortAttempt(r *sql.Rows) (store.Row, error) {
	var p store.PortAttempt
	var at, took int64
	err := r.Scan(&p.Seq, &p.Webhook, &p.Ordinal, &p.Number, &at, &took, &p.Status, &p.Reason, &p.Error, &p.Excerpt, &p.Trigger, &p.Request)
	p.At, p.Took = fromMicros(at), time.Duration(took)*time.Microsecond
	for _, text := range []*string{&p.Reason, &p.Error, &p.Excerpt, &p.Trigger, &p.Request} {
		*text = stored.Clean(*text)
	}
	return p, err
}

func scanPortGate(r *sql.Rows) (store.Row, error) {
	var p store.PortGate
	err := r.Scan(&p.Webhook, &p.State)
	return p, err
}
