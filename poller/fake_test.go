package poller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// memLedger is a Ledger in memory: atomic, with compare-and-swap, and strict about what the contract promises.
type memLedger struct {
	mu      sync.Mutex
	sources map[string]memSource
	commits int
	reads   int // calls of Load, Prints and Bodies

	// before is called at the start of a commit; its error is returned without an effect. after is called behind the
	// effect: its error makes the outcome unknown to the caller.
	before, after func(Commit) error
}

type memSource struct {
	State  State
	Rows   map[differ.Hash]memRow
	Events []*Event
	Polls  []Poll
}

type memRow struct {
	Known
	Key  string
	Body []byte
}

func newMemLedger() *memLedger { return &memLedger{sources: map[string]memSource{}} }

func (l *memLedger) Load(_ context.Context, source string) (State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	return l.sources[source].State, nil
}

func (l *memLedger) Prints(_ context.Context, source string, yield func(Known) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	for _, row := range l.sources[source].Rows {
		if !yield(row.Known) {
			return nil
		}
	}
	return nil
}

func (l *memLedger) Bodies(_ context.Context, source string, hashes []differ.Hash, yield func(differ.Hash, string, []byte) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	shuffled := slices.Clone(hashes)
	slices.SortFunc(shuffled, func(a, b differ.Hash) int { return bytes.Compare(a[:], b[:]) })
	for _, h := range shuffled {
		row, ok := l.sources[source].Rows[h]
		if !ok {
			continue
		}
		lent := bytes.Clone(row.Body)
		if err := yield(h, row.Key, lent); err != nil {
			return err
		}
		for i := range lent { // valid only during the call
			lent[i] = '#'
		}
	}
	return nil
}

func (l *memLedger) Commit(ctx context.Context, c Commit) (Committed, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.before != nil {
		if err := l.before(c); err != nil {
			return Committed{}, err
		}
	}
	if ctx.Err() != nil {
		return Committed{}, ctx.Err()
	}
	old := l.sources[c.Source]
	if old.State.Version != c.Expect {
		return Committed{}, ErrConflict
	}
	next := memSource{State: c.State, Rows: maps.Clone(old.Rows), Events: slices.Clip(old.Events), Polls: slices.Clip(old.Polls)}
	sequence := old.State.Sequence
	if c.Forget != ForgetNothing {
		next.Rows = nil
	}
	if c.Forget == ForgetAll {
		next.Polls, sequence = nil, 0
	}
	if next.Rows == nil {
		next.Rows = map[differ.Hash]memRow{}
	}
	if err := next.apply(c, sequence); err != nil {
		return Committed{}, err
	}
	next.State.Version = c.Expect + 1
	if next.State.Records != int64(len(next.Rows)) {
		return Committed{}, fmt.Errorf("the state says %d records, there are %d", next.State.Records, len(next.Rows))
	}
	l.sources[c.Source] = next
	l.commits++
	if l.after != nil {
		if err := l.after(c); err != nil {
			return Committed{}, err
		}
	}
	return Committed{Version: next.State.Version}, nil
}

func (s *memSource) apply(c Commit, sequence int64) error {
	if c.Writes != nil {
		for w, err := range c.Writes {
			if err != nil {
				return err
			}
			if err := s.write(w); err != nil {
				return err
			}
			if w.Event == nil {
				continue
			}
			if sequence++; w.Event.Sequence != sequence {
				return fmt.Errorf("event %d follows %d", w.Event.Sequence, sequence-1)
			}
			w.Event.Seq = int64(len(s.Events) + 1)
			s.Events = append(s.Events, w.Event)
		}
	}
	if c.State.Sequence != sequence {
		return fmt.Errorf("the state says sequence %d, the events %d", c.State.Sequence, sequence)
	}
	if c.Poll != nil {
		s.Polls = append(s.Polls, *c.Poll)
	}
	return nil
}

