package storetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func retrySurvives(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3, "app")...)
	d := w.one(m, "evt_contacts_000002", "app")
	next := noon().Add(90*time.Minute + time.Microsecond)
	w.must(m.Retry(w.ctx(), d.Ref, failedAttempt(1), noon()))
	w.must(m.Retry(w.ctx(), d.Ref, failedAttempt(2), next))
	check := func() {
		got := w.one(m, d.ID, "app")
		w.equal("attempts, next and the last failure", []any{got.Attempts, got.NextAt, got.Status, got.Reason}, []any{2, next, 503, "status_5xx"})
		row := w.deliveries(store.DeliveryQuery{EventID: d.ID})[0]
		w.equal("row", []any{row.State, row.Attempts, row.NextAt, row.Status, row.Took, row.Reason},
			[]any{store.StatePending, 2, next, 503, 1500 * time.Millisecond, "status_5xx"})
		w.equal("pending", len(w.pending(m)), 3)
	}
	check()
	m = w.restart("b")
	check()
	m = w.owner("b", shortTTL)
	m = w.takeOver("c")
	check()
}

func parkedSurvives(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3, "app")...)
	all := w.pending(m)
	attempt := failedAttempt(1)
	attempt.Status = 422
	w.must(m.Park(w.ctx(), all[0].Ref, "status 422", &attempt))
	w.must(m.Park(w.ctx(), all[1].Ref, "given up after 72h", nil))
	check := func() {
		w.equal("pending", ids(w.pending(m)), ids(all[2:]))
		rows := w.deliveries(store.DeliveryQuery{State: store.StateParked})
		if len(rows) != 2 {
			w.Fatalf("parked: %+v", rows)
		}
		w.equal("newest", []any{rows[0].EventID, rows[0].Reason, rows[0].Attempts}, []any{all[1].ID, "given up after 72h", 0})
		w.equal("oldest", []any{rows[1].EventID, rows[1].Reason, rows[1].Attempts, rows[1].Status}, []any{all[0].ID, "status 422", 1, 422})
		if rows[0].Settled.IsZero() || rows[1].Settled.IsZero() {
			w.Fatalf("parked at an unknown time: %+v", rows)
		}
		first, last := rows[1], rows[0]
		if last.Settled.Before(first.Settled) {
			first, last = last, first
		}
		after := func(at time.Time) int {
			return len(w.deliveries(store.DeliveryQuery{State: store.StateParked, SettledAfter: at}))
		}
		w.equal("parked after the first and the last one", []int{
			after(first.Settled.Add(-time.Microsecond)), after(first.Settled), after(last.Settled),
		}, []int{2, 1, 0})
	}
	check()
	m = w.restart("b")
	check()
	w.sweep(time.Now().AddDate(100, 0, 0), time.Time{})
	check()
}

func parkedReplayed(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 4, "app", "crm")...)
	for _, d := range w.pending(m)[:3] { // all for app
		attempt := failedAttempt(1)
		w.must(m.Park(w.ctx(), d.Ref, "422", &attempt))
	}
	n, err := m.Replay(w.ctx(), store.DeliveryQuery{State: store.StateParked, Webhook: "app", Limit: 2}, 0)
	w.must(err)
	w.equal("replayed", n, 2)
	check := func() {
		got := w.lane(m, w.lanes(m)[0], 10)
		w.equal("pending", ids(got), []string{"evt_contacts_000002", "evt_contacts_000003", "evt_contacts_000004"})
		w.equal("marks", []any{got[0].Replay, got[1].Replay, got[2].Replay, got[0].Attempts, got[0].NextAt},
			[]any{true, true, false, 0, time.Time{}})
		w.equal("parked", len(w.deliveries(store.DeliveryQuery{State: store.StateParked})), 1)
	}
	check()
	m = w.restart("b")
	check()
	w.ack(m, w.pending(m)...)
	w.equal("pending", len(w.pending(m)), 0)
}

func lateFailure(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 2, "app")...)
	all := w.pending(m)
	w.ack(m, all[0])
	before := w.dump(m, "contacts")
	attempt := failedAttempt(1)
	w.must(m.Retry(w.ctx(), all[0].Ref, attempt, noon()))
	w.must(m.Park(w.ctx(), all[0].Ref, "late", &attempt))
	w.must(m.Park(w.ctx(), all[0].Ref, "late", nil))
	w.unchanged("a late failure", before, w.dump(m, "contacts"))
}

