package storetest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// shortTTL is that of a membership which a test lets expire; long is that of one which must not.
const (
	shortTTL = 400 * time.Millisecond
	longTTL  = time.Minute
)

// noon is when the events of the suite were detected, unless a test says otherwise. Microseconds must survive.
func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 123_456_000, time.UTC) }

// world is one test with its store.
type world struct {
	T
	backend Backend
	st      store.Store
}

func newWorld(t T, b Backend) *world {
	w := &world{T: t, backend: b}
	w.st = b.Open(t)
	t.Cleanup(func() { _ = w.st.Close() })
	return w
}

func (w *world) ctx() context.Context { return w.Context() }

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error: %v", err)
	}
}

func (w *world) equal(what string, got, want any) {
	w.Helper()
	if g, x := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != x {
		w.Fatalf("%s:\n got %s\nwant %s", what, g, x)
	}
}

// join makes a member.
func (w *world) join(name string, ttl time.Duration) store.Member {
	w.Helper()
	m, err := w.st.Join(w.ctx(), name, ttl)
	w.must(err)
	return m
}

// owner makes a member that owns every shard.
func (w *world) owner(name string, ttl time.Duration) store.Member {
	w.Helper()
	m := w.join(name, ttl)
	leases, err := m.Acquire(w.ctx(), store.AllShards())
	w.must(err)
	if len(leases) != store.Shards {
		w.Fatalf("%s acquired %d of %d shards", m.ID(), len(leases), store.Shards)
	}
	return m
}

// takeOver lets the present owner expire and gives a new one.
func (w *world) takeOver(name string) store.Member {
	w.Helper()
	w.backend.Pass(w.T, shortTTL+50*time.Millisecond)
	return w.owner(name, longTTL)
}

// restart closes the store without leaving, opens it again and gives a new owner.
func (w *world) restart(name string) store.Member {
	w.Helper()
	w.must(w.st.Close())
	w.st = w.backend.Open(w.T)
	w.backend.Pass(w.T, longTTL) // whoever the process was is gone, however long its leases
	return w.owner(name, longTTL)
}

// hashOf is the hash under which the suite keeps a key.
func (w *world) hashOf(key string) differ.Hash { return differ.NewHasher(w.st.Seed()).Key([]byte(key)) }

// record is a write of a record that is not news.
func (w *world) record(key, body string) poller.Write {
	n := uint64(len(body))
	return poller.Write{
		Known: poller.Known{Hash: w.hashOf(key), Print: differ.Print{Raw: 1<<63 + n, Canon: ^n}},
		Key:   key, Body: []byte(body),
	}
}

// news is a write of a record with the event that tells of it.
func (w *world) news(source string, sequence int64, key string, to ...string) poller.Write {
	one := w.record(key, fmt.Sprintf(`{"id":%q,"n":%d,"big":9007199254740993,"price":1.10}`, key, sequence))
	one.Event = newEvent(source, sequence, key, to...)
	return one
}

func newEvent(source string, sequence int64, key string, to ...string) *poller.Event {
	e := &poller.Event{
		ID: fmt.Sprintf("evt_%s_%06d", source, sequence), Source: source, Sequence: sequence, Type: source + ".updated",
		Change: differ.Updated, Key: key, At: noon().Add(time.Duration(sequence) * time.Millisecond),
		Body: fmt.Appendf(nil, `{"b":1,"a":[9007199254740993,1.10],"key":%q,"sequence":%d}`, key, sequence),
	}
	for _, webhook := range to {
		e.To = append(e.To, poller.Copy{Webhook: webhook})
	}
	return e
}

// some makes n news of a source, starting with a sequence, on three keys in turn.
func (w *world) some(source string, first int64, n int, to ...string) []poller.Write {
	writes := make([]poller.Write, n)
	for i := range writes {
		writes[i] = w.news(source, first+int64(i), fmt.Sprintf("k%d", i%3), to...)
	}
	return writes
}

func yield(writes []poller.Write) iter.Seq2[poller.Write, error] {
	return func(yield func(poller.Write, error) bool) {
		for _, one := range writes {
			if !yield(one, nil) {
				return
			}
		}
	}
}

// poll is a commit of the writes on top of the state.
func poll(source string, on poller.State, writes ...poller.Write) poller.Commit {
	c := poller.Commit{Source: source, Expect: on.Version, State: on, Writes: yield(writes)}
	for _, one := range writes {
		if one.Event != nil {
			c.State.Sequence = one.Event.Sequence
		}
	}
	return c
}

