package emitter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/trust"
)

// town has several dispatchers in front of one outbox and the same receivers.
type town struct {
	*bench

	till budget.Till

	mu    sync.Mutex
	live  []string
	down  error // what the bank says instead of working
	asked map[string]int
}

// resident is one of them, who owns a shard. It is its own bank.
type resident struct {
	*Dispatcher

	town    *town
	id      string
	shard   int
	pool    *budget.Pool
	heard   chan string
	stopped context.CancelFunc
	ended   chan struct{}
}

func newTown(t *testing.T, edit ...func(*Webhook)) *town {
	t.Helper()
	return &town{bench: newBench(t, edit...), asked: map[string]int{}}
}

// ask counts a question to the bank, and says who is alive.
func (n *town) ask(what string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[what]++
	return slices.Clone(n.live), n.down
}

// cut lets the bank not answer any more, or again.
func (n *town) cut(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.down = err
	n.outbox.setFault(func(string) error { return err })
}

func (r *resident) ID() string { return r.id }

// works lists who shares the work.
func (n *town) works() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.live)
}

func (r *resident) Tokens(_ context.Context, o budget.Order) (budget.Grant, error) {
	if _, err := r.town.ask("tokens"); err != nil {
		return budget.Grant{}, err
	}
	return r.town.till.Tokens(time.Now(), o), nil
}

func (r *resident) Places(_ context.Context, key string, most, want int) (int, error) {
	live, err := r.town.ask("places")
	if err != nil {
		return 0, err
	}
	return r.town.till.Places(key, r.id, most, want, live), nil
}

func (r *resident) Hold(_ context.Context, key string, h budget.Hold) error {
	_, err := r.town.ask("hold")
	if err == nil {
		r.town.till.Hold(key, h)
	}
	return err
}

func (r *resident) Holds(context.Context) (map[string]budget.Hold, error) {
	_, err := r.town.ask("holds")
	return r.town.till.Holds(time.Now()), err
}

// joins starts a dispatcher that owns a shard, and hears of the others every second.
func (n *town) joins(shard int) *resident {
	n.t.Helper()
	r := &resident{town: n, id: fmt.Sprintf("member%d", shard), shard: shard, heard: make(chan string, 100), ended: make(chan struct{})}
	n.mu.Lock()
	n.live = append(n.live, r.id)
	n.mu.Unlock()
	var window trust.Window
	window.Extend(time.Now())
	r.pool = budget.NewPool(budget.PoolOptions{Bank: r, Members: n.works, Trust: &window})
	hear := func(what string) {
		select {
		case r.heard <- what:
		default:
		}
	}
	d, err := New(Options{
		Outbox: n.outbox, Webhooks: n.webhooks, Secrets: &setting.Secrets{}, Version: "test", Pool: r.pool, Trust: &window,
		Transport: func(w *Webhook) http.RoundTripper { return n.receivers[w.Name] },
		Observer: Observer{
			Failing:   func(string, GateState, Outcome) { hear("failing") },
			Recovered: func(string, GateState) { hear("recovered") },
			Paused:    func(string, GateState) { hear("paused") },
			Resumed:   func(string) { hear("resumed") },
		},
	})
	if err == nil {
		r.Dispatcher, err = d, d.Start(n.t.Context())
	}
	if err != nil {
		n.t.Fatal(err)
	}
	d.Take(shard)
	ctx, cancel := context.WithCancel(n.t.Context())
	r.stopped = cancel
	go func() {
		defer close(r.ended)
		for ctx.Err() == nil {
			if _, err := n.ask("heartbeat"); err == nil {
				window.Extend(time.Now().Add(5 * time.Second))
			}
			_ = errors.Join(r.pool.Refresh(ctx), d.Refresh(ctx)) // a bank that does not answer is part of the test
			waitFor(ctx, time.Second)
		}
	}()
	return r
}

