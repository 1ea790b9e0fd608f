package outbound

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/trust"
)

// town is a bank for several members who ask the same hosts.
type town struct {
	till budget.Till

	mu    sync.Mutex
	live  []string
	down  error
	calls int
}

func (n *town) ask() ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	return slices.Clone(n.live), n.down
}

func (n *town) cut(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = err
}

// joins makes the hosts of another member.
func (n *town) joins(t *testing.T, id string, tables ...Limits) *Hosts {
	t.Helper()
	n.mu.Lock()
	n.live = append(n.live, id)
	n.mu.Unlock()
	var window trust.Window
	pool := budget.NewPool(budget.PoolOptions{Bank: teller{n, id}, Trust: &window, Members: func() []string {
		live, _ := n.ask() // as it was seen last
		return live
	}})
	hosts := SharedHosts(tables, pool)
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for t.Context().Err() == nil {
			if _, err := n.ask(); err == nil {
				window.Extend(time.Now().Add(5 * time.Second))
			}
			_ = pool.Refresh(t.Context()) // a bank that does not answer is part of the test
			hosts.Refresh(t.Context())
			select {
			case <-tick.C:
			case <-pool.Wake():
			case <-t.Context().Done():
			}
		}
	}()
	synctest.Wait()
	return hosts
}

// teller is the bank of one member.
type teller struct {
	*town

	id string
}

func (b teller) ID() string { return b.id }

func (b teller) Tokens(_ context.Context, o budget.Order) (budget.Grant, error) {
	if _, err := b.ask(); err != nil {
		return budget.Grant{}, err
	}
	return b.till.Tokens(time.Now(), o), nil
}

func (b teller) Places(_ context.Context, key string, most, want int) (int, error) {
	live, err := b.ask()
	if err != nil {
		return 0, err
	}
	return b.till.Places(key, b.id, most, want, live), nil
}

func (b teller) Hold(_ context.Context, key string, h budget.Hold) error {
	_, err := b.ask()
	if err == nil {
		b.till.Hold(key, h)
	}
	return err
}

func (b teller) Holds(context.Context) (map[string]budget.Hold, error) {
	_, err := b.ask()
	return b.till.Holds(time.Now()), err
}

// api counts what is under way, and when it began.
type api struct {
	mu        sync.Mutex
	now, most int
	begun     []time.Time
	took      time.Duration
	answer    func(at time.Time) *http.Response
}

func (a *api) RoundTrip(req *http.Request) (*http.Response, error) {
	a.mu.Lock()
	at := time.Now()
	a.begun = append(a.begun, at)
	a.now++
	a.most = max(a.most, a.now)
	a.mu.Unlock()
	time.Sleep(a.took) // in a bubble
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now--
	resp := says(200, "[]")
	if a.answer != nil {
		resp = a.answer(at)
	}
	resp.Request = req
	return resp, nil
}

func mostWithin(begun []time.Time, d time.Duration) int {
	slices.SortFunc(begun, time.Time.Compare)
	most, first := 0, 0
	for i, at := range begun {
		for at.Sub(begun[first]) >= d {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestMembersTogetherAskAHostAtItsRate(t *testing.T) {
	for _, c := range []struct {
		rate        setting.Rate
		burst, asks int
	}{
		{setting.Rate{Count: 30, Per: time.Minute}, 1, 18},
		{setting.Rate{Count: 2, Per: time.Second}, 5, 60},
		{setting.Rate{Count: 100, Per: time.Second}, 1, 300},
	} {
		bubble.Test(t, func(t *testing.T) {
			n, server := &town{}, &api{took: time.Millisecond}
			table := Limits{Name: "erp.example.com", Rate: c.rate, Burst: c.burst}
			began := time.Now()
			var all sync.WaitGroup
			for _, id := range []string{"a", "b", "c"} {
				hosts := n.joins(t, id, table)
				for range c.asks / 3 {
					all.Go(func() {
						if _, err := asker(hosts, server, "http://erp.example.com/", nil)(t.Context()); err != nil {
							t.Errorf("%s: %v", c.rate, err)
						}
					})
				}
			}
			all.Wait()
			step := time.Duration(float64(time.Second) / c.rate.PerSecond())
			if most, allowed := mostWithin(server.begun, 10*step), 10+c.burst; most > allowed {
				t.Errorf("%s: %d requests in the time of ten", c.rate, most)
			}
			if took, want := time.Since(began), time.Duration(c.asks)*step; took > want+want/5+time.Second {
				t.Errorf("%s: %d requests took %s, %s would do", c.rate, c.asks, took, want)
			}
		})
	}
}

func TestARateThatOthersUseUpDefers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, server := &town{}, &api{}
		table := Limits{Name: "erp.example.com", Rate: setting.Rate{Count: 2, Per: time.Minute}}
		a, b := n.joins(t, "a", table), n.joins(t, "b", table)
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { _, _ = asker(a, server, "http://erp.example.com/", nil)(t.Context()) })
		}
		synctest.Wait()
		began := time.Now()
		_, err := asker(b, server, "http://erp.example.com/", nil)(t.Context())
		if wait, ok := errors.AsType[*DeferredError](err); !ok || !strings.Contains(err.Error(), `rate = "2/m"`) || wait.Wait != 90*time.Second || time.Since(began) > 0 {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		all.Wait()
	})
}

