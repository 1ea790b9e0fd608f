package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func atomicTests() []test {
	return []test{
		{"a commit is there as a whole and survives a restart", commitIsWhole},
		{"a commit whose writes fail midway leaves nothing", failureLeavesNothing},
		{"a commit that is cancelled midway leaves nothing", cancellationLeavesNothing},
		{"a commit whose writes panic leaves nothing", panicLeavesNothing},
		{"a commit that would leave a gap in the sequence is refused", gapIsRefused},
		{"a commit from an old version is refused", oldVersionIsRefused},
		{"of sixteen commits from one version one wins", oneWinner},
		{"a source that was never committed has the zero state", zeroState},
		{"an unchanged commit counts as a version and emits nothing", quietCommit},
	}
}

// fullState uses every field, with bytes that JSON would not keep.
func fullState(on poller.State) poller.State {
	on.Baselined = noon()
	on.Identity, on.Compare = "id-1", "cmp-1"
	on.Validators = poller.Validators{
		URL: "u", ETag: "W/\"\xe9\xff<>&\"", LastModified: "Mon, 23 Nov 2026 11:59:59 GMT", At: noon(),
	}
	on.Cursor = json.RawMessage(`{ "after" : 9007199254740993, "t":"<\u2028>" }`)
	on.Held = &poller.Hold{Reason: "guard", Message: "22 of 22", Since: noon(), Deletes: 22, Release: true}
	on.Paused = true
	return on
}

func commitIsWhole(w *world) {
	m := w.owner("a", shortTTL)
	c := poll("contacts", poller.State{}, w.record("k9", `{"id":"k9"}`), w.news("contacts", 1, "k1", "app", "crm"), w.news("contacts", 2, "k2", "app"))
	c.State = fullState(c.State)
	c.Poll = &poller.Poll{At: noon(), Took: time.Second, Verdict: poller.Complete, Pages: 2, Records: 3, Created: 2, Message: "first"}
	done, err := m.Commit(w.ctx(), c)
	w.must(err)
	w.equal("version", done.Version, 1)

	want := fullState(poller.State{Version: 1, Sequence: 2, Records: 3})
	check := func() {
		st := w.load(m, "contacts")
		w.equal("hold", *st.Held, *want.Held)
		w.equal("cursor", string(st.Cursor), string(want.Cursor))
		w.equal("etag", fmt.Sprintf("%q", st.Validators.ETag), fmt.Sprintf("%q", want.Validators.ETag))
		st.Held = want.Held
		w.equal("state", st, want)
		w.equal("pending", ids(w.pending(m)), []string{"evt_contacts_000001", "evt_contacts_000002", "evt_contacts_000001"})
		polls, err := w.st.Polls(w.ctx(), "contacts", 10)
		w.must(err)
		w.equal("polls", polls, []poller.Poll{*c.Poll})
		sources, err := w.st.Sources(w.ctx())
		w.must(err)
		if len(sources) != 1 || sources[0].Name != "contacts" || sources[0].Committed.IsZero() || !sources[0].Removed.IsZero() {
			w.Fatalf("sources: %+v", sources)
		}
	}
	check()
	before := w.dump(m, "contacts")
	m = w.restart("b")
	check()
	w.unchanged("a restart", before, w.dump(m, "contacts"))
}

// failAfter yields n of the writes and then something else.
func failAfter(n int, writes []poller.Write, then func(yield func(poller.Write, error) bool)) iter.Seq2[poller.Write, error] {
	return func(yield func(poller.Write, error) bool) {
		for _, one := range writes[:n] {
			if !yield(one, nil) {
				return
			}
		}
		then(yield)
	}
}

// committed makes a store with something in it, so that there is something to damage.
func committed(w *world, m poller.Ledger) (poller.State, []poller.Write) {
	first := w.some("contacts", 1, 5, "app", "crm")
	first[0].Missing = 1
	_, err := m.Commit(w.ctx(), poll("contacts", poller.State{}, first...))
	w.must(err)
	st, err := m.Load(w.ctx(), "contacts")
	w.must(err)
	second := w.some("contacts", 6, 4, "app", "new")
	gone := w.record("k1", "")
	gone.Remove = true
	return st, append(second, gone)
}

// goesOn commits what failed before, with the webhook that was new then.
func (w *world) goesOn(m store.Member, st poller.State, writes []poller.Write) {
	w.Helper()
	w.equal("version", w.commit(m, "contacts", writes...).Version, st.Version+1)
	w.equal("pending", len(w.pending(m)), 10+8)
	w.equal("for the new webhook", len(w.lane(m, emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "new"}, 10)), 4)
}

func failureLeavesNothing(w *world) {
	m := w.owner("a", shortTTL)
	st, writes := committed(w, m)
	before := w.dump(m, "contacts")
	failed := errors.New("page 3: connection reset")
	for n := range len(writes) + 1 {
		c := poll("contacts", st, writes...)
		c.State = fullState(c.State)
		c.Poll = &poller.Poll{Message: "must not be seen"}
		c.Writes = failAfter(n, writes, func(yield func(poller.Write, error) bool) { yield(poller.Write{}, failed) })
		if _, err := m.Commit(w.ctx(), c); !errors.Is(err, failed) {
			w.Fatalf("failure after %d writes: got %v, want %v", n, err, failed)
		}
		w.unchanged(fmt.Sprintf("a failure after %d writes", n), before, w.dump(m, "contacts"))
	}
	m = w.restart("b")
	w.unchanged("a failed commit and a restart", before, w.dump(m, "contacts"))
	w.goesOn(m, st, writes)
}

