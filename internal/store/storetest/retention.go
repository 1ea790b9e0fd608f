package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func retentionTests() []test {
	return []test{
		{"housekeeping deletes what is old and settled everywhere, and nothing else", sweepSettled},
		{"a store that is too large loses its oldest settled events, and nothing else", sweepBySize},
		{"old attempts of settled deliveries go before their events", sweepAttempts},
		{"housekeeping works in bounded steps and comes to an end", sweepInSteps},
		{"a source that left the configuration keeps its state for a while", leftKeepsState},
		{"a source that comes back in time goes on where it was", comesBack},
		{"a source whose state was deleted starts anew, its sequence goes on", startsAnew},
		{"a commit that was computed before the state was deleted is refused", deletedUnderway},
	}
}

// sweep calls Housekeep until there is no more to do.
func (w *world) sweep(events, removed time.Time) (calls int) {
	w.Helper()
	for calls = 1; ; calls++ {
		swept, err := w.st.Housekeep(w.ctx(), store.Retention{EventsBefore: events, RemovedBefore: removed})
		w.must(err)
		if !swept.More {
			return calls
		}
		if calls > 10_000 {
			w.Fatalf("housekeeping does not come to an end")
		}
	}
}

func sweepSettled(w *world) {
	m := w.owner("a", shortTTL)
	writes := w.some("contacts", 1, 8, "app", "crm")
	writes[0].Event.To = nil
	writes[7].Event.At = noon().AddDate(0, 0, 10) // young
	w.commit(m, "contacts", writes...)
	for _, d := range w.pending(m) {
		switch {
		case d.Sequence == 3 && d.Webhook == "crm": // pending for one of two
		case d.Sequence == 4 && d.Webhook == "app":
			w.must(m.Park(w.ctx(), d.Ref, "given up", nil))
		case d.Sequence == 5:
			w.must(m.Park(w.ctx(), d.Ref, "given up", nil))
			_, err := m.Drop(w.ctx(), store.DeliveryQuery{EventID: d.ID}, "dropped by ann")
			w.must(err)
		case d.Sequence == 6:
			w.must(m.Retry(w.ctx(), d.Ref, failedAttempt(1), noon()))
			w.ack(m, d)
		default:
			w.ack(m, d)
		}
	}
	before := w.dump(m, "contacts")
	w.sweep(noon(), noon())
	w.unchanged("housekeeping of nothing", before, w.dump(m, "contacts"))
	w.sweep(noon().AddDate(0, 0, 1), noon())
	check := func() {
		events, err := w.st.Events(w.ctx(), store.EventQuery{})
		w.must(err)
		var left []int64
		for _, e := range events {
			left = append(left, e.Sequence)
		}
		w.equal("events left", left, []int64{8, 4, 3})
		w.equal("deliveries left", len(w.deliveries(store.DeliveryQuery{})), 6)
		w.equal("pending", ids(w.pending(m)), []string{"evt_contacts_000003"})
		w.equal("parked", len(w.deliveries(store.DeliveryQuery{State: store.StateParked})), 1)
		w.equal("records", len(w.known(m, "contacts")), 3)
		if _, err := w.st.Attempts(w.ctx(), "evt_contacts_000006", "app"); !errors.Is(err, store.ErrNotFound) {
			w.Errorf("attempts of a deleted event: %v", err)
		}
	}
	check()
	m = w.restart("b")
	check()
	w.ack(m, w.pending(m)...)
	_, err := m.Drop(w.ctx(), store.DeliveryQuery{}, "dropped by ann")
	w.must(err)
	w.sweep(noon().AddDate(1, 0, 0), noon())
	w.equal("deliveries left", len(w.deliveries(store.DeliveryQuery{})), 0)
}

func sweepInSteps(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3000, "app")...)
	w.ack(m, w.pending(m)[:2500]...)
	if calls := w.sweep(noon().AddDate(1, 0, 0), noon()); calls < 3 {
		w.Fatalf("2,500 events were deleted in %d calls", calls)
	}
	w.equal("pending", len(w.pending(m)), 500)
	w.equal("deliveries left", len(w.deliveries(store.DeliveryQuery{Limit: 10_000})), 500)
	w.sweep(noon().AddDate(1, 0, 0), noon())
	w.equal("pending", len(w.pending(m)), 500)
	w.ack(m, w.pending(m)...)
	w.sweep(noon().AddDate(1, 0, 0), noon())
	w.equal("deliveries left", len(w.deliveries(store.DeliveryQuery{})), 0)
}

