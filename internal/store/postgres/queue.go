package postgres

// schemaQueue gives what is pending rows of its own, narrow ones that settling deletes. The row of the delivery stays, with what was
// answered, and is changed where it is, on its page and in no index: none of them knows its state any more, and a page is filled by
// less than a half, so that all its rows find room to change at once.
//
// A program of the step before must not queue what nobody would find: it knows why by another name, so its statements fail.
const schemaQueue = `
ALTER TABLE dh_delivery RENAME COLUMN reason TO why;
ALTER TABLE dh_delivery ADD COLUMN parked boolean NOT NULL DEFAULT false;
ALTER TABLE dh_delivery SET (fillfactor = 45);
UPDATE dh_delivery SET parked = true WHERE state = 2;

-- plain: it is as it was committed, was never tried and may not be merged, and its body is the event's: neither the delivery nor a copy
-- says more. batch: as in the delivery, null where that says ''.
CREATE TABLE dh_queue (seq bigint, shard integer, webhook integer, plain boolean NOT NULL DEFAULT false, batch text COLLATE "C",
  PRIMARY KEY (shard, webhook, seq))
  WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
INSERT INTO dh_queue(shard, webhook, seq, batch) SELECT shard, webhook, seq, nullif(batch, '') FROM dh_delivery WHERE state = 0;

-- A record that changes stays on its page as well, also where a quarter of all records change between two vacuums.
ALTER TABLE dh_record SET (fillfactor = 75);

DROP INDEX dh_delivery_pending, dh_delivery_parked, dh_delivery_batch;
CREATE INDEX dh_delivery_parked ON dh_delivery (seq) WHERE parked;
CREATE INDEX dh_queue_batch ON dh_queue (shard, webhook, batch, seq) WHERE batch IS NOT NULL;
`

const (
	// Whoever changes deliveries dequeues those that are pending no more: rows of shard, webhook and seq, of which each is looked for by
	// itself. A join would be planned for what the statistics know of a table that is empty most of the time.
	dequeueHead = `DELETE FROM dh_queue WHERE ctid = ANY(ARRAY(SELECT x.c FROM `
	dequeueTail = ` r CROSS JOIN LATERAL (SELECT q.ctid AS c FROM dh_queue q WHERE q.shard = r.shard AND q.webhook = r.webhook AND q.seq = r.seq LIMIT 1) x))`

	// It takes out of the queue what was settled while somebody else had its row there. The deliveries are locked: what is replayed
	// meanwhile comes after it.
	settledOutSQL = `WITH l AS MATERIALIZED (SELECT shard, webhook, seq FROM dh_delivery
			WHERE webhook = $1 AND seq = ANY((SELECT $2::bigint[])::bigint[]) AND state <> 0 FOR UPDATE) ` + dequeueHead + `l` + dequeueTail

	// It walks from lane to lane, two probes of the index each, however many deliveries wait.
	laneCTE = `lane AS (
			(SELECT shard, webhook FROM dh_queue ORDER BY shard, webhook, seq LIMIT 1)
		UNION ALL
			SELECT n.shard, n.webhook FROM lane l CROSS JOIN LATERAL (
				SELECT shard, webhook FROM dh_queue WHERE (shard, webhook) > (l.shard, l.webhook) ORDER BY shard, webhook, seq LIMIT 1) n)`
)
