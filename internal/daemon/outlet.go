package daemon

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/metrics"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// outlet makes events of changes: the one place where the two halves know of each other.
type outlet struct {
	webhooks atomic.Pointer[[]emitter.Webhook] // a reload replaces them
	seed     differ.Seed
	full     func(webhook string) bool
}

// Event fixes id and bytes.
func (o *outlet) Event(source *poller.Source, sequence int64, at time.Time, c differ.Change) (*poller.Event, error) {
	e := emitter.Event{Source: source.Name, Type: typeOf(source), Sequence: sequence, At: at, Change: c}
	out := &poller.Event{
		ID: e.ID(o.seed), Source: source.Name, Sequence: sequence, Type: e.EventType(), Change: c.Kind, Key: c.Key, At: at,
		Body: emitter.EncodeStandard(nil, &e),
	}
	webhooks := *o.webhooks.Load()
	for i := range webhooks {
		w := &webhooks[i]
		if source.SendsTo(w.Name) && w.Wants(&e, out.Body) {
			out.To = append(out.To, poller.Copy{Webhook: w.Name, Body: w.Encode(out.ID, &e), Merge: o.merging(w, source, &e)})
		}
	}
	return out, nil
}

// Committed has nothing left to do: the ledger has dispatched the events already, in the order of their commits.
func (o *outlet) Committed(string, []*poller.Event, bool) {}

// Full says whether a webhook of the source is so far behind that polling would only add to the pile.
func (o *outlet) Full(source *poller.Source) (string, bool) {
	webhooks := *o.webhooks.Load()
	for i := range webhooks {
		w := &webhooks[i]
		if w.OnFull == "pause" && source.SendsTo(w.Name) && o.full(w.Name) {
			return w.Name, true
		}
	}
	return "", false
}

func typeOf(s *poller.Source) string {
	if s.Type != "" {
		return s.Type
	}
	return s.Name
}

// window is how many events of one commit are handed to the dispatcher in memory; it reads the others from the store.
const window = 2000

// ledger hands what was committed to the dispatcher. Commits of one shard go one after the other, so that the order in
// which the dispatcher hears of them is the order in which the store has them.
type ledger struct {
	store.Member
	dispatcher *emitter.Dispatcher
	journal    *admin.Journal
	metrics    *metrics.Metrics
	fenced     func() // hears that a commit was refused
	shards     [store.Shards]sync.Mutex
}

// Commit commits and dispatches.
func (l *ledger) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	shard := store.ShardOf(c.Source)
	l.shards[shard].Lock()
	defer l.shards[shard].Unlock()
	var seen handover
	c.Writes = seen.watch(c.Writes)
	out, err := l.Member.Commit(ctx, c)
	switch {
	case err == nil:
		if seen.total > 0 {
			l.journal.Committed(seen.events, seen.total)
			l.dispatcher.Dispatch(shard, seen.deliveries(shard), seen.total == len(seen.events))
		}
		for webhook, n := range seen.merged {
			l.dispatcher.Merged(webhook, n)
		}
		for eventType, n := range seen.types {
			l.metrics.Committed(c.Source, eventType, n)
		}
	case errors.Is(err, poller.ErrFenced):
		l.metrics.Fenced()
		l.fenced()
	case !errors.Is(err, poller.ErrConflict):
		// The outcome is unknown: what was committed all the same is found in the store.
		l.dispatcher.Dispatch(shard, nil, false)
	}
	return out, err
}

// handover keeps the first events of a commit while they pass into the store.
type handover struct {
	events []*poller.Event
	total  int
	merged map[string]int // deliveries that were settled by merging, by webhook
	types  map[string]int // events by type
}

func (h *handover) watch(writes iter.Seq2[poller.Write, error]) iter.Seq2[poller.Write, error] {
	if writes == nil {
		return nil
	}
	return func(yield func(poller.Write, error) bool) {
		for w, err := range writes {
			if w.Event != nil {
				h.total++
				h.counted(w.Event.Type)
				h.countMerges(w.Event)
				if len(h.events) < window {
					h.events = append(h.events, w.Event)
				}
			}
			if !yield(w, err) {
				return
			}
		}
	}
}

func (h *handover) counted(eventType string) {
	if h.types == nil {
		h.types = map[string]int{}
	}
	h.types[eventType]++
}

func (h *handover) deliveries(shard int) []emitter.Delivery {
	list := make([]emitter.Delivery, 0, len(h.events))
	for _, e := range h.events {
		for _, c := range e.To {
			if settled(c.Merged) {
				continue
			}
			body := c.Body
			if body == nil {
				body = e.Body
			}
			list = append(list, emitter.Delivery{
				Ref: emitter.Ref{Lane: emitter.Lane{Shard: shard, Webhook: c.Webhook}, Seq: e.Seq},
				ID:  e.ID, Source: e.Source, Key: e.Key, Type: e.Type, Sequence: e.Sequence, At: e.At, Body: body,
				Loose: c.Merge != nil,
			})
		}
	}
	return list
}

// TrialOutlet makes the events that a trial would send. They are committed nowhere.
func TrialOutlet(c *config.Config, seed differ.Seed) poller.Outlet {
	return newOutlet(webhooksOf(c), seed, func(string) bool { return false })
}

func newOutlet(webhooks []emitter.Webhook, seed differ.Seed, full func(webhook string) bool) *outlet {
	o := &outlet{seed: seed, full: full}
	o.webhooks.Store(&webhooks)
	return o
}

func webhooksOf(c *config.Config) []emitter.Webhook {
	list := make([]emitter.Webhook, len(c.Webhooks))
	for i, w := range c.Webhooks {
		list[i] = *w
	}
	return list
}
