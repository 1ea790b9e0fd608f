package simtest

import (
	"context"
	"errors"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// spy is a store that lets the world know what it is told.
type spy struct {
	store.Store

	w    *world
	life int
}

func (s *spy) Join(ctx context.Context, name string, ttl time.Duration) (store.Member, error) {
	m, err := s.Store.Join(ctx, name, ttl)
	if err != nil {
		return nil, err
	}
	return &agent{Member: m, store: s.Store, w: s.w, life: s.life}, nil
}

// agent is the membership under a spy.
type agent struct {
	store.Member

	store store.Reader
	w     *world
	life  int
}

// Commit notes what is committed, before anybody can send it, and checks it against what upstream had.
func (a *agent) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	if c.Source == emitter.Own {
		return a.Member.Commit(ctx, c)
	}
	u := a.w.upstream(c.Source)
	seen := &commit{begun: time.Now(), expect: c.Expect, state: c.State, forget: c.Forget}
	if c.Poll != nil {
		seen.verdict, seen.complete = c.Poll.Verdict, u.proves(c.Poll.Verdict)
		seen.served, seen.certain = u.served()
		if seen.verdict == poller.Partial && !seen.complete && u.since == nil {
			seen.shifted = a.w.step.Load()
		}
	}
	var events []*poller.Event
	if writes := c.Writes; writes != nil {
		c.Writes = func(yield func(poller.Write, error) bool) {
			for w, err := range writes {
				if err == nil {
					a.w.truth.mu.Lock()
					seen.writes = append(seen.writes, a.noted(seen, w))
					a.w.truth.mu.Unlock()
					if w.Event != nil {
						events = append(events, w.Event)
					}
				}
				if !yield(w, err) {
					return
				}
			}
		}
	}
	a.w.expected(c.Source, c.Expect, seen)
	if c.Forget != poller.ForgetNothing {
		u.interrupted() // if it was just being read, that begins anew
	}
	out, err := a.Member.Commit(ctx, c)
	i := 0
	for k := range seen.writes {
		if e := seen.writes[k].event; e != nil {
			e.seq = events[i].Seq // it is given before the outcome is known
			i++
		}
	}
	switch {
	case err == nil:
		a.w.committed(c.Source, seen)
	case !errors.Is(err, poller.ErrConflict) && !errors.Is(err, poller.ErrFenced):
		a.w.uncertain(c.Source, seen)
	default:
		a.w.expected(c.Source, -1, nil)
	}
	return out, err
}

// noted copies a write as it passes.
func (a *agent) noted(c *commit, w poller.Write) write {
	out := write{hash: w.Hash, key: w.Key, body: string(w.Body), remove: w.Remove}
	if e := w.Event; e != nil {
		out.event = &event{
			id: e.ID, source: e.Source, key: e.Key, sequence: e.Sequence, change: e.Change, body: string(e.Body), at: time.Now(), life: a.life,
			to: map[string]string{}, done: map[string]string{}, droppable: map[string]bool{}, again: map[string]bool{},
		}
		for i := range e.To {
			to := &e.To[i]
			body := to.Body
			if body == nil {
				body = e.Body
			}
			out.event.to[to.Webhook] = string(body)
			if to.Merge != nil {
				to.Merge = a.merged(c, out.event, *to)
			}
		}
		out.key = e.Key
	}
	return out
}

// merged notes what becomes of a copy.
func (a *agent) merged(c *commit, later *event, to poller.Copy) func(string, []byte, bool) (poller.Merging, []byte) {
	return func(id string, waiting []byte, missed bool) (poller.Merging, []byte) {
		how, body := to.Merge(id, waiting, missed)
		a.w.truth.mu.Lock()
		defer a.w.truth.mu.Unlock()
		c.merges = append(c.merges, merge{webhook: to.Webhook, earlier: id, later: later, how: how, body: string(body)})
		return how, body
	}
}

func (a *agent) Ack(ctx context.Context, receipts []emitter.Receipt) error {
	err := a.Member.Ack(ctx, receipts)
	if err == nil {
		for _, r := range receipts {
			a.w.truth.settled(r.Ref, store.StateDelivered)
		}
	}
	return err
}

