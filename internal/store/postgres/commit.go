package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/stored"
	"github.com/deltahook/deltahook/poller"
)

const (
	newSourceSQL = `INSERT INTO dh_source(id, shard) VALUES ($1, $2) ON CONFLICT DO NOTHING`
	// The records go to the trash as a whole; housekeeping empties it.
	forgetSQL = `WITH ` + fenceCTE + `,
		v AS MATERIALIZED (SELECT s.id, s.book FROM dh_source s, f WHERE s.id = $4 AND s.version = $5 FOR NO KEY UPDATE OF s),
		t AS (INSERT INTO dh_trash(book) SELECT book FROM v WHERE book IS NOT NULL ON CONFLICT DO NOTHING),
		p AS (DELETE FROM dh_poll p USING v WHERE p.source = v.id AND $6::boolean),
		u AS (UPDATE dh_source s SET book = NULL, records = 0, sequence = CASE WHEN $6 THEN 0 ELSE sequence END,
			polls = CASE WHEN $6 THEN 0 ELSE polls END FROM v WHERE s.id = v.id RETURNING 1)
		SELECT (SELECT count(*) FROM f), (SELECT count(*) FROM u)`
)

// commit is a poll on its way into the database.
type commit struct {
	m *member
	poller.Commit
	shard  int
	source int32
	state  stored.StateRow
	poll   *string

	next   func() (poller.Write, error, bool)
	ahead  *poller.Write // read, but not taken in yet
	stop   func()
	last   *int64 // sequence of the last event that was taken in
	hasher *differ.Hasher
	hooks  map[string]int32
	done   bool // the writes are all taken in
	fence  []any
}

// Commit writes one poll.
func (m *member) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	w := &commit{m: m, Commit: c, shard: store.ShardOf(c.Source)}
	if err := w.run(ctx); err != nil {
		return poller.Committed{}, fmt.Errorf("commit of source %q: %w", c.Source, err)
	}
	return poller.Committed{Version: c.Expect + 1}, nil
}

func (w *commit) run(ctx context.Context) error {
	if err := w.begin(ctx); err != nil {
		return err
	}
	defer w.stop()
	unlock, err := w.m.lock(ctx, w.shard)
	if err != nil {
		return err
	}
	defer unlock()
	first, err := w.gather(ctx)
	if err != nil {
		return err
	}
	if w.done && w.Forget == poller.ForgetNothing && !first.merges.wanted {
		// All of it in one statement, which is a transaction of its own.
		return w.m.underLease(ctx, w.shard, attempts, func(ctx context.Context, fence []any) (bool, error) {
			w.fence = fence
			return w.write(ctx, w.m.s.pool, first)
		})
	}
	return w.inSteps(ctx, first)
}

// begin reads what does not change, and makes room for a source that is new.
func (w *commit) begin(ctx context.Context) (err error) {
	if w.m.s.readOnly {
		return store.ErrReadOnly
	}
	if w.state, err = stored.EncodeState(w.State); err != nil {
		return err
	}
	if w.Poll != nil {
		body, err := json.Marshal(w.Poll)
		if err != nil {
			return fmt.Errorf("history: %w", err)
		}
		text := string(body)
		w.poll = &text
	}
	if w.source, err = w.m.s.intern(ctx, w.Source); err != nil {
		return err
	}
	if w.Expect == 0 {
		if _, err := w.m.s.pool.Exec(ctx, newSourceSQL, w.source, w.shard); err != nil {
			return w.m.s.explain(err)
		}
	}
	writes := w.Writes
	if writes == nil {
		writes = func(func(poller.Write, error) bool) {}
	}
	w.next, w.stop = iter.Pull2(writes)
	if w.Forget == poller.ForgetAll {
		w.last = new(int64)
	}
	return nil
}

// gather takes in the writes of the next statement. It stops between two of them when ctx ends.
func (w *commit) gather(ctx context.Context) (*chunk, error) {
	c := &chunk{}
	for {
		one, more, err := w.peek(ctx)
		if err != nil {
			return nil, harmlessError{err}
		}
		if !more {
			w.done = true
			return c, w.consistent()
		}
		if c.full() { // and not the last one: a commit that just fits is one statement
			return c, nil
		}
		w.ahead = nil
		c.add(w.m.s.bodies, one)
		if one.Event == nil {
			continue
		}
		if err := w.take(ctx, c, one.Event); err != nil {
			return nil, fmt.Errorf("event %s: %w", one.Event.ID, err)
		}
	}
}

