package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/deltahook/deltahook/internal/store"
)

// weighed is how many bodies a survey looks at: the pages of a million would have to be read for their lengths.
const weighed = 2000

// kind is what the deliveries of a sum have in common.
type kind struct{ webhook, typ, state string }

// Survey sums up deliveries by webhook, type and state. Of more than weighed deliveries the bytes are extrapolated from the
// newest ones.
func (s *Store) Survey(ctx context.Context, dq store.DeliveryQuery) (sums []store.Sum, err error) {
	sel, err := selectionOf(dq)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(q querier) error {
		if dq.Limit > 0 {
			sums, err = s.surveyNewest(ctx, q, dq, &sel)
			return err
		}
		if sums, err = collect(ctx, q, scanSum, sel.sql(surveySQL), sel.args...); err != nil {
			return err
		}
		return weigh(ctx, q, &sel, sums, weighed)
	})
	return sums, err
}

// surveyNewest sums up no more than the limit of a query.
func (s *Store) surveyNewest(ctx context.Context, q querier, dq store.DeliveryQuery, sel *selected) ([]store.Sum, error) {
	rows, err := selectDeliveries(ctx, q, dq, dq.Limit)
	if err != nil {
		return nil, err
	}
	by := map[kind]*store.Sum{}
	for i := range rows {
		d := &rows[i]
		k := kind{d.Webhook, d.Type, d.State}
		if by[k] == nil {
			by[k] = &store.Sum{Webhook: d.Webhook, Type: d.Type, State: d.State, Last: d.at}
		}
		by[k].Deliveries++
		by[k].First = d.at // newest first
	}
	sums := make([]store.Sum, 0, len(by))
	for _, sum := range by {
		sums = append(sums, *sum)
	}
	slices.SortFunc(sums, func(a, b store.Sum) int {
		return cmp.Or(cmp.Compare(a.Webhook, b.Webhook), cmp.Compare(a.Type, b.Type), cmp.Compare(slices.Index(stateNames(), a.State), slices.Index(stateNames(), b.State)))
	})
	return sums, weigh(ctx, q, sel, sums, min(len(rows), weighed))
}

func scanSum(r *sql.Rows) (sum store.Sum, err error) {
	var state int
	var first, last int64
	err = r.Scan(&sum.Webhook, &sum.Type, &state, &sum.Deliveries, &first, &last)
	sum.State, sum.First, sum.Last = stateNames()[state], fromMicros(first), fromMicros(last)
	return sum, err
}

// weigh fills in the bytes.
func weigh(ctx context.Context, q querier, sel *selected, sums []store.Sum, most int) error {
	var all struct{ n, bytes int64 }
	by := map[kind]*struct{ n, bytes int64 }{}
	err := each(ctx, q, func(r *sql.Rows) error {
		var k kind
		var state int
		var length int64
		if err := r.Scan(&k.webhook, &k.typ, &state, &length); err != nil {
			return err
		}
		k.state = stateNames()[state]
		if by[k] == nil {
			by[k] = &struct{ n, bytes int64 }{}
		}
		by[k].n, by[k].bytes = by[k].n+1, by[k].bytes+length
		all.n, all.bytes = all.n+1, all.bytes+length
		return nil
	}, sel.sql(lengthsSQL), append(sel.args, most)...)
	for i := range sums {
		of := by[kind{sums[i].Webhook, sums[i].Type, sums[i].State}]
		if of == nil {
			of = &all
		}
		sums[i].Bytes = sums[i].Deliveries * of.bytes / max(of.n, 1)
	}
	return err
}
