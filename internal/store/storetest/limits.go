package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/store"
)

func limitTests() []test {
	return []test{
		{"tokens never over-admit, however many race for them", tokensNeverOverAdmit},
		{"a bucket fills at its rate, up to its burst", bucketFills},
		{"tokens that come too late are not sold", tokensTooLate},
		{"places are never more than there are, however many race for them", placesNeverTooMany},
		{"the places of a member that has expired are free, and it gets none", placesOfTheDead},
		{"places that are given back can be taken", placesGivenBack},
		{"a hold reaches every member, the longer one stays, and ends by itself", holdsReachAll},
		{"of eight members that find the gate shut one probes", breakerOneProbe},
		{"what a member stores of a gate, the others hear, each change anew", gatesAreHeard},
		{"a gate is not stored on top of what its writer has not seen", staleGateRefused},
	}
}

const racers = 8

// race lets members do something at the same time.
func (w *world) race(do func(n int, m store.Member)) {
	w.Helper()
	members := make([]store.Member, racers)
	for n := range members {
		members[n] = w.join(fmt.Sprintf("racer%d", n), longTTL)
	}
	start := make(chan struct{})
	var wg sync.WaitGroup
	for n, m := range members {
		wg.Go(func() {
			<-start
			do(n, m)
		})
	}
	close(start)
	w.within(&wg)
}

// order is one for tokens of a bucket that fills so slowly that a test does not see it.
func order(want int) budget.Order {
	return budget.Order{Key: "webhook app", Rate: 1.0 / 3600, Burst: 100, Want: want}
}

func tokensNeverOverAdmit(w *world) {
	var mu sync.Mutex
	sold := 0
	w.race(func(n int, m store.Member) {
		for range 40 {
			g, err := m.Tokens(w.ctx(), order(1))
			if err != nil {
				w.Errorf("tokens: %v", err)
			}
			mu.Lock()
			sold += g.Tokens
			mu.Unlock()
		}
	})
	w.equal("tokens that were sold of a burst of 100", sold, 100)
}

func bucketFills(w *world) {
	m := w.join("a", time.Hour)
	buy := func(rate float64, want int) budget.Grant {
		g, err := m.Tokens(w.ctx(), budget.Order{Key: "host api", Rate: rate, Burst: 5, Want: want, Patience: 0})
		w.must(err)
		return g
	}
	const rate = 1.0 / 60
	w.equal("at first", []int{buy(rate, 3).Tokens, buy(rate, 2).Tokens, buy(rate, 1).Tokens}, []int{3, 2, 0})
	if g := buy(rate, 1); g.Wait < 50*time.Second || g.Wait > time.Minute {
		w.Errorf("the next token comes in %s, it is to be a minute", g.Wait)
	}
	w.backend.Pass(w.T, 2*time.Minute)
	w.equal("after two minutes", []int{buy(rate, 1).Tokens, buy(rate, 1).Tokens, buy(rate, 1).Tokens}, []int{1, 1, 0})
	w.backend.Pass(w.T, 30*time.Minute)
	w.equal("after half an hour", []int{buy(rate, 5).Tokens, buy(rate, 1).Tokens}, []int{5, 0})
	g, err := m.Tokens(w.ctx(), budget.Order{Key: "host other", Rate: rate, Burst: 1, Want: 1})
	w.must(err)
	w.equal("of another bucket", g.Tokens, 1)
}

func tokensTooLate(w *world) {
	m := w.join("a", longTTL)
	o := budget.Order{Key: "host api", Rate: 1.0 / 60, Burst: 1, Want: 1, Patience: 150 * time.Second}
	var waits []time.Duration
	for range 5 {
		g, err := m.Tokens(w.ctx(), o)
		w.must(err)
		if g.Tokens == 0 {
			continue
		}
		waits = append(waits, g.Wait.Round(10*time.Second))
	}
	w.equal("waits", waits, []time.Duration{0, time.Minute, 2 * time.Minute})
}

func placesNeverTooMany(w *world) {
	const keys = 12
	key := func(n int) string { return fmt.Sprintf("host api%d", n) }
	first := w.join("first", longTTL)
	for n := range keys {
		_, err := first.Places(w.ctx(), key(n), 5, 0)
		w.must(err)
	}
	var mu sync.Mutex
	sums := make([]int, keys)
	w.race(func(_ int, m store.Member) {
		for n := range keys {
			got, err := m.Places(w.ctx(), key(n), 5, 3)
			if err != nil {
				w.Errorf("places: %v", err)
			}
			mu.Lock()
			sums[n] += got
			mu.Unlock()
		}
	})
	w.equal("places that were given of each key", sums, slices.Repeat([]int{5}, keys))
}

func placesOfTheDead(w *world) {
	a, b := w.join("a", shortTTL), w.join("b", longTTL)
	take := func(m store.Member, want int) int {
		n, err := m.Places(w.ctx(), "webhook app", 4, want)
		w.must(err)
		return n
	}
	w.equal("first", []int{take(a, 3), take(b, 3), take(b, 1)}, []int{3, 1, 1})
	w.backend.Pass(w.T, shortTTL+50*time.Millisecond)
	w.equal("after a has expired", take(b, 9), 4)
	if n, err := a.Places(w.ctx(), "webhook app", 4, 1); n > 0 || !errors.Is(err, store.ErrMemberLost) {
		w.Errorf("the dead one got %d places, %v", n, err)
	}
	w.must(a.Rejoin(w.ctx()))
	w.equal("as another", []int{take(a, 2), take(b, 3), take(a, 2)}, []int{0, 3, 1})
	w.must(b.Leave(w.ctx()))
	w.equal("after b has left", take(a, 4), 4)
}