func (a *agent) Park(ctx context.Context, ref emitter.Ref, reason string, attempt *emitter.Attempt) error {
	err := a.Member.Park(ctx, ref, reason, attempt)
	if err == nil {
		a.w.truth.settled(ref, store.StateParked)
	}
	return err
}

func (a *agent) FailBatch(ctx context.Context, lane emitter.Lane, seqs []int64, attempt emitter.Attempt, next emitter.Next) error {
	err := a.Member.FailBatch(ctx, lane, seqs, attempt, next)
	if err == nil && next.Park != "" {
		for _, seq := range seqs {
			a.w.truth.settled(emitter.Ref{Lane: lane, Seq: seq}, store.StateParked)
		}
	}
	return err
}

func (a *agent) Replay(ctx context.Context, q store.DeliveryQuery, every time.Duration) (int, error) {
	a.w.truth.again(q)
	n, err := a.Member.Replay(ctx, q, every)
	if err == nil { // otherwise the next process knows
		a.w.learn(ctx, a.store)
	}
	return n, err
}

func (a *agent) Drop(ctx context.Context, q store.DeliveryQuery, why string) (int, error) {
	a.w.truth.droppable(q)
	n, err := a.Member.Drop(ctx, q, why)
	if err == nil { // otherwise the next process knows
		a.w.learn(ctx, a.store)
	}
	return n, err
}

// learn looks up what became of deliveries that people have changed.
func (w *world) learn(ctx context.Context, st store.Reader) {
	rows, err := st.Deliveries(ctx, store.DeliveryQuery{Limit: 1 << 30})
	if err != nil {
		return // the next process knows
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	for i := range rows {
		if e := w.truth.events[rows[i].EventID]; e != nil {
			w.settledAs(e, rows[i].Webhook, rows[i].State)
		}
	}
}

// settledAs takes in what the store says of a delivery.
func (w *world) settledAs(e *event, webhook, state string) {
	if state == store.StateDropped && !e.droppable[webhook] {
		w.violated(2, "event %d of %s for %s is dropped, and nobody asked", e.sequence, e.source, webhook)
	}
	if state != store.StatePending && e.done[webhook] != store.StateDelivered {
		e.done[webhook] = state
	}
}

// expected resolves a commit of which the outcome was unknown: the next one says what it is based on.
func (w *world) expected(source string, version int64, next *commit) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	m := w.truth.of(source)
	if m.maybe != nil && version == m.maybe.expect+1 {
		w.truth.apply(source, m.maybe)
	}
	if version == m.state.Version+1 && m.maybe == nil && !m.left.IsZero() && !m.forgotten { // since it was last looked at
		w.forgotten(source, m)
	}
	m.maybe, m.doing = nil, next
}

// uncertain keeps a commit of which the outcome is unknown.
func (w *world) uncertain(source string, c *commit) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	m := w.truth.of(source)
	c.by, c.parts = w.running.comparison(source), w.running.source(source).parts
	for _, all := range w.candidates(c.begun) {
		c.perhaps = append(c.perhaps, all.comparison(source))
	}
	m.maybe, m.doing = c, nil
	w.running.source(source).doubted()
}

// committed takes a commit in.
func (w *world) committed(source string, c *commit) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	m := w.truth.of(source)
	m.doing = nil
	w.checkCommit(source, m, c)
	if c.complete {
		w.running.source(source).ended(true)
	}
	w.truth.apply(source, c)
}

// found gives a committed event. One of a commit whose outcome was unknown proves that it was committed; one of a commit that the
// store is busy with is in the store already.
func (t *truth) found(known *event, is func(e *event) bool) *event {
	if known != nil {
		return known
	}
	for source, m := range t.sources {
		if e := m.maybe.find(is); e != nil {
			t.apply(source, m.maybe)
			return e
		}
		if e := m.doing.find(is); e != nil {
			return e
		}
	}
	return nil
}

func (c *commit) find(is func(e *event) bool) *event {
	if c == nil {
		return nil
	}
	for i := range c.writes {
		if e := c.writes[i].event; e != nil && is(e) {
			return e
		}
	}
	return nil
}