// commit commits the writes on top of what is there.
func (w *world) commit(m store.Member, source string, writes ...poller.Write) poller.State {
	w.Helper()
	done, err := m.Commit(w.ctx(), poll(source, w.load(m, source), writes...))
	w.must(err)
	st := w.load(m, source)
	w.equal("version", st.Version, done.Version)
	return st
}

func (w *world) load(m store.Member, source string) poller.State {
	w.Helper()
	st, err := m.Load(w.ctx(), source)
	w.must(err)
	return st
}

func (w *world) known(m store.Member, source string) []poller.Known {
	w.Helper()
	var list []poller.Known
	w.must(m.Prints(w.ctx(), source, func(k poller.Known) bool {
		list = append(list, k)
		return true
	}))
	slices.SortFunc(list, func(a, b poller.Known) int { return slices.Compare(a.Hash[:], b.Hash[:]) })
	return list
}

// lane reads a lane to its end, page by page.
func (w *world) lane(m store.Member, l emitter.Lane, page int) []emitter.Delivery {
	w.Helper()
	var list []emitter.Delivery
	for after := int64(0); ; {
		part, err := m.Pending(w.ctx(), l, after, page)
		w.must(err)
		if len(part) == 0 {
			return list
		}
		if len(part) > page {
			w.Fatalf("a page of %d has %d deliveries", page, len(part))
		}
		list = append(list, part...)
		if after = part[len(part)-1].Seq; len(list) > 1<<20 {
			w.Fatalf("the lane does not end")
		}
	}
}

// lanes lists the lanes by shard and webhook.
func (w *world) lanes(m store.Member) []emitter.Lane {
	w.Helper()
	lanes, err := m.Lanes(w.ctx())
	w.must(err)
	slices.SortFunc(lanes, func(a, b emitter.Lane) int {
		return cmp.Or(cmp.Compare(a.Shard, b.Shard), cmp.Compare(a.Webhook, b.Webhook))
	})
	return lanes
}

// pending reads all lanes.
func (w *world) pending(m store.Member) []emitter.Delivery {
	w.Helper()
	var list []emitter.Delivery
	for _, l := range w.lanes(m) {
		list = append(list, w.lane(m, l, 100)...)
	}
	return list
}

// one gives the pending delivery of an event to a webhook.
func (w *world) one(m store.Member, id, webhook string) emitter.Delivery {
	w.Helper()
	for _, d := range w.pending(m) {
		if d.ID == id && d.Webhook == webhook {
			return d
		}
	}
	w.Fatalf("%s is not pending for %s", id, webhook)
	return emitter.Delivery{}
}

func (w *world) ack(m store.Member, deliveries ...emitter.Delivery) {
	w.Helper()
	w.must(m.Ack(w.ctx(), receipts(deliveries)))
}

func receipts(deliveries []emitter.Delivery) []emitter.Receipt {
	list := make([]emitter.Receipt, len(deliveries))
	for i, d := range deliveries {
		list[i] = emitter.Receipt{Ref: d.Ref, Attempt: emitter.Attempt{
			Number: d.Attempts + 1, At: noon(), Took: 20 * time.Millisecond, Status: 204, Trigger: "initial",
		}}
	}
	return list
}

func failedAttempt(number int) emitter.Attempt {
	return emitter.Attempt{
		Number: number, At: noon().Add(time.Duration(number) * time.Second), Took: 1500 * time.Millisecond, Status: 503,
		Reason: "status_5xx", Error: "503 Service Unavailable", Excerpt: "try later", Trigger: "retry",
	}
}

func ids(deliveries []emitter.Delivery) []string {
	list := make([]string, len(deliveries))
	for i, d := range deliveries {
		list[i] = d.ID
	}
	return list
}

// deliveries lists deliveries by query.
func (w *world) deliveries(q store.DeliveryQuery) []store.DeliveryRow {
	w.Helper()
	list, err := w.st.Deliveries(w.ctx(), q)
	w.must(err)
	return list
}

// within fails the test when fn takes longer than any healthy store needs.
func (w *world) within(wg *sync.WaitGroup) {
	w.Helper()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		w.Fatalf("still waiting after 30 s")
	}
}
