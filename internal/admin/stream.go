package admin

import (
	"context"
	"errors"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

// Kinds of what a stream tells.
const (
	KindPoll       = "poll"
	KindEvent      = "event"
	KindAttempt    = "attempt"
	KindTransition = "transition" // of a source or a webhook
	KindGap        = "gap"        // something is missing here, Message says what
	KindIdle       = "idle"       // nothing has happened for a while; or, with an id, all that is known before has been told
)

// Item is one thing that happened. What does not apply to its kind is left out.
type Item struct {
	ID      uint64    `json:"id"` // grows by one, and with a new start of the daemon by more
	Kind    string    `json:"kind"`
	At      time.Time `json:"at"`
	Source  string    `json:"source,omitempty"`
	Webhook string    `json:"webhook,omitempty"`
	Event   string    `json:"event,omitempty"` // id
	Type    string    `json:"type,omitempty"`
	Key     string    `json:"key,omitempty"`

	Sequence int64  `json:"sequence,omitempty"` // of an event
	Verdict  string `json:"verdict,omitempty"`  // of a poll
	State    string `json:"state,omitempty"`    // of a transition: failing, recovered, held, …
	Failed   bool   `json:"failed,omitempty"`   // somebody may want to know

	Attempt int    `json:"attempt,omitempty"` // its number
	Outcome string `json:"outcome,omitempty"` // of an attempt: delivered, rejected, failed, …
	Status  int    `json:"status,omitempty"`
	Reason  string `json:"reason,omitempty"`
	TookMS  int64  `json:"took_ms,omitempty"`
	Message string `json:"message,omitempty"`

	Pages   int  `json:"pages,omitempty"`
	Records int  `json:"records,omitempty"`
	Created int  `json:"created,omitempty"`
	Updated int  `json:"updated,omitempty"`
	Deleted int  `json:"deleted,omitempty"`
	Ignored int  `json:"ignored,omitempty"`
	Quiet   bool `json:"quiet,omitempty"` // what differed was no news: a baseline, or discarded
}

// StreamQuery selects items. Zero fields do not restrict.
type StreamQuery struct {
	Sources  []string
	Webhooks []string // of attempts and transitions; with it, polls and events are left out
	Types    []string // globs of event types; with it, polls and transitions are left out
	Kinds    []string
	Failed   bool   // only what failed
	After    uint64 // the last item that is known: those that are remembered since come first; 0: none is
}

// Wants says whether the query selects an item.
func (q *StreamQuery) Wants(it *Item) bool {
	switch {
	case it.Kind == KindGap:
		return true
	case q.Failed && !it.Failed,
		len(q.Kinds) > 0 && !slices.Contains(q.Kinds, it.Kind),
		len(q.Sources) > 0 && !slices.Contains(q.Sources, it.Source),
		len(q.Webhooks) > 0 && !slices.Contains(q.Webhooks, it.Webhook):
		return false
	}
	return len(q.Types) == 0 || slices.ContainsFunc(q.Types, func(glob string) bool {
		ok, err := path.Match(glob, it.Type)
		return ok && err == nil
	})
}

// Bounds of a Stream.
const (
	remembered  = 1024 // items, for those who come back
	maxWatchers = 64
	maxBehind   = 512 // items that a watcher may be behind
	sayIdle     = 15 * time.Second
)

// Errors of watching.
var (
	// ErrTooSlow says that a watcher was dropped because it did not keep up.
	ErrTooSlow = errors.New("too slow: more happened than could be kept for this reader; the lists have it all")
	// ErrTooMany says that too many watch already.
	ErrTooMany = errors.New("too many watch already")
	// ErrEnded says that the daemon stops.
	ErrEnded = errors.New("the daemon stops")
)

// Stream tells watchers what happens. It never waits for one: who is too far behind is dropped. The zero value is ready.
type Stream struct {
	mu       sync.Mutex
	last     uint64 // id of the last item
	first    uint64 // id before the first item
	recent   []Item // ring, see place
	watchers map[*watcher]bool
	closed   bool
}

// watcher is who reads a stream.
type watcher struct {
	query StreamQuery
	items chan Item // closed when it is dropped or the stream ends; err says which
	err   error
}

// send tells an item.
func (s *Stream) send(items ...*Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	for _, it := range items {
		s.last++
		it.ID = s.last
		if len(s.recent) < remembered {
			s.recent = append(s.recent, *it)
		} else {
			s.recent[s.place(it.ID)] = *it
		}
		for w := range s.watchers {
			s.tell(w, it)
		}
	}
}

// begin numbers the items of this process behind those of the one before.
func (s *Stream) begin() {
	if s.last == 0 {
		s.last = uint64(time.Now().UnixMicro())
		s.first = s.last
	}
}

// since is from when on it is remembered what happened.
func (s *Stream) since() time.Time {
	if len(s.recent) == 0 {
		return time.Now()
	}
	return s.recent[s.place(s.last-uint64(len(s.recent))+1)].At
}

// place is where the item with an id is kept.
func (s *Stream) place(id uint64) uint64 { return (id - s.first - 1) % remembered }

// tell hands an item to a watcher, or drops it.
func (s *Stream) tell(w *watcher, it *Item) {
	if !w.query.Wants(it) {
		return
	}
	select {
	case w.items <- *it:
	default:
		s.drop(w, ErrTooSlow)
	}
}

func (s *Stream) drop(w *watcher, why error) {
	if s.watchers[w] {
		delete(s.watchers, w)
		w.err = why
		close(w.items)
	}
}

// Close ends the stream for all watchers.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for w := range s.watchers {
		s.drop(w, ErrEnded)
	}
}

