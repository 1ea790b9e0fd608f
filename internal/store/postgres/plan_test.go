package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store/postgres"
)

// planner is a connection to a database with 50,000 deliveries, of which the statistics know or do not.
func planner(t *testing.T, known bool) *pgx.Conn {
	t.Helper()
	name, err := server.Create(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the context of the test has ended by then
	fill := `ALTER TABLE dh_delivery SET (autovacuum_enabled = false); ALTER TABLE dh_queue SET (autovacuum_enabled = false);
		ALTER TABLE dh_attempt SET (autovacuum_enabled = false); INSERT INTO dh_delivery(seq, webhook, shard)
		SELECT n, 1, n / 3125 * 7 % 16 FROM generate_series(1, 50000) n;
		INSERT INTO dh_queue(shard, webhook, seq, plain) SELECT shard, webhook, seq, true FROM dh_delivery;
		INSERT INTO dh_attempt SELECT n, 1, 1, 1, now(), 0, 500, '', '', '', '', '' FROM generate_series(1, 50000) n;
		INSERT INTO dh_name(text) SELECT 'source-' || n FROM generate_series(1, 100) n; SET plan_cache_mode = force_generic_plan;`
	if known {
		fill += `ANALYZE dh_delivery, dh_queue, dh_attempt, dh_name;`
	}
	if _, err := conn.Exec(t.Context(), fill, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	return conn
}

// planOf gives the plan that a connection keeps for a statement.
func planOf(t *testing.T, conn *pgx.Conn, s postgres.Statement) string {
	t.Helper()
	if _, err := conn.Exec(t.Context(), `PREPARE p AS `+s.Text, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `EXPLAIN EXECUTE p(`+strings.Repeat(", NULL", s.Params)[2:]+`)`, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `DEALLOCATE p`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

// TestHotStatementsProbeForTheirRows: whatever is run for every delivery looks for each of its rows in an index, and compares none with
// all others.
func TestHotStatementsProbeForTheirRows(t *testing.T) {
	needServer(t)
	for _, known := range []bool{false, true} {
		conn := planner(t, known)
		for name, s := range postgres.HotSQL() {
			plan := planOf(t, conn, s)
			for _, wrong := range []string{"Join Filter", "Seq Scan on dh_record", "Seq Scan on dh_source", "Seq Scan on dh_delivery", "Seq Scan on dh_queue", "Seq Scan on dh_attempt", "Seq Scan on dh_event", "Seq Scan on dh_copy"} {
				if strings.Contains(plan, wrong) {
					t.Errorf("%s, statistics known: %v: %s in\n%s", name, known, wrong, plan)
				}
			}
		}
	}
}
