package simtest

import (
	"context"
	"errors"
	"maps"
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
	return &agent{Member: m, w: s.w, life: s.life}, nil
}

// agent is the membership under a spy.
type agent struct {
	store.Member

	w    *world
	life int
}

// Commit notes what is committed, before anybody can send it, and checks it against what upstream had.
func (a *agent) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	seen := &commit{state: c.State, forget: c.Forget, complete: c.Poll != nil && c.Poll.Verdict == poller.Complete}
	var events []*poller.Event
	if writes := c.Writes; writes != nil {
		c.Writes = func(yield func(poller.Write, error) bool) {
			for w, err := range writes {
				if err == nil {
					seen.writes = append(seen.writes, a.noted(w))
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
	a.w.expected(c.Source, c.Expect)
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
	}
	return out, err
}

// noted copies a write as it passes.
func (a *agent) noted(w poller.Write) write {
	out := write{hash: w.Hash, key: w.Key, body: string(w.Body), remove: w.Remove}
	if e := w.Event; e != nil {
		out.event = &event{
			id: e.ID, source: e.Source, key: e.Key, sequence: e.Sequence, change: e.Change, body: string(e.Body), at: time.Now(), life: a.life,
			to: map[string]string{}, done: map[string]string{},
		}
		for _, c := range e.To {
			body := c.Body
			if body == nil {
				body = e.Body
			}
			out.event.to[c.Webhook] = string(body)
		}
		out.key = e.Key
	}
	return out
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

func (a *agent) Replay(ctx context.Context, q store.DeliveryQuery, every time.Duration) (int, error) {
	a.w.truth.again()
	return a.Member.Replay(ctx, q, every)
}

// expected resolves a commit of which the outcome was unknown: the next one says what it is based on.
func (w *world) expected(source string, version int64) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	m := w.truth.of(source)
	if m.maybe != nil && version == m.maybe.state.Version+1 {
		w.truth.apply(source, m.maybe, w.running.comparison(source))
	}
	m.maybe = nil
}

// uncertain keeps a commit of which the outcome is unknown.
func (w *world) uncertain(source string, c *commit) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	w.truth.of(source).maybe = c
	w.running.source(source).doubted()
}

// committed takes a commit in.
func (w *world) committed(source string, c *commit) {
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	w.checkCommit(source, w.truth.of(source), c)
	if c.complete {
		w.running.source(source).ended(true)
	}
	w.truth.apply(source, c, w.running.comparison(source))
}

// found gives a committed event; one of a commit whose outcome was unknown proves that it was committed.
func (t *truth) found(id string, by func(source string) comparison) *event {
	if e := t.events[id]; e != nil {
		return e
	}
	for source, m := range maps.All(t.sources) {
		if m.maybe == nil {
			continue
		}
		for i := range m.maybe.writes {
			if e := m.maybe.writes[i].event; e != nil && e.id == id {
				t.apply(source, m.maybe, by(source))
				return e
			}
		}
	}
	return nil
}
