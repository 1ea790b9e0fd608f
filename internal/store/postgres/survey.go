package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
)

const (
	surveySQL = `SELECT w.text, e.type, d.state, count(*), min(e.at), max(e.at) FROM dh_delivery d JOIN dh_event e ON e.seq = d.seq
		JOIN dh_name w ON w.id = d.webhook`
	surveyGroups = ` GROUP BY w.text, e.type, d.state ORDER BY w.text, e.type, d.state`
	weighSQL     = `SELECT w.text, e.type, d.state, octet_length(coalesce(c.body, e.body)) FROM dh_delivery d JOIN dh_event e ON e.seq = d.seq
		JOIN dh_name w ON w.id = d.webhook LEFT JOIN dh_copy c ON c.seq = d.seq AND c.webhook = d.webhook`
)

// weighed is how many bodies a survey looks at: the pages of a million would have to be read for their lengths.
const weighed = 2000

// kind is what the deliveries of a sum have in common.
type kind struct {
	webhook, typ string
	state        int
}

type weight struct{ n, bytes int64 }

// Survey sums up deliveries by webhook, type and state. Of more than weighed deliveries the bytes are extrapolated from the
// newest ones.
func (s *Store) Survey(ctx context.Context, dq store.DeliveryQuery) ([]store.Sum, error) {
	f, err := selectionOf(&dq)
	if err != nil {
		return nil, err
	}
	if dq.Limit > 0 { // the newest ones, to the end of the event
		newest := `d.seq >= (SELECT min(l.seq) FROM (SELECT d.seq FROM dh_delivery d JOIN dh_event e ON e.seq = d.seq` + f.String() +
			` ORDER BY d.seq DESC LIMIT ` + f.add(dq.Limit) + `) l)`
		f.where = append(f.where, newest)
	}
	sums, err := collect(ctx, s, func(r pgx.Rows) (sum store.Sum, err error) {
		var state int
		err = r.Scan(&sum.Webhook, &sum.Type, &state, &sum.Deliveries, (*instant)(&sum.First), (*instant)(&sum.Last))
		sum.State = stateNames()[state]
		return sum, err
	}, surveySQL+f.String()+surveyGroups, f.args...)
	if err != nil || len(sums) == 0 {
		return nil, err
	}
	return sums, s.weigh(ctx, &f, sums)
}

// weigh fills in the bytes.
func (s *Store) weigh(ctx context.Context, f *filter, sums []store.Sum) error {
	var all weight
	by := map[kind]weight{}
	where := f.String()
	err := s.each(ctx, func(r pgx.Rows) error {
		var k kind
		var length int64
		err := r.Scan(&k.webhook, &k.typ, &k.state, &length)
		w := by[k]
		by[k] = weight{w.n + 1, w.bytes + length}
		all = weight{all.n + 1, all.bytes + length}
		return err
	}, weighSQL+where+` ORDER BY d.seq DESC LIMIT `+f.add(weighed), f.args...)
	for i := range sums {
		of := by[kind{sums[i].Webhook, sums[i].Type, stateOf(sums[i].State)}]
		if of.n == 0 {
			of = all
		}
		sums[i].Bytes = sums[i].Deliveries * of.bytes / max(of.n, 1)
	}
	return err
}

func stateOf(name string) int { return store.StateNumber(name) }
