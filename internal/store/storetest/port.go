package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// RunCopy shows that everything in a store of one kind arrives in one of another kind.
func RunCopy(t *testing.T, from, to Fresh) {
	t.Helper()
	a := newWorld(t, from(t))
	m := a.owner("a", longTTL)
	a.fill(m)
	before, sources := a.dump(m, "contacts")+a.dump(m, "orders"), a.sources()

	place := to(t)
	target := place.Open(t)
	ours, ok := a.st.(store.Port)
	theirs, too := target.(store.Port)
	if !ok || !too {
		t.Fatalf("%T or %T cannot be copied", a.st, target)
	}
	copied, err := store.Copy(t.Context(), ours, theirs)
	a.must(err)
	a.equal("copied", copied, store.Copied{Sources: 3, Records: 7, Events: 13, Deliveries: 19})
	_, err = store.Copy(t.Context(), ours, theirs)
	if !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("a second copy: %v", err)
	}
	a.must(target.Close())

	b := newWorld(t, place)
	n := b.owner("b", longTTL)
	a.unchanged("copying", before, b.dump(n, "contacts")+b.dump(n, "orders"))
	b.equal("sources", b.sources(), sources)
	b.equal("kept", b.kept(n, "contacts"), "refresh")
	gone := b.load(n, "gone")
	b.equal("what goes on of a source whose state was deleted", []any{gone.Sequence, gone.Records, gone.Baselined.IsZero()}, []any{1, 0, true})
	last := b.pending(n)[0].Seq
	for _, d := range b.pending(n) {
		last = max(last, d.Seq)
	}
	b.commit(n, "contacts", b.mergeable(poller.Absorbed, "contacts", 10, "k1", "app"), b.news("contacts", 11, "k5", "app"))
	for _, d := range b.pending(n) {
		if d.Sequence >= 10 && d.Source == "contacts" && d.Seq <= last {
			t.Errorf("a new event has the number %d, the last one had %d", d.Seq, last)
		}
	}
	if failed := tampered(t, ours, to); failed == nil {
		t.Error("a copy that lacks a row was not noticed")
	}
}

// fill puts something of every kind into a store.
func (w *world) fill(m store.Member) {
	w.Helper()
	w.loose(m)
	w.commit(m, "orders", w.some("orders", 1, 3, "app", "crm")...)
	gone := w.commit(m, "gone", w.news("gone", 1, "k", "app"))
	w.equal("records", gone.Records, 1)
	w.must(m.SetSources(w.ctx(), []string{"contacts", "orders"}, noon()))
	w.sweep(time.Time{}, noon().AddDate(0, 0, 1))
	writes := w.some("contacts", 4, 6, "app")
	writes[1].Event.To[0].Body = []byte("for app")
	writes[2].Missing = 1
	writes[3].Key, writes[3].Hash = "a \x00\xff key", w.hashOf("a \x00\xff key")
	c := poll("contacts", w.load(m, "contacts"), writes...)
	c.State = fullState(c.State)
	c.Poll = &poller.Poll{At: noon(), Verdict: poller.Complete, Records: 4}
	_, err := m.Commit(w.ctx(), c)
	w.must(err)
	all := w.lane(m, batchLane("app"), 100)
	w.sealBatch(m, 1<<20, all[3], all[4])
	attempt := failedAttempt(1)
	w.must(m.Retry(w.ctx(), all[5].Ref, attempt, noon().Add(time.Hour)))
	w.must(m.Park(w.ctx(), all[6].Ref, "given up", &attempt))
	w.ack(m, all[7])
	w.must(m.Keep(w.ctx(), "contacts", tokenName, nil, []byte("refresh")))
	w.saveGate(m, "crm", emitter.GateState{State: "shut", Failures: 7, Since: noon(), Reason: "status_5xx"})
}

// sources are those of the list.
func (w *world) sources() []store.SourceRow {
	w.Helper()
	list, err := w.st.Sources(w.ctx())
	w.must(err)
	for i := range list {
		w.equal("hold of "+list[i].Name, list[i].State.Held != nil, list[i].Name == "contacts")
		list[i].State.Held = nil // a pointer
	}
	return list
}

// lossy is a store that does not show everything that it has taken in.
type lossy struct{ store.Port }

func (l lossy) Export(ctx context.Context, yield func(store.Row) error) error {
	lost := false
	return l.Port.Export(ctx, func(r store.Row) error {
		if _, ok := r.(store.PortRecord); ok && !lost {
			lost = true
			return nil
		}
		return yield(r)
	})
}

func tampered(t *testing.T, from store.Port, to Fresh) error {
	t.Helper()
	target, ok := to(t).Open(t).(store.Port)
	if !ok {
		return nil
	}
	_, err := store.Copy(t.Context(), from, lossy{target})
	return err
}
