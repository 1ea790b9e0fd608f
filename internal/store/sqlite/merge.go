package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

const (
	// Only the last that waits of a record is loose.
	waitingSQL = `SELECT d.seq, coalesce(d.copy, 0), e.id, e.source, e.key, b.body,
		EXISTS (SELECT 1 FROM (SELECT p.seq FROM event p INDEXED BY event_key WHERE p.key = e.key AND p.source = e.source AND p.seq < e.seq
			ORDER BY p.seq DESC LIMIT 1) p WHERE NOT EXISTS (SELECT 1 FROM delivery x WHERE x.seq = p.seq AND x.webhook = d.webhook))
		FROM delivery d INDEXED BY delivery_loose CROSS JOIN event e ON e.seq = d.seq CROSS JOIN event_body b ON b.seq = d.seq
		WHERE d.webhook = ? AND d.loose = ? AND d.loose <> 0 AND d.state = 0 ORDER BY d.seq DESC LIMIT 1`
	insertLooseSQL = `INSERT INTO delivery(seq, webhook, shard, copy, loose, state, merged_into, settled_at, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`
	absorbSQL     = `UPDATE delivery SET copy = ? WHERE seq = ? AND webhook = ?`
	deleteCopySQL = `DELETE FROM event_copy WHERE id = ?`
	mergedSQL     = `UPDATE delivery SET state = 4, loose = 0, next_at = 0, merged_into = ?, settled_at = ?, reason = ? WHERE seq = ? AND webhook = ?`
	fixAllSQL     = `UPDATE delivery INDEXED BY delivery_loose SET loose = 0 WHERE webhook = ? AND loose <> 0`
)

// merger is what a commit knows of deliveries that may be merged.
type merger struct {
	hasher *differ.Hasher
	fixed  map[int64]bool  // webhooks that have nothing loose
	fresh  map[string]bool // keys of loose deliveries of this commit
}

// waiting is the last loose delivery of a record.
type waiting struct {
	seq, copy int64
	id        string
	body      []byte // of the event
	missed    bool   // the webhook did not get the event of the record before it
}

// fixWaiting fixes what waits for a webhook before something that cannot be merged stands behind it: it must not take up what
// comes later still.
func (w *commit) fixWaiting(ctx context.Context, webhook int64) error {
	if w.merger.fixed[webhook] {
		return nil
	}
	if w.merger.fixed == nil {
		w.merger.fixed = map[int64]bool{}
	}
	w.merger.fixed[webhook] = true
	_, err := w.t.exec(ctx, fixAllSQL, webhook)
	return err
}

// deliverLoose queues a delivery that is fixed at its first attempt, or merges it with one that is.
func (w *commit) deliverLoose(ctx context.Context, seq, webhook int64, e *poller.Event, c *poller.Copy) error {
	delete(w.merger.fixed, webhook)
	loose := w.looseHash(e)
	old, err := w.lastWaiting(ctx, webhook, loose, e)
	if err != nil {
		return err
	}
	var absorbed []byte
	if old != nil {
		c.Merged, absorbed = c.Merge(old.id, old.body, old.missed)
	}
	switch c.Merged {
	case poller.Absorbed:
		if err := w.absorb(ctx, webhook, old, absorbed); err != nil {
			return err
		}
		return w.insertMerged(ctx, seq, webhook, old.seq, stored.ReasonAbsorbed)
	case poller.Replaced:
		if err := w.settleMerged(ctx, webhook, old.seq, seq, stored.ReasonReplaced); err != nil {
			return err
		}
	case poller.Cancelled:
		if err := w.settleMerged(ctx, webhook, old.seq, seq, stored.ReasonCancelled); err != nil {
			return err
		}
		return w.insertMerged(ctx, seq, webhook, old.seq, stored.ReasonCancelled)
	case poller.Apart: // what it took up later might be sent after what stands behind it now
		if old != nil {
			if _, err := w.t.exec(ctx, fixSQL, old.seq, webhook); err != nil {
				return err
			}
		}
	}
	body, err := w.copyBody(ctx, c.Body)
	if err != nil {
		return err
	}
	w.t.count(webhook, tally{pending: 1})
	_, err = w.t.exec(ctx, insertLooseSQL, seq, webhook, w.shard, body, loose, statePending, 0, 0, "")
	return err
}

// lastWaiting finds what the event may be merged with; nil when there is nothing.
func (w *commit) lastWaiting(ctx context.Context, webhook, loose int64, e *poller.Event) (*waiting, error) {
	if w.merger.fresh[e.Key] { // its event may not be in the database yet
		for _, b := range []*batch{&w.events, &w.bodies} {
			if err := b.flush(ctx, w.t); err != nil {
				return nil, err
			}
		}
	}
	if w.merger.fresh == nil {
		w.merger.fresh = map[string]bool{}
	}
	w.merger.fresh[e.Key] = true
	var old waiting
	var source int64
	var key string
	err := w.t.QueryRowContext(ctx, waitingSQL, webhook, loose).Scan(&old.seq, &old.copy, &old.id, &source, &key, &old.body, &old.missed)
	if errors.Is(err, sql.ErrNoRows) || err == nil && (source != w.source.id || key != e.Key) {
		return nil, nil
	}
	return &old, err
}

// absorb gives a waiting delivery another body.
func (w *commit) absorb(ctx context.Context, webhook int64, old *waiting, body []byte) error {
	stored, err := w.copyBody(ctx, notNil(body))
	if err != nil {
		return err
	}
	if _, err := w.t.exec(ctx, absorbSQL, stored, old.seq, webhook); err != nil || old.copy == 0 {
		return err
	}
	_, err = w.t.exec(ctx, deleteCopySQL, old.copy)
	return err
}

func (w *commit) insertMerged(ctx context.Context, seq, webhook, into int64, reason string) error {
	_, err := w.t.exec(ctx, insertLooseSQL, seq, webhook, w.shard, nil, 0, stateMerged, into, micros(w.s.now()), reason)
	return err
}

func (w *commit) settleMerged(ctx context.Context, webhook, seq, into int64, reason string) error {
	w.t.count(webhook, tally{pending: -1})
	_, err := w.t.exec(ctx, mergedSQL, into, micros(w.s.now()), reason, seq, webhook)
	return err
}

// looseHash hashes source and key; it is never 0.
func (w *commit) looseHash(e *poller.Event) int64 {
	if w.merger.hasher == nil {
		w.merger.hasher = differ.NewHasher(w.s.seed)
	}
	return stored.Loose(w.merger.hasher, e.Source, e.Key)
}
