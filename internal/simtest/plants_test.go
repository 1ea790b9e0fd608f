package simtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// plant is a bug that is planted in the process, around what it is made of.
type plant struct {
	promise int
	name    string

	kind  string                                           // of all lists but the first
	first func(w *world, s *settings)                      // makes the first configuration one in which it shows
	text  func(text string) string                         // of its configuration
	above func(w *world, m store.Member) store.Member      // between it and what is noted of its store
	below func(w *world, m store.Member) store.Member      // between that and the store
	dial  func(w *world, dial outbound.Dial) outbound.Dial // of its network
	log   func(log slog.Handler) slog.Handler              // of its log
}

// garden has a bug for each promise.
func garden() []plant {
	return []plant{
		{promise: 1, name: "a commit that is confirmed and was not made", below: func(_ *world, m store.Member) store.Member { return &forgetful{Member: m} }},
		{promise: 2, name: "a failed delivery that counts as a delivered one", below: func(_ *world, m store.Member) store.Member { return content{m} }},
		{promise: 3, name: "a body that is written anew when it is read again", above: func(_ *world, m store.Member) store.Member { return tidy{m} }},
		{promise: 4, name: "events that do not wait for each other", text: func(text string) string {
			return regexp.MustCompile(`order = "\w+"`).ReplaceAllString(text, `order = "none"`)
		}},
		{promise: 5, name: "one connection at a time", dial: oneAtATime},
		{promise: 6, name: "a deletion after one listing", text: func(text string) string {
			return regexp.MustCompile(`confirm = \d`).ReplaceAllString(text, `confirm = 1`)
		}},
		{promise: 7, name: "a change that is not found", text: func(text string) string {
			return regexp.MustCompile(`ignore = \["seen"`).ReplaceAllString(text, `ignore = ["seen", "status"`)
		}},
		{promise: 7, name: "a row that comes late", kind: "since", text: func(text string) string {
			return regexp.MustCompile(`overlap = "\w+", lag = "\w+"`).ReplaceAllString(text, `overlap = "0s", lag = "0s"`)
		}},
		{promise: 7, name: "a row that comes late into a window", kind: "windows", text: func(text string) string {
			return regexp.MustCompile(`overlap = "\w+", lag = "\w+"`).ReplaceAllString(text, `overlap = "0s", lag = "0s"`)
		}},
		{promise: 8, name: "numbers that pass through float64", above: func(_ *world, m store.Member) store.Member { return rounding{m} }},
		{promise: 9, name: "a first poll that tells", text: func(text string) string { return strings.ReplaceAll(text, `initial = "baseline"`, `initial = "emit"`) }},
		{promise: 10, name: "an edit that forgets the baseline", above: func(w *world, m store.Member) store.Member { return &amnesiac{Member: m, w: w} }},
		{promise: 6, name: "an address that is believed when it denies what the list has", kind: "details", first: skipping, text: func(text string) string {
			return regexp.MustCompile(`on_404 = "\w+"`).ReplaceAllString(text, `on_404 = "deleted"`)
		}},
		{promise: 8, name: "a list that is taken for all there is", kind: "details, members, total", text: func(text string) string {
			return regexp.MustCompile(`(?m)^detail = .*$`).ReplaceAllString(text, "")
		}},
		{promise: 9, name: "a list that is news when it is read for the first time", kind: "partitions", above: func(_ *world, m store.Member) store.Member { return hurried{m} }},
		{promise: 7, name: "a list that is left out", kind: "partitions", text: func(text string) string {
			return strings.ReplaceAll(text, `values = ["p0", "p1", "p2"]`, `values = ["p0", "p1"]`)
		}},
		{promise: 10, name: "a source that is forgotten as soon as it leaves", text: func(text string) string {
			return regexp.MustCompile(`keep_removed = "\w+"`).ReplaceAllString(text, `keep_removed = "1s"`)
		}},
		{promise: 10, name: "another selection that is news", above: func(w *world, m store.Member) store.Member { return &undecided{Member: m, w: w} }},
		{promise: 2, name: "a webhook that leaves takes what waits for it along", below: func(w *world, m store.Member) store.Member { return careless{m, w} }},
		{promise: 2, name: "a webhook that gets what it does not want", text: func(text string) string {
			return regexp.MustCompile(`(?m)^(events|when|changed_any) = .*$`).ReplaceAllString(text, "")
		}},
		{promise: 11, name: "a log that is too open", log: func(log slog.Handler) slog.Handler { return chatty{log} }},
		{promise: 12, name: "a source that fails in silence", log: func(log slog.Handler) slog.Handler { return silent{log} }},
		{promise: 7, name: "a deletion that cancels what the receiver had before", kind: "one answer", first: gathering, above: func(_ *world, m store.Member) store.Member { return hasty{m} }},
		{promise: 2, name: "a skip that skips for others too", below: func(_ *world, m store.Member) store.Member { return greedy{m} }},
	}
}

