package postgres

import "context"

// OpenAs opens a database as a program does that knows only the first migrations.
func OpenAs(ctx context.Context, o Options, known int) (*Store, error) {
	o.steps = migrations()[:known]
	return Open(ctx, o)
}

// EmptySQL makes a database what it was before anything was stored.
const EmptySQL = `TRUNCATE dh_record;
	DELETE FROM dh_member; DELETE FROM dh_errand; DELETE FROM dh_name; DELETE FROM dh_source; DELETE FROM dh_poll; DELETE FROM dh_vault; DELETE FROM dh_trash;
	DELETE FROM dh_event; DELETE FROM dh_copy; DELETE FROM dh_delivery; DELETE FROM dh_attempt; DELETE FROM dh_gate; DELETE FROM dh_bucket; DELETE FROM dh_place; DELETE FROM dh_report;
	UPDATE dh_shard SET owner = NULL, epoch = 0, claimed_at = NULL, stirred = 0 WHERE epoch > 0 OR stirred > 0; UPDATE dh_meta SET swept_bytes = 0`

// What is run for every delivery.
const (
	AckSQL     = ackSQL
	PendingSQL = pendingSQL
)