func (s *memSource) write(w Write) error {
	row, ok := s.Rows[w.Hash]
	switch {
	case w.Untouched && !ok:
		return errors.New("an unknown record stays as it is")
	case w.Untouched:
		return nil
	case w.Remove && !ok:
		return errors.New("an unknown record is removed")
	case w.Remove:
		delete(s.Rows, w.Hash)
		return nil
	case w.Body == nil && !ok:
		return errors.New("an unknown record has no body")
	case w.Body == nil:
		row.Known = w.Known
	default:
		row = memRow{Known: w.Known, Key: w.Key, Body: bytes.Clone(w.Body)}
	}
	s.Rows[w.Hash] = row
	return nil
}

// snapshot is all that the ledger has of a source, as text.
func (l *memLedger) snapshot(tb testing.TB, source string) string {
	tb.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[source]
	rows := map[string]memRow{}
	for h, row := range s.Rows {
		rows[fmt.Sprintf("%x", h)] = row
	}
	text, err := json.MarshalIndent(map[string]any{
		"state": s.State, "version": s.State.Version, "sequence": s.State.Sequence, "rows": rows, "events": len(s.Events), "polls": s.Polls,
	}, "", " ")
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// rows gives the stored bodies by key.
func (l *memLedger) rows(source string) map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]string{}
	for _, row := range l.sources[source].Rows {
		out[row.Key] = string(row.Body)
	}
	return out
}

// memOutlet makes events whose body is made of the change, and keeps what it is handed over.
type memOutlet struct {
	mu         sync.Mutex
	full       string
	fail       func(differ.Change) error
	handed     []*Event
	incomplete int
	calls      int
}

func (o *memOutlet) Event(source *Source, sequence int64, at time.Time, c differ.Change) (*Event, error) {
	if o.fail != nil {
		if err := o.fail(c); err != nil {
			return nil, err
		}
	}
	body, err := json.Marshal(map[string]any{
		"kind": c.Kind.String(), "key": c.Key, "record": json.RawMessage(c.Record), "previous": json.RawMessage(nonNil(c.Delta.Previous)), "changed": c.Delta.Changed,
	})
	return &Event{ID: fmt.Sprint("evt_", sequence), Source: source.Name, Sequence: sequence, Change: c.Kind, Key: c.Key, At: at, Body: body}, err
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte("null")
	}
	return b
}

func (o *memOutlet) Committed(_ string, events []*Event, complete bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	o.handed = append(o.handed, events...)
	if !complete {
		o.incomplete++
	}
}

func (o *memOutlet) Full(*Source) (string, bool) { return o.full, o.full != "" }

// rig is one source, its API and its store.
type rig struct {
	t      testing.TB
	api    *httptest.Server
	ledger *memLedger
	outlet *memOutlet
	opts   Options
	source Source
	poller *Poller
	now    time.Time
	seen   int // events that told has given

	serving sync.Mutex // held while the API answers
}

// newRig makes a source that polls handler, with its configuration as edit leaves it.
func newRig(tb testing.TB, handler http.HandlerFunc, edit func(*Source)) *rig {
	tb.Helper()
	r := &rig{t: tb, ledger: newMemLedger(), outlet: &memOutlet{}, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	r.api = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.serving.Lock()
		defer r.serving.Unlock()
		handler(w, q)
	}))
	tb.Cleanup(r.api.Close)
	r.opts = Options{
		Ledger: r.ledger, Outlet: r.outlet, Seed: differ.Seed{1, 2, 3}, TempDir: tb.TempDir(),
		Secrets: &setting.Secrets{LookupEnv: func(name string) (string, bool) { v, ok := testSecrets()[name]; return v, ok }},
		Now:     func() time.Time { return r.now },
	}
	r.source = DefaultSource()
	r.source.Name, r.source.URL, r.source.Every = "contacts", r.api.URL+"/contacts", setting.Duration(time.Minute)
	r.source.Key = differ.Paths{differ.MustPath("id")}
	r.source.Deletes.Detect = "scan"
	r.source.Retry.Attempts = 1
	if edit != nil {
		edit(&r.source)
	}
	r.restart()
	return r
}

