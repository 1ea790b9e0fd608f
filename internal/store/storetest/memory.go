package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func memoryTests() []test {
	return []test{
		{"records keep their exact bytes", recordBytes},
		{"fingerprints and missing counts are what was written", printsKept},
		{"bodies of unknown hashes are left out", unknownBodies},
		{"a write without a body keeps the stored one", bodyKept},
		{"an event of a record that stays as it is leaves it so, and how far a backfill is goes with it", recordUntouched},
		{"a removed record is gone and can come back", recordRemoved},
		{"sources do not see each other's records", recordsApart},
		{"records are listed by key, page by page", recordsListed},
		{"a store that takes writes says so, and one that is closed does not", probeWrites},
		{"whoever looks sees what is known without owning it, and cannot commit", lookingIsReading},
		{"reading records stops when the reader does", readingStops},
		{"reading records ends with the context", readingCancelled},
		{"thousands of records are one commit", manyRecords},
		{"the history of polls is newest first and bounded", pollsBounded},
		{"events are listed newest first, by query", eventsListed},
	}
}

// bodies reads records by key.
func (w *world) bodies(m store.Member, source string, keys ...string) map[string]string {
	w.Helper()
	hashes := make([]differ.Hash, len(keys))
	for i, key := range keys {
		hashes[i] = w.hashOf(key)
	}
	got := map[string]string{}
	w.must(m.Bodies(w.ctx(), source, hashes, func(hash differ.Hash, key string, body []byte) error {
		if hash != w.hashOf(key) {
			w.Errorf("key %q comes with a wrong hash", key)
		}
		got[key] = string(body)
		return nil
	}))
	return got
}

func recordBytes(w *world) {
	m := w.owner("a", shortTTL)
	want := map[string]string{}
	var writes []poller.Write
	var keys []string
	for i, body := range append(hardBodies(), "", "x") {
		key := fmt.Sprintf("k%d \x00\xff é<", i)
		keys, want[key] = append(keys, key), body
		writes = append(writes, w.record(key, body))
	}
	w.commit(m, "contacts", writes...)
	check := func() {
		w.Helper()
		got := w.bodies(m, "contacts", keys...)
		w.equal("records", len(got), len(want))
		for key, body := range want {
			if got[key] != body {
				w.Fatalf("record %q is %q, written was %q", key, got[key], body)
			}
			one, err := w.st.Record(w.ctx(), "contacts", key)
			w.must(err)
			if string(one.Body) != body || one.Key != key {
				w.Fatalf("record %q is shown as %q, written was %q", key, one.Body, body)
			}
		}
	}
	check()
	m = w.restart("b")
	check()
	if _, err := w.st.Record(w.ctx(), "contacts", "nobody"); !errors.Is(err, store.ErrNotFound) {
		w.Fatalf("an unknown record: %v", err)
	}
	if _, err := w.st.Record(w.ctx(), "nothing", "k0"); !errors.Is(err, store.ErrNotFound) {
		w.Fatalf("a record of an unknown source: %v", err)
	}
}

