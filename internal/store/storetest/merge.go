package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func mergeTests() []test {
	return []test{
		{"what waits takes up the later events of its record, under its own id and at its own place", absorbs},
		{"what was sealed is not changed any more", sealedStays},
		{"a merged delivery is listed with the event that carries its change, and is not replayed", mergedListed},
		{"two that cancel each other leave nothing to send", cancels},
		{"what waits can be replaced by a later event", replaces},
		{"a commit that fails leaves what waits as it was", mergeRolledBack},
		{"nothing merges across a delivery that is fixed", fixedBetween},
		{"what is followed by an event of its record takes up nothing more", lastTakesUp},
		{"a webhook that missed the event of a record before what waits is known", missedBefore},
		{"records, sources and webhooks merge for themselves", mergesApart},
		{"sealing tells of what can still be sent, and of nothing else", sealTells},
		{"what was replayed is fixed", replayedFixed},
	}
}

// mergeable makes news whose copies may be merged, with the given outcome; the absorbing body names both.
func (w *world) mergeable(m poller.Merging, source string, sequence int64, key string, to ...string) poller.Write {
	one := w.news(source, sequence, key, to...)
	for i := range one.Event.To {
		c := &one.Event.To[i]
		c.Merge = func(id string, waiting []byte, missed bool) (poller.Merging, []byte) {
			if m != poller.Absorbed {
				return m, nil
			}
			return m, fmt.Appendf(nil, `{"of":%q,"was":%s,"is":%d,"for":%q}`, id, waiting, sequence, c.Webhook)
		}
	}
	return one
}

// loose commits three events of two records that may absorb each other: k1, k2, k1.
func (w *world) loose(m store.Member) {
	w.Helper()
	w.commit(m, "contacts", w.mergeable(poller.Absorbed, "contacts", 1, "k1", "app", "crm"), w.mergeable(poller.Absorbed, "contacts", 2, "k2", "app", "crm"))
	third := w.mergeable(poller.Absorbed, "contacts", 3, "k1", "app", "crm")
	w.commit(m, "contacts", third)
	for _, c := range third.Event.To {
		w.equal("outcome for "+c.Webhook, c.Merged, poller.Absorbed)
	}
}

// merged is the body that the first event of k1 has after it absorbed the one of this sequence.
func merged(sequence int64, webhook string) string {
	was := newEvent("contacts", 1, "k1").Body
	return fmt.Sprintf(`{"of":"evt_contacts_000001","was":%s,"is":%d,"for":%q}`, was, sequence, webhook)
}

func absorbs(w *world) {
	m := w.owner("a", shortTTL)
	w.loose(m)
	check := func(sequence int64) {
		w.Helper()
		all := w.pending(m)
		w.equal("pending", ids(all), []string{"evt_contacts_000001", "evt_contacts_000002", "evt_contacts_000001", "evt_contacts_000002"})
		for _, d := range all {
			want := string(newEvent("contacts", 2, "k2").Body)
			if d.Key == "k1" {
				want = merged(sequence, d.Webhook)
			}
			w.equal("body of "+d.ID+" for "+d.Webhook, string(d.Body), want)
			w.equal("loose, sequence, type", []any{d.Loose, d.Sequence, d.Type}, []any{true, w.sequenceOf(d.ID), "contacts.updated"})
		}
		event, err := w.st.Event(w.ctx(), "evt_contacts_000001")
		w.must(err)
		w.equal("the event itself", string(event.Body), string(newEvent("contacts", 1, "k1").Body))
		queues, err := w.st.Queues(w.ctx())
		w.must(err)
		w.equal("queues", []int64{queues[0].Pending, queues[1].Pending}, []int64{2, 2})
	}
	check(3)
	m = w.restart("b")
	check(3)
	w.commit(m, "contacts", w.mergeable(poller.Absorbed, "contacts", 4, "k1", "app", "crm"))
	check(4) // of the event, not of what it had absorbed already
	m = w.restart("c")
	check(4)
	w.ack(m, w.seal(m, w.pending(m)...)...)
	w.equal("pending", len(w.pending(m)), 0)
}

