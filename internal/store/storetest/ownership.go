package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func ownershipTests() []test {
	return []test{
		{"nobody steals from the living", noStealing},
		{"a stale owner is refused, its acknowledgements are not", staleIsRefused},
		{"a take-over is complete: what was confirmed is there, and nothing follows", takeOverIsComplete},
		{"a member that has expired never revives", deadStaysDead},
		{"a heartbeat keeps a member alive", heartbeatHelps},
		{"a member that was lost joins again as another, and owns what it acquires anew", rejoined},
		{"a new incarnation voids the leases of the old one", incarnationVoids},
		{"a shard that is held gets a new epoch", reacquire},
		{"what is not held cannot be used", notHeld},
		{"a released shard can be taken, and is not its owner's any more", released},
		{"leaving frees everything at once", leaving},
		{"the seed of a store never changes", seedStays},
	}
}

func shards(leases []store.Lease) []int {
	list := make([]int, len(leases))
	for i, l := range leases {
		list[i] = l.Shard
	}
	slices.Sort(list)
	return list
}

func noStealing(w *world) {
	a, b := w.join("a", longTTL), w.join("b", longTTL)
	_, err := a.Acquire(w.ctx(), []int{7, 8})
	w.must(err)
	leases, err := b.Acquire(w.ctx(), []int{7, 8, 9})
	w.must(err)
	w.equal("b's shards", shards(leases), []int{9})
	leases, err = a.Acquire(w.ctx(), []int{7, 8, 9})
	w.must(err)
	w.equal("a's shards", shards(leases), []int{7, 8})
}

// refused checks that an operation of a stale owner fails.
func (w *world) refused(what string, err error) {
	w.Helper()
	if !errors.Is(err, poller.ErrFenced) {
		w.Errorf("%s of a stale owner: %v, want %v", what, err, poller.ErrFenced)
	}
}

func staleIsRefused(w *world) {
	a := w.owner("a", shortTTL)
	st := w.commit(a, "contacts", w.some("contacts", 1, 4, "app")...)
	all := w.pending(a)
	w.must(a.Park(w.ctx(), all[3].Ref, "given up", nil))
	b := w.takeOver("b")
	before := w.dump(b, "contacts")

	_, err := a.Commit(w.ctx(), poll("contacts", st, w.news("contacts", 5, "k", "app")))
	w.refused("commit", err)
	w.refused("retry", a.Retry(w.ctx(), all[0].Ref, failedAttempt(1), noon()))
	w.refused("park", a.Park(w.ctx(), all[0].Ref, "x", nil))
	_, err = a.Replay(w.ctx(), store.DeliveryQuery{}, 0)
	w.refused("replay", err)
	_, err = a.Drop(w.ctx(), store.DeliveryQuery{}, "dropped by ann")
	w.refused("drop", err)
	_, err = a.Load(w.ctx(), "contacts")
	w.refused("load", err)
	w.refused("prints", a.Prints(w.ctx(), "contacts", func(poller.Known) bool { return true }))
	w.refused("bodies", a.Bodies(w.ctx(), "contacts", nil, func(differ.Hash, string, []byte) error { return nil }))
	_, err = a.Pending(w.ctx(), all[0].Lane, 0, 10)
	w.refused("pending", err)
	w.equal("a stale owner's lanes", len(w.lanes(a)), 0)
	w.refused("release", a.Release(w.ctx(), store.ShardOf("contacts")))
	if err := a.Heartbeat(w.ctx()); !errors.Is(err, store.ErrMemberLost) {
		w.Errorf("heartbeat of a stale owner: %v", err)
	}
	w.unchanged("a stale owner", before, w.dump(b, "contacts"))

	w.ack(a, all[0]) // a fact, whoever got it
	w.equal("pending", ids(w.pending(b)), ids(all[1:3]))
	w.commit(b, "contacts", w.news("contacts", 5, "k", "app"))
}