func printsKept(w *world) {
	m := w.owner("a", shortTTL)
	var writes []poller.Write
	var want []poller.Known
	for i := range 300 {
		one := w.record(fmt.Sprintf("k%d", i), "{}")
		one.Print = differ.Print{Raw: uint64(i) << 56, Canon: ^uint64(0) - uint64(i)}
		one.Missing = i % 200
		writes, want = append(writes, one), append(want, one.Known)
	}
	w.commit(m, "contacts", writes...)
	slices.SortFunc(want, func(a, b poller.Known) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	w.equal("known", w.known(m, "contacts"), want)
	m = w.restart("b")
	w.equal("known", w.known(m, "contacts"), want)
	again := writes[5]
	again.Missing, again.Print.Raw, again.Body = 7, 99, nil
	w.commit(m, "contacts", again)
	for _, k := range w.known(m, "contacts") {
		if k.Hash == again.Hash {
			w.equal("changed", k, again.Known)
		}
	}
	w.equal("records", w.load(m, "contacts").Records, 300)
}

func unknownBodies(w *world) {
	m := w.owner("a", longTTL)
	w.equal("of an unknown source", w.bodies(m, "contacts", "k1"), map[string]string{})
	w.commit(m, "contacts", w.record("k1", "one"), w.record("k2", "two"))
	w.equal("of two and a stranger", w.bodies(m, "contacts", "k2", "stranger", "k1"), map[string]string{"k1": "one", "k2": "two"})
	w.equal("of nobody", w.bodies(m, "contacts"), map[string]string{})
	stop := errors.New("enough")
	n := 0
	err := m.Bodies(w.ctx(), "contacts", []differ.Hash{w.hashOf("k1"), w.hashOf("k2")}, func(differ.Hash, string, []byte) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 {
		w.Fatalf("after %d bodies: %v", n, err)
	}
}

func bodyKept(w *world) {
	m := w.owner("a", longTTL)
	bare := w.record("k2", "")
	bare.Body = nil
	w.commit(m, "contacts", w.record("k1", "one"), bare)
	again := w.record("k1", "")
	again.Body, again.Missing = nil, 1
	w.commit(m, "contacts", again)
	w.equal("bodies", w.bodies(m, "contacts", "k1", "k2"), map[string]string{"k1": "one", "k2": ""})
	if _, err := w.st.Record(w.ctx(), "contacts", "k2"); !errors.Is(err, store.ErrNotFound) {
		w.Fatalf("a record without a body: %v", err)
	}
	w.commit(m, "contacts", w.record("k1", "new one"), w.record("k2", "two"))
	w.equal("bodies", w.bodies(m, "contacts", "k1", "k2"), map[string]string{"k1": "new one", "k2": "two"})
	w.equal("records", w.load(m, "contacts").Records, 2)
}

func recordUntouched(w *world) {
	m := w.owner("a", shortTTL)
	before := w.record("k1", "one")
	before.Missing = 3
	w.commit(m, "contacts", before, w.record("k2", "two"))
	known := w.known(m, "contacts")
	told := poller.Write{
		Known: poller.Known{Hash: before.Hash, Print: differ.Print{Raw: 7, Canon: 7}}, Key: "k1", Body: []byte("another"), Untouched: true,
		Event: newEvent("contacts", 1, "k1", "app"),
	}
	c := poll("contacts", w.load(m, "contacts"), told)
	c.State.Backfill = &poller.Backfill{To: []string{"app"}, Started: noon(), Total: 2, Looked: 1, Told: 1, After: "ff00"}
	c.State.Untold = true
	_, err := m.Commit(w.ctx(), c)
	w.must(err)
	check := func() {
		st := w.load(m, "contacts")
		w.equal("what was not told", st.Untold, true)
		w.equal("known", w.known(m, "contacts"), known)
		w.equal("bodies", w.bodies(m, "contacts", "k1", "k2"), map[string]string{"k1": "one", "k2": "two"})
		w.equal("records, sequence", []int64{st.Records, st.Sequence}, []int64{2, 1})
		w.equal("backfill", *st.Backfill, *c.State.Backfill)
		w.equal("pending", ids(w.pending(m)), []string{told.Event.ID})
	}
	check()
	m = w.restart("b")
	check()
}

func recordRemoved(w *world) {
	m := w.owner("a", shortTTL)
	w.commit(m, "contacts", w.record("k1", "one"), w.record("k2", "two"))
	gone, stranger := w.record("k1", ""), w.record("k9", "")
	gone.Remove, stranger.Remove = true, true
	st := w.commit(m, "contacts", gone, stranger)
	w.equal("records, known, bodies", []any{st.Records, len(w.known(m, "contacts")), w.bodies(m, "contacts", "k1", "k2")},
		[]any{1, 1, map[string]string{"k2": "two"}})
	st = w.commit(m, "contacts", w.record("k1", "again"), w.record("k3", "three"), w.record("k3", "three again"))
	w.equal("records", st.Records, 3)
	m = w.restart("b")
	w.equal("bodies", w.bodies(m, "contacts", "k1", "k2", "k3"), map[string]string{"k1": "again", "k2": "two", "k3": "three again"})
}

func recordsApart(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.record("k1", "a contact"))
	w.commit(m, "orders", w.record("k1", "an order"), w.record("k2", "another"))
	gone := w.record("k1", "")
	gone.Remove = true
	w.commit(m, "orders", gone)
	w.equal("contacts", w.bodies(m, "contacts", "k1", "k2"), map[string]string{"k1": "a contact"})
	w.equal("orders", w.bodies(m, "orders", "k1", "k2"), map[string]string{"k2": "another"})
	w.equal("records", []int64{w.load(m, "contacts").Records, w.load(m, "orders").Records}, []int64{1, 1})
}

func lookingIsReading(w *world) {
	m := w.owner("a", longTTL)
	st := w.commit(m, "contacts", w.news("contacts", 1, "k1", "app"))
	look := w.st.Look()
	got, err := look.Load(w.ctx(), "contacts")
	w.must(err)
	w.equal("state", got, st)
	n := 0
	w.must(look.Prints(w.ctx(), "contacts", func(poller.Known) bool {
		n++
		return true
	}))
	w.must(look.Bodies(w.ctx(), "contacts", []differ.Hash{w.hashOf("k1")}, func(differ.Hash, string, []byte) error {
		n++
		return nil
	}))
	w.equal("records and bodies", n, 2)
	before := w.dump(m, "contacts")
	if _, err := look.Commit(w.ctx(), poll("contacts", st, w.news("contacts", 2, "k2", "app"))); err == nil {
		w.Errorf("a look committed")
	}
	w.unchanged("a look", before, w.dump(m, "contacts"))
}

func readingStops(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3)...)
	n := 0
	w.must(m.Prints(w.ctx(), "contacts", func(poller.Known) bool {
		n++
		return n < 2
	}))
	w.equal("yielded", n, 2)
	w.commit(m, "contacts", w.record("k", "v")) // nothing is left open
}