func ackWins(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 2, "app")...)
	all := w.pending(m)
	for _, d := range all {
		w.must(m.Park(w.ctx(), d.Ref, "given up", nil))
	}
	n, err := m.Drop(w.ctx(), store.DeliveryQuery{EventID: all[1].ID}, "dropped by ann")
	w.must(err)
	w.equal("dropped", n, 1)
	w.ack(m, all...)
	for _, row := range w.deliveries(store.DeliveryQuery{}) {
		w.equal("state, status, reason", []any{row.State, row.Status, row.Reason}, []any{store.StateDelivered, 204, ""})
	}
	queues, err := w.st.Queues(w.ctx())
	w.must(err)
	w.equal("queues", len(queues), 0)
}

func ackTogether(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 50, "app", "crm")...)
	all := w.pending(m)
	for _, i := range []int{13, 14, 70} {
		w.must(m.Park(w.ctx(), all[i].Ref, "given up", nil))
	}
	n, err := m.Drop(w.ctx(), store.DeliveryQuery{EventID: all[13].ID, Webhook: all[13].Webhook}, "dropped by ann")
	w.must(err)
	w.equal("dropped", n, 1)
	list := receipts(all)
	for i := range list {
		list[i].Attempt.At = noon().Add(time.Duration(i*7919%100) * time.Second)
		list[i].Attempt.Took = time.Duration(i*31+1) * time.Millisecond
	}
	list[20].Attempt.Status = 200
	list[60].Attempt.At = time.Date(1970, 1, 1, 0, 0, 1, 0, time.UTC)
	given := slices.Clone(list)
	w.must(m.Ack(w.ctx(), list))
	if !slices.Equal(given, list) {
		w.Fatalf("the store has changed the receipts of its caller")
	}
	for _, r := range given {
		id := idOf(all, r.Ref)
		row := w.deliveries(store.DeliveryQuery{EventID: id, Webhook: r.Webhook})[0]
		w.equal("state, attempts, settled", []any{row.State, row.Attempts, row.Settled.UTC()}, []any{store.StateDelivered, 1, r.Attempt.At.Add(r.Attempt.Took)})
		made, err := w.st.Attempts(w.ctx(), id, r.Webhook)
		w.must(err)
		made[0].At = made[0].At.UTC()
		w.equal("attempts", made, []emitter.Attempt{r.Attempt})
	}
	queues, err := w.st.Queues(w.ctx())
	w.must(err)
	w.equal("queues", len(queues), 0)
}

func idOf(deliveries []emitter.Delivery, ref emitter.Ref) string {
	i := slices.IndexFunc(deliveries, func(d emitter.Delivery) bool { return d.Ref == ref })
	return deliveries[i].ID
}

func dropParkedOnly(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3, "app")...)
	all := w.pending(m)
	w.ack(m, all[0])
	w.must(m.Park(w.ctx(), all[1].Ref, "given up", nil))
	n, err := m.Drop(w.ctx(), store.DeliveryQuery{}, "dropped by ann")
	w.must(err)
	w.equal("dropped", n, 1)
	m = w.restart("b")
	var states []string
	for _, row := range w.deliveries(store.DeliveryQuery{}) {
		states = append(states, row.State)
	}
	w.equal("states, newest first", states, []string{store.StatePending, store.StateDropped, store.StateDelivered})
	w.equal("pending", ids(w.pending(m)), ids(all[2:]))
}

