package simtest

import (
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// truth is what the process told its store, and the store confirmed: what must be there whatever happens.
type truth struct {
	mu      sync.Mutex
	sources map[string]*memory
	events  map[string]*event // by id
	places  map[place]*event
	seqs    map[int64]*event
}

// memory is what is known of one source.
type memory struct {
	state  poller.State
	known  map[string]known // by key
	keys   map[differ.Hash]string
	events []*event   // in order of sequence
	maybe  *commit    // the last one, when its outcome is unknown
	doing  *commit    // the one that the store is busy with
	edited int64      // step of the last edit of what counts
	shifts int64      // step of the last reading that may have missed some of the list
	least  comparison // what has counted all the time

	selections []string  // where of its settings since all of it was read, the oldest first
	selected   int64     // step of the last edit of that
	fresh      string    // what says that it changed then or later had not been asked for yet at that edit; empty: all had been
	left       time.Time // the configuration, perhaps; zero: it is there
	tried      time.Time // when settings without it were refused, and the store may have heard of them; zero: none were since it was there
	due        bool      // it has been away for long enough to be forgotten
	forgotten  bool      // since it left
	mixed      bool      // the key was edited before the first listing was read to its end, and records are known under both
	parts      map[string]partState
}

// known is a record as it was last written down.
type known struct {
	body string
	by   comparison   // that counted when it was
	over []comparison // others that counted then, perhaps, or later, and were over before it was read again
	told bool         // an event had it
}

// event is one that was committed.
type event struct {
	id, source, key string
	seq, sequence   int64
	at              time.Time
	life            int // of the process that committed it
	change          differ.Kind
	body            string            // standard
	to              map[string]string // bodies by webhook
	done            map[string]string // by webhook: delivered, parked or whatever else settled it
	droppable       map[string]bool   // by webhook: a person may have dropped it
	again           map[string]bool   // by webhook: a person has sent it again, while later ones were on their way
}

func (e *event) place() place { return place{e.source, e.sequence} }

// commit is one call of Commit.
type commit struct {
	begun  time.Time
	expect int64
	state  poller.State
	forget poller.Forget
	writes []write

	complete bool // it is what a complete listing came to
	verdict  poller.Verdict
	shifted  int64           // step at which the list was changed while it was read: some of it may not have been seen; 0: it was not
	served   map[string]bool // lists that were read to their end, of those of a source with several
	certain  bool            // no other poll read some of them
	parts    []string        // that were configured
	by       comparison
	perhaps  []comparison // by which it may have been compared, if not by that
	merges   []merge
}

// merge is what becomes of an event and an earlier one of its record that waits for the same webhook.
type merge struct {
	webhook string
	earlier string // id
	later   *event
	how     poller.Merging
	body    string // of the earlier one, when it absorbs the later one
}

type write struct {
	hash   differ.Hash
	key    string
	body   string // empty: it stays
	remove bool
	event  *event
}

func newTruth() *truth {
	return &truth{sources: map[string]*memory{}, events: map[string]*event{}, places: map[place]*event{}, seqs: map[int64]*event{}}
}

func (t *truth) of(source string) *memory {
	m := t.sources[source]
	if m == nil {
		m = &memory{known: map[string]known{}, keys: map[differ.Hash]string{}}
		t.sources[source] = m
	}
	return m
}

// apply takes a commit in that the store has.
func (t *truth) apply(source string, c *commit) {
	m := t.of(source)
	first := m.state.Baselined.IsZero() && !c.state.Baselined.IsZero()
	m.state, m.maybe, m.forgotten = c.state, nil, false
	m.state.Version = c.expect + 1
	m.shifts = max(m.shifts, c.shifted)
	by := map[string]comparison{} // fingerprints stay when records get other keys
	if c.forget != poller.ForgetNothing {
		for key, k := range m.known {
			by[idOf(key)] = k.by
		}
		m.known, m.keys = map[string]known{}, map[differ.Hash]string{}
	}
	for i := range c.writes {
		w := &c.writes[i]
		if w.key == "" {
			w.key = m.keys[w.hash]
		}
		switch {
		case w.remove:
			delete(m.known, w.key)
		case w.body != "":
			m.keys[w.hash] = w.key
			m.known[w.key] = known{body: w.body, by: c.by, over: c.others(), told: w.event != nil}
			if former, ok := by[idOf(w.key)]; ok {
				m.known[w.key] = known{body: w.body, by: former}
			}
		}
		if w.event != nil {
			m.events = append(m.events, w.event)
			t.events[w.event.id], t.places[w.event.place()], t.seqs[w.event.seq] = w.event, w.event, w.event
		}
	}
	m.mixed = (first || m.mixed) && !m.oneForm()
	if m.partsRead(c); len(m.known) == 0 && m.state.Baselined.IsZero() {
		m.selections, m.parts = nil, nil
	}
	for i := range c.merges {
		t.merge(&c.merges[i])
	}
}

// others are the comparisons by which a commit may have been made besides the likeliest one.
func (c *commit) others() []comparison {
	return slices.DeleteFunc(slices.Clone(c.perhaps), func(p comparison) bool { return p == c.by })
}

// oneForm says whether all records are known under keys of one form.
func (m *memory) oneForm() bool {
	form := ""
	for key := range m.known {
		if form == "" {
			form = formOf(key)
		}
		if formOf(key) != form {
			return false
		}
	}
	return true
}

func (t *truth) merge(g *merge) {
	earlier := t.events[g.earlier]
	switch g.how {
	case poller.Absorbed:
		earlier.to[g.webhook], g.later.done[g.webhook] = g.body, store.StateMerged
	case poller.Replaced:
		earlier.done[g.webhook] = store.StateMerged
	case poller.Cancelled:
		earlier.done[g.webhook], g.later.done[g.webhook] = store.StateMerged, store.StateMerged
	case poller.Apart:
	}
}

// merging says whether a commit that may be in the store already gives a waiting event this body.
func (t *truth) merging(e *event, webhook, body string) bool {
	m := t.of(e.source)
	for _, c := range []*commit{m.doing, m.maybe} {
		if c != nil && slices.ContainsFunc(c.merges, func(g merge) bool {
			return g.webhook == webhook && g.earlier == e.id && g.how == poller.Absorbed && g.body == body
		}) {
			return true
		}
	}
	return false
}

// settled notes that a delivery needs nothing more.
func (t *truth) settled(ref emitter.Ref, how string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.seqs[ref.Seq]; e != nil {
		e.done[ref.Webhook] = how
	}
}

// again notes that what was settled may be queued again.
func (t *truth) again(q store.DeliveryQuery) {
	t.each(q, func(e *event, webhook string) {
		if how := e.done[webhook]; how != store.StateMerged && (q.State == "" || how == q.State) {
			e.again[webhook] = e.again[webhook] || how != ""
			delete(e.done, webhook)
		}
	})
}

// droppable notes that what is parked, or queued, may be dropped.
func (t *truth) droppable(q store.DeliveryQuery) {
	t.each(q, func(e *event, webhook string) {
		if how := e.done[webhook]; how == "" || how == store.StateParked {
			e.droppable[webhook] = true
		}
	})
}

// each calls do for the deliveries that a query is about, whatever became of them.
func (t *truth) each(q store.DeliveryQuery, do func(e *event, webhook string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.events {
		for webhook := range e.to {
			if (q.Webhook == "" || q.Webhook == webhook) && (q.Source == "" || q.Source == e.source) {
				do(e, webhook)
			}
		}
	}
}

// record gives the record of an event, as a webhook gets it; no name means as it was committed.
func (e *event) record(webhook string) string {
	body := e.body
	if webhook != "" {
		body = e.to[webhook]
	}
	parsed, err := hooktest.ParseEvent(e.id, []byte(body))
	if err != nil {
		return err.Error()
	}
	return string(parsed.Record)
}
