package cluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/cluster"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/trust"
	"github.com/deltahook/deltahook/poller"
)

const ttl = 10 * time.Second

// registry is the membership of a store in memory, in the time of a test.
type registry struct {
	mu      sync.Mutex
	peers   map[string]*peer // by name
	owners  [store.Shards]string
	free    [store.Shards]time.Time // since when
	stirred [store.Shards]int64
}

type peer struct {
	incarnation int
	expires     time.Time
	info        store.Info
}

func newRegistry() *registry { return &registry{peers: map[string]*peer{}} }

// alive says whether an ID is; it is called with the lock held.
func (r *registry) alive(id string) bool {
	p := r.peers[store.Name(id)]
	return p != nil && fmt.Sprintf("%s#%d", store.Name(id), p.incarnation) == id && p.expires.After(time.Now())
}

func (r *registry) Sight(context.Context) (out store.Sight, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.peers)) {
		p := r.peers[name]
		if id := fmt.Sprintf("%s#%d", name, p.incarnation); r.alive(id) {
			out.Peers = append(out.Peers, store.Peer{ID: id, Info: p.info})
		}
	}
	for shard, owner := range r.owners {
		if r.alive(owner) {
			out.Owners[shard] = owner
		}
	}
	out.Stirred = r.stirred
	return out, nil
}

var errCut = errors.New("the store does not answer")

// replica is a member with its keeper, and does the work of none.
type replica struct {
	t      *testing.T
	r      *registry
	name   string
	log    *bytes.Buffer
	keeper *cluster.Keeper
	trust  trust.Window
	stop   context.CancelFunc
	ended  chan struct{}

	mu          sync.Mutex
	incarnation int
	cut         bool              // off from the store
	frozen      bool              // the store tells, and takes no writes
	working     map[int]bool      // shards
	busy        map[int]time.Time // yielded shards that have something under way until then
	stirs       int
	begun       map[int]time.Duration // idle times
	owed        map[int]time.Time     // polls that are not made
}

func (r *registry) join(t *testing.T, name string) *replica {
	t.Helper()
	one := &replica{t: t, r: r, name: name, log: &bytes.Buffer{}, working: map[int]bool{}, busy: map[int]time.Time{}, begun: map[int]time.Duration{}, ended: make(chan struct{})}
	if err := one.Rejoin(t.Context()); err != nil {
		t.Fatal(err)
	}
	one.keeper = cluster.New(cluster.Options{
		Member: one, Sight: one.see, Shared: true, TTL: ttl, Work: one, Log: slog.New(slog.NewTextHandler(one.log, nil)), Trust: &one.trust,
	})
	leases, _, err := one.keeper.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = one.Begin(t.Context(), leases)
	ctx, stop := context.WithCancel(t.Context())
	one.stop = stop
	go func() {
		defer close(one.ended)
		one.keeper.Run(ctx)
	}()
	return one
}

// leave is a stop in good order.
func (m *replica) leave() {
	m.t.Helper()
	m.stop()
	<-m.ended
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := errors.Join(m.keeper.HandOver(ctx), m.keeper.Leave(ctx)); err != nil {
		m.t.Error(err)
	}
}

// die ends all without a word.
func (m *replica) die() {
	m.setCut(true)
	m.stop()
	<-m.ended
	_ = m.keeper.Leave(context.Background())
}

func (m *replica) setCut(cut bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cut = cut
}

func (m *replica) freeze(frozen bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen = frozen
}

func (m *replica) refused() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.frozen
}

// reach fails when the store cannot be reached.
func (m *replica) reach() (id string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cut {
		return "", errCut
	}
	return fmt.Sprintf("%s#%d", m.name, m.incarnation), nil
}

func (m *replica) see(ctx context.Context) (store.Sight, error) {
	if _, err := m.reach(); err != nil {
		return store.Sight{}, err
	}
	return m.r.Sight(ctx)
}

func (m *replica) ID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("%s#%d", m.name, m.incarnation)
}

