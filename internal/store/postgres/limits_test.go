package postgres_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
	"github.com/deltahook/deltahook/poller"
)

// replica is a dispatcher with a membership of its own, as a deltahook on another machine has it.
type replica struct {
	*emitter.Dispatcher

	member  store.Member
	pool    *budget.Pool
	failing chan string
}

// replicas start n of them in front of one receiver, each with so many events of its own source to deliver.
func replicas(t *testing.T, n, events int, receiver http.Handler, edit func(w *emitter.Webhook)) []*replica {
	t.Helper()
	s, _ := open(t)
	server := httptest.NewServer(receiver)
	t.Cleanup(server.Close)
	list := make([]*replica, n)
	for i := range list {
		list[i] = newReplica(t, s, i, events, server.URL, edit)
	}
	for _, r := range list { // all of them know of all
		r.refresh(t)
	}
	for i, r := range list {
		r.Take(store.ShardOf(sourceOf(i)))
	}
	return list
}

func sourceOf(n int) string { return fmt.Sprintf("source%d", n) }

func newReplica(t *testing.T, s *postgres.Store, n, events int, address string, edit func(w *emitter.Webhook)) *replica {
	t.Helper()
	m, err := s.Join(t.Context(), fmt.Sprintf("replica%d", n), time.Minute)
	if err == nil {
		_, err = m.Acquire(t.Context(), []int{store.ShardOf(sourceOf(n))})
	}
	if err == nil {
		_, err = m.Commit(t.Context(), backlog(s, sourceOf(n), events))
	}
	if err != nil {
		t.Fatal(err)
	}
	w := emitter.DefaultWebhook()
	w.Name, w.URL, w.Sign, w.Egress, w.Retry.Jitter = "app", address, "none", "any", 0
	edit(&w)
	r := &replica{member: m, pool: poolOf(t, s, m), failing: make(chan string, 100)}
	r.Dispatcher, err = emitter.New(emitter.Options{
		Outbox: m, Webhooks: []emitter.Webhook{w}, Secrets: &setting.Secrets{}, Version: "test", Pool: r.pool,
		Observer: emitter.Observer{Failing: func(webhook string, _ emitter.GateState, _ emitter.Outcome) { r.failing <- webhook }},
	})
	if err == nil {
		err = r.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func poolOf(t *testing.T, s *postgres.Store, m store.Member) *budget.Pool {
	t.Helper()
	return budget.NewPool(budget.PoolOptions{Bank: m, Members: func() (ids []string) {
		sight, err := s.Sight(context.Background())
		if err != nil {
			t.Error(err)
		}
		for _, p := range sight.Peers {
			ids = append(ids, p.ID)
		}
		return ids
	}})
}

// backlog is a commit of events of one source.
func backlog(s *postgres.Store, source string, events int) poller.Commit {
	return poller.Commit{Source: source, State: poller.State{Sequence: int64(events)}, Writes: func(yield func(poller.Write, error) bool) {
		for i := range events {
			key := fmt.Sprintf("k%d", i)
			e := &poller.Event{
				ID: fmt.Sprintf("evt_%s_%d", source, i), Source: source, Sequence: int64(i + 1), Type: source + ".updated", Change: differ.Updated,
				Key: key, At: time.Now(), Body: []byte("{}"), To: []poller.Copy{{Webhook: "app"}},
			}
			if !yield(poller.Write{Known: poller.Known{Hash: differ.NewHasher(s.Seed()).Key([]byte(key))}, Key: key, Body: e.Body, Event: e}, nil) {
				return
			}
		}
	}}
}

// refresh does what the daemon does every second.
func (r *replica) refresh(t *testing.T) {
	t.Helper()
	if err := r.pool.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
}

// counter is a receiver, or an API, that counts what is under way.
type counter struct {
	mu               sync.Mutex
	now, most, total int
	begun            []time.Time
	takes            time.Duration
	status           int
	together         chan struct{} // the first ones wait for as many as it holds
}

func (c *counter) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c.mu.Lock()
	c.begun = append(c.begun, time.Now())
	c.total++
	c.now++
	c.most = max(c.most, c.now)
	status := c.status
	c.mu.Unlock()
	c.meet()
	timer := time.NewTimer(c.takes)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Context().Done():
	}
	c.mu.Lock()
	c.now--
	c.mu.Unlock()
	w.WriteHeader(status)
}

// meet waits a while for the others.
func (c *counter) meet() {
	select {
	case c.together <- struct{}{}:
	default: // they were here before
		return
	}
	for end := time.Now().Add(2 * time.Second); len(c.together) < cap(c.together) && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
}

func (c *counter) got() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

func (c *counter) answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// until waits for something that comes soon, and lets the replicas do every tenth of a second what they do every second.
func until(t *testing.T, what string, list []*replica, done func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Minute); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("still waiting for %s", what)
		}
		for _, r := range list {
			r.refresh(t)
		}
	}
}