func (w *world) sequenceOf(id string) (sequence int64) {
	w.Helper()
	event, err := w.st.Event(w.ctx(), id)
	w.must(err)
	return event.Sequence
}

// seal seals each delivery for itself, all in one call.
func (w *world) seal(m store.Member, deliveries ...emitter.Delivery) []emitter.Delivery {
	w.Helper()
	parcels := make([]emitter.Parcel, len(deliveries))
	for i, d := range deliveries {
		parcels[i] = emitter.Parcel{Lane: d.Lane, Seqs: []int64{d.Seq}}
	}
	sealed, err := m.Seal(w.ctx(), parcels)
	w.must(err)
	w.equal("parcels", len(sealed), len(parcels))
	var list []emitter.Delivery
	for _, p := range sealed {
		list = append(list, p...)
	}
	return list
}

func sealedStays(w *world) {
	m := w.owner("a", shortTTL)
	w.loose(m)
	first := w.one(m, "evt_contacts_000001", "app")
	for range 2 { // sealing is idempotent
		got := w.seal(m, first)
		w.equal("sealed", []any{len(got), got[0].ID, string(got[0].Body), got[0].Loose}, []any{1, first.ID, merged(3, "app"), false})
	}
	m = w.restart("b")
	fourth := w.mergeable(poller.Absorbed, "contacts", 4, "k1", "app", "crm")
	w.commit(m, "contacts", fourth)
	w.equal("for app, for crm", []any{fourth.Event.To[0].Merged, fourth.Event.To[1].Merged}, []any{poller.Apart, poller.Absorbed})
	got := w.one(m, "evt_contacts_000001", "app")
	w.equal("what was sealed", []any{string(got.Body), got.Loose}, []any{merged(3, "app"), false})
	w.equal("what came later", w.one(m, "evt_contacts_000004", "app").Loose, true)
	w.equal("for the other webhook", string(w.one(m, "evt_contacts_000001", "crm").Body), merged(4, "crm"))
}

func mergedListed(w *world) {
	m := w.owner("a", shortTTL)
	w.loose(m)
	check := func() {
		w.Helper()
		rows := w.deliveries(store.DeliveryQuery{State: store.StateMerged})
		w.equal("merged", len(rows), 2)
		for _, row := range rows {
			w.equal("row", []any{row.EventID, row.MergedInto, row.Settled.IsZero(), row.Reason == "", row.Attempts},
				[]any{"evt_contacts_000003", "evt_contacts_000001", false, false, 0})
		}
		for _, row := range w.deliveries(store.DeliveryQuery{State: store.StatePending}) {
			w.equal("of a pending one", row.MergedInto, "")
		}
	}
	check()
	n, err := m.Replay(w.ctx(), store.DeliveryQuery{EventID: "evt_contacts_000003"}, 0)
	w.must(err)
	w.equal("replayed", n, 0)
	w.restart("b")
	check()
}

func cancels(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.mergeable(poller.Apart, "contacts", 1, "k1", "app"), w.mergeable(poller.Apart, "contacts", 2, "k2", "app"))
	second := w.mergeable(poller.Cancelled, "contacts", 3, "k1", "app")
	w.commit(m, "contacts", second)
	w.equal("outcome", second.Event.To[0].Merged, poller.Cancelled)
	m = w.restart("b")
	w.equal("pending", ids(w.pending(m)), []string{"evt_contacts_000002"})
	rows := w.deliveries(store.DeliveryQuery{Key: "k1"})
	w.equal("rows", []any{rows[0].State, rows[0].MergedInto, rows[1].State, rows[1].MergedInto},
		[]any{store.StateMerged, "evt_contacts_000001", store.StateMerged, "evt_contacts_000003"})
	w.commit(m, "contacts", w.mergeable(poller.Absorbed, "contacts", 4, "k1", "app")) // there is nothing that could absorb it
	w.equal("pending", ids(w.pending(m)), []string{"evt_contacts_000002", "evt_contacts_000004"})
	w.sweep(time.Now().AddDate(100, 0, 0), time.Time{})
	w.equal("pending", ids(w.pending(m)), []string{"evt_contacts_000002", "evt_contacts_000004"})
}

