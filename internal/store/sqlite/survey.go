package sqlite

import (
	"context"
	"database/sql"

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
		if sums, err = collect(ctx, q, scanSum, sel.sql(surveySQL), sel.args...); err != nil {
			return err
		}
		return weigh(ctx, q, &sel, sums)
	})
	return sums, err
}

func scanSum(r *sql.Rows) (sum store.Sum, err error) {
	var state int
	var first, last int64
	err = r.Scan(&sum.Webhook, &sum.Type, &state, &sum.Deliveries, &first, &last)
	sum.State, sum.First, sum.Last = stateNames()[state], fromMicros(first), fromMicros(last)
	return sum, err
}

// weigh fills in the bytes.
func weigh(ctx context.Context, q querier, sel *selected, sums []store.Sum) error {
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
	}, sel.sql(lengthsSQL), append(sel.args, weighed)...)
	for i := range sums {
		of := by[kind{sums[i].Webhook, sums[i].Type, sums[i].State}]
		if of == nil {
			of = &all
		}
		sums[i].Bytes = sums[i].Deliveries * of.bytes / max(of.n, 1)
	}
	return err
}