func testSecrets() map[string]string {
	return map[string]string{"TOKEN": "tok-planted-secret", "PASSWORD": "pass/planted secret+", "SHORT": "abc"}
}

// restart begins anew with what the store knows.
func (r *rig) restart() {
	r.t.Helper()
	if problems := r.source.Validate(r.opts.Secrets); len(problems) > 0 && !problems[0].Warning {
		r.t.Fatalf("the source is not valid: %v", problems)
	}
	p, err := New(r.source, r.opts)
	if err != nil {
		r.t.Fatal(err)
	}
	r.poller = p
}

// edit changes the configuration and restarts.
func (r *rig) edit(change func(*Source)) {
	r.t.Helper()
	change(&r.source)
	r.restart()
}

func (r *rig) poll() Result {
	r.t.Helper()
	r.now = r.now.Add(time.Minute)
	return r.pollIn(r.t.Context())
}

// pollIn polls; what the API looks at may be changed before and behind it.
func (r *rig) pollIn(ctx context.Context) Result {
	r.idle()
	defer r.idle()
	return r.poller.Poll(ctx, Occasion{})
}

// idle waits until the API has answered all that it was asked.
func (r *rig) idle() {
	r.serving.Lock()
	defer r.serving.Unlock()
}

// want polls and checks the verdict.
func (r *rig) want(v Verdict) Result {
	r.t.Helper()
	got := r.poll()
	if got.Verdict != v {
		r.t.Fatalf("verdict %s (%s; %s), want %s", got.Verdict, got.Message, got.Hint, v)
	}
	return got
}

// told gives what the events since the last call tell: "created 1", "updated 2 name,status"….
func (r *rig) told() []string {
	r.t.Helper()
	var out []string
	events := r.ledger.sources[r.source.Name].Events
	for _, e := range events[r.seen:] {
		var body struct {
			Changed []string `json:"changed"`
		}
		if err := json.Unmarshal(e.Body, &body); err != nil {
			r.t.Fatal(err)
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Change, e.Key, strings.Join(body.Changed, ","))))
	}
	r.seen = len(events)
	return out
}

func (r *rig) tells(want ...string) {
	r.t.Helper()
	if got := r.told(); !slices.Equal(got, want) {
		r.t.Errorf("events %q, want %q", got, want)
	}
}

// untouched checks that f changes nothing in the store and tells nobody.
func (r *rig) untouched(f func()) {
	r.t.Helper()
	before, calls := r.ledger.snapshot(r.t, r.source.Name), r.outlet.calls
	f()
	if after := r.ledger.snapshot(r.t, r.source.Name); after != before {
		r.t.Errorf("the store was changed:\n%s\nwas\n%s", after, before)
	}
	if r.outlet.calls != calls {
		r.t.Error("the outlet was told something")
	}
}

// shelf is a list that an API serves and tests change.
type shelf struct {
	mu    sync.Mutex
	order []string
	items map[string]string
}

func newShelf(ids ...string) *shelf {
	s := &shelf{items: map[string]string{}}
	for _, id := range ids {
		s.put(id, "new")
	}
	return s
}

func (s *shelf) put(id, status string) {
	s.set(id, fmt.Sprintf(`{"id":%q,"status":%q}`, id, status))
}

func (s *shelf) set(id, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.items[id]; !ok {
		s.order = append(s.order, id)
	}
	s.items[id] = body
}

func (s *shelf) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.items, id)
	s.order = slices.DeleteFunc(s.order, func(o string) bool { return o == id })
}

func (s *shelf) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.items)
	s.order = nil
}

// page gives the records from..to in order.
func (s *shelf) page(from, to int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, id := range s.order[min(from, len(s.order)):min(to, len(s.order))] {
		out = append(out, s.items[id])
	}
	return out
}

func (s *shelf) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.order)
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, "[%s]", strings.Join(s.page(0, s.len()), ","))
}

func leftovers(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%v is left in the temporary directory (%v)", entries, err)
	}
}

func secretRef(ref string) setting.Secret { return setting.NewSecret(ref) }