// leaves stops it, and gives back what it had.
func (r *resident) leaves() {
	r.town.t.Helper()
	r.stopped()
	<-r.ended
	if err := r.Stop(context.Background()); err != nil {
		r.town.t.Error(err)
	}
	r.town.mu.Lock()
	defer r.town.mu.Unlock()
	r.town.live = slices.DeleteFunc(r.town.live, func(id string) bool { return id == r.id })
}

// emits commits and dispatches n events, each of a record of its own.
func (r *resident) emits(n int) {
	list := make([]Delivery, n)
	for i := range list {
		list[i] = r.town.event("w", fmt.Sprintf("m%d-%d", r.shard, i))
		list[i].Shard = r.shard
	}
	r.Dispatch(r.shard, r.town.outbox.commit(list...), true)
}

// hears gives what was told of the webhook since.
func (r *resident) hears() []string {
	var list []string
	for {
		select {
		case what := <-r.heard:
			list = append(list, what)
		default:
			return list
		}
	}
}

// begun gives when the requests began, in order.
func (n *town) begun() []time.Time {
	var list []time.Time
	for _, p := range n.receiver().got() {
		list = append(list, p.at)
	}
	slices.SortFunc(list, time.Time.Compare)
	return list
}

// between counts the requests that began in a time.
func (n *town) between(from, to time.Time) int {
	count := 0
	for _, at := range n.begun() {
		if !at.Before(from) && at.Before(to) {
			count++
		}
	}
	return count
}

// most gives how many requests began within a time, at the most.
func mostWithin(begun []time.Time, d time.Duration) int {
	most, first := 0, 0
	for i, at := range begun {
		for at.Sub(begun[first]) >= d {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestMembersTogetherKeepTheRateAndUseIt(t *testing.T) {
	for _, perSecond := range []int{2, 40, 1000} {
		bubble.Test(t, func(t *testing.T) {
			n := newTown(t, func(w *Webhook) { mustRate(t, w, fmt.Sprintf("%d/s", perSecond)); w.MaxInFlight = 64 })
			members := []*resident{n.joins(1), n.joins(2), n.joins(3)}
			for _, r := range members {
				r.emits(20 * perSecond)
			}
			const run = 12 * time.Second
			time.Sleep(run)
			begun := n.begun()
			if most, allowed := mostWithin(begun, time.Second), perSecond+burstOf(float64(perSecond)); most > allowed {
				t.Errorf("%d/s: %d requests within a second", perSecond, most)
			}
			if want := perSecond * 9; len(begun) < want {
				t.Errorf("%d/s: %d requests in %s: the members stand in each other's way", perSecond, len(begun), run)
			}
			n.mu.Lock()
			calls := n.asked["tokens"]
			n.mu.Unlock()
			if most := 3 * int(run.Seconds()) * 8; perSecond == 1000 && calls > most {
				t.Errorf("%d orders in %s, at most %d are good", calls, run, most)
			}
			for _, r := range members {
				r.leaves()
			}
		})
	}
}

func TestAMemberWithLittleToSendDoesNotTakeTokensFromTheOthers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newTown(t, func(w *Webhook) { mustRate(t, w, "100/s"); w.MaxInFlight = 64 })
		busy, idle := n.joins(1), n.joins(2)
		busy.emits(5000)
		for range 100 {
			idle.emits(1)
			time.Sleep(100 * time.Millisecond)
		}
		if got := len(n.begun()); got < 900 {
			t.Errorf("%d requests in 10 s at 100/s", got)
		}
		busy.leaves()
		idle.leaves()
	})
}

