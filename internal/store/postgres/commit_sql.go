package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

const (
	commitHead = `WITH ` + fenceCTE + `,
		v AS MATERIALIZED (SELECT s.id, s.polls, coalesce(s.book, nextval('dh_book')) AS book FROM dh_source s, f
			WHERE s.id = $4::integer AND ` + baseCondition + ` FOR NO KEY UPDATE OF s)`
	commitRecords = `,
		up AS (INSERT INTO dh_record(book, hash, prints, missing, key, body)
			SELECT v.book, t.* FROM v, unnest(%s::bytea[], %s::bytea[], %s::integer[], %s::bytea[], %s::bytea[]) t
			ON CONFLICT (book, hash) DO UPDATE SET prints = excluded.prints, missing = excluded.missing, body = coalesce(excluded.body, dh_record.body)
			RETURNING xmax = 0 AS new)`
	commitRemovals = `,
		del AS (DELETE FROM dh_record r USING v WHERE r.book = v.book AND r.hash = ANY(%s::bytea[]) RETURNING 1)`
	commitEvents = `,
		e AS MATERIALIZED (SELECT nextval('dh_seq') AS seq, q.* FROM (SELECT v.id AS source, t.* FROM v,
			unnest(%s::text[], %s::bigint[], %s::text[], %s::smallint[], %s::bytea[], %s::timestamptz[], %s::bytea[], %s::bigint[])
			WITH ORDINALITY t(id, sequence, type, change, key, at, body, bytes, o) ORDER BY t.o) q),
		ie AS (INSERT INTO dh_event(seq, id, source, sequence, type, change, key, at, bytes, body)
			SELECT seq, id, source, sequence, type, change, key, at, bytes, body FROM e)`
	commitDeliveries = `,
		d AS MATERIALIZED (SELECT e.seq, t.*, coalesce(t.intoseq, i.seq) AS target FROM unnest(%s::integer[], %s::integer[], %s::bigint[], %s::smallint[],
			%s::integer[], %s::bigint[], %s::text[], %s::bytea[]) t(o, webhook, loose, state, intoord, intoseq, reason, body)
			JOIN e ON e.o = t.o LEFT JOIN e i ON i.o = t.intoord),
		id AS (INSERT INTO dh_delivery(seq, webhook, shard, state, loose, merged_into, why, settled_at)
			SELECT seq, webhook, $1, state, loose, target, reason, CASE WHEN state <> 0 THEN %s::timestamptz END FROM d),
		iq AS (INSERT INTO dh_queue(shard, webhook, seq, plain) SELECT $1, webhook, seq, loose = 0 AND body IS NULL FROM d WHERE state = 0),
		ic AS (INSERT INTO dh_copy(seq, webhook, body) SELECT seq, webhook, body FROM d WHERE body IS NOT NULL)`
	// What waits for a webhook is fixed before something that cannot be merged stands behind it: it must not take up what comes later still.
	commitFix = `,
		x AS (UPDATE dh_delivery d SET loose = 0 FROM v WHERE d.shard = $1 AND d.webhook = ANY(%s::integer[]) AND d.loose <> 0 AND d.seq <> ALL(%s::bigint[]))`
	commitApart = `,
		y AS (UPDATE dh_delivery d SET loose = 0 FROM v, unnest(%s::bigint[], %s::integer[]) t(seq, webhook)
			WHERE d.seq = t.seq AND d.webhook = t.webhook AND d.loose <> 0)`
	commitMerges = `,
		m AS (UPDATE dh_delivery d SET state = 4, loose = 0, next_at = NULL, merged_into = e.seq, settled_at = %s, why = t.reason
			FROM unnest(%s::bigint[], %s::integer[], %s::integer[], %s::text[]) t(seq, webhook, o, reason) JOIN e ON e.o = t.o
			WHERE d.seq = t.seq AND d.webhook = t.webhook RETURNING d.shard, d.webhook, d.seq),
		mq AS (` + dequeueHead + `m` + dequeueTail + `),
		a AS (INSERT INTO dh_copy(seq, webhook, body) SELECT t.* FROM v, unnest(%s::bigint[], %s::integer[], %s::bytea[]) t
			ON CONFLICT (seq, webhook) DO UPDATE SET body = excluded.body)`
	commitPoll = `,
		p AS (INSERT INTO dh_poll(source, slot, number, body) SELECT v.id, v.polls %% %d, v.polls, %s::text FROM v
			ON CONFLICT (source, slot) DO UPDATE SET number = excluded.number, body = excluded.body)`
	commitTail = `,
		u AS (UPDATE dh_source s SET version = s.version + %[1]s::integer, sequence = coalesce(%[2]s::bigint, s.sequence), book = v.book,
			records = s.records + %[3]s, event_bytes = s.event_bytes + %[4]s::bigint, polls = s.polls + %[5]s::integer, state = %[6]s, etag = %[7]s,
			last_modified = %[8]s, cursor = %[9]s, committed_at = %[10]s::timestamptz, purged_at = NULL FROM v WHERE s.id = v.id RETURNING 1)
		SELECT (SELECT count(*) FROM f), (SELECT count(*) FROM u), (SELECT version FROM dh_source WHERE id = $4),
			(SELECT sequence FROM dh_source WHERE id = $4), %[11]s`
)