func replaces(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.mergeable(poller.Apart, "contacts", 1, "k1", "app"))
	w.commit(m, "contacts", w.mergeable(poller.Replaced, "contacts", 2, "k1", "app"))
	m = w.restart("b")
	all := w.pending(m)
	w.equal("pending", ids(all), []string{"evt_contacts_000002"})
	w.equal("body", string(all[0].Body), string(newEvent("contacts", 2, "k1").Body))
	rows := w.deliveries(store.DeliveryQuery{State: store.StateMerged})
	w.equal("merged", []any{len(rows), rows[0].EventID, rows[0].MergedInto}, []any{1, "evt_contacts_000001", "evt_contacts_000002"})
	w.commit(m, "contacts", w.mergeable(poller.Apart, "contacts", 3, "k1", "app"), w.mergeable(poller.Replaced, "contacts", 4, "k1", "app"))
	w.equal("in one commit", ids(w.pending(m)), []string{"evt_contacts_000002", "evt_contacts_000004"})
}

func mergeRolledBack(w *world) {
	m := w.owner("a", longTTL)
	w.loose(m)
	before := w.dump(m, "contacts")
	failure := errors.New("the page broke off")
	for _, outcome := range []poller.Merging{poller.Absorbed, poller.Replaced, poller.Cancelled} {
		c := poll("contacts", w.load(m, "contacts"), w.mergeable(outcome, "contacts", 4, "k1", "app"))
		writes := c.Writes
		c.Writes = func(yield func(poller.Write, error) bool) {
			for one, err := range writes {
				if !yield(one, err) {
					return
				}
			}
			yield(poller.Write{}, failure)
		}
		if _, err := m.Commit(w.ctx(), c); !errors.Is(err, failure) {
			w.Fatalf("commit: %v", err)
		}
		w.unchanged("a commit that failed", before, w.dump(m, "contacts"))
	}
}

func fixedBetween(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.mergeable(poller.Apart, "contacts", 1, "k1", "app"))
	w.commit(m, "contacts", w.news("contacts", 2, "k1", "app"))
	w.commit(m, "contacts", w.mergeable(poller.Absorbed, "contacts", 3, "k1", "app"))
	all := w.pending(m)
	w.equal("pending", ids(all), []string{"evt_contacts_000001", "evt_contacts_000002", "evt_contacts_000003"})
	for i, d := range all {
		w.equal("body", string(d.Body), string(newEvent("contacts", int64(i+1), "k1").Body))
	}
}

// Without an order the later of two may be sent first, and what the earlier one takes up after that would be old news.
func lastTakesUp(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.mergeable(poller.Apart, "contacts", 1, "k1", "app"))
	w.commit(m, "contacts", w.mergeable(poller.Apart, "contacts", 2, "k1", "app"))
	w.commit(m, "contacts", w.mergeable(poller.Apart, "contacts", 3, "k2", "app"), w.mergeable(poller.Apart, "contacts", 4, "k2", "app"))
	var loose []bool
	for _, d := range w.pending(m) {
		loose = append(loose, d.Loose)
	}
	w.equal("loose", loose, []bool{false, true, false, true})
	w.ack(m, w.one(m, "evt_contacts_000002", "app"), w.one(m, "evt_contacts_000004", "app"))
	m = w.restart("b")
	w.commit(m, "contacts", w.mergeable(poller.Absorbed, "contacts", 5, "k1", "app"), w.mergeable(poller.Absorbed, "contacts", 6, "k2", "app"))
	all := w.pending(m)
	w.equal("pending", ids(all), []string{"evt_contacts_000001", "evt_contacts_000003", "evt_contacts_000005", "evt_contacts_000006"})
	w.equal("body", string(all[0].Body), string(newEvent("contacts", 1, "k1").Body))
}

