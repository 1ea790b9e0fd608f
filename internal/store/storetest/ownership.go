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
		{"everybody sees who is alive, what they say of themselves, and who owns what", seen},
		{"a lease says for how long nobody has looked after the shard", idleIsTold},
		{"who holds a shard can list its sources", heldSources},
		{"in a shared store anybody can act on deliveries, and the owner of their shard hears of it", ownerIsStirred},
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

// live lists who is alive.
func (w *world) live() []string {
	w.Helper()
	var ids []string
	for _, p := range w.sight().Peers {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	return ids
}

func (w *world) sight() store.Sight {
	w.Helper()
	sight, err := w.st.Sight(w.ctx())
	w.must(err)
	return sight
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
	w.refused("release", a.Release(w.ctx(), store.Freed{Shard: store.ShardOf("contacts"), Since: time.Now()}))
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
	w.equal("live", len(w.live()), 0)
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
	w.equal("live", w.live(), []string{a.ID(), b.ID()})
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
	w.refused("release", a.Release(w.ctx(), store.Freed{Shard: lane.Shard, Since: time.Now()}))
	w.equal("lanes", len(w.lanes(a)), 0)
	n, err := a.Replay(w.ctx(), store.DeliveryQuery{}, 0)
	w.must(err)
	w.equal("replayed", n, 0)
}

func released(w *world) {
	a, b := w.owner("a", longTTL), w.join("b", longTTL)
	st := w.commit(a, "contacts", w.some("contacts", 1, 2, "app")...)
	shard := store.ShardOf("contacts")
	w.must(a.Release(w.ctx(), store.Freed{Shard: shard, Since: time.Now()}))
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
	w.equal("live", w.live(), []string{b.ID()})
	_, err := a.Load(w.ctx(), "contacts")
	w.refused("load", err)
	if err := a.Heartbeat(w.ctx()); !errors.Is(err, store.ErrMemberLost) {
		w.Errorf("heartbeat after leaving: %v", err)
	}
}

func seen(w *world) {
	a, b := w.owner("a", shortTTL), w.join("b", longTTL)
	w.must(a.Release(w.ctx(), store.Freed{Shard: 7, Since: time.Now()}))
	w.must(a.Tell(w.ctx(), store.Info{Works: true}))
	sight := w.sight()
	w.equal("live", w.live(), []string{a.ID(), b.ID()})
	w.equal("working", sight.Working(), []string{a.ID()})
	w.equal("alive", []bool{sight.Alive(a.ID()), sight.Alive("a#99"), sight.Alive("c#1")}, []bool{true, false, false})
	w.equal("owners", []string{sight.Owners[6], sight.Owners[7], sight.Owners[8]}, []string{a.ID(), "", a.ID()})

	w.backend.Pass(w.T, shortTTL+50*time.Millisecond)
	if err := a.Tell(w.ctx(), store.Info{}); !errors.Is(err, store.ErrMemberLost) {
		w.Errorf("one that has expired tells: %v", err)
	}
	sight = w.sight()
	w.equal("working, of the dead", len(sight.Working()), 0)
	w.equal("owner, of the dead", sight.Owners[6], "")
	w.must(a.Rejoin(w.ctx()))
	sight = w.sight()
	w.equal("working, again", sight.Working(), []string{a.ID()})
	w.equal("owner, again", sight.Owners[6], "")
}

func idleIsTold(w *world) {
	a := w.join("a", shortTTL)
	leases, err := a.Acquire(w.ctx(), []int{1, 2, 3})
	w.must(err)
	for _, l := range leases {
		if !l.Since.IsZero() {
			w.Errorf("a shard that nobody ever had was looked after until %s", l.Since)
		}
	}
	if !w.st.Shared() {
		return
	}
	// idle says for how long a shard was idle, within some seconds for a machine that is busy.
	idle := func(m store.Member, shard int, least time.Duration) {
		w.Helper()
		leases, err := m.Acquire(w.ctx(), []int{shard})
		w.must(err)
		if len(leases) != 1 || time.Since(leases[0].Since) < least || time.Since(leases[0].Since) > least+20*time.Second {
			w.Errorf("leases %+v, idle for %s", leases, least)
		}
	}
	b := w.join("b", longTTL)
	w.must(a.Release(w.ctx(), store.Freed{Shard: 1, Since: time.Now().Add(-30 * time.Second)}))
	idle(b, 1, 30*time.Second)
	w.backend.Pass(w.T, time.Minute)
	b = w.join("b2", longTTL)
	idle(b, 2, time.Minute) // since a's last heartbeat
	w.must(a.Rejoin(w.ctx()))
	idle(a, 3, time.Minute)
	w.must(a.Leave(w.ctx()))
	idle(b, 3, 0)
}

func heldSources(w *world) {
	a, b := w.owner("a", longTTL), w.join("b", longTTL)
	w.commit(a, "contacts", w.some("contacts", 1, 2, "app")...)
	w.commit(a, "orders", w.some("orders", 1, 3, "app")...)
	rows, err := a.Sources(w.ctx(), []int{store.ShardOf("orders"), store.ShardOf("contacts") + 1})
	w.must(err)
	if len(rows) != 1 || rows[0].Name != "orders" || rows[0].Shard != store.ShardOf("orders") || rows[0].State.Sequence != 3 {
		w.Errorf("sources %+v", rows)
	}
	_, err = b.Sources(w.ctx(), []int{store.ShardOf("orders")})
	w.refused("sources", err)
}

func ownerIsStirred(w *world) {
	if !w.st.Shared() {
		return
	}
	a, b := w.owner("a", longTTL), w.join("b", longTTL)
	w.commit(a, "contacts", w.some("contacts", 1, 3, "app")...)
	all, shard := w.pending(a), store.ShardOf("contacts")
	w.ack(a, all[0])
	w.must(a.Park(w.ctx(), all[1].Ref, "422", nil))
	quiet := w.sight().Stirred

	n, err := a.Replay(w.ctx(), store.DeliveryQuery{EventID: all[0].ID}, 0)
	w.must(err)
	w.equal("replayed by the owner", n, 1)
	w.equal("stirred by the owner", w.sight().Stirred, quiet)
	w.ack(a, all[0])

	n, err = b.Replay(w.ctx(), store.DeliveryQuery{}, 0)
	w.must(err)
	w.equal("replayed by another", n, 2)
	now := w.sight().Stirred
	w.equal("stirred", now[shard] > quiet[shard], true)
	now[shard] = quiet[shard]
	w.equal("stirred of others", now, quiet)
	w.equal("pending", ids(w.pending(a)), ids(all))

	n, err = b.Drop(w.ctx(), store.DeliveryQuery{State: store.StatePending}, "skipped by ann")
	w.must(err)
	w.equal("skipped by another", n, 3)
	w.equal("pending", len(w.pending(a)), 0)
	w.commit(a, "contacts", w.news("contacts", 4, "k", "app"))
}

func seedStays(w *world) {
	seed := w.st.Seed()
	if seed == (differ.Seed{}) {
		w.Fatalf("the seed is empty")
	}
	w.restart("b")
	w.equal("seed", w.st.Seed(), seed)
}