func (m *replica) Rejoin(context.Context) error {
	if _, err := m.reach(); err != nil {
		return err
	}
	if m.refused() {
		return errCut
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	p := m.r.peers[m.name]
	if p == nil {
		p = &peer{}
		m.r.peers[m.name] = p
	}
	p.incarnation++
	p.expires = time.Now().Add(ttl)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.incarnation = p.incarnation
	return nil
}

// as does something as a living member.
func (m *replica) as(do func(id string, p *peer) error) error {
	id, err := m.reach()
	if err != nil {
		return err
	}
	if m.refused() {
		return errCut
	}
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if !m.r.alive(id) {
		return store.ErrMemberLost
	}
	return do(id, m.r.peers[m.name])
}

func (m *replica) Heartbeat(context.Context) error {
	return m.as(func(_ string, p *peer) error {
		p.expires = time.Now().Add(ttl)
		return nil
	})
}

func (m *replica) Tell(_ context.Context, i store.Info) error {
	return m.as(func(_ string, p *peer) error {
		p.info = i
		return nil
	})
}

func (m *replica) Acquire(_ context.Context, shards []int) (leases []store.Lease, err error) {
	err = m.as(func(id string, _ *peer) error {
		for _, shard := range shards {
			if owner := m.r.owners[shard]; owner != id && m.r.alive(owner) {
				continue
			}
			m.r.owners[shard] = id
			leases = append(leases, store.Lease{Shard: shard, Since: m.r.free[shard]})
		}
		return nil
	})
	return leases, err
}

func (m *replica) Release(_ context.Context, shards ...store.Freed) error {
	return m.as(func(id string, _ *peer) error {
		for _, f := range shards {
			if m.r.owners[f.Shard] != id {
				return poller.ErrFenced
			}
			m.r.owners[f.Shard], m.r.free[f.Shard] = "", f.Since
		}
		return nil
	})
}

func (m *replica) Leave(context.Context) error {
	return m.as(func(id string, p *peer) error {
		p.expires = time.Now()
		for shard, owner := range m.r.owners {
			if owner == id {
				m.r.owners[shard] = ""
			}
		}
		return nil
	})
}

func (m *replica) Begin(_ context.Context, leases []store.Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range leases {
		if m.working[l.Shard] {
			m.t.Errorf("%s begins shard %d twice", m.name, l.Shard)
		}
		m.working[l.Shard], m.begun[l.Shard] = true, time.Since(l.Since)
	}
	return nil
}

func (m *replica) Yield(_ context.Context, shards []int) map[int]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, shard := range shards {
		m.busy[shard] = time.Now().Add(time.Duration(shard) * 10 * time.Millisecond)
	}
	return m.owed
}

func (m *replica) Settled(shard int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !time.Now().Before(m.busy[shard])
}

func (m *replica) End(_ context.Context, shards []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, shard := range shards {
		delete(m.working, shard)
	}
}

func (m *replica) Stir(shards []int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stirs += len(shards)
}

// works lists what the replica works on, as long as it trusts itself.
func (m *replica) works() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.trust.Open(time.Now()) {
		return nil
	}
	return slices.Sorted(maps.Keys(m.working))
}

// once fails when two work on one shard.
func once(t *testing.T, all []*replica) (worked int) {
	t.Helper()
	by := map[int]string{}
	for _, m := range all {
		for _, shard := range m.works() {
			if other, ok := by[shard]; ok {
				t.Fatalf("%s and %s work on shard %d", other, m.name, shard)
			}
			by[shard] = m.name
		}
	}
	return len(by)
}

// calm fails unless all shards are worked on by the living, in equal parts.
func calm(t *testing.T, living []*replica) {
	t.Helper()
	if n := once(t, living); n != store.Shards {
		t.Fatalf("%d of %d shards are worked on", n, store.Shards)
	}
	for _, m := range living {
		if n := len(m.works()); n > cluster.Limit(len(living)) {
			t.Errorf("%s works on %d shards, the limit of %d replicas is %d", m.name, n, len(living), cluster.Limit(len(living)))
		}
	}
}

func TestWhateverComesAndGoesEveryShardIsWorkedOnByOneReplica(t *testing.T) {
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		bubble.Test(t, func(t *testing.T) {
			r, dice := newRegistry(), rand.New(rand.NewPCG(seed, 7))
			var all, living []*replica
			add := func() {
				m := r.join(t, fmt.Sprintf("r%d", len(all)))
				all, living = append(all, m), append(living, m)
			}
			add()
			for range 12 {
				switch n := dice.IntN(len(living)); {
				case len(living) < 3 || dice.IntN(3) == 0:
					add()
				case dice.IntN(2) == 0:
					living[n].leave()
					living = slices.Delete(living, n, n+1)
				case dice.IntN(2) == 0:
					living[n].die()
					living = slices.Delete(living, n, n+1)
				default:
					living[n].setCut(true)
					watch(t, all, 3*ttl)
					living[n].setCut(false)
				}
				watch(t, all, time.Duration(dice.IntN(4000))*time.Millisecond)
			}
			watch(t, all, 6*ttl)
			calm(t, living)
			for _, m := range living {
				m.leave()
			}
		})
	}
}

