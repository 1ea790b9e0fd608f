package sqlite

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/store"
)

func TestHotQueriesTouchPendingRowsOnly(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "x.db"))
	cases := map[string]struct {
		query string
		args  int
		want  string
	}{
		"next lane":   {nextLaneSQL, 2, "SEARCH d USING COVERING INDEX delivery_pending (shard=? AND webhook>?)"},
		"next shard":  {nextLaneSQL, 2, "SEARCH d USING COVERING INDEX delivery_pending (shard>?)"},
		"pending":     {pendingSQL, 4, "SEARCH d USING INDEX delivery_pending (shard=? AND webhook=? AND seq>?)"},
		"prints":      {printsSQL, 3, "SEARCH print USING PRIMARY KEY (book=? AND hash>? AND hash<?)"},
		"body":        {bodySQL, 2, "SEARCH p USING PRIMARY KEY (book=? AND hash=?)"},
		"parked":      {planned(store.DeliveryQuery{State: store.StateParked, Webhook: "app", Source: "s"}), 2, "USING INDEX delivery_parked"},
		"webhook":     {planned(store.DeliveryQuery{Webhook: "app"}), 1, "SEARCH d USING INDEX delivery_webhook (webhook=?)"},
		"source":      {planned(store.DeliveryQuery{Source: "s"}), 1, "SEARCH e USING INDEX event_source (source=?)"},
		"records":     {recordsSQL, 3, "SEARCH record USING COVERING INDEX record_key (book=? AND key>?)"},
		"of a record": {planned(store.DeliveryQuery{Source: "s", Key: "k"}), 2, "SEARCH e USING INDEX event_key (key=?)"},
		"of source":   {eventSQL + "WHERE e.source = ? ORDER BY e.seq DESC", 1, "SEARCH e USING INDEX event_source (source=?)"},
		"acknowledge": {ackPendingSQL, 8, "SEARCH delivery USING PRIMARY KEY (seq=? AND webhook=?)"},
		"a run":       {ackRunSQL, 7, "SEARCH delivery USING INDEX delivery_webhook (webhook=? AND seq>? AND seq<?)"},
		"count":       {countPendingSQL, 0, "USING COVERING INDEX delivery_pending"},
		"events":      {eventSQL + "WHERE e.seq < ? ORDER BY e.seq DESC", 1, "SEARCH e USING INTEGER PRIMARY KEY (rowid<?)"},
		"waiting":     {waitingSQL, 2, "SEARCH d USING INDEX delivery_loose (webhook=? AND loose=?)"},
		"sealed":      {sealedSQL, 3, "SEARCH d USING PRIMARY KEY (seq=? AND webhook=?)"},
		"batches":     {batchesSQL, 2, "SEARCH delivery USING COVERING INDEX delivery_batch (shard=? AND webhook=?"},
		"batch":       {batchSQL, 3, "SEARCH d USING INDEX delivery_batch (shard=? AND webhook=? AND batch=?)"},
		"unbind":      {unbindSQL, 3, "delivery_batch (shard=? AND webhook=? AND batch=?)"},
		"fix all":     {fixAllSQL, 1, "delivery_loose (webhook=?"},
		"sweep":       {sweepSQL, 2, "SEARCH event USING INTEGER PRIMARY KEY (rowid>?)"},
		"tried":       {triedEventsSQL, 2, "SEARCH attempt USING PRIMARY KEY (seq>?)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			plan := explainPlan(t, s, c.query, make([]any, c.args))
			if !strings.Contains(plan, c.want) || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("plan:\n%s\nwant %s and no sorting", plan, c.want)
			}
		})
	}
}

// planned gives the text of a list.
func planned(dq store.DeliveryQuery) string {
	sel, err := selectionOf(dq)
	if err != nil {
		panic(err)
	}
	return sel.sql(deliveriesSQL)
}

func explainPlan(t *testing.T, s *Store, query string, args []any) string {
	t.Helper()
	var plan []string
	err := s.read(t.Context(), func(q querier) error {
		return each(t.Context(), q, func(r *sql.Rows) error {
			var id, parent, unused int
			var detail string
			err := r.Scan(&id, &parent, &unused, &detail)
			plan = append(plan, detail)
			return err
		}, "EXPLAIN QUERY PLAN "+query, args...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(plan, "\n")
}