// left makes a source with some state that left the configuration at noon.
func left(w *world, m store.Member) poller.State {
	w.commit(m, "orders", w.some("orders", 1, 2, "app")...)
	st := w.commit(m, "contacts", w.some("contacts", 1, 30, "app")...)
	c := poll("contacts", st)
	c.State = fullState(c.State)
	c.Poll = &poller.Poll{At: noon(), Verdict: poller.Complete}
	_, err := m.Commit(w.ctx(), c)
	w.must(err)
	w.must(m.SetSources(w.ctx(), []string{"orders", "brand-new"}, noon()))
	return w.load(m, "contacts")
}

func leftKeepsState(w *world) {
	m := w.owner("a", shortTTL)
	left(w, m)
	before := w.dump(m, "contacts")
	w.must(m.SetSources(w.ctx(), []string{"orders"}, noon().AddDate(0, 0, 5))) // it left at noon, not now
	w.sweep(time.Time{}, noon())
	w.unchanged("leaving the configuration", before, w.dump(m, "contacts"))
	m = w.restart("b")
	sources, err := w.st.Sources(w.ctx())
	w.must(err)
	if len(sources) != 2 || !sources[0].Removed.Equal(noon()) || !sources[1].Removed.IsZero() {
		w.Fatalf("sources: %+v", sources)
	}
	w.unchanged("a restart", before, w.dump(m, "contacts"))
}

func comesBack(w *world) {
	m := w.owner("a", longTTL)
	left(w, m)
	before := w.dump(m, "contacts")
	w.must(m.SetSources(w.ctx(), []string{"contacts", "orders"}, noon().AddDate(0, 0, 5)))
	w.sweep(time.Time{}, noon().AddDate(1, 0, 0))
	w.unchanged("coming back", before, w.dump(m, "contacts"))
}

func startsAnew(w *world) {
	m := w.owner("a", shortTTL)
	old := left(w, m)
	orders := w.dump(m, "orders")
	w.sweep(time.Time{}, noon().AddDate(0, 0, 1))
	m = w.restart("b")
	w.unchanged("deleting another source", orders, w.dump(m, "orders"))
	sources, err := w.st.Sources(w.ctx())
	w.must(err)
	w.equal("sources", len(sources), 1)
	polls, err := w.st.Polls(w.ctx(), "contacts", 10)
	w.must(err)
	w.equal("polls", len(polls), 0)

	st := w.load(m, "contacts")
	if st.Sequence != old.Sequence || st.Version <= old.Version {
		w.Fatalf("version %d and sequence %d after %d and %d", st.Version, st.Sequence, old.Version, old.Sequence)
	}
	w.equal("the rest", st, poller.State{Version: st.Version, Sequence: st.Sequence})
	w.equal("known", len(w.known(m, "contacts")), 0)
	if _, err := w.st.Record(w.ctx(), "contacts", "k1"); !errors.Is(err, store.ErrNotFound) {
		w.Fatalf("a record of a deleted source: %v", err)
	}
	w.equal("pending", len(w.pending(m)), 32)
	st = w.commit(m, "contacts", w.some("contacts", 31, 2, "app")...)
	w.equal("records and sequence", []int64{st.Records, st.Sequence}, []int64{2, 32})
	w.sweep(time.Time{}, noon())
	w.equal("known", len(w.known(m, "contacts")), 2)
}

func deletedUnderway(w *world) {
	m := w.owner("a", longTTL)
	st := left(w, m)
	w.sweep(time.Time{}, noon().AddDate(0, 0, 1))
	_, err := m.Commit(w.ctx(), poll("contacts", st, w.news("contacts", 31, "k1", "app")))
	if !errors.Is(err, poller.ErrConflict) {
		w.Fatalf("got %v", err)
	}
	w.equal("known", fmt.Sprint(w.known(m, "contacts")), "[]")
}