// Each planted bug is found, by a world among the first 200, and mostly by one among the first few.
func TestTheSimulatorFindsABugOfEachPromise(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("the planted bugs are looked for without -short")
	}
	const steps = 600
	for _, p := range garden() {
		t.Run(fmt.Sprintf("P%d %s", p.promise, p.name), func(t *testing.T) {
			t.Parallel()
			var first *violation
			for seed := range uint64(200) {
				broken, _, said := simulate(t, seed, steps, p)
				if broken == nil {
					continue
				}
				if first == nil {
					first = broken
				}
				if broken.promise == p.promise {
					if t.Logf("seed %d: %.300s", seed, broken); *verbose {
						t.Log(said)
					}
					return
				}
			}
			t.Errorf("not found; the nearest is %v", first)
		})
	}
}

// planted is a store whose members are.
type planted struct {
	store.Store

	member func(store.Member) store.Member
}

func (p planted) Join(ctx context.Context, name string, ttl time.Duration) (store.Member, error) {
	m, err := p.Store.Join(ctx, name, ttl)
	if err != nil {
		return nil, err
	}
	return p.member(m), nil
}

// forgetful does not make each fifth commit, and says that it did.
type forgetful struct {
	store.Member

	mu sync.Mutex
	n  int
}

func (f *forgetful) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	f.mu.Lock()
	f.n++
	lost := f.n%5 == 0
	f.mu.Unlock()
	if !lost || c.Writes == nil {
		return f.Member.Commit(ctx, c)
	}
	for _, err := range c.Writes {
		if err != nil {
			return poller.Committed{}, err
		}
	}
	return poller.Committed{Version: c.Expect + 1}, nil
}

// content takes a failure for a success.
type content struct{ store.Member }

func (c content) Retry(ctx context.Context, ref emitter.Ref, a emitter.Attempt, _ time.Time) error {
	return c.Ack(ctx, []emitter.Receipt{{Ref: ref, Attempt: a}})
}

// tidy gives bodies without white space.
type tidy struct{ store.Member }

func (t tidy) Pending(ctx context.Context, lane emitter.Lane, after int64, limit int) ([]emitter.Delivery, error) {
	list, err := t.Member.Pending(ctx, lane, after, limit)
	for i := range list {
		list[i].Body = compacted(list[i].Body)
	}
	return list, err
}

func (t tidy) Seal(ctx context.Context, parcels []emitter.Parcel) ([][]emitter.Delivery, error) {
	lists, err := t.Member.Seal(ctx, parcels)
	for _, list := range lists {
		for i := range list {
			list[i].Body = compacted(list[i].Body)
		}
	}
	return lists, err
}

// skipping lets a record be as it is known when its address denies it.
func skipping(_ *world, s *settings) {
	for i := range s.sources[1:] {
		one := &s.sources[1+i]
		one.details.on404, one.details.max, one.confirm, one.guarded = "skip", 1000, 1, false
	}
}

// gathering lets all webhooks but the first wait, and merge what does.
func gathering(w *world, s *settings) {
	for i := range s.sources[1:] {
		one := &s.sources[1+i]
		one.initial, one.every, one.confirm, one.guarded, one.silent = "emit", max(w.pace, time.Second), 1, false, false
	}
	for i := range s.hooks[1:] {
		h := &s.hooks[1+i]
		h.order, h.coalesce, h.wait = "key", true, 60*w.pace
	}
}

// hasty takes whatever was created and deleted while it waited for something that never was.
type hasty struct{ store.Member }

func (h hasty) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	if writes := c.Writes; writes != nil {
		c.Writes = func(yield func(poller.Write, error) bool) {
			for w, err := range writes {
				if w.Event != nil && w.Event.Change == differ.Deleted {
					hasten(w.Event)
				}
				if !yield(w, err) {
					return
				}
			}
		}
	}
	return h.Member.Commit(ctx, c)
}

