package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func batchTests() []test {
	return []test{
		{"a batch is what it was sealed as, after failures and restarts too", batchStays},
		{"a batch leaves out what is settled and what is too much", batchFits},
		{"a batch that is split is none, and its deliveries can be sealed anew", batchSplits},
		{"sealing one delivery anew ends the batch that it was in", batchEnds},
		{"a failed attempt counts for each delivery of a batch, and its answer is kept once", batchFails},
		{"the deliveries of a batch are parked together, and replayed one by one", batchParks},
		{"a batch is parked as a whole without another attempt", batchGivenUp},
		{"what has left a batch is not touched by what becomes of it", batchLeft},
		{"a batch is listed with each of its deliveries", batchListed},
	}
}

func batchLane(webhook string) emitter.Lane {
	return emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: webhook}
}

// sealBatch seals deliveries together.
func (w *world) sealBatch(m store.Member, most int, deliveries ...emitter.Delivery) []emitter.Delivery {
	w.Helper()
	p := emitter.Parcel{Lane: deliveries[0].Lane, Seqs: seqs(deliveries), Batch: true, MaxBytes: most}
	sealed, err := m.Seal(w.ctx(), []emitter.Parcel{p})
	w.must(err)
	return sealed[0]
}

func seqs(deliveries []emitter.Delivery) []int64 {
	list := make([]int64, len(deliveries))
	for i, d := range deliveries {
		list[i] = d.Seq
	}
	return list
}

// batchIs fails unless the lane of app has exactly this batch.
func (w *world) batchIs(m store.Member, want []emitter.Delivery) {
	w.Helper()
	list, err := m.Batches(w.ctx(), batchLane("app"))
	w.must(err)
	w.equal("batches", list, []string{emitter.BatchID(ids(want))})
	got, err := m.Batch(w.ctx(), batchLane("app"), list[0])
	w.must(err)
	w.equal("its deliveries", ids(got), ids(want))
	for i, d := range got {
		w.equal("id and body", []any{d.Batch, string(d.Body), d.Loose}, []any{list[0], string(want[i].Body), false})
	}
}

// noBatch fails when the lane of app has a batch.
func (w *world) noBatch(m store.Member) {
	w.Helper()
	list, err := m.Batches(w.ctx(), batchLane("app"))
	w.must(err)
	w.equal("batches", len(list), 0)
	for _, d := range w.pending(m) {
		w.equal("batch of "+d.ID, d.Batch, "")
	}
}

func batchStays(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 6, "app", "crm")...)
	w.noBatch(m)
	all := w.lane(m, batchLane("app"), 100)
	picked := []emitter.Delivery{all[0], all[2], all[5]}
	sealed := w.sealBatch(m, 1<<20, picked...)
	w.equal("sealed", []any{ids(sealed), sealed[0].Batch, sealed[2].Batch},
		[]any{ids(picked), emitter.BatchID(ids(picked)), emitter.BatchID(ids(picked))})
	check := func(attempts int) {
		w.Helper()
		w.batchIs(m, picked)
		w.equal("pending", len(w.pending(m)), 12)
		w.equal("attempts", w.one(m, picked[1].ID, "app").Attempts, attempts)
		none, err := m.Batches(w.ctx(), batchLane("crm"))
		w.must(err)
		w.equal("of another webhook", len(none), 0)
	}
	check(0)
	w.must(m.FailBatch(w.ctx(), batchLane("app"), seqs(picked), failedAttempt(1), emitter.Next{At: noon()}))
	check(1)
	m = w.restart("b")
	check(1)
	again := w.sealBatch(m, 1<<20, picked...)
	w.equal("sealed again", []any{ids(again), again[0].Attempts}, []any{ids(picked), 1})
	check(1)
	w.ack(m, again...)
	w.noBatch(m)
	w.equal("pending", len(w.pending(m)), 9)
}

func batchFits(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 6, "app")...)
	all := w.pending(m)
	w.ack(m, all[1])
	size := 0
	for _, i := range []int{0, 2, 3} {
		size = emitter.BatchSize(size, all[i].Body)
	}
	sealed := w.sealBatch(m, size, all...)
	want := []emitter.Delivery{all[0], all[2], all[3]}
	w.equal("sealed", ids(sealed), ids(want))
	w.batchIs(m, want)
	sealed = w.sealBatch(m, 1, all[4:]...)
	w.equal("one at least", ids(sealed), ids(all[4:5]))
	w.equal("nothing of nothing", len(w.sealBatch(m, 1, all[1])), 0)
}

func batchSplits(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 4, "app")...)
	all := w.sealBatch(m, 1<<20, w.pending(m)...)
	w.must(m.FailBatch(w.ctx(), batchLane("app"), seqs(all), failedAttempt(1), emitter.Next{Split: true}))
	m = w.restart("b")
	w.noBatch(m)
	for _, d := range w.pending(m) {
		w.equal("attempts and next of "+d.ID, []any{d.Attempts, d.NextAt.IsZero(), d.Since.IsZero()}, []any{0, true, false})
	}
	w.sealBatch(m, 1<<20, all[:2]...)
	w.batchIs(m, all[:2])
}