func takeOverIsComplete(w *world) {
	for round := range 15 {
		a := w.owner(fmt.Sprintf("a%d", round), shortTTL)
		st := w.load(a, "contacts")
		var confirmed []string
		first := make(chan struct{})
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			announce := sync.OnceFunc(func() { close(first) })
			defer announce()
			for {
				select {
				case <-stop:
					return
				default:
				}
				one := w.news("contacts", st.Sequence+1, "k", "app")
				done, err := a.Commit(w.ctx(), poll("contacts", st, one))
				if err != nil {
					if !errors.Is(err, poller.ErrFenced) {
						w.Errorf("commit: %v", err)
					}
					return
				}
				st.Version, st.Sequence = done.Version, one.Event.Sequence
				confirmed = append(confirmed, one.Event.ID)
				announce()
			}
		})
		<-first
		b := w.takeOver(fmt.Sprintf("b%d", round))
		atOnce := w.pending(b)
		time.AfterFunc(5*time.Millisecond, func() { close(stop) }) // a goes on trying
		w.within(&wg)
		w.equal("at take-over", ids(atOnce), confirmed)
		w.equal("later", ids(w.pending(b)), confirmed)
		w.ack(b, atOnce...)
		w.must(b.Leave(w.ctx()))
	}
}

func deadStaysDead(w *world) {
	a := w.owner("a", shortTTL)
	w.backend.Pass(w.T, shortTTL+50*time.Millisecond)
	for range 2 {
		if err := a.Heartbeat(w.ctx()); !errors.Is(err, store.ErrMemberLost) {
			w.Errorf("heartbeat: %v", err)
		}
		if leases, err := a.Acquire(w.ctx(), []int{1}); !errors.Is(err, store.ErrMemberLost) || len(leases) > 0 {
			w.Errorf("acquire: %v, %v", leases, err)
		}
	}
	live, err := a.Live(w.ctx())
	w.must(err)
	w.equal("live", len(live), 0)
}

func rejoined(w *world) {
	a := w.owner("a", shortTTL)
	st := w.commit(a, "contacts", w.some("contacts", 1, 2, "app")...)
	before := a.ID()
	w.backend.Pass(w.T, shortTTL+50*time.Millisecond)
	b := w.join("b", longTTL)
	_, err := b.Acquire(w.ctx(), []int{store.ShardOf("orders")})
	w.must(err)
	w.must(a.Rejoin(w.ctx()))
	if a.ID() == before {
		w.Errorf("the new incarnation is %s, as the old one was", a.ID())
	}
	w.must(a.Heartbeat(w.ctx()))
	_, err = a.Commit(w.ctx(), poll("contacts", st, w.news("contacts", 3, "k", "app")))
	w.refused("commit before acquiring", err)
	leases, err := a.Acquire(w.ctx(), store.AllShards())
	w.must(err)
	w.equal("acquired", len(leases), store.Shards-1)
	w.commit(a, "contacts", w.news("contacts", 3, "k", "app"))
	_, err = a.Load(w.ctx(), "orders")
	w.refused("load of what b has", err)
	w.equal("pending", len(w.pending(a)), 3)
}

func heartbeatHelps(w *world) {
	a, b := w.owner("a", shortTTL), w.join("b", longTTL)
	for range 6 {
		w.backend.Pass(w.T, shortTTL/4)
		w.must(a.Heartbeat(w.ctx()))
	}
	leases, err := b.Acquire(w.ctx(), store.AllShards())
	w.must(err)
	w.equal("stolen", len(leases), 0)
	live, err := b.Live(w.ctx())
	w.must(err)
	slices.Sort(live)
	w.equal("live", live, []string{a.ID(), b.ID()})
}

