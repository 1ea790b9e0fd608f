package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store/postgres"
)

// planOf gives the plan that a connection keeps for a statement, with 50,000 deliveries of which the statistics know or do not.
func planOf(t *testing.T, statement string, params int, known bool) string {
	t.Helper()
	needServer(t)
	name, err := server.Create(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the context of the test has ended by then
	fill := `ALTER TABLE dh_delivery SET (autovacuum_enabled = false); INSERT INTO dh_delivery(seq, webhook, shard)
		SELECT n, 1, n / 3125 * 7 % 16 FROM generate_series(1, 50000) n; SET plan_cache_mode = force_generic_plan;`
	if known {
		fill += `ANALYZE dh_delivery;`
	}
	if _, err := conn.Exec(t.Context(), fill+`PREPARE p AS `+statement, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `EXPLAIN EXECUTE p(`+strings.Repeat(", NULL", params)[2:]+`)`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestAnAcknowledgementProbesForItsRowsAndJoinsNothing(t *testing.T) {
	for _, known := range []bool{false, true} {
		plan := planOf(t, postgres.AckSQL, 8, known)
		for _, wrong := range []string{"Nested Loop", "Join", "Seq Scan"} {
			if strings.Contains(plan, wrong) {
				t.Errorf("statistics known: %v: %s in\n%s", known, wrong, plan)
			}
		}
	}
}

func TestAPageOfALaneReadsThatLaneOnly(t *testing.T) {
	for _, known := range []bool{false, true} {
		if plan := planOf(t, postgres.PendingSQL, 4, known); !strings.Contains(plan, "using dh_delivery_pending") {
			t.Errorf("statistics known: %v: not by the index of what is pending:\n%s", known, plan)
		}
	}
}
