package storetest

import (
	"slices"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

func orderTests() []test {
	return []test{
		{"a lane is read in the order of the commits", laneInOrder},
		{"a delivery that waits for a retry still stands before the later ones", waitingStands},
		{"a replayed delivery stands at its old place, before the later ones of its record", replayStands},
		{"the sequence of a source has no gap across commits, sources and restarts", sequenceGoesOn},
	}
}

func (w *world) inOrder(m store.Member, source string, n int) {
	w.Helper()
	lane := emitter.Lane{Shard: store.ShardOf(source), Webhook: "app"}
	for _, page := range []int{1, 3, 1000} {
		var sequences []int64
		for _, d := range w.lane(m, lane, page) {
			if d.Source == source {
				sequences = append(sequences, d.Sequence)
			}
		}
		if len(sequences) != n || !slices.IsSorted(sequences) {
			w.Fatalf("read in pages of %d, %s has %d deliveries in the order %v", page, source, len(sequences), sequences)
		}
	}
}

func laneInOrder(w *world) {
	m := w.owner("a", shortTTL)
	for i := range 10 {
		first := int64(3*i + 1)
		w.commit(m, "contacts", w.some("contacts", first, 3, "app", "crm")...)
		w.commit(m, "orders", w.some("orders", first, 3, "crm", "app")...)
	}
	w.inOrder(m, "contacts", 30)
	m = w.restart("b")
	w.inOrder(m, "contacts", 30)
	w.inOrder(m, "orders", 30)
}

func waitingStands(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 9, "app")...)
	w.must(m.Retry(w.ctx(), w.one(m, "evt_contacts_000004", "app").Ref, failedAttempt(1), time.Now().AddDate(1, 0, 0)))
	w.inOrder(m, "contacts", 9)
}

func replayStands(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 9, "app")...)
	all := w.pending(m)
	w.ack(m, all[:3]...)
	w.must(m.Park(w.ctx(), all[4].Ref, "given up", nil))
	n, err := m.Replay(w.ctx(), store.DeliveryQuery{Webhook: "app"}, 0)
	w.must(err)
	w.equal("replayed", n, 4)
	w.inOrder(m, "contacts", 9)
	w.commit(m, "contacts", w.some("contacts", 10, 2, "app")...)
	m = w.restart("b")
	w.inOrder(m, "contacts", 11)
	for i, d := range w.pending(m) {
		w.equal("replay of "+d.ID, d.Replay, i < 3 || i == 4)
		w.equal("old place of "+d.ID, i >= len(all) || d.Ref == all[i].Ref, true)
	}
}

func sequenceGoesOn(w *world) {
	m := w.owner("a", shortTTL)
	for i := range int64(5) {
		for _, source := range []string{"contacts", "orders"} {
			w.equal("sequence", w.commit(m, source, w.some(source, 2*i+1, 2, "app")...).Sequence, 2*i+2)
		}
		m = w.restart("b")
		w.equal("sequence after a restart", w.load(m, "contacts").Sequence, 2*i+2)
		m = w.owner("b", shortTTL)
	}
	events, err := w.st.Events(w.ctx(), store.EventQuery{Source: "orders"})
	w.must(err)
	for i, e := range events {
		w.equal("sequence, newest first", e.Sequence, int64(10-i))
	}
	w.equal("events", len(events), 10)
}
