package storetest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

func atLeastOnceTests() []test {
	return []test{
		{"acknowledging is idempotent and paging skips nothing", ackAndPaging},
		{"what is not acknowledged is pending after a restart", pendingSurvives},
		{"an acknowledgement settles its own delivery only", ackSettlesOne},
		{"acknowledged together, each delivery keeps its own attempt", ackTogether},
		{"a retry survives a restart and a take-over", retrySurvives},
		{"a parked delivery survives a restart and is listed until someone decides", parkedSurvives},
		{"a parked delivery can be replayed", parkedReplayed},
		{"a delivery keeps since when it is tried, and a replay begins anew", sinceKept},
		{"a replay can be spread over time, oldest first", replaySpread},
		{"what is dropped says who dropped it, and can be replayed", dropSaysWho},
		{"a survey sums up what a query selects", surveySums},
		{"a failed attempt keeps what was sent", requestKept},
		{"a late retry or park does not undo an acknowledgement", lateFailure},
		{"acknowledging a parked or dropped delivery marks it delivered", ackWins},
		{"dropping settles parked deliveries only", dropParkedOnly},
		{"dropping what is pending leaves later events and other webhooks alone", dropPending},
		{"a delivery that never was cannot be retried or parked", unknownDelivery},
		{"every lane that has something pending is listed, and no other", lanesListed},
		{"queues count what is pending and parked", queuesCount},
		{"gates are durable", gatesDurable},
		{"the list of deliveries pages through all of them", deliveriesPage},
		{"every attempt of a delivery stays listed", attemptsListed},
		{"a delivery that is retried for ever keeps its last hundred attempts", attemptsBounded},
	}
}

func ackAndPaging(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 1000, "app", "crm", "erp")...)
	w.commit(m, "orders", w.some("orders", 1, 10, "app")...)
	seen := map[emitter.Ref]bool{}
	var all []emitter.Delivery
	for _, l := range w.lanes(m) {
		last := int64(0)
		for _, d := range w.lane(m, l, 77) {
			if seen[d.Ref] || d.Seq <= last || d.Lane != l {
				w.Fatalf("twice, in disorder or in the wrong lane %v: %v", l, d.Ref)
			}
			seen[d.Ref], last = true, d.Seq
			all = append(all, d)
		}
	}
	w.equal("deliveries", len(seen), 3010)
	slices.SortFunc(all, func(a, b emitter.Delivery) int { // in no order that the store knows
		return cmp.Or(cmp.Compare(a.Seq%97, b.Seq%97), strings.Compare(b.Webhook, a.Webhook), cmp.Compare(a.Seq, b.Seq))
	})
	w.ack(m, all[:1500]...)
	w.ack(m, all[1000:2000]...) // some of them again
	w.equal("pending", len(w.pending(m)), 1010)
	before := w.deliveries(store.DeliveryQuery{Limit: 10_000})
	again := receipts(all[:2000])
	for i := range again {
		again[i].Attempt.Status, again[i].Attempt.At = 200, noon().Add(time.Hour)
	}
	w.must(m.Ack(w.ctx(), again))
	if !slices.Equal(before, w.deliveries(store.DeliveryQuery{Limit: 10_000})) {
		w.Fatalf("acknowledging again changed what was settled")
	}
	w.ack(m, all...)
	w.equal("pending", len(w.pending(m)), 0)
	w.must(m.Ack(w.ctx(), nil))
}

func pendingSurvives(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 20, "app", "crm")...)
	w.ack(m, w.pending(m)[3:7]...)
	before := w.dump(m, "contacts")
	m = w.restart("b")
	w.unchanged("a restart", before, w.dump(m, "contacts"))
	w.equal("pending", len(w.pending(m)), 36)
}

func ackSettlesOne(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 5, "app", "crm")...)
	all := w.pending(m)
	for left := len(all); left > 0; left-- {
		w.ack(m, all[left/2])
		all = append(all[:left/2:left/2], all[left/2+1:]...)
		w.equal("pending", ids(w.pending(m)), ids(all))
	}
}

func lanesListed(w *world) {
	m := w.owner("a", longTTL)
	want := []emitter.Lane{}
	for i := range 20 {
		source := fmt.Sprintf("source%d", i)
		w.commit(m, source, w.some(source, 1, 3, "app", fmt.Sprintf("hook%d", i%4))...)
	}
	for shard := range store.Shards {
		hooks := map[string]bool{}
		for i := range 20 {
			if store.ShardOf(fmt.Sprintf("source%d", i)) == shard {
				hooks["app"], hooks[fmt.Sprintf("hook%d", i%4)] = true, true
			}
		}
		for _, hook := range []string{"app", "hook0", "hook1", "hook2", "hook3"} {
			if hooks[hook] {
				want = append(want, emitter.Lane{Shard: shard, Webhook: hook})
			}
		}
	}
	w.equal("lanes", w.lanes(m), want)
	lane := w.lane(m, want[3], 10)
	for i, d := range lane {
		w.equal("lanes", len(w.lanes(m)), len(want))
		if i%2 == 0 {
			w.ack(m, d)
		} else {
			w.must(m.Park(w.ctx(), d.Ref, "given up", nil))
		}
	}
	w.equal("lanes", w.lanes(m), append(want[:3:3], want[4:]...))
	w.equal("deliveries of a lane that is not there", len(w.lane(m, emitter.Lane{Shard: 1, Webhook: "nobody"}, 10)), 0)
}