// statement is the text of a commit with its parameters: only the parts that this one needs, so that the text is one of a few and
// the server keeps its plan.
type statement struct {
	text strings.Builder
	args args
}

func (q *statement) part(form string, params ...any) {
	places := make([]any, len(params))
	for i, p := range params {
		places[i] = q.args.add(p)
	}
	fmt.Fprintf(&q.text, form, places...)
}

// write runs the statement of one chunk. It says whether the lease held.
func (w *commit) write(ctx context.Context, on querier, c *chunk) (bool, error) {
	q := w.statement(c)
	var held, done int
	var version, sequence *int64
	var seqs []int64
	if err := on.QueryRow(ctx, q.text.String(), q.args...).Scan(&held, &done, &version, &sequence, &seqs); err != nil || held == 0 {
		return false, err
	}
	if done == 0 {
		return true, w.refusal(version, sequence)
	}
	for i, e := range c.events.list {
		e.Seq = seqs[i]
	}
	return true, nil
}

// refusal says why the version or the sequence did not fit.
func (w *commit) refusal(version, sequence *int64) error {
	if version == nil || *version != w.Expect {
		return fmt.Errorf("%w: version %d was expected", poller.ErrConflict, w.Expect)
	}
	if base := w.base(nil); sequence != nil && base != nil && *sequence != *base {
		return harmlessError{fmt.Errorf("the events do not follow the last one, which has sequence %d: refused", *sequence)}
	}
	return poller.ErrConflict
}

// base gives the sequence that the source must have before a chunk; nil when any will do.
func (w *commit) base(c *chunk) *int64 {
	var base int64
	switch {
	case c != nil && len(c.events.sequence) > 0:
		base = c.events.sequence[0] - 1
	case w.done && w.last == nil:
		base = w.State.Sequence
	default:
		return nil
	}
	return &base
}

func (w *commit) statement(c *chunk) *statement {
	q := &statement{}
	for _, p := range w.fence {
		q.args.add(p)
	}
	q.args.add(w.source)
	q.args.add(w.Expect)
	q.args.add(w.base(c))
	q.text.WriteString(commitHead)
	grown, seqs := w.records(q, c), "NULL::bigint[]"
	var after *int64
	var bytes int64
	now := at(w.m.s.now())
	if n := len(c.events.ids); n > 0 {
		x, d := &c.events, &c.deliveries
		q.part(commitEvents, x.ids, x.sequence, x.types, x.changes, x.keys, x.times, x.bodies, x.sizes)
		if len(d.ordinals) > 0 {
			q.part(commitDeliveries, d.ordinals, d.webhooks, d.loose, d.states, d.intoOrd, d.intoSeq, d.reasons, d.copies, now)
		}
		c.merges.part(q, now)
		seqs, after = "ARRAY(SELECT seq FROM e ORDER BY o)", &x.sequence[n-1]
		for _, size := range x.sizes {
			bytes += size
		}
	}
	last, polls := 0, 0
	if w.done {
		last = 1
	}
	if w.done && w.poll != nil {
		polls = 1
		fmt.Fprintf(&q.text, commitPoll, stored.KeptPolls, q.args.add(*w.poll))
	}
	st := &w.state
	fmt.Fprintf(&q.text, commitTail, q.args.add(last), q.args.add(after), grown, q.args.add(bytes), q.args.add(polls), q.args.add(st.Text),
		q.args.add(st.ETag), q.args.add(st.LastModified), q.args.add(st.Cursor), q.args.add(now), seqs)
	return q
}

// records adds the part about records and gives by how much their number grows.
func (w *commit) records(q *statement, c *chunk) (grown string) {
	var hashes, prints, keys, bodies, gone [][]byte
	var missing []int32
	for i := range c.records {
		r := &c.records[i]
		if r.gone {
			gone = append(gone, r.hash[:])
			continue
		}
		if r.body == nil && r.anew {
			r.body = []byte{} // which is no body, and replaces the stored one
		}
		hashes, prints, keys = append(hashes, r.hash[:]), append(prints, r.prints), append(keys, []byte(r.key))
		missing, bodies = append(missing, r.missing), append(bodies, r.body)
	}
	grown = "0"
	if len(hashes) > 0 {
		q.part(commitRecords, hashes, prints, missing, keys, bodies)
		grown = "(SELECT count(*) FROM up WHERE new)"
	}
	if len(gone) > 0 {
		q.part(commitRemovals, gone)
		grown += " - (SELECT count(*) FROM del)"
	}
	return grown
}