func missedBefore(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.news("contacts", 1, "k1", "crm"), w.news("contacts", 2, "k2", "app", "crm"), w.news("contacts", 3, "k3", "crm"))
	w.commit(m, "orders", w.news("orders", 1, "k2", "crm")) // of another source
	w.commit(m, "contacts", w.news("contacts", 4, "k3", "app"), w.mergeable(poller.Apart, "contacts", 5, "k1", "app"),
		w.mergeable(poller.Apart, "contacts", 6, "k2", "app"), w.mergeable(poller.Apart, "contacts", 7, "k3", "app"), w.mergeable(poller.Apart, "contacts", 8, "k4", "app"))
	m = w.restart("b")
	told := map[string]bool{}
	var later []poller.Write
	for i, key := range []string{"k1", "k2", "k3", "k4"} {
		one := w.mergeable(poller.Apart, "contacts", int64(9+i), key, "app")
		one.Event.To[0].Merge = func(_ string, _ []byte, missed bool) (poller.Merging, []byte) {
			told[key] = missed
			return poller.Apart, nil
		}
		later = append(later, one)
	}
	w.commit(m, "contacts", later...)
	w.equal("missed", told, map[string]bool{"k1": true, "k2": false, "k3": false, "k4": false})
}

func mergesApart(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.mergeable(poller.Absorbed, "contacts", 1, "k1", "app"))
	w.commit(m, "orders", w.mergeable(poller.Absorbed, "orders", 1, "k1", "app"))
	w.commit(m, "contacts", w.mergeable(poller.Absorbed, "contacts", 2, "k2", "app"), w.mergeable(poller.Absorbed, "contacts", 3, "k1", "crm"))
	w.equal("pending", len(w.pending(m)), 4)
	w.equal("merged", len(w.deliveries(store.DeliveryQuery{State: store.StateMerged})), 0)
}

func sealTells(w *world) {
	m := w.owner("a", shortTTL)
	w.loose(m)
	w.commit(m, "orders", w.some("orders", 1, 3, "app")...)
	all := w.pending(m)
	var app []emitter.Delivery
	for _, d := range all {
		if d.Webhook == "app" && d.Source == "contacts" {
			app = append(app, d)
		}
	}
	w.ack(m, app[0])
	ghost := app[1]
	ghost.Seq += 1000
	other := app[1]
	other.Webhook = "nobody"
	w.equal("sealed", ids(w.seal(m, app[0], app[1], ghost, other)), []string{app[1].ID})
	both, err := m.Seal(w.ctx(), []emitter.Parcel{{Lane: app[0].Lane, Seqs: []int64{app[1].Seq, app[0].Seq, app[1].Seq}}, {Lane: app[0].Lane}})
	w.must(err)
	w.equal("in the order that was asked for", []any{ids(both[0]), len(both[1])}, []any{[]string{app[1].ID, app[1].ID}, 0})
	w.must(m.Release(w.ctx(), store.Freed{Shard: app[1].Shard, Since: time.Now()}))
	w.equal("sealed without the shard", len(w.seal(m, app[1])), 0)
}

func replayedFixed(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.mergeable(poller.Apart, "contacts", 1, "k1", "app"))
	w.must(m.Park(w.ctx(), w.pending(m)[0].Ref, "put aside", nil))
	n, err := m.Replay(w.ctx(), store.DeliveryQuery{}, 0)
	w.must(err)
	w.equal("replayed", n, 1)
	w.commit(m, "contacts", w.mergeable(poller.Absorbed, "contacts", 2, "k1", "app"))
	w.equal("pending", ids(w.pending(m)), []string{"evt_contacts_000001", "evt_contacts_000002"})
	w.equal("body", string(w.pending(m)[0].Body), string(newEvent("contacts", 1, "k1").Body))
}