func hasten(e *poller.Event) {
	for i := range e.To {
		c := &e.To[i]
		if merge := c.Merge; merge != nil {
			c.Merge = func(id string, waiting []byte, missed bool) (poller.Merging, []byte) {
				m, body := merge(id, waiting, missed)
				if m == poller.Replaced && bytes.Contains(waiting, []byte(`"change":"created"`)) {
					m = poller.Cancelled
				}
				return m, body
			}
		}
	}
}

// greedy drops what is queued for all webhooks.
type greedy struct{ store.Member }

func (g greedy) Drop(ctx context.Context, q store.DeliveryQuery, why string) (int, error) {
	q.Webhook = ""
	return g.Member.Drop(ctx, q, why)
}

func compacted(body []byte) []byte {
	var out bytes.Buffer
	if json.Compact(&out, body) != nil {
		return body
	}
	return out.Bytes()
}

// rounding reads what passes into Go values, and writes it again.
type rounding struct{ store.Member }

func (r rounding) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	if writes := c.Writes; writes != nil {
		c.Writes = func(yield func(poller.Write, error) bool) {
			for w, err := range writes {
				if w.Body = rounded(w.Body); w.Event != nil {
					w.Event.Body = rounded(w.Event.Body)
				}
				if !yield(w, err) {
					return
				}
			}
		}
	}
	return r.Member.Commit(ctx, c)
}

func rounded(body []byte) []byte {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return body
	}
	text, err := json.Marshal(v)
	if err != nil {
		return body
	}
	return text
}

// amnesiac forgets that there was a baseline when something else counts than before.
type amnesiac struct {
	store.Member

	w *world
}

func (a *amnesiac) Load(ctx context.Context, source string) (poller.State, error) {
	st, err := a.Member.Load(ctx, source)
	a.w.truth.mu.Lock()
	defer a.w.truth.mu.Unlock()
	if source != emitter.Own && a.w.truth.of(source).edited > 0 {
		st.Baselined = time.Time{}
	}
	return st, err
}

// hurried takes all lists for read once one is.
type hurried struct{ store.Member }

func (h hurried) Load(ctx context.Context, source string) (poller.State, error) {
	st, err := h.Member.Load(ctx, source)
	if st.Partitions != nil {
		st.Partitions.Values, st.Partitions.Pending = partNames(), nil
	}
	return st, err
}

// undecided has forgotten which records were followed before an edit.
type undecided struct {
	store.Member

	w *world
}

func (u *undecided) Load(ctx context.Context, source string) (poller.State, error) {
	st, err := u.Member.Load(ctx, source)
	u.w.truth.mu.Lock()
	defer u.w.truth.mu.Unlock()
	if m := u.w.truth.sources[source]; m != nil && m.selected > m.edited {
		st.Compare, st.Edits = "", nil
	}
	return st, err
}

// careless drops what is queued for webhooks that are not configured.
type careless struct {
	store.Member

	w *world
}

func (c careless) SetSources(ctx context.Context, names []string, at time.Time) error {
	for i := range c.w.wanted.hooks {
		h := &c.w.wanted.hooks[i]
		for _, state := range []string{store.StatePending, store.StateParked} {
			if !h.away {
				continue
			}
			if _, err := c.Drop(ctx, store.DeliveryQuery{Webhook: h.name, State: state}, "it left"); err != nil {
				return err
			}
		}
	}
	return c.Member.SetSources(ctx, names, at)
}

// oneAtATime lets a process have one connection.
func oneAtATime(w *world, dial outbound.Dial) outbound.Dial {
	free := make(chan struct{}, 1)
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		select {
		case free <- struct{}{}:
		case <-time.After(time.Minute):
			return nil, refused()
		}
		c, err := dial(ctx, network, address)
		if err != nil {
			<-free
			return nil, err
		}
		return &only{Conn: c, give: sync.OnceFunc(func() { <-free })}, nil
	}
}

type only struct {
	net.Conn

	give func()
}

func (o *only) Close() error {
	o.give()
	return o.Conn.Close()
}

// chatty says with what it was refused.
type chatty struct{ slog.Handler }

func (c chatty) WithAttrs(attrs []slog.Attr) slog.Handler { return chatty{c.Handler.WithAttrs(attrs)} }

func (c chatty) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "failing") {
		r.AddAttrs(slog.String("sent", sourceKey))
	}
	return c.Handler.Handle(ctx, r)
}

// silent does not say that a source fails.
type silent struct{ slog.Handler }

func (s silent) WithAttrs(attrs []slog.Attr) slog.Handler { return silent{s.Handler.WithAttrs(attrs)} }

func (s silent) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "source is failing") {
		return nil
	}
	return s.Handler.Handle(ctx, r)
}
