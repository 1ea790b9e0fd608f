package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

const (
	deliveriesSQL = `SELECT d.seq, d.webhook, w.text, d.shard, d.state, d.attempts, d.next_at, d.settled_at, d.status, d.took,
		d.why, e.id, n.text, e.key, e.type, coalesce(m.id, ''), d.batch FROM dh_delivery d JOIN dh_event e ON e.seq = d.seq
		JOIN dh_name n ON n.id = e.source JOIN dh_name w ON w.id = d.webhook LEFT JOIN dh_event m ON m.seq = d.merged_into`
	attemptsSQL = `SELECT a.number, a.at, a.took, a.status, a.reason, a.error, a.excerpt, a.cause, a.request FROM dh_attempt a
		WHERE a.seq = $1 AND a.webhook = $2 ORDER BY a.ordinal`
	lastAttemptSQL = `SELECT d.seq, d.webhook, d.state, d.attempts, d.tried_at, d.took, d.status, d.cause FROM dh_event e
		JOIN dh_delivery d ON d.seq = e.seq JOIN dh_name w ON w.id = d.webhook WHERE e.id = $1 AND w.text = $2`
)

// stateNames has the contract's word for each stored state.
func stateNames() []string { return store.PortStates() }

// deliveryRow is a row of the list, as the database knows it.
type deliveryRow struct {
	store.DeliveryRow
	webhook int32
	state   int
}

// filter gathers the conditions of a query.
type filter struct {
	where []string
	args
}

// add restricts the query; the condition has one place for the parameter.
func (f *filter) restrict(condition string, arg any) {
	f.where = append(f.where, strings.Replace(condition, "?", f.add(arg), 1))
}

func (f *filter) text(condition, value string) {
	if value != "" {
		f.restrict(condition, value)
	}
}

// key restricts to a key of a record. The index has the beginnings of keys.
func (f *filter) key(key string) {
	if key != "" {
		place := f.add([]byte(key))
		f.where = append(f.where, "substring(e.key FROM 1 FOR 200) = substring("+place+"::bytea FROM 1 FOR 200)", "e.key = "+place)
	}
}

func (f *filter) number(condition string, value int64) {
	if value != 0 {
		f.restrict(condition, value)
	}
}

func (f *filter) String() string {
	if len(f.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.where, " AND ")
}

// selectionOf turns a query into conditions. The state stands in the text, so that the planner sees that the index of one
// state fits.
func selectionOf(dq *store.DeliveryQuery) (f filter, err error) {
	f.number("d.seq < ?", dq.Before)
	f.text("d.seq = (SELECT seq FROM dh_event WHERE id = ?)", dq.EventID)
	f.text("d.webhook = (SELECT id FROM dh_name WHERE text = ?)", dq.Webhook)
	f.text("e.source = (SELECT id FROM dh_name WHERE text = ?)", dq.Source)
	f.text("e.type = ?", clean(dq.Type))
	f.key(dq.Key)
	f.text("position(lower(?) IN lower(d.why)) > 0", clean(dq.Reason))
	if !dq.Since.IsZero() {
		f.restrict("e.at >= ?", at(dq.Since))
	}
	if !dq.Until.IsZero() {
		f.restrict("e.at < ?", at(dq.Until))
	}
	if !dq.SettledAfter.IsZero() {
		f.restrict("d.settled_at > ?", at(dq.SettledAfter))
	}
	if dq.State == "" {
		return f, nil
	}
	state := stateOf(dq.State)
	if state < 0 {
		return f, fmt.Errorf("unknown delivery state %q", dq.State)
	}
	f.where = append(f.where, "d.state = "+strconv.Itoa(state))
	switch state { // by what finds them among all that were settled
	case statePending:
		f.where = append(f.where, "(d.shard, d.webhook, d.seq) IN (SELECT shard, webhook, seq FROM dh_queue)")
	case stateParked:
		f.where = append(f.where, "d.parked")
	}
	return f, nil
}

// selectDeliveries lists what a query selects, newest first, at most limit and then to the end of the event.
func selectDeliveries(ctx context.Context, q querier, dq *store.DeliveryQuery, limit int) ([]deliveryRow, error) {
	f, err := selectionOf(dq)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, deliveriesSQL+f.String()+` ORDER BY d.seq DESC FETCH FIRST `+f.add(limit)+` ROWS WITH TIES`, f.args...)
	if err != nil {
		return nil, err
	}
	var list []deliveryRow
	err = drain(rows, func(r pgx.Rows) error {
		d, err := scanDelivery(r)
		list = append(list, d)
		return err
	})
	slices.SortStableFunc(list, func(a, b deliveryRow) int {
		return cmp.Or(cmp.Compare(b.Seq, a.Seq), cmp.Compare(b.webhook, a.webhook))
	})
	return list, err
}

func scanDelivery(r pgx.Row) (d deliveryRow, err error) {
	var key []byte
	err = r.Scan(&d.Seq, &d.webhook, &d.Webhook, &d.Shard, &d.state, &d.Attempts, (*instant)(&d.NextAt), (*instant)(&d.Settled), &d.Status,
		(*micros)(&d.Took), &d.Reason, &d.EventID, &d.Source, &key, &d.Type, &d.MergedInto, &d.Batch)
	d.Key = string(key)
	d.State = stateNames()[d.state]
	return d, err
}

// Deliveries lists deliveries, newest first.
func (s *Store) Deliveries(ctx context.Context, dq store.DeliveryQuery) ([]store.DeliveryRow, error) {
	limit := dq.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	rows, err := selectDeliveries(ctx, s.pool, &dq, limit)
	list := make([]store.DeliveryRow, len(rows))
	for i := range rows {
		list[i] = rows[i].DeliveryRow
	}
	return list, s.explain(err)
}

// Attempts gives the attempts of a delivery. The one that succeeded stands in the delivery itself.
func (s *Store) Attempts(ctx context.Context, eventID, webhook string) ([]emitter.Attempt, error) {
	var seq int64
	var hook int32
	var state int
	var last emitter.Attempt
	err := s.pool.QueryRow(ctx, lastAttemptSQL, eventID, webhook).Scan(&seq, &hook, &state, &last.Number, (*instant)(&last.At),
		(*micros)(&last.Took), &last.Status, &last.Trigger)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, s.explain(err)
	}
	list, err := collect(ctx, s, scanAttempt, attemptsSQL, seq, hook)
	if state == stateDelivered {
		list = append(list, last)
	}
	return list, err
}

func scanAttempt(r pgx.Rows) (a emitter.Attempt, err error) {
	err = r.Scan(&a.Number, (*instant)(&a.At), (*micros)(&a.Took), &a.Status, &a.Reason, &a.Error, &a.Excerpt, &a.Trigger, &a.Request)
	return a, err
}
