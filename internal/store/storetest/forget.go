package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func forgetTests() []test {
	return []test{
		{"a commit can put other records in the place of all that are known", recordsReplaced},
		{"a commit that forgets everything starts history and sequence anew", allForgotten},
		{"a commit that forgets and is refused leaves everything", refusedForgetsNothing},
		{"of a source that was never committed there is nothing to forget", nothingToForget},
	}
}

// forgetting is a commit of the writes in the place of what is known.
func forgetting(what poller.Forget, on poller.State, writes ...poller.Write) poller.Commit {
	if what == poller.ForgetAll {
		on.Sequence = 0
	}
	c := poll("contacts", on, writes...)
	c.Forget = what
	return c
}

// remembered makes a source with two records, a silent one, events and a history.
func remembered(w *world, m store.Member) poller.State {
	w.Helper()
	c := poll("contacts", poller.State{}, w.news("contacts", 1, "k1", "app"), w.news("contacts", 2, "k2", "app"), w.record("k3", "three"))
	c.State = fullState(c.State)
	c.Poll = &poller.Poll{At: noon(), Verdict: poller.Complete}
	_, err := m.Commit(w.ctx(), c)
	w.must(err)
	w.commit(m, "orders", w.news("orders", 1, "k1", "app"))
	return w.load(m, "contacts")
}

func recordsReplaced(w *world) {
	m := w.owner("a", shortTTL)
	st := remembered(w, m)
	orders := w.bodies(m, "orders", "k1")
	// The keys are exchanged: none may be taken for the one that it was.
	one, two, four := w.record("k2", "was k1"), w.record("k1", "was k2"), w.record("k4", "was k3")
	one.Missing = 1
	_, err := m.Commit(w.ctx(), forgetting(poller.ForgetRecords, st, one, two, four))
	w.must(err)
	check := func() {
		w.Helper()
		w.equal("bodies", w.bodies(m, "contacts", "k1", "k2", "k3", "k4"), map[string]string{"k1": "was k2", "k2": "was k1", "k4": "was k3"})
		got := w.load(m, "contacts")
		w.equal("records, sequence, version", []int64{got.Records, got.Sequence, got.Version}, []int64{3, 2, st.Version + 1})
		for _, k := range w.known(m, "contacts") {
			if k.Hash == one.Hash {
				w.equal("known", k, one.Known)
			}
		}
		w.equal("records of another source", w.bodies(m, "orders", "k1"), orders)
		w.equal("pending", len(w.pending(m)), 3)
		polls, err := w.st.Polls(w.ctx(), "contacts", 10)
		w.must(err)
		w.equal("polls", len(polls), 1)
	}
	check()
	w.sweep(time.Time{}, noon())
	check()
	m = w.restart("b")
	w.sweep(time.Time{}, noon())
	check()
	w.commit(m, "contacts", w.news("contacts", 3, "k1", "app"))
	w.equal("records", w.load(m, "contacts").Records, 3)
}

func allForgotten(w *world) {
	m := w.owner("a", shortTTL)
	st := remembered(w, m)
	_, err := m.Commit(w.ctx(), forgetting(poller.ForgetAll, poller.State{Version: st.Version, Sequence: st.Sequence}))
	w.must(err)
	w.sweep(time.Time{}, noon())
	m = w.restart("b")
	w.equal("state", w.load(m, "contacts"), poller.State{Version: st.Version + 1})
	w.equal("known", len(w.known(m, "contacts")), 0)
	polls, err := w.st.Polls(w.ctx(), "contacts", 10)
	w.must(err)
	w.equal("polls", len(polls), 0)
	again := w.news("contacts", 1, "k1", "app")
	again.Event.ID = "evt_contacts_anew"
	w.commit(m, "contacts", again)
	lane := w.lane(m, emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}, 10)
	w.equal("pending", ids(lane), []string{"evt_contacts_000001", "evt_contacts_000002", "evt_contacts_anew"})
}

func refusedForgetsNothing(w *world) {
	m := w.owner("a", shortTTL)
	st := remembered(w, m)
	before := w.dump(m, "contacts")
	broken := errors.New("a body cannot be read")
	for _, what := range []poller.Forget{poller.ForgetRecords, poller.ForgetAll} {
		c := forgetting(what, st, w.record("k7", "seven"))
		c.Writes = failAfter(1, []poller.Write{w.record("k7", "seven")}, func(yield func(poller.Write, error) bool) { yield(poller.Write{}, broken) })
		if _, err := m.Commit(w.ctx(), c); !errors.Is(err, broken) {
			w.Fatalf("got %v", err)
		}
		c = forgetting(what, st, w.record("k7", "seven"))
		c.Expect--
		if _, err := m.Commit(w.ctx(), c); !errors.Is(err, poller.ErrConflict) {
			w.Fatalf("got %v", err)
		}
		w.unchanged("a refused commit", before, w.dump(m, "contacts"))
	}
	stale := m
	m = w.takeOver("b")
	if _, err := stale.Commit(w.ctx(), forgetting(poller.ForgetAll, st)); !errors.Is(err, poller.ErrFenced) {
		w.Fatalf("got %v", err)
	}
	w.sweep(time.Time{}, noon())
	w.unchanged("a stale owner", before, w.dump(m, "contacts"))
}

func nothingToForget(w *world) {
	m := w.owner("a", longTTL)
	_, err := m.Commit(w.ctx(), forgetting(poller.ForgetAll, poller.State{}, w.record("k1", "one")))
	w.must(err)
	w.equal("bodies", w.bodies(m, "contacts", "k1"), map[string]string{"k1": "one"})
}

func forgetMutants() []Mutant {
	return []Mutant{
		{
			Name: "what should be forgotten is kept",
			By:   "a commit can put other records in the place of all that are known",
			breaks: breakage{commit: func(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
				if c.Forget == poller.ForgetRecords {
					c.Forget = poller.ForgetNothing
				}
				return m.Member.Commit(ctx, c)
			}},
		},
		{
			Name:   "forgetting is a commit of its own",
			By:     "a commit that forgets and is refused leaves everything",
			breaks: breakage{commit: commitForgottenFirst},
		},
		{
			Name: "the sequence goes on although everything is forgotten",
			By:   "a commit that forgets everything starts history and sequence anew",
			breaks: breakage{commit: func(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
				if c.Forget != poller.ForgetAll {
					return m.Member.Commit(ctx, c)
				}
				old, err := m.Member.Load(ctx, c.Source)
				if err != nil {
					return poller.Committed{}, err
				}
				c.Forget = poller.ForgetRecords
				return commitFrom(ctx, m, c, old.Sequence)
			}},
		},
	}
}

func commitForgottenFirst(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
	if c.Forget == poller.ForgetNothing {
		return m.Member.Commit(ctx, c)
	}
	first := c
	first.Writes, first.Poll = nil, nil
	done, err := m.Member.Commit(ctx, first)
	if err != nil {
		return done, err
	}
	c.Expect, c.Forget = done.Version, poller.ForgetNothing
	return m.Member.Commit(ctx, c)
}