// Watch calls yield for what happens until ctx ends, yield fails or the watcher is dropped: ErrTooSlow, ErrTooMany, ErrEnded.
func (s *Stream) Watch(ctx context.Context, q StreamQuery, yield func(Item) error) error {
	w := &watcher{query: q, items: make(chan Item, maxBehind)}
	missed, last, err := s.join(w)
	if err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.drop(w, nil)
	}()
	for i := range missed {
		if err := yield(missed[i]); err != nil {
			return err
		}
	}
	if err := yield(Item{ID: last, Kind: KindIdle, At: time.Now()}); err != nil { // from here on nothing is missed
		return err
	}
	idle := time.NewTicker(sayIdle)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-idle.C:
			if err := yield(Item{Kind: KindIdle, At: time.Now()}); err != nil {
				return err
			}
		case it, ok := <-w.items:
			if !ok {
				return w.err
			}
			if err := yield(it); err != nil {
				return err
			}
		}
	}
}

// join adds a watcher and gives what it missed since the item that it knows, and the id of the last item.
func (s *Stream) join(w *watcher) (missed []Item, last uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, 0, ErrEnded
	case len(s.watchers) >= maxWatchers:
		return nil, 0, ErrTooMany
	case s.watchers == nil:
		s.watchers = map[*watcher]bool{}
	}
	s.watchers[w] = true
	s.begin()
	if w.query.After == 0 || w.query.After >= s.last {
		return nil, s.last, nil
	}
	from := w.query.After + 1
	if oldest := s.last - uint64(len(s.recent)) + 1; from < oldest {
		missed = append(missed, Item{ID: oldest - 1, Kind: KindGap, At: s.since(), Message: "what happened before is not remembered; the lists have it"})
		from = oldest
	}
	for id := from; id <= s.last; id++ {
		if it := s.recent[s.place(id)]; w.query.Wants(&it) {
			missed = append(missed, it)
		}
	}
	return missed, s.last, nil
}

func itemOfPoll(r *poller.Result) *Item {
	p := &r.Poll
	return &Item{
		Kind: KindPoll, At: p.At, Source: r.Source, Verdict: string(p.Verdict), Failed: p.Verdict == poller.Failed || p.Verdict == poller.Held,
		Status: p.Status, TookMS: p.Took.Milliseconds(), Message: p.Message,
		Pages: p.Pages, Records: p.Records, Created: p.Created, Updated: p.Updated, Deleted: p.Deleted, Ignored: p.Ignored, Quiet: p.Quiet,
	}
}

// Committed tells of events that were committed; total says how many there were.
func (s *Stream) Committed(events []*poller.Event, total int) {
	if len(events) == 0 {
		return
	}
	items := make([]*Item, 0, min(len(events), maxBehind/2)+1)
	for _, e := range events[:min(len(events), maxBehind/2)] {
		items = append(items, &Item{Kind: KindEvent, At: e.At, Source: e.Source, Event: e.ID, Type: e.Type, Key: e.Key, Sequence: e.Sequence})
	}
	if more := total - len(items); more > 0 {
		last := events[0]
		items = append(items, &Item{
			Kind: KindGap, At: last.At, Source: last.Source,
			Message: "and " + strconv.Itoa(more) + " more events of the same poll; list them: deltahook events --source " + last.Source,
		})
	}
	s.send(items...)
}

// Attempted tells of an attempt to deliver.
func (s *Stream) Attempted(d *emitter.Delivery, o *emitter.Outcome) {
	s.send(&Item{
		Kind: KindAttempt, At: o.At, Source: d.Source, Webhook: d.Webhook, Event: d.ID, Type: d.Type, Key: d.Key,
		Attempt: d.Attempts + 1, Outcome: o.Class.String(), Failed: o.Class != emitter.Delivered, Status: o.Status, Reason: o.Reason,
		TookMS: o.Took.Milliseconds(), Message: o.Error,
	})
}

// Parked tells that a delivery waits for a person.
func (s *Stream) Parked(d *emitter.Delivery, reason string) {
	s.send(&Item{
		Kind: KindTransition, At: time.Now(), Source: d.Source, Webhook: d.Webhook, Event: d.ID, Type: d.Type, Key: d.Key,
		State: "parked", Message: reason, Failed: true,
	})
}

// Turned tells that a webhook changed its state.
func (s *Stream) Turned(webhook, state, message string, failed bool) {
	s.send(&Item{Kind: KindTransition, At: time.Now(), Webhook: webhook, State: state, Message: message, Failed: failed})
}
