package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

const (
	deliveriesSQL = `SELECT d.seq, d.webhook, w.text, d.shard, d.state, d.attempts, d.next_at, d.settled_at, d.status, d.took,
		d.reason, e.id, n.text, e.key, e.type, coalesce(m.id, '') FROM delivery d CROSS JOIN event e ON e.seq = d.seq
		CROSS JOIN name n ON n.id = e.source CROSS JOIN name w ON w.id = d.webhook LEFT JOIN event m ON m.seq = d.merged_into`
	surveySQL = `SELECT w.text, e.type, d.state, count(*), sum(coalesce(length(c.body), length(b.body))), min(e.at), max(e.at)
		FROM delivery d CROSS JOIN event e ON e.seq = d.seq CROSS JOIN name w ON w.id = d.webhook
		CROSS JOIN event_body b ON b.seq = d.seq LEFT JOIN event_copy c ON c.id = d.copy`
	attemptsSQL = `SELECT number, at, took, status, reason, error, excerpt, cause, request FROM attempt
		WHERE seq = ? AND webhook = ? ORDER BY ordinal`
	lastAttemptSQL = `SELECT d.seq, d.webhook, d.state, d.attempts, d.tried_at, d.took, d.status, d.cause FROM event e
		CROSS JOIN delivery d ON d.seq = e.seq CROSS JOIN name w ON w.id = d.webhook WHERE e.id = ? AND w.text = ?`
)

// stateNames has the contract's word for each stored state.
func stateNames() []string {
	return []string{
		statePending: store.StatePending, stateDelivered: store.StateDelivered,
		stateParked: store.StateParked, stateDropped: store.StateDropped, stateMerged: store.StateMerged,
	}
}

// deliveryRow is a row of the list, as the database knows it.
type deliveryRow struct {
	store.DeliveryRow
	webhook int64
	state   int
}

// deliveryFilter turns a query into conditions. The state stands in the text, so that SQLite sees that an index of one
// state fits.
func deliveryFilter(dq store.DeliveryQuery) (f filter, err error) {
	f.number("d.seq < ?", dq.Before)
	f.text("d.seq = (SELECT seq FROM event WHERE id = ?)", dq.EventID)
	f.text("d.webhook = (SELECT id FROM name WHERE text = ?)", dq.Webhook)
	f.text("e.source = (SELECT id FROM name WHERE text = ?)", dq.Source)
	f.text("e.type = ?", dq.Type)
	f.text("e.key = ?", dq.Key)
	f.text("instr(lower(d.reason), lower(?)) > 0", dq.Reason)
	f.number("e.at >= ?", micros(dq.Since))
	f.number("e.at < ?", micros(dq.Until))
	if dq.State == "" {
		return f, nil
	}
	for state, name := range stateNames() {
		if name == dq.State {
			f.where = append(f.where, fmt.Sprintf("d.state = %d", state))
			return f, nil
		}
	}
	return f, fmt.Errorf("unknown delivery state %q", dq.State)
}

// selectDeliveries lists what a query selects, newest first, at most limit and then to the end of the event.
func selectDeliveries(ctx context.Context, q querier, dq store.DeliveryQuery, limit int) ([]deliveryRow, error) {
	f, err := deliveryFilter(dq)
	if err != nil {
		return nil, err
	}
	var list []deliveryRow
	err = each(ctx, q, func(r *sql.Rows) error {
		d, err := scanDelivery(r)
		if err != nil {
			return err
		}
		if len(list) >= limit && d.Seq != list[len(list)-1].Seq {
			return errStop
		}
		list = append(list, d)
		return nil
	}, deliveriesSQL+f.String()+" ORDER BY d.seq DESC, d.webhook DESC", f.args...)
	if errors.Is(err, errStop) {
		err = nil
	}
	return list, err
}

func scanDelivery(r *sql.Rows) (d deliveryRow, err error) {
	var next, settled, took int64
	err = r.Scan(&d.Seq, &d.webhook, &d.Webhook, &d.Shard, &d.state, &d.Attempts, &next, &settled, &d.Status, &took,
		&d.Reason, &d.EventID, &d.Source, &d.Key, &d.Type, &d.MergedInto)
	d.NextAt, d.Settled, d.Took = fromMicros(next), fromMicros(settled), time.Duration(took)*time.Microsecond
	d.State = stateNames()[d.state]
	return d, err
}

// Deliveries lists deliveries, newest first.
func (s *Store) Deliveries(ctx context.Context, dq store.DeliveryQuery) ([]store.DeliveryRow, error) {
	limit := dq.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	var list []store.DeliveryRow
	err := s.read(ctx, func(q querier) error {
		rows, err := selectDeliveries(ctx, q, dq, limit)
		for i := range rows {
			list = append(list, rows[i].DeliveryRow)
		}
		return err
	})
	return list, err
}

// Survey sums up deliveries by webhook, type and state.
func (s *Store) Survey(ctx context.Context, dq store.DeliveryQuery) (sums []store.Sum, err error) {
	f, err := deliveryFilter(dq)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(q querier) error {
		sums, err = collect(ctx, q, func(r *sql.Rows) (sum store.Sum, err error) {
			var state int
			var first, last int64
			err = r.Scan(&sum.Webhook, &sum.Type, &state, &sum.Deliveries, &sum.Bytes, &first, &last)
			sum.State, sum.First, sum.Last = stateNames()[state], fromMicros(first), fromMicros(last)
			return sum, err
		}, surveySQL+f.String()+" GROUP BY w.text, e.type, d.state ORDER BY w.text, e.type, d.state", f.args...)
		return err
	})
	return sums, err
}

// Attempts gives the attempts of a delivery. The one that succeeded stands in the delivery itself.
func (s *Store) Attempts(ctx context.Context, eventID, webhook string) (list []emitter.Attempt, err error) {
	err = s.read(ctx, func(q querier) error {
		var seq, hook, at, took int64
		var state int
		var last emitter.Attempt
		err := q.QueryRowContext(ctx, lastAttemptSQL, eventID, webhook).Scan(&seq, &hook, &state, &last.Number, &at, &took,
			&last.Status, &last.Trigger)
		if errors.Is(err, sql.ErrNoRows) {
			return store.ErrNotFound
		}
		if err != nil {
			return err
		}
		list, err = collect(ctx, q, scanAttempt, attemptsSQL, seq, hook)
		if state == stateDelivered {
			last.At, last.Took = fromMicros(at), time.Duration(took)*time.Microsecond
			list = append(list, last)
		}
		return err
	})
	return list, err
}

func scanAttempt(r *sql.Rows) (a emitter.Attempt, err error) {
	var at, took int64
	err = r.Scan(&a.Number, &at, &took, &a.Status, &a.Reason, &a.Error, &a.Excerpt, &a.Trigger, &a.Request)
	a.At, a.Took = fromMicros(at), time.Duration(took)*time.Microsecond
	return a, err
}