func sweepBySize(w *world) {
	m := w.owner("a", shortTTL)
	const n = 2000
	writes := w.some("contacts", 1, n, "app")
	for i := range writes {
		writes[i].Event.Body = fmt.Appendf(nil, `{"pad":"%01000d"}`, i)
	}
	w.commit(m, "contacts", writes...)
	all := w.pending(m)
	kept := map[string]bool{}
	for i, d := range all {
		switch i % 100 {
		case 10:
			kept[d.ID] = true
		case 11:
			kept[d.ID] = true
			w.must(m.Park(w.ctx(), d.Ref, "422", nil))
		}
	}
	var settled []emitter.Delivery
	for _, d := range all {
		if !kept[d.ID] {
			settled = append(settled, d)
		}
	}
	w.ack(m, settled...)
	records := w.known(m, "contacts")
	swept, err := w.st.Housekeep(w.ctx(), store.Retention{MaxSize: 1 << 40})
	w.must(err)
	w.equal("below the limit", swept.Stuck || swept.More, false)
	limit := swept.Used / 2
	used := w.sweepTo(limit)
	if used > limit {
		w.Fatalf("%d bytes are in use, the limit is %d", used, limit)
	}
	w.equal("pending and parked", len(w.pending(m))+len(w.deliveries(store.DeliveryQuery{State: store.StateParked, Limit: n})), len(kept))
	w.equal("records", w.known(m, "contacts"), records)
	left := w.deliveries(store.DeliveryQuery{State: store.StateDelivered, Limit: n})
	if len(left) < n/10 {
		w.Fatalf("%d settled deliveries are left: too many went", len(left))
	}
	for i, row := range left { // the newest, without a gap
		if want := settled[len(settled)-1-i].ID; row.EventID != want {
			w.Fatalf("settled delivery %d is %s, want %s", i, row.EventID, want)
		}
	}
	w.sweepTo(1)
	w.equal("settled", len(w.deliveries(store.DeliveryQuery{State: store.StateDelivered})), 0)
	w.equal("pending and parked", len(w.pending(m))+len(w.deliveries(store.DeliveryQuery{State: store.StateParked, Limit: n})), len(kept))
	w.commit(m, "contacts", w.news("contacts", n+1, "k1", "app"), w.news("contacts", n+2, "k2", "app")) // it goes on
	pending := w.pending(m)
	w.ack(m, pending[len(pending)-1])
	_, err = w.st.Housekeep(w.ctx(), store.Retention{})
	w.must(err)
	w.equal("settled without a limit", len(w.deliveries(store.DeliveryQuery{State: store.StateDelivered})), 1)
	m = w.restart("b")
	w.equal("pending", len(w.pending(m)), len(kept)/2+1)
}

// sweepTo calls Housekeep with a limit until there is no more to do.
func (w *world) sweepTo(limit int64) (used int64) {
	w.Helper()
	for range 10_000 {
		swept, err := w.st.Housekeep(w.ctx(), store.Retention{MaxSize: limit})
		w.must(err)
		if !swept.More {
			w.equal("stuck", swept.Stuck, swept.Used > limit)
			return swept.Used
		}
	}
	w.Fatalf("housekeeping does not come to an end")
	return 0
}

func sweepAttempts(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 300, "app")...)
	all := w.pending(m)
	for i, d := range all {
		w.must(m.Retry(w.ctx(), d.Ref, failedAttempt(1), noon()))
		all[i].Attempts = 1
	}
	w.ack(m, all[:290]...)
	w.must(m.Park(w.ctx(), all[299].Ref, "422", nil))
	m = w.restart("b")
	for more := true; more; {
		swept, err := w.st.Housekeep(w.ctx(), store.Retention{AttemptsBefore: noon().AddDate(0, 0, 1)})
		w.must(err)
		more = swept.More
	}
	for i, want := range map[int]int{0: 1, 150: 1, 289: 1, 290: 1, 299: 1} {
		list, err := w.st.Attempts(w.ctx(), all[i].ID, "app")
		w.must(err)
		w.equal(fmt.Sprintf("attempts of delivery %d", i), len(list), want)
		if delivered := i < 290; (list[0].Status == 204) != delivered {
			w.Errorf("delivery %d keeps %+v", i, list)
		}
	}
	w.equal("deliveries", len(w.deliveries(store.DeliveryQuery{Limit: 1000})), 300)
	w.equal("pending", len(w.pending(m)), 9)
}
