package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

const (
	deliveriesSQL = `SELECT d.seq, d.webhook, w.text, d.shard, d.state, d.attempts, d.next_at, d.settled_at, d.status, d.took,
		d.reason, e.id, n.text, e.key, e.type, coalesce(m.id, ''), d.batch, e.at FROM %s
		CROSS JOIN name n ON n.id = e.source CROSS JOIN name w ON w.id = d.webhook LEFT JOIN event m ON m.seq = d.merged_into%s
		ORDER BY %s.seq DESC, d.webhook DESC`
	surveySQL = `SELECT w.text, e.type, d.state, count(*), min(e.at), max(e.at) FROM %s CROSS JOIN name w ON w.id = d.webhook%s
		GROUP BY d.webhook, e.type, d.state ORDER BY w.text, e.type, d.state`
	lengthsSQL = `SELECT w.text, e.type, d.state, coalesce(length(c.body), length(b.body)) FROM %s
		CROSS JOIN name w ON w.id = d.webhook CROSS JOIN event_body b ON b.seq = d.seq LEFT JOIN event_copy c ON c.id = d.copy%s
		ORDER BY %s.seq DESC LIMIT ?`
	attemptsSQL = `SELECT number, at, took, status, reason, error, excerpt, cause, request FROM attempt
		WHERE seq = ? AND webhook = ? ORDER BY ordinal`
	lastAttemptSQL = `SELECT d.seq, d.webhook, d.state, d.attempts, d.tried_at, d.took, d.status, d.cause FROM event e
		CROSS JOIN delivery d ON d.seq = e.seq CROSS JOIN name w ON w.id = d.webhook WHERE e.id = ? AND w.text = ?`
)

// stateNames has the contract's word for each stored state.
func stateNames() []string { return store.PortStates() }

// deliveryRow is a row of the list, as the database knows it.
type deliveryRow struct {
	store.DeliveryRow
	webhook int64
	state   int
	at      time.Time // of the event's detection
}

// selected is a query of deliveries: the tables, the outer one first, and the conditions.
type selected struct {
	from, outer string
	filter
}

// sql puts a query together of its form; the forms have a place for the tables, the conditions, and the outer table.
func (s *selected) sql(form string) string {
	if strings.Count(form, "%s") == 2 {
		return fmt.Sprintf(form, s.from, s.String())
	}
	return fmt.Sprintf(form, s.from, s.String(), s.outer)
}

// selectionOf turns a query into conditions. The state stands in the text, so that SQLite sees that an index of one state
// fits. What is parked is little; a source, a key or a type is found among the events, all else among the deliveries.
func selectionOf(dq store.DeliveryQuery) (s selected, err error) {
	s = selected{from: "delivery d CROSS JOIN event e ON e.seq = d.seq", outer: "d"}
	switch {
	case dq.EventID != "":
	case dq.State == store.StateParked:
		s.from = "delivery d INDEXED BY delivery_parked CROSS JOIN event e ON e.seq = d.seq"
	case dq.Source != "" || dq.Key != "" || dq.Type != "":
		s.from, s.outer = "event e CROSS JOIN delivery d ON d.seq = e.seq", "e"
	case dq.Webhook != "" && dq.State != "" && dq.State != store.StatePending:
		// A long look through the table is better than one through an index and the table.
		s.from = "delivery d NOT INDEXED CROSS JOIN event e ON e.seq = d.seq"
	}
	s.number(s.outer+".seq < ?", dq.Before)
	s.text("d.seq = (SELECT seq FROM event WHERE id = ?)", dq.EventID)
	s.text("d.webhook = (SELECT id FROM name WHERE text = ?)", dq.Webhook)
	s.source(dq.Source, dq.Key)
	s.text("e.type = ?", dq.Type)
	s.text("e.key = ?", dq.Key)
	s.text("instr(lower(d.reason), lower(?)) > 0", dq.Reason)
	s.number("e.at >= ?", micros(dq.Since))
	s.number("e.at < ?", micros(dq.Until))
	s.number("d.settled_at > ?", micros(dq.SettledAfter))
	if dq.State == "" {
		return s, nil
	}
	for state, name := range stateNames() {
		if name == dq.State {
			s.where = append(s.where, fmt.Sprintf("d.state = %d", state))
			return s, nil
		}
	}
	return s, fmt.Errorf("unknown delivery state %q", dq.State)
}

// selectDeliveries lists what a query selects, newest first, at most limit and then to the end of the event.
func selectDeliveries(ctx context.Context, q querier, dq store.DeliveryQuery, limit int) ([]deliveryRow, error) {
	sel, err := selectionOf(dq)
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
	}, sel.sql(deliveriesSQL), sel.args...)
	if errors.Is(err, errStop) {
		err = nil
	}
	return list, err
}

func scanDelivery(r *sql.Rows) (d deliveryRow, err error) {
	var next, settled, took, at int64
	err = r.Scan(&d.Seq, &d.webhook, &d.Webhook, &d.Shard, &d.state, &d.Attempts, &next, &settled, &d.Status, &took,
		&d.Reason, &d.EventID, &d.Source, &d.Key, &d.Type, &d.MergedInto, &d.Batch, &at)
	d.NextAt, d.Settled, d.Took = fromMicros(next), fromMicros(settled), time.Duration(took)*time.Microsecond
	d.State, d.at = stateNames()[d.state], fromMicros(at)
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