func placesGivenBack(w *world) {
	a, b := w.join("a", longTTL), w.join("b", longTTL)
	take := func(m store.Member, key string, want int) int {
		n, err := m.Places(w.ctx(), key, 1, want)
		w.must(err)
		return n
	}
	w.equal("places", []int{
		take(a, "host api", 1), take(b, "host api", 1), take(b, "host other", 1),
		take(a, "host api", 0), take(b, "host api", 1), take(a, "host api", 1),
	}, []int{1, 0, 1, 0, 1, 0})
}

func holdsReachAll(w *world) {
	a, b := w.join("a", time.Hour), w.join("b", time.Hour)
	none, err := b.Holds(w.ctx())
	w.must(err)
	w.equal("holds at first", len(none), 0)
	now := time.Now()
	w.must(a.Hold(w.ctx(), "host api", budget.Hold{Until: now.Add(2 * time.Minute), Status: 429, Why: "it answered 429"}))
	w.must(b.Hold(w.ctx(), "host api", budget.Hold{Until: now.Add(time.Minute), Status: 503, Why: "it answered 503"}))
	w.must(b.Hold(w.ctx(), "host other", budget.Hold{Until: now.Add(time.Hour), Status: 200, Why: "its quota is used up"}))
	for _, m := range []store.Member{a, b} {
		holds, err := m.Holds(w.ctx())
		w.must(err)
		h := holds["host api"]
		w.equal("holds", []any{len(holds), h.Status, h.Why, h.Until.Sub(now).Round(10 * time.Second)}, []any{2, 429, "it answered 429", 2 * time.Minute})
	}
	w.backend.Pass(w.T, 3*time.Minute)
	holds, err := a.Holds(w.ctx())
	w.must(err)
	_, there := holds["host other"]
	w.equal("what is left", []any{len(holds), there}, []any{1, true})
}

func shut(failures int) emitter.GateState {
	return emitter.GateState{State: emitter.GateShut, Failures: failures, Since: noon(), Until: noon().Add(time.Second), Reason: "connection refused"}
}

func breakerOneProbe(w *world) {
	first := w.saveGate(w.join("first", longTTL), "app", shut(1))
	for round := range 5 {
		var mu sync.Mutex
		var winners []string
		seen := map[string]int{}
		var now emitter.GateState
		w.race(func(n int, m store.Member) {
			mine := first
			mine.Reason = fmt.Sprintf("racer %d probes in round %d", n, round)
			stored, saved, err := m.SaveGate(w.ctx(), "app", mine)
			if err != nil {
				w.Errorf("save: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[stored.Reason]++
			if saved {
				winners, now = append(winners, mine.Reason), stored
			}
		})
		if len(winners) != 1 {
			w.Fatalf("%d members probe: %v", len(winners), winners)
		}
		w.equal("what all of them see", seen, map[string]int{winners[0]: racers})
		w.equal("generation", now.Gen, first.Gen+1)
		first = now
	}
}

func gatesAreHeard(w *world) {
	a, b := w.join("a", longTTL), w.join("b", longTTL)
	hear := func(m store.Member) []string {
		gates, err := m.NewGates(w.ctx())
		w.must(err)
		var list []string
		for webhook, state := range gates {
			list = append(list, fmt.Sprintf("%s %s %d", webhook, state.State, state.Failures))
		}
		slices.Sort(list)
		return list
	}
	w.equal("at first", len(hear(b)), 0)
	w.saveGate(a, "app", shut(1))
	w.equal("after the first", hear(b), []string{"app shut 1"})
	for failures := 2; failures < 6; failures++ {
		w.saveGate(a, "crm", shut(failures))
		if heard := hear(b); !slices.Contains(heard, fmt.Sprintf("crm shut %d", failures)) {
			w.Fatalf("after %d failures b heard %v", failures, heard)
		}
	}
	w.saveGate(b, "app", emitter.GateState{State: emitter.GateOpen})
	if heard := hear(a); !slices.Contains(heard, "app open 0") || !slices.Contains(heard, "crm shut 5") {
		w.Fatalf("a heard %v", heard)
	}
	c := w.join("c", longTTL)
	w.equal("whoever comes later", hear(c), []string{"app open 0", "crm shut 5"})
}

func staleGateRefused(w *world) {
	a, b := w.join("a", longTTL), w.join("b", longTTL)
	first := w.saveGate(a, "app", shut(1))
	second := w.saveGate(b, "app", shut(2))
	if second.Gen <= first.Gen {
		w.Fatalf("generation %d after %d", second.Gen, first.Gen)
	}
	first.State = emitter.GateOpen
	now, saved, err := a.SaveGate(w.ctx(), "app", first)
	w.must(err)
	w.equal("a's gate", []any{saved, now.State, now.Failures, now.Gen}, []any{false, emitter.GateShut, 2, second.Gen})
	now.State = emitter.GateOpen
	_, saved, err = a.SaveGate(w.ctx(), "app", now)
	w.must(err)
	all, err := w.st.GateStates(w.ctx())
	w.must(err)
	w.equal("on top of what b has stored", []any{saved, all["app"].State}, []any{true, emitter.GateOpen})
}