func TestMembersTogetherKeepMaxInFlightThroughJoinsAndLeaves(t *testing.T) {
	for _, most := range []int{8, 6, 5, 3, 1} { // fewer than members, too
		bubble.Test(t, func(t *testing.T) {
			n := newTown(t, func(w *Webhook) { w.MaxInFlight = most })
			n.receiver().set(took(200 * time.Millisecond))
			members := []*resident{n.joins(1)}
			members[0].emits(100)
			time.Sleep(2 * time.Second)
			for shard := 2; shard < 5; shard++ {
				r := n.joins(shard)
				r.emits(100)
				members = append(members, r)
				time.Sleep(1700 * time.Millisecond)
			}
			begun := len(n.begun())
			time.Sleep(10 * time.Second)
			if got, want := len(n.begun())-begun, min(most*10*5*4/10, 400-begun); got < want {
				t.Errorf("max_in_flight = %d: %d requests in 10 s, at least %d are possible", most, got, want)
			}
			members[1].leaves()
			time.Sleep(10 * time.Minute)
			if got := n.receiver().atOnce(); got != most {
				t.Errorf("max_in_flight = %d: %d requests at the same time", most, got)
			}
			for _, r := range []*resident{members[0], members[2], members[3]} {
				if s := r.Stats()[0]; s.Delivered != 100 {
					t.Errorf("max_in_flight = %d: %s delivered %d of 100", most, r.id, s.Delivered)
				}
				r.leaves()
			}
		})
	}
}

// out answers nothing but failures between two times.
func out(from, to time.Time, r reply) func(post) reply {
	return func(p post) reply {
		if p.at.Before(from) || !p.at.Before(to) {
			return reply{status: http.StatusOK, took: 10 * time.Millisecond}
		}
		return r
	}
}

func TestAReceiverThatIsDownIsNoticedByAllAndProbedByOne(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newTown(t)
		begin := time.Now()
		down, up := begin.Add(5*time.Second), begin.Add(10*time.Minute)
		n.receiver().set(out(down, up, reply{status: http.StatusServiceUnavailable, took: 100 * time.Millisecond}))
		members := []*resident{n.joins(1), n.joins(2), n.joins(3)}
		trickle := func(until time.Time) {
			for time.Now().Before(until) {
				for _, r := range members {
					r.emits(1)
				}
				time.Sleep(50 * time.Millisecond)
			}
		}
		trickle(down.Add(2 * time.Second))
		failedAt := slices.IndexFunc(n.begun(), func(at time.Time) bool { return !at.Before(down) })
		if failedAt < 0 {
			t.Fatal("nothing has failed")
		}
		noticed := n.begun()[failedAt].Add(1200 * time.Millisecond)
		for _, r := range members {
			if heard := r.hears(); !slices.Contains(heard, "failing") {
				t.Errorf("%s has heard %v", r.id, heard)
			}
		}
		trickle(up)
		together := n.receiver().atOnce()
		var probes []time.Time
		for _, at := range n.begun() {
			if at.After(noticed) && at.Before(up) {
				probes = append(probes, at)
			}
		}
		for i := 1; i < len(probes); i++ {
			if gap := probes[i].Sub(probes[i-1]); gap < probeMin {
				t.Errorf("two probes within %s", gap)
			}
		}
		if len(probes) > 14 || len(probes) < 5 {
			t.Errorf("%d probes in ten minutes: %v", len(probes), probes)
		}
		t.Logf("%d probes, %d requests at the same time before", len(probes), together)
		time.Sleep(probeMax + 5*time.Minute)
		for _, r := range members {
			if heard := r.hears(); len(heard) == 0 || heard[len(heard)-1] != "recovered" {
				t.Errorf("%s has heard %v", r.id, heard)
			}
			if s := r.Stats()[0]; s.Gate.State != GateOpen || s.Queued > 0 {
				t.Errorf("%s: gate %s, %d queued", r.id, s.Gate.State, s.Queued)
			}
			r.leaves()
		}
		checkOrder(t, n.receiver(), int(n.seq), true)
	})
}

