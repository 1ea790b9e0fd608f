package postgres

// EmptySQL makes a database what it was before anything was stored.
const EmptySQL = `TRUNCATE dh_record;
	DELETE FROM dh_member; DELETE FROM dh_name; DELETE FROM dh_source; DELETE FROM dh_poll; DELETE FROM dh_vault; DELETE FROM dh_trash;
	DELETE FROM dh_event; DELETE FROM dh_copy; DELETE FROM dh_delivery; DELETE FROM dh_attempt; DELETE FROM dh_gate;
	UPDATE dh_shard SET owner = NULL, epoch = 0, claimed_at = NULL, stirred = 0 WHERE epoch > 0 OR stirred > 0; UPDATE dh_meta SET swept_bytes = 0`