func readingCancelled(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 3)...)
	ctx, cancel := context.WithCancel(w.ctx())
	err := m.Prints(ctx, "contacts", func(poller.Known) bool {
		cancel()
		return true
	})
	if !errors.Is(err, context.Canceled) {
		w.Errorf("fingerprints: %v", err)
	}
	if _, err := m.Pending(ctx, emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}, 0, 10); !errors.Is(err, context.Canceled) {
		w.Errorf("pending: %v", err)
	}
	w.commit(m, "contacts", w.record("k", "v")) // nothing is left open
}

func manyRecords(w *world) {
	m := w.owner("a", longTTL)
	const many = 5000
	writes := make([]poller.Write, many)
	hashes := make([]differ.Hash, many)
	for i := range writes {
		key := fmt.Sprintf("key-%06d", i)
		writes[i] = w.record(key, fmt.Sprintf(`{"id":%q,"text":"%0*d"}`, key, i%700, i))
		hashes[i] = writes[i].Hash
	}
	w.equal("records", w.commit(m, "contacts", writes...).Records, many)
	w.equal("known", len(w.known(m, "contacts")), many)
	got := map[differ.Hash]string{}
	w.must(m.Bodies(w.ctx(), "contacts", hashes, func(hash differ.Hash, _ string, body []byte) error {
		got[hash] = string(body)
		return nil
	}))
	for _, one := range writes {
		if got[one.Hash] != string(one.Body) {
			w.Fatalf("record %q is %q", one.Key, got[one.Hash])
		}
	}
}

func pollsBounded(w *world) {
	m := w.owner("a", longTTL)
	for i := range 230 {
		c := poll("contacts", w.load(m, "contacts"))
		if i%10 != 9 {
			c.Poll = &poller.Poll{At: noon(), Took: 1234567 * time.Nanosecond, Verdict: poller.Partial, Pages: i}
		}
		_, err := m.Commit(w.ctx(), c)
		w.must(err)
	}
	polls, err := w.st.Polls(w.ctx(), "contacts", 3)
	w.must(err)
	w.equal("pages", []int{polls[0].Pages, polls[1].Pages, polls[2].Pages}, []int{228, 227, 226})
	w.equal("took", polls[0].Took, 1234567*time.Nanosecond)
	polls, err = w.st.Polls(w.ctx(), "contacts", 1000)
	w.must(err)
	if len(polls) < 100 || len(polls) > 206 {
		w.Fatalf("%d polls are kept", len(polls))
	}
	polls, err = w.st.Polls(w.ctx(), "orders", 10)
	w.must(err)
	w.equal("polls of a stranger", len(polls), 0)
}

func eventsListed(w *world) {
	m := w.owner("a", longTTL)
	w.commit(m, "contacts", w.some("contacts", 1, 60)...)
	w.commit(m, "orders", w.some("orders", 1, 60)...)
	list := func(q store.EventQuery) (ids []string) {
		events, err := w.st.Events(w.ctx(), q)
		w.must(err)
		for _, e := range events {
			if e.Body != nil {
				w.Errorf("a list carries bodies")
			}
			ids = append(ids, e.ID)
		}
		return ids
	}
	w.equal("newest", list(store.EventQuery{Limit: 2}), []string{"evt_orders_000060", "evt_orders_000059"})
	w.equal("by source", list(store.EventQuery{Source: "contacts", Limit: 1}), []string{"evt_contacts_000060"})
	w.equal("by key", list(store.EventQuery{Source: "orders", Key: "k0", Limit: 2}), []string{"evt_orders_000058", "evt_orders_000055"})
	w.equal("by time", list(store.EventQuery{Type: "orders.updated", Since: noon().Add(5 * time.Millisecond), Until: noon().Add(7 * time.Millisecond)}),
		[]string{"evt_orders_000006", "evt_orders_000005"})
	w.equal("default page", len(list(store.EventQuery{})), 100)
	var q store.EventQuery
	seen := 0
	for q.Limit = 7; ; {
		events, err := w.st.Events(w.ctx(), q)
		w.must(err)
		if len(events) == 0 {
			break
		}
		seen, q.Before = seen+len(events), events[len(events)-1].Seq
	}
	w.equal("paged", seen, 120)
	if _, err := w.st.Event(w.ctx(), "evt_nobody"); !errors.Is(err, store.ErrNotFound) {
		w.Fatalf("an unknown event: %v", err)
	}
}