func TestD1RetryAfterHoldsEveryMember(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newTown(t)
		begin := time.Now()
		n.receiver().set(out(begin, begin.Add(time.Second), reply{status: http.StatusTooManyRequests, after: "90"}))
		members := []*resident{n.joins(1), n.joins(2)}
		time.Sleep(10 * time.Millisecond)
		members[0].emits(10)
		time.Sleep(1100 * time.Millisecond)
		members[1].emits(10)
		time.Sleep(80 * time.Second)
		if got := n.between(begin.Add(time.Second), begin.Add(80*time.Second)); got > 0 {
			t.Errorf("%d requests in the time that the receiver wanted for itself", got)
		}
		time.Sleep(5 * time.Minute)
		for _, r := range members {
			r.leaves()
		}
		checkOrder(t, n.receiver(), 20, true)
	})
}

func TestWhatAPersonStopsAtOneMemberStopsAtAll(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newTown(t)
		members := []*resident{n.joins(1), n.joins(2)}
		time.Sleep(time.Second)
		members[0].Pause("w", "by hand")
		time.Sleep(1100 * time.Millisecond)
		paused := time.Now()
		for _, r := range members {
			r.emits(3)
		}
		time.Sleep(time.Hour)
		if got := n.between(paused, time.Now()); got > 0 {
			t.Errorf("%d requests to a webhook that is paused", got)
		}
		members[1].Resume("w")
		time.Sleep(time.Minute)
		for _, r := range members {
			if heard := r.hears(); !slices.Equal(heard, []string{"paused", "resumed"}) {
				t.Errorf("%s has heard %v", r.id, heard)
			}
			r.leaves()
		}
		checkOrder(t, n.receiver(), 6, true)
	})
}

func TestWhenTheBankDoesNotAnswerNothingIsOverAdmitted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newTown(t, func(w *Webhook) { mustRate(t, w, "20/s"); w.MaxInFlight = 4 })
		n.receiver().set(took(30 * time.Millisecond))
		members := []*resident{n.joins(1), n.joins(2)}
		for _, r := range members {
			r.emits(1000)
		}
		time.Sleep(5 * time.Second)
		n.cut(errors.New("the database is away"))
		away := time.Now()
		time.Sleep(time.Minute)
		if got := n.between(away, time.Now()); got > 2*5+1 {
			t.Errorf("%d requests while nobody knew what others do", got)
		}
		n.cut(nil)
		time.Sleep(3 * time.Minute)
		if most := mostWithin(n.begun(), time.Second); most > 21 {
			t.Errorf("%d requests within a second", most)
		}
		if n.receiver().atOnce() > 4 {
			t.Errorf("%d requests at the same time", n.receiver().atOnce())
		}
		for _, r := range members {
			r.leaves()
		}
		checkOrder(t, n.receiver(), 2000, false)
	})
}

func TestAMemberThatDiesWhileItProbesDoesNotKeepTheOthersFromIt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := newTown(t)
		state := GateState{State: GateShut, Failures: 2, Since: time.Now(), At: time.Now(), Until: time.Now().Add(25 * time.Second), Reason: "claimed"}
		if _, saved, err := n.outbox.SaveGate(t.Context(), "w", state); !saved || err != nil {
			t.Fatal(saved, err)
		}
		r := n.joins(1)
		r.emits(1)
		time.Sleep(time.Minute)
		r.leaves()
		checkOrder(t, n.receiver(), 1, true)
	})
}

func TestAMemberWhoIsAloneAsksNobody(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		b := newBench(t, func(w *Webhook) { mustRate(t, w, "50/s") }).start()
		b.emit(keys(500)...)
		time.Sleep(time.Minute)
		b.stop()
		b.outbox.mu.Lock()
		calls := maps.Clone(b.outbox.calls)
		b.outbox.mu.Unlock()
		for op := range calls {
			if !slices.Contains([]string{"gates", "lanes", "pending", "seal", "ack"}, op) {
				t.Errorf("%d times %q for deliveries that went well", calls[op], op)
			}
		}
		checkOrder(t, b.receiver(), 500, true)
	})
}