func incarnationVoids(w *world) {
	a := w.owner("a", longTTL)
	st := w.commit(a, "contacts", w.some("contacts", 1, 2, "app")...)
	again := w.join("a", longTTL)
	if a.ID() == again.ID() || !strings.HasPrefix(again.ID(), "a") {
		w.Fatalf("ids %q and %q", a.ID(), again.ID())
	}
	_, err := a.Commit(w.ctx(), poll("contacts", st, w.news("contacts", 3, "k", "app")))
	w.refused("commit", err)
	if err := a.Heartbeat(w.ctx()); !errors.Is(err, store.ErrMemberLost) {
		w.Errorf("heartbeat of an old incarnation: %v", err)
	}
	leases, err := again.Acquire(w.ctx(), store.AllShards())
	w.must(err)
	w.equal("shards", len(leases), store.Shards)
	w.commit(again, "contacts", w.news("contacts", 3, "k", "app"))
}

func reacquire(w *world) {
	a := w.join("a", longTTL)
	last := int64(0)
	for range 3 {
		leases, err := a.Acquire(w.ctx(), []int{store.ShardOf("contacts")})
		w.must(err)
		if len(leases) != 1 || leases[0].Epoch <= last {
			w.Fatalf("leases %+v after epoch %d", leases, last)
		}
		last = leases[0].Epoch
		st := w.load(a, "contacts")
		w.commit(a, "contacts", w.some("contacts", st.Sequence+1, 1, "app")...)
	}
}

func notHeld(w *world) {
	a := w.join("a", longTTL)
	lane := emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}
	_, err := a.Commit(w.ctx(), poll("contacts", poller.State{}, w.news("contacts", 1, "k", "app")))
	w.refused("commit", err)
	_, err = a.Load(w.ctx(), "contacts")
	w.refused("load", err)
	_, err = a.Pending(w.ctx(), lane, 0, 10)
	w.refused("pending", err)
	w.refused("retry", a.Retry(w.ctx(), emitter.Ref{Lane: lane, Seq: 1}, failedAttempt(1), noon()))
	w.refused("release", a.Release(w.ctx(), lane.Shard))
	w.equal("lanes", len(w.lanes(a)), 0)
	n, err := a.Replay(w.ctx(), store.DeliveryQuery{}, 0)
	w.must(err)
	w.equal("replayed", n, 0)
}

func released(w *world) {
	a, b := w.owner("a", longTTL), w.join("b", longTTL)
	st := w.commit(a, "contacts", w.some("contacts", 1, 2, "app")...)
	shard := store.ShardOf("contacts")
	w.must(a.Release(w.ctx(), shard))
	_, err := a.Commit(w.ctx(), poll("contacts", st, w.news("contacts", 3, "k", "app")))
	w.refused("commit", err)
	leases, err := b.Acquire(w.ctx(), store.AllShards())
	w.must(err)
	w.equal("b's shards", shards(leases), []int{shard})
	w.equal("lanes of a", len(w.lanes(a)), 0)
	w.equal("pending of b", len(w.pending(b)), 2)
	n, err := b.Replay(w.ctx(), store.DeliveryQuery{}, 0)
	w.must(err)
	w.equal("replayed", n, 0)
	w.commit(b, "contacts", w.news("contacts", 3, "k", "app"))
}

func leaving(w *world) {
	a := w.owner("a", longTTL)
	w.must(a.Leave(w.ctx()))
	b := w.owner("b", longTTL)
	live, err := b.Live(w.ctx())
	w.must(err)
	w.equal("live", live, []string{b.ID()})
	_, err = a.Load(w.ctx(), "contacts")
	w.refused("load", err)
	if err := a.Heartbeat(w.ctx()); !errors.Is(err, store.ErrMemberLost) {
		w.Errorf("heartbeat after leaving: %v", err)
	}
}

func seedStays(w *world) {
	seed := w.st.Seed()
	if seed == (differ.Seed{}) {
		w.Fatalf("the seed is empty")
	}
	w.restart("b")
	w.equal("seed", w.st.Seed(), seed)
}