func TestReplicasTogetherKeepTheRateOfAWebhook(t *testing.T) {
	const perSecond, each = 100, 80
	c := &counter{status: http.StatusNoContent}
	begun := time.Now() // the receiver may notice the first request late
	list := replicas(t, 3, each, c, func(w *emitter.Webhook) {
		w.Rate = setting.Rate{Count: perSecond, Per: time.Second}
	})
	until(t, "all deliveries", list, func() bool { return c.got() == 3*each })
	took := c.begun[len(c.begun)-1].Sub(begun)
	if least := time.Second * (3*each - 30) / perSecond; took < least {
		t.Errorf("%d requests in %s, %d/s allow that in %s", 3*each, took, perSecond, least)
	}
}

func TestReplicasTogetherKeepMaxInFlight(t *testing.T) {
	for _, most := range []int{4, 2} { // of three replicas
		c := &counter{status: http.StatusNoContent, takes: 15 * time.Millisecond, together: make(chan struct{}, most)}
		list := replicas(t, 3, 60, c, func(w *emitter.Webhook) { w.MaxInFlight = most })
		until(t, "all deliveries", list, func() bool { return c.got() == 3*60 })
		if c.most != most {
			t.Errorf("max_in_flight = %d: %d requests at the same time", most, c.most)
		}
	}
}

func TestAReceiverThatGoesDownIsProbedByOneReplica(t *testing.T) {
	c := &counter{status: http.StatusServiceUnavailable, takes: 20 * time.Millisecond}
	list := replicas(t, 3, 20, c, func(*emitter.Webhook) {})
	for i, r := range list {
		until(t, fmt.Sprintf("replica %d to notice", i), list, func() bool { return len(r.failing) > 0 })
	}
	until(t, "what was under way before that to end", list, func() bool {
		return !slices.ContainsFunc(list, func(r *replica) bool { return r.Stats()[0].InFlight > 0 })
	})
	before := c.got()
	c.mu.Lock()
	c.most = c.now
	c.mu.Unlock()
	until(t, "two probes", list, func() bool { return c.got() >= before+2 })
	if c.most > 1 {
		t.Errorf("%d probes at the same time", c.most)
	}
	times := slices.Clone(c.begun[before:])
	for i := 1; i < len(times); i++ {
		if gap := times[i].Sub(times[i-1]); gap < 500*time.Millisecond {
			t.Errorf("two probes within %s", gap)
		}
	}
	c.answer(http.StatusNoContent)
	until(t, "all gates to open", list, func() bool {
		return !slices.ContainsFunc(list, func(r *replica) bool { return r.Stats()[0].Gate.State != emitter.GateOpen })
	})
}

func TestReplicasTogetherAskAHostWithinItsLimits(t *testing.T) {
	s, _ := open(t)
	c := &counter{status: http.StatusOK, takes: 5 * time.Millisecond}
	server := httptest.NewServer(c)
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	const perSecond, each = 40, 20
	begun := time.Now()
	var all, refreshed sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for n := range 3 {
		m, err := s.Join(t.Context(), fmt.Sprintf("replica%d", n), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		pool := poolOf(t, s, m)
		hosts := outbound.SharedHosts([]outbound.Limits{{
			Name: u.Host, Rate: setting.Rate{Count: perSecond, Per: time.Second}, Concurrency: 2,
		}}, pool)
		gate := hosts.Gate(http.DefaultTransport, outbound.GateOptions{Retry: outbound.Retry{MaxWait: time.Minute}})
		if err := pool.Refresh(ctx); err != nil {
			t.Fatal(err)
		}
		refreshed.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				if err := pool.Refresh(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				hosts.Refresh(ctx)
				<-tick.C
			}
		})
		for range each {
			all.Go(func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := gate.RoundTrip(req)
				if err != nil {
					t.Error(err)
					return
				}
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	cancel()
	refreshed.Wait()
	if c.most > 2 {
		t.Errorf("%d requests at the same time, 2 are allowed", c.most)
	}
	took := c.begun[len(c.begun)-1].Sub(begun)
	if least := time.Second * (3*each - 15) / perSecond; took < least {
		t.Errorf("%d requests in %s, %d/s allow that in %s", 3*each, took, perSecond, least)
	}
}

// A statement sees what was there when it began, and it may begin long before it gets its lock.
func TestPlacesAreCountedWhenTheLockIsThere(t *testing.T) {
	s, db := open(t)
	a, b := join(t, s, "a"), join(t, s, "b")
	if _, err := a.Places(t.Context(), "host api", 5, 0); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server.URL(db.name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), `SELECT 1 FROM dh_bucket WHERE key = 'host api' FOR UPDATE`)
	}
	if err == nil {
		_, err = tx.Exec(t.Context(), `UPDATE dh_place SET held = 4 WHERE member = $1`, a.ID())
	}
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan int, 1)
	go func() {
		held, err := b.Places(t.Context(), "host api", 5, 5)
		if err != nil {
			t.Error(err)
		}
		got <- held
	}()
	blocked(t, db, 1)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if held := <-got; held != 1 {
		t.Errorf("b has %d of 5 places, a has 4", held)
	}
}

// join makes a member that owns nothing.
func join(t *testing.T, s *postgres.Store, name string) store.Member {
	t.Helper()
	m, err := s.Join(t.Context(), name, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