func batchEnds(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 4, "app")...)
	all := w.sealBatch(m, 1<<20, w.pending(m)...)
	w.must(m.FailBatch(w.ctx(), batchLane("app"), seqs(all), failedAttempt(1), emitter.Next{At: noon()}))
	w.equal("attempts under a new id", w.sealBatch(m, 1<<20, all[1:3]...)[0].Attempts, 0)
	m = w.restart("b")
	w.batchIs(m, all[1:3])
	w.equal("what was left", []any{w.one(m, all[0].ID, "app").Batch, w.one(m, all[3].ID, "app").Batch}, []any{"", ""})
}

func batchFails(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3, "app")...)
	all := w.sealBatch(m, 1<<20, w.pending(m)...)
	next := noon().Add(time.Hour)
	w.must(m.FailBatch(w.ctx(), batchLane("app"), seqs(all), failedAttempt(1), emitter.Next{At: next}))
	w.must(m.FailBatch(w.ctx(), batchLane("app"), seqs(all), failedAttempt(2), emitter.Next{At: next}))
	m = w.restart("b")
	for i, d := range w.pending(m) {
		w.equal("attempts, next", []any{d.Attempts, d.NextAt}, []any{2, next})
		attempts, err := w.st.Attempts(w.ctx(), d.ID, "app")
		w.must(err)
		want := failedAttempt(2)
		if i > 0 {
			want.Excerpt, want.Request = "", ""
		}
		w.equal("attempts of "+d.ID, []any{len(attempts), attempts[1]}, []any{2, want})
	}
}

func batchParks(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 4, "app")...)
	all := w.sealBatch(m, 1<<20, w.pending(m)[:3]...)
	w.must(m.FailBatch(w.ctx(), batchLane("app"), seqs(all), failedAttempt(1), emitter.Next{Park: "gave up"}))
	m = w.restart("b")
	w.equal("pending", ids(w.pending(m)), []string{"evt_contacts_000004"})
	rows := w.deliveries(store.DeliveryQuery{State: store.StateParked})
	w.equal("parked", []any{len(rows), rows[0].Reason, rows[0].Attempts, rows[0].Settled.IsZero()}, []any{3, "gave up", 1, false})
	queues, err := w.st.Queues(w.ctx())
	w.must(err)
	w.equal("queue", []int64{queues[0].Pending, queues[0].Parked}, []int64{1, 3})
	n, err := m.Replay(w.ctx(), store.DeliveryQuery{EventID: all[1].ID}, 0)
	w.must(err)
	w.equal("replayed", n, 1)
	w.noBatch(m)
}

func batchGivenUp(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 4, "app")...)
	all := w.sealBatch(m, 1<<20, w.pending(m)...)
	w.must(m.FailBatch(w.ctx(), batchLane("app"), seqs(all), failedAttempt(1), emitter.Next{At: noon()}))
	w.ack(m, all[1])
	before := w.deliveries(store.DeliveryQuery{EventID: all[1].ID})
	w.must(m.FailBatch(w.ctx(), batchLane("app"), seqs(all), emitter.Attempt{}, emitter.Next{Park: "gave up"}))
	m = w.restart("b")
	w.equal("pending", len(w.pending(m)), 0)
	w.noBatch(m)
	if !slices.Equal(before, w.deliveries(store.DeliveryQuery{EventID: all[1].ID})) {
		w.Fatalf("what was delivered is %+v", w.deliveries(store.DeliveryQuery{EventID: all[1].ID}))
	}
	for _, row := range w.deliveries(store.DeliveryQuery{State: store.StateParked}) {
		attempts, err := w.st.Attempts(w.ctx(), row.EventID, "app")
		w.must(err)
		w.equal("parked "+row.EventID, []any{row.Reason, row.Attempts, len(attempts)}, []any{"gave up", 1, 1})
		if ago := time.Since(row.Settled); ago < 0 || ago > time.Minute {
			w.Fatalf("%s was parked at %s", row.EventID, row.Settled)
		}
	}
	queues, err := w.st.Queues(w.ctx())
	w.must(err)
	w.equal("queue", []int64{queues[0].Pending, queues[0].Parked}, []int64{0, 3})
}

func batchLeft(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3, "app")...)
	all := w.sealBatch(m, 1<<20, w.pending(m)...)
	w.ack(m, all[1])
	before := w.deliveries(store.DeliveryQuery{EventID: all[1].ID})
	w.must(m.FailBatch(w.ctx(), batchLane("app"), seqs(all), failedAttempt(1), emitter.Next{Park: "gave up"}))
	if !slices.Equal(before, w.deliveries(store.DeliveryQuery{EventID: all[1].ID})) {
		w.Fatalf("what was delivered is %+v", w.deliveries(store.DeliveryQuery{EventID: all[1].ID}))
	}
	w.must(m.Release(w.ctx(), store.Freed{Shard: all[0].Shard, Since: time.Now()}))
	err := m.FailBatch(w.ctx(), batchLane("app"), seqs(all), failedAttempt(2), emitter.Next{Split: true})
	if !errors.Is(err, poller.ErrFenced) {
		w.Fatalf("without the shard: %v", err)
	}
}

func batchListed(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3, "app")...)
	all := w.sealBatch(m, 1<<20, w.pending(m)[:2]...)
	w.ack(m, all...)
	var batches []string
	for _, row := range w.deliveries(store.DeliveryQuery{}) {
		batches = append(batches, row.Batch)
	}
	w.equal("batches, newest first", batches, []string{"", all[0].Batch, all[0].Batch})
}