// peek gives the next write, which stays the next one until it is taken from ahead.
func (w *commit) peek(ctx context.Context) (one *poller.Write, more bool, err error) {
	if w.ahead != nil {
		return w.ahead, true, ctx.Err()
	}
	next, err, more := w.next()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil || !more {
		return nil, more, err
	}
	w.ahead = &next
	return w.ahead, true, nil
}

// consistent checks the new state against the events.
func (w *commit) consistent() error {
	if w.last != nil && *w.last != w.State.Sequence {
		return harmlessError{fmt.Errorf("the state has sequence %d, the last event %d: refused", w.State.Sequence, *w.last)}
	}
	return nil
}

// take takes in an event with its deliveries.
func (w *commit) take(ctx context.Context, c *chunk, e *poller.Event) error {
	if err := follows(e, w.Source, w.last); err != nil {
		return err
	}
	sequence := e.Sequence
	w.last = &sequence
	ordinal := c.event(e)
	for i := range e.To {
		to := &e.To[i]
		webhook, err := w.hook(ctx, to.Webhook)
		if err != nil {
			return err
		}
		if to.Merge != nil || c.merges.wanted {
			c.merges.later(ordinal, webhook, e, to)
			continue
		}
		c.merges.fix(webhook)
		c.deliveries.add(ordinal, webhook, 0, to.Body)
	}
	return nil
}

// hook gives the number of a webhook.
func (w *commit) hook(ctx context.Context, name string) (int32, error) {
	if id, ok := w.hooks[name]; ok {
		return id, nil
	}
	if w.hooks == nil {
		w.hooks = map[string]int32{}
	}
	ctx, cancel := unbroken(ctx)
	defer cancel()
	id, err := w.m.s.intern(ctx, name)
	if err != nil {
		return 0, harmlessError{err}
	}
	w.hooks[name] = id
	return id, nil
}

// inSteps writes a commit that is more than one statement, in one transaction. It is tried once: the writes can be read once.
func (w *commit) inSteps(ctx context.Context, c *chunk) error {
	select {
	case w.m.s.large <- struct{}{}:
		defer func() { <-w.m.s.large }()
	case <-ctx.Done():
		return ctx.Err()
	}
	return w.m.underLease(ctx, w.shard, 1, func(quiet context.Context, fence []any) (held bool, err error) {
		w.fence = fence
		held = true
		err = w.m.s.transaction(context.WithoutCancel(quiet), func(tx pgx.Tx) error {
			if w.Forget != poller.ForgetNothing {
				if held, err = w.forget(quiet, tx); err != nil || !held {
					return stopUnless(held, err)
				}
			}
			for {
				if held, err = w.step(ctx, tx, c); err != nil || !held {
					return stopUnless(held, err)
				}
				if w.done {
					return nil
				}
				if c, err = w.gather(ctx); err != nil {
					return err
				}
			}
		})
		if !held {
			return false, nil
		}
		return true, err
	})
}

// stopUnless makes a transaction roll back when the lease did not hold.
func stopUnless(held bool, err error) error {
	if err == nil && !held {
		return harmlessError{errStop}
	}
	return err
}

func (w *commit) step(ctx context.Context, tx pgx.Tx, c *chunk) (bool, error) {
	quiet, cancel := unbroken(ctx)
	defer cancel()
	if c.merges.wanted {
		held, err := w.merge(quiet, tx, c)
		if err != nil || !held {
			return held, err
		}
	}
	return w.write(quiet, tx, c)
}

// forget drops what the commit does not build on.
func (w *commit) forget(ctx context.Context, tx pgx.Tx) (bool, error) {
	var held, done int
	params := append(w.fence[:3:3], w.source, w.Expect, w.Forget == poller.ForgetAll)
	if err := tx.QueryRow(ctx, forgetSQL, params...).Scan(&held, &done); err != nil || held == 0 {
		return false, err
	}
	if done == 0 {
		return true, fmt.Errorf("%w: version %d was expected", poller.ErrConflict, w.Expect)
	}
	return true, nil
}
