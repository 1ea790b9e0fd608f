package simtest

import (
	"maps"
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
	seqs    map[int64]*event
}

// memory is what is known of one source.
type memory struct {
	state  poller.State
	known  map[string]known // by key
	keys   map[differ.Hash]string
	events []*event // in order of sequence
	maybe  *commit  // the last one, when its outcome is unknown
	edited int64    // step of the last edit of what counts
}

// known is a record as it was last written down.
type known struct {
	body string
	by   comparison // that counted when it was
	told bool       // an event had it
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
}

// commit is one call of Commit.
type commit struct {
	state  poller.State
	forget poller.Forget
	writes []write

	complete bool // it is what a complete listing came to
}

type write struct {
	hash   differ.Hash
	key    string
	body   string // empty: it stays
	remove bool
	event  *event
}

func newTruth() *truth {
	return &truth{sources: map[string]*memory{}, events: map[string]*event{}, seqs: map[int64]*event{}}
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
func (t *truth) apply(source string, c *commit, by comparison) {
	m := t.of(source)
	m.state, m.maybe = c.state, nil
	m.state.Version++
	if c.forget != poller.ForgetNothing {
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
			m.known[w.key] = known{body: w.body, by: by, told: w.event != nil}
		}
		if w.event != nil {
			m.events = append(m.events, w.event)
			t.events[w.event.id], t.seqs[w.event.seq] = w.event, w.event
		}
	}
}

// settled notes that a delivery needs nothing more.
func (t *truth) settled(ref emitter.Ref, how string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.seqs[ref.Seq]; e != nil {
		e.done[ref.Webhook] = how
	}
}

// again notes that what was parked is queued again.
func (t *truth) again() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.events {
		maps.DeleteFunc(e.done, func(_, how string) bool { return how == store.StateParked })
	}
}

// record gives the record of an event.
func (e *event) record() string {
	parsed, err := hooktest.ParseEvent(e.id, []byte(e.body))
	if err != nil {
		return err.Error()
	}
	return string(parsed.Record)
}