func cancellationLeavesNothing(w *world) {
	m := w.owner("a", shortTTL)
	st, writes := committed(w, m)
	before := w.dump(m, "contacts")
	for n := range len(writes) + 1 {
		ctx, cancel := context.WithCancel(w.ctx())
		c := poll("contacts", st, writes...)
		c.Writes = failAfter(n, writes, func(yield func(poller.Write, error) bool) {
			cancel()
			for _, one := range writes[n:] {
				if !yield(one, nil) {
					return
				}
			}
		})
		if _, err := m.Commit(ctx, c); !errors.Is(err, context.Canceled) {
			w.Fatalf("cancelled after %d writes: got %v", n, err)
		}
		w.unchanged(fmt.Sprintf("a cancellation after %d writes", n), before, w.dump(m, "contacts"))
	}
	w.goesOn(m, st, writes)
}

func panicLeavesNothing(w *world) {
	m := w.owner("a", shortTTL)
	st, writes := committed(w, m)
	before := w.dump(m, "contacts")
	c := poll("contacts", st, writes...)
	c.Writes = failAfter(3, writes, func(func(poller.Write, error) bool) { panic("a bug of the caller") })
	func() {
		defer func() {
			if recover() == nil {
				w.Errorf("the panic was swallowed")
			}
		}()
		_, _ = m.Commit(w.ctx(), c)
	}()
	w.unchanged("a panic", before, w.dump(m, "contacts"))
	w.goesOn(m, st, writes)
}

func gapIsRefused(w *world) {
	m := w.owner("a", shortTTL)
	st := w.commit(m, "contacts", w.some("contacts", 1, 3, "app")...)
	before := w.dump(m, "contacts")
	cases := map[string]poller.Commit{
		"a sequence that skips one":       poll("contacts", st, w.news("contacts", 5, "k", "app")),
		"a sequence that repeats one":     poll("contacts", st, w.news("contacts", 3, "k", "app")),
		"a sequence that goes backwards":  poll("contacts", st, w.news("contacts", 5, "k", "app"), w.news("contacts", 4, "k", "app")),
		"a sequence with a gap inside":    poll("contacts", st, w.news("contacts", 4, "k", "app"), w.news("contacts", 6, "k", "app")),
		"an event of another source":      poll("contacts", st, w.news("orders", 4, "k", "app")),
		"a state ahead of its events":     poll("contacts", st, w.news("contacts", 4, "k", "app")),
		"a state behind its events":       poll("contacts", st, w.news("contacts", 4, "k", "app"), w.news("contacts", 5, "k", "app")),
		"a state without events that ran": poll("contacts", st),
	}
	for name, c := range cases {
		switch name {
		case "a state ahead of its events", "a state without events that ran":
			c.State.Sequence++
		case "a state behind its events":
			c.State.Sequence--
		}
		if _, err := m.Commit(w.ctx(), c); err == nil {
			w.Errorf("%s was accepted", name)
		}
		w.unchanged(name, before, w.dump(m, "contacts"))
	}
}

func oldVersionIsRefused(w *world) {
	m := w.owner("a", shortTTL)
	st, writes := committed(w, m)
	before := w.dump(m, "contacts")
	for _, version := range []int64{st.Version - 1, st.Version + 1, st.Version + 100} {
		c := poll("contacts", st, writes...)
		c.Expect = version
		if _, err := m.Commit(w.ctx(), c); !errors.Is(err, poller.ErrConflict) {
			w.Fatalf("version %d expected while it is %d: got %v", version, st.Version, err)
		}
	}
	w.unchanged("a refused commit", before, w.dump(m, "contacts"))
}

func oneWinner(w *world) {
	m := w.owner("a", longTTL)
	var won, lost atomic.Int32
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			one := w.news("contacts", 1, fmt.Sprintf("k%d", i), "app")
			one.Event.ID = fmt.Sprintf("evt_racer_%d", i)
			switch _, err := m.Commit(w.ctx(), poll("contacts", poller.State{}, one)); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, poller.ErrConflict):
				lost.Add(1)
			default:
				w.Errorf("racer %d: %v", i, err)
			}
		})
	}
	w.within(&wg)
	st := w.load(m, "contacts")
	w.equal("winners, losers, version, records, pending",
		[]any{won.Load(), lost.Load(), st.Version, st.Records, len(w.pending(m))}, []any{1, 15, 1, 1, 1})
}

func zeroState(w *world) {
	m := w.owner("a", longTTL)
	w.equal("state", w.load(m, "contacts"), poller.State{})
	w.equal("known records", len(w.known(m, "contacts")), 0)
	w.equal("lanes and deliveries", len(w.pending(m)), 0)
}

func quietCommit(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 2, "app")...)
	st := w.load(m, "contacts")
	st.Validators.ETag = `"v2"`
	c := poll("contacts", st)
	c.Writes = nil
	_, err := m.Commit(w.ctx(), c)
	w.must(err)
	next := w.load(m, "contacts")
	w.equal("version, sequence, records, etag",
		[]any{next.Version, next.Sequence, next.Records, next.Validators.ETag}, []any{2, 2, 2, `"v2"`})
	w.equal("pending", len(w.pending(m)), 2)
}
