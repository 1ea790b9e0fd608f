package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deltahook/deltahook/poller"
)

// OpenAs opens a database as a program does that knows only the first migrations.
func OpenAs(ctx context.Context, o Options, known int) (*Store, error) {
	o.steps = migrations()[:known]
	return Open(ctx, o)
}

// OpenAhead opens a database on a machine whose clock is wrong.
func OpenAhead(ctx context.Context, o Options, by time.Duration) (*Store, error) {
	s, err := Open(ctx, o)
	if err == nil {
		s.now = func() time.Time { return time.Now().Add(by) }
	}
	return s, err
}

// Busy takes all connections of a store, and gives them back some time after free was called.
func (s *Store) Busy(ctx context.Context) (free func(), err error) {
	var taken []*pgxpool.Conn
	giveBack := func() {
		for _, c := range taken {
			c.Release()
		}
	}
	for range s.pool.Config().MaxConns {
		c, err := s.pool.Acquire(ctx)
		if err != nil {
			giveBack()
			return nil, err
		}
		taken = append(taken, c)
	}
	return func() {
		_, _ = taken[0].Exec(ctx, "SELECT pg_sleep(0.2)")
		giveBack()
	}, nil
}

// EmptySQL makes a database what it was before anything was stored.
const EmptySQL = `TRUNCATE dh_record;
	DELETE FROM dh_member; DELETE FROM dh_errand; DELETE FROM dh_name; DELETE FROM dh_source; DELETE FROM dh_poll; DELETE FROM dh_vault; DELETE FROM dh_trash;
	DELETE FROM dh_event; DELETE FROM dh_copy; DELETE FROM dh_delivery; DELETE FROM dh_queue; DELETE FROM dh_attempt; DELETE FROM dh_gate; DELETE FROM dh_bucket; DELETE FROM dh_place; DELETE FROM dh_report;
	UPDATE dh_shard SET owner = NULL, epoch = 0, claimed_at = NULL, stirred = 0 WHERE epoch > 0 OR stirred > 0; UPDATE dh_meta SET swept_bytes = 0`

// UnfitSQL counts the deliveries that are not in the queue as their state says, and all.
const UnfitSQL = `SELECT count(*) FILTER (WHERE (q.seq IS NOT NULL) <> (d.seq IS NOT NULL AND d.state = 0) OR q.seq IS NOT NULL AND coalesce(q.batch, '') <> d.batch
	OR d.parked <> (d.state = 2) OR q.plain AND (d.attempts > 0 OR d.since IS NOT NULL OR d.tried_at IS NOT NULL OR d.next_at IS NOT NULL OR d.replay
		OR d.loose <> 0 OR d.batch <> '' OR EXISTS (SELECT 1 FROM dh_copy c WHERE c.seq = d.seq AND c.webhook = d.webhook))), count(*) FROM dh_delivery d FULL JOIN dh_queue q ON q.shard = d.shard AND q.webhook = d.webhook AND q.seq = d.seq`

// Statement is the text of a statement with the number of its parameters.
type Statement struct {
	Text   string
	Params int
}

// commitStatement is what a poll writes that found a record new and one gone, with an event for one webhook.
func commitStatement() Statement {
	c := &chunk{records: []record{{}, {gone: true}}}
	c.event(&poller.Event{To: []poller.Copy{{Webhook: "app"}}})
	c.deliveries.add(1, 1, 0, nil)
	q := (&commit{m: &member{s: &Store{now: time.Now}}, done: true, poll: new(string), fence: []any{0, "a#1", int64(1)}}).statement(c)
	return Statement{q.text.String(), len(q.args)}
}

// HotSQL has what is run for every delivery, or every failure of one.
func HotSQL() map[string]Statement {
	return map[string]Statement{
		"commit": commitStatement(), "acknowledge": {ackLaneSQL, 9}, "acknowledge in many lanes": {ackLanesSQL, 8}, "settled meanwhile": {settledOutSQL, 2}, "page of a lane": {pendingSQL, 4}, "a batch": {batchSQL, 3},
		"fail": {failSQL, 21}, "contents": {contentsSQL, 5}, "fix": {fixSQL, 2}, "bind": {bindSQL, 4}, "unbind": {unbindSQL, 3},
	}
}
