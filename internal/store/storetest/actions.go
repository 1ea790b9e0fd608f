package storetest

import (
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

// What people do to deliveries.

func sinceKept(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 1, "app")...)
	d := w.pending(m)[0]
	w.equal("before the first attempt", []bool{d.Since.IsZero(), d.TriedAt.IsZero()}, []bool{true, true})
	first, second := failedAttempt(1), failedAttempt(2)
	w.must(m.Retry(w.ctx(), d.Ref, first, noon()))
	w.must(m.Retry(w.ctx(), d.Ref, second, noon()))
	check := func() {
		got := w.one(m, d.ID, "app")
		w.equal("since and tried", []time.Time{got.Since, got.TriedAt}, []time.Time{first.At, second.At})
	}
	check()
	m = w.restart("b")
	check()
	w.must(m.Park(w.ctx(), d.Ref, "gave up", nil))
	w.backend.Pass(w.T, time.Hour)
	m = w.owner("b", shortTTL)
	n, err := m.Replay(w.ctx(), store.DeliveryQuery{EventID: d.ID}, 0)
	w.must(err)
	w.equal("replayed", n, 1)
	replayed := w.one(m, d.ID, "app").Since
	if replayed.Sub(first.At) < time.Hour {
		w.Fatalf("a replayed delivery counts since %s", replayed)
	}
	w.must(m.Retry(w.ctx(), d.Ref, failedAttempt(1), noon()))
	m = w.restart("c")
	w.equal("since, after another attempt and a restart", w.one(m, d.ID, "app").Since, replayed)
}

func replaySpread(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 600, "app")...)
	w.ack(m, w.pending(m)...)
	n, err := m.Replay(w.ctx(), store.DeliveryQuery{}, 50*time.Millisecond)
	w.must(err)
	w.equal("replayed", n, 600)
	m = w.restart("b")
	list := w.pending(m)
	w.equal("the oldest", list[0].NextAt, time.Time{})
	for i := 2; i < len(list); i++ {
		if gap := list[i].NextAt.Sub(list[i-1].NextAt); gap != 50*time.Millisecond {
			w.Fatalf("delivery %d may be sent %s after the one before", i, gap)
		}
	}
	w.equal("the last one after the second", list[599].NextAt.Sub(list[1].NextAt), 598*50*time.Millisecond)
}

func dropSaysWho(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3, "app")...)
	for i, d := range w.pending(m) {
		w.must(m.Park(w.ctx(), d.Ref, []string{"the receiver refuses the event: 422", "gave up after 3d: 503", "Gave up after 3d: 500"}[i], nil))
	}
	n, err := m.Drop(w.ctx(), store.DeliveryQuery{Reason: "gave UP"}, "dropped by ann: they have it by mail")
	w.must(err)
	w.equal("dropped", n, 2)
	check := func() {
		rows := w.deliveries(store.DeliveryQuery{State: store.StateDropped})
		w.equal("rows", len(rows), 2)
		w.equal("reason", rows[1].Reason, "dropped by ann: they have it by mail; it was parked: gave up after 3d: 503")
		if rows[0].Settled.IsZero() {
			w.Errorf("dropped at an unknown time")
		}
		w.equal("parked", len(w.deliveries(store.DeliveryQuery{State: store.StateParked})), 1)
	}
	check()
	m = w.restart("b")
	check()
	n, err = m.Replay(w.ctx(), store.DeliveryQuery{State: store.StateDropped}, 0)
	w.must(err)
	w.equal("replayed", n, 2)
}

func surveySums(w *world) {
	m := w.owner("a", longTTL)
	writes := w.some("contacts", 1, 4, "app", "crm")
	writes[3].Event.To[1].Body = []byte("for crm")
	w.commit(m, "contacts", writes...)
	w.commit(m, "orders", w.some("orders", 1, 1, "app")...)
	bytes := map[string]int64{}
	for _, d := range w.pending(m) {
		bytes[d.Webhook+d.Source] += int64(len(d.Body))
		if d.Webhook == "app" && d.Sequence == 2 {
			bytes["parked"] = int64(len(d.Body))
			w.must(m.Park(w.ctx(), d.Ref, "422", nil))
		}
	}
	at := func(n int) time.Time { return noon().Add(time.Duration(n) * time.Millisecond) }
	want := []store.Sum{
		{Webhook: "app", Type: "contacts.updated", State: store.StatePending, Deliveries: 3, Bytes: bytes["appcontacts"] - bytes["parked"], First: at(1), Last: at(4)},
		{Webhook: "app", Type: "contacts.updated", State: store.StateParked, Deliveries: 1, Bytes: bytes["parked"], First: at(2), Last: at(2)},
		{Webhook: "app", Type: "orders.updated", State: store.StatePending, Deliveries: 1, Bytes: bytes["apporders"], First: at(1), Last: at(1)},
		{Webhook: "crm", Type: "contacts.updated", State: store.StatePending, Deliveries: 4, Bytes: bytes["crmcontacts"], First: at(1), Last: at(4)},
	}
	got, err := w.st.Survey(w.ctx(), store.DeliveryQuery{})
	w.must(err)
	w.equal("all", got, want)
	got, err = w.st.Survey(w.ctx(), store.DeliveryQuery{Webhook: "app", Source: "contacts", State: store.StateParked, Reason: "42"})
	w.must(err)
	w.equal("parked", got, want[1:2])
	got, err = w.st.Survey(w.ctx(), store.DeliveryQuery{Webhook: "app", Source: "contacts", Limit: 3})
	w.must(err)
	two := want[0]
	two.Deliveries, two.First, two.Bytes = 2, at(3), two.Bytes/3*2
	w.equal("the newest three", got, []store.Sum{two, want[1]})
	got, err = w.st.Survey(w.ctx(), store.DeliveryQuery{Key: "nobody"})
	w.must(err)
	w.equal("of nobody", len(got), 0)
}

func requestKept(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 1, "app")...)
	d := w.pending(m)[0]
	failed := failedAttempt(1)
	failed.Request = "POST http://127.0.0.1/hooks\ndeltahook-attempt: 1"
	w.must(m.Retry(w.ctx(), d.Ref, failed, noon()))
	w.ack(m, w.pending(m)...)
	m = w.restart("b")
	got, err := w.st.Attempts(w.ctx(), d.ID, "app")
	w.must(err)
	w.equal("attempts", got, []emitter.Attempt{failed, {Number: 2, At: noon(), Took: 20 * time.Millisecond, Status: 204, Trigger: "initial"}})
	w.equal("pending", len(w.pending(m)), 0)
}