// watch lets time pass, and fails when two work on one shard meanwhile.
func watch(t *testing.T, all []*replica, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		once(t, all)
	}
}

func TestADeadReplicaIsReplacedWithinItsLeaseAndASecond(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRegistry()
		all := []*replica{r.join(t, "a"), r.join(t, "b"), r.join(t, "c")}
		watch(t, all, time.Minute)
		calm(t, all)
		all[1].die()
		rest := []*replica{all[0], all[2]}
		time.Sleep(ttl + time.Second)
		synctest.Wait()
		calm(t, rest)
		for _, m := range rest {
			m.leave()
		}
	})
}

func TestNobodyLooksAfterAShardForASecondAtMostWhenItIsHandedOver(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRegistry()
		a := r.join(t, "a")
		time.Sleep(time.Minute)
		b := r.join(t, "b")
		time.Sleep(time.Minute) // it happens in small batches, and the deliveries of the last shard take 2.5 s
		synctest.Wait()
		calm(t, []*replica{a, b})
		for shard, idle := range b.begun {
			if took := time.Duration(shard) * 10 * time.Millisecond; idle < took || idle > took+time.Second {
				t.Errorf("shard %d was idle for %s, its deliveries took %s", shard, idle, took)
			}
		}
		a.leave()
		time.Sleep(time.Second)
		synctest.Wait()
		calm(t, []*replica{b})
		b.leave()
	})
}

func TestTheNextOwnerHearsOfWhatIsOwed(t *testing.T) {
	for name, leave := range map[string]func(a *replica){
		"in good order": (*replica).leave,
		"when its time is up before all is settled": func(a *replica) {
			a.stop()
			<-a.ended
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			if err := errors.Join(a.keeper.HandOver(ctx), a.keeper.Leave(context.Background())); err != nil {
				a.t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				r := newRegistry()
				a := r.join(t, "a")
				a.owed = map[int]time.Time{200: time.Now().Add(-time.Hour)}
				time.Sleep(time.Minute)
				leave(a)
				b := r.join(t, "b")
				time.Sleep(time.Second)
				synctest.Wait()
				if idle := b.begun[200]; idle < time.Hour {
					t.Errorf("the next owner thinks that the shard was left alone for %s only", idle)
				}
				b.leave()
			})
		})
	}
}

func TestACommandTakesNoPartAndNeitherDoesOneThatLeaves(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRegistry()
		a := r.join(t, "a")
		command := &replica{t: t, r: r, name: "command"}
		if err := command.Rejoin(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		calm(t, []*replica{a})
		a.leave()
	})
}

func TestWhatOthersDidToDeliveriesIsPassedOnOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRegistry()
		a := r.join(t, "a")
		time.Sleep(time.Second)
		r.mu.Lock()
		r.stirred[3]++
		r.stirred[4]++
		r.mu.Unlock()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		a.leave()
		if a.stirs != 2 {
			t.Errorf("%d shards were stirred, not 2", a.stirs)
		}
	})
}

func TestAForgottenShardIsTakenAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRegistry()
		a := r.join(t, "a")
		r.mu.Lock()
		r.owners[9] = "" // and a commit of it was refused
		r.mu.Unlock()
		a.keeper.Look()
		time.Sleep(time.Millisecond)
		synctest.Wait()
		calm(t, []*replica{a})
		a.leave()
	})
}

func TestAStoreThatTellsAndTakesNoWritesIsLoggedOnceAndNobodyIsShownAsOwner(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		r := newRegistry()
		a := r.join(t, "a")
		before := a.ID()
		a.freeze(true)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := bytes.Count(a.log.Bytes(), []byte("has run out")); n != 1 {
			t.Errorf("it is said %d times that the lease has run out:\n%.2000s", n, a.log)
		}
		if owner := a.keeper.Owner(7); owner != "" || a.keeper.Seen().Alive(before) {
			t.Errorf("%q is shown as the owner of a shard that nobody can own", owner)
		}
		a.freeze(false)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		calm(t, []*replica{a})
		a.leave()
	})
}