func dropPending(w *world) {
	m := w.owner("a", shortTTL)
	writes := w.some("contacts", 1, 4, "app", "crm")
	for i := range writes {
		writes[i].Event.To[0].Merge = func(string, []byte, bool) (poller.Merging, []byte) { return poller.Apart, nil }
	}
	w.commit(m, "contacts", writes...)
	all := w.lane(m, emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}, 10)
	w.must(m.Park(w.ctx(), all[0].Ref, "given up", nil))
	_, err := m.Seal(w.ctx(), []emitter.Parcel{{Lane: all[1].Lane, Seqs: []int64{all[1].Seq, all[2].Seq}, Batch: true, MaxBytes: 1 << 20}})
	w.must(err)
	n, err := m.Drop(w.ctx(), store.DeliveryQuery{Webhook: "app", State: store.StatePending}, "skipped by ann")
	w.must(err)
	w.equal("dropped", n, 3)
	later := w.news("contacts", 5, "k0", "app", "crm") // of a record of which an event was dropped
	later.Event.To[0].Merge = func(string, []byte, bool) (poller.Merging, []byte) {
		w.Errorf("a dropped delivery was merged with a later one")
		return poller.Apart, nil
	}
	w.commit(m, "contacts", later)
	// What was in flight: a failure does not bring it back, a receipt counts.
	w.must(m.Retry(w.ctx(), all[1].Ref, failedAttempt(1), noon()))
	w.ack(m, all[2])
	check := func() {
		var states []string
		for _, row := range w.deliveries(store.DeliveryQuery{Webhook: "app"}) {
			states = append(states, row.State+" "+row.Reason)
		}
		w.equal("states, newest first", states, []string{"pending ", "dropped skipped by ann", "delivered ", "dropped skipped by ann", "parked given up"})
		w.equal("of the other webhook", len(w.lane(m, emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "crm"}, 10)), 5)
		batches, err := m.Batches(w.ctx(), all[0].Lane)
		w.must(err)
		w.equal("batches", len(batches), 0)
	}
	check()
	queues, err := w.st.Queues(w.ctx())
	w.must(err)
	w.equal("queues", []int64{queues[0].Pending, queues[0].Parked, queues[1].Pending}, []int64{1, 1, 5})
	m = w.restart("b")
	check()
}

func unknownDelivery(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 1, "app")...)
	d := w.pending(m)[0]
	other, seq := d.Ref, d.Ref
	other.Webhook, seq.Seq = "nobody", d.Seq+1000
	for _, ref := range []emitter.Ref{other, seq} {
		if err := m.Retry(w.ctx(), ref, failedAttempt(1), noon()); !errors.Is(err, store.ErrNotFound) {
			w.Errorf("retry of %v: %v", ref, err)
		}
		if err := m.Park(w.ctx(), ref, "x", nil); !errors.Is(err, store.ErrNotFound) {
			w.Errorf("park of %v: %v", ref, err)
		}
		w.must(m.Ack(w.ctx(), []emitter.Receipt{{Ref: ref}}))
	}
	w.equal("pending", len(w.pending(m)), 1)
}

func attemptsListed(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 1, "app")...)
	d := w.pending(m)[0]
	first, second := failedAttempt(1), failedAttempt(2)
	second.Excerpt = strings.Repeat("é", 4000) // 8,000 bytes
	w.must(m.Retry(w.ctx(), d.Ref, first, noon()))
	w.must(m.Park(w.ctx(), d.Ref, "given up", &second))
	for range 2 {
		_, err := m.Replay(w.ctx(), store.DeliveryQuery{}, 0)
		w.must(err)
		w.ack(m, w.pending(m)...)
	}
	m = w.restart("b")
	got, err := w.st.Attempts(w.ctx(), d.ID, "app")
	w.must(err)
	if len(got) != 4 {
		w.Fatalf("attempts: %+v", got)
	}
	w.equal("first", got[0], first)
	w.equal("excerpt", got[1].Excerpt, strings.Repeat("é", 2048))
	for _, a := range got[2:] {
		w.equal("success", a, emitter.Attempt{Number: 1, At: noon(), Took: 20 * time.Millisecond, Status: 204, Trigger: "initial"})
	}
	if _, err := w.st.Attempts(w.ctx(), d.ID, "nobody"); !errors.Is(err, store.ErrNotFound) {
		w.Fatalf("attempts of no delivery: %v", err)
	}
	w.equal("pending", len(w.pending(m)), 0)
}

func attemptsBounded(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 1, "app")...)
	d := w.pending(m)[0]
	for n := range 105 {
		w.must(m.Retry(w.ctx(), d.Ref, failedAttempt(n+1), noon()))
	}
	got, err := w.st.Attempts(w.ctx(), d.ID, "app")
	w.must(err)
	w.equal("attempts, first, last", []int{len(got), got[0].Number, got[len(got)-1].Number}, []int{100, 6, 105})
	w.equal("attempts made", w.one(m, d.ID, "app").Attempts, 105)
}