func TestMembersTogetherKeepTheConcurrencyOfAHost(t *testing.T) {
	for _, most := range []int{1, 2, 4, 6} {
		bubble.Test(t, func(t *testing.T) {
			n, server := &town{}, &api{took: 100 * time.Millisecond}
			began := time.Now()
			var all sync.WaitGroup
			for _, id := range []string{"a", "b", "c"} {
				hosts := n.joins(t, id, Limits{Name: "erp.example.com", Concurrency: most})
				for range 20 {
					all.Go(func() {
						if _, err := asker(hosts, server, "http://erp.example.com/", nil)(t.Context()); err != nil {
							t.Errorf("concurrency %d: %v", most, err)
						}
					})
				}
			}
			all.Wait()
			if server.most != most {
				t.Errorf("concurrency %d: %d at the same time", most, server.most)
			}
			if took, want := time.Since(began), 60*100*time.Millisecond/time.Duration(most); took > 2*want+3*time.Second {
				t.Errorf("concurrency %d: 60 requests took %s, %s would do", most, took, want)
			}
		})
	}
}

func TestD1AHostThatWantsToBeLeftAloneIsLeftAloneByAllMembers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, began := &town{}, time.Now()
		server := &api{answer: func(at time.Time) *http.Response {
			if at.Sub(began) < 10*time.Second {
				return says(429, "", "Retry-After", "30")
			}
			return says(200, "[]")
		}}
		a, b := n.joins(t, "a"), n.joins(t, "b")
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := asker(a, server, "http://erp.example.com/", nil)(t.Context()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(1100 * time.Millisecond)
		if _, err := asker(b, server, "http://erp.example.com/", nil)(t.Context()); err != nil {
			t.Error(err)
		}
		all.Wait()
		slices.SortFunc(server.begun, time.Time.Compare)
		if len(server.begun) != 3 || server.begun[1].Sub(began) < 30*time.Second {
			t.Errorf("it was asked at %v, from %s on", server.begun, began)
		}
	})
}

func TestWhenTheBankDoesNotAnswerAHostIsNotAskedBeyondItsLimits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n, server := &town{}, &api{}
		hosts := n.joins(t, "a", Limits{Name: "erp.example.com", Rate: setting.Rate{Count: 10, Per: time.Second}}, Limits{Name: "crm.example.com", Concurrency: 1})
		if _, err := asker(hosts, server, "http://crm.example.com/", nil)(t.Context()); err != nil { // from now on it has the place
			t.Fatal(err)
		}
		n.cut(errors.New("the database is away"))
		time.Sleep(10 * time.Second)
		for _, address := range []string{"http://erp.example.com/", "http://crm.example.com/"} {
			_, err := asker(hosts, server, address, nil)(t.Context())
			if _, ok := errors.AsType[*DeferredError](err); !ok {
				t.Errorf("%s: %v", address, err)
			}
		}
		if len(server.begun) > 1 {
			t.Errorf("%d requests while nobody knew what others do", len(server.begun)-1)
		}
		n.cut(nil)
		time.Sleep(6 * time.Second)
		for _, address := range []string{"http://erp.example.com/", "http://crm.example.com/", "http://other.example.com/"} {
			if _, err := asker(hosts, server, address, nil)(t.Context()); err != nil {
				t.Errorf("%s: %v", address, err)
			}
		}
	})
}