func queuesCount(w *world) {
	m := w.owner("a", shortTTL)
	check := func(want ...store.Queue) {
		w.Helper()
		got, err := w.st.Queues(w.ctx())
		w.must(err)
		w.equal("queues", got, want)
	}
	check([]store.Queue{}...)
	w.commit(m, "contacts", w.some("contacts", 1, 5, "app", "crm")...)
	w.commit(m, "orders", w.some("orders", 1, 5, "app")...)
	at := func(n int) time.Time { return noon().Add(time.Duration(n) * time.Millisecond) }
	check(store.Queue{Webhook: "app", Pending: 10, Oldest: at(1)}, store.Queue{Webhook: "crm", Pending: 5, Oldest: at(1)})
	all := w.pending(m)
	for _, d := range all {
		if d.Sequence == 1 {
			w.ack(m, d)
		}
		if d.Sequence == 2 && d.Webhook == "app" {
			w.must(m.Park(w.ctx(), d.Ref, "given up", nil))
		}
	}
	want := []store.Queue{{Webhook: "app", Pending: 6, Parked: 2, Oldest: at(3)}, {Webhook: "crm", Pending: 4, Oldest: at(2)}}
	check(want...)
	m = w.restart("b")
	check(want...)
	_, err := m.Replay(w.ctx(), store.DeliveryQuery{Source: "orders"}, 0)
	w.must(err)
	check(store.Queue{Webhook: "app", Pending: 8, Parked: 1, Oldest: at(1)}, want[1])
	_, err = m.Drop(w.ctx(), store.DeliveryQuery{}, "dropped by ann")
	w.must(err)
	w.ack(m, w.pending(m)...)
	check([]store.Queue{}...)
}

func gatesDurable(w *world) {
	m := w.owner("a", shortTTL)
	want := map[string]emitter.GateState{
		"app": {State: "shut", Failures: 7, Since: noon(), Until: noon().Add(time.Minute), Reason: "status_5xx"},
		"crm": {State: "paused", Since: noon(), Reason: "410"},
	}
	w.saveGate(m, "app", emitter.GateState{State: "open"})
	for webhook, state := range want {
		w.saveGate(m, webhook, state)
	}
	check := func() {
		got, err := m.Gates(w.ctx())
		w.must(err)
		w.equal("gates", plain(got), want)
		got, err = w.st.GateStates(w.ctx())
		w.must(err)
		w.equal("gates", plain(got), want)
	}
	check()
	m = w.restart("b")
	check()
}

// saveGate stores a gate on top of whatever is stored, and gives it under its generation.
func (w *world) saveGate(m store.Member, webhook string, state emitter.GateState) emitter.GateState {
	w.Helper()
	all, err := m.Gates(w.ctx())
	w.must(err)
	state.Gen = all[webhook].Gen
	now, saved, err := m.SaveGate(w.ctx(), webhook, state)
	w.must(err)
	if !saved {
		w.Fatalf("the gate of %s was not stored on top of generation %d: there is %+v", webhook, state.Gen, now)
	}
	return now
}

// plain are gates without their generations.
func plain(gates map[string]emitter.GateState) map[string]emitter.GateState {
	gates = maps.Clone(gates)
	for webhook, state := range gates {
		state.Gen = 0
		gates[webhook] = state
	}
	return gates
}

func deliveriesPage(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 50, "app", "crm", "erp")...)
	w.commit(m, "orders", w.some("orders", 1, 20, "app")...)
	for _, limit := range []int{1, 2, 7, 100} {
		var seen []string
		q := store.DeliveryQuery{Source: "contacts", Limit: limit}
		for {
			rows := w.deliveries(q)
			if len(rows) == 0 {
				break
			}
			if len(rows) > limit+2 {
				w.Fatalf("a page of %d has %d rows", limit, len(rows))
			}
			for _, row := range rows {
				seen = append(seen, row.EventID+" "+row.Webhook)
			}
			q.Before = rows[len(rows)-1].Seq
		}
		w.equal("deliveries seen", len(seen), 150)
		unique := map[string]bool{}
		for _, s := range seen {
			unique[s] = true
		}
		w.equal("different ones", len(unique), 150)
	}
	count := func(q store.DeliveryQuery) int { q.Limit = 1000; return len(w.deliveries(q)) }
	w.equal("by webhook, key, type, event, time, default limit", []int{
		count(store.DeliveryQuery{Webhook: "app"}), count(store.DeliveryQuery{Key: "k0", Webhook: "erp"}),
		count(store.DeliveryQuery{Type: "orders.updated"}), count(store.DeliveryQuery{EventID: "evt_contacts_000007"}),
		count(store.DeliveryQuery{Since: noon().Add(41 * time.Millisecond), Until: noon().Add(45 * time.Millisecond)}),
		len(w.deliveries(store.DeliveryQuery{Webhook: "nobody"})),
	}, []int{70, 17, 20, 3, 12, 0})
	if n := len(w.deliveries(store.DeliveryQuery{})); n < 100 || n > 102 {
		w.Fatalf("the default page has %d rows", n)
	}
}
