package budget

import (
	"errors"
	"testing"
	"time"
)

func start() time.Time { return time.Unix(1_000_000, 0) }

func TestABucketSellsAtItsRateAndNoMoreThanItsBurstAtOnce(t *testing.T) {
	var b Bucket
	o := Order{Rate: 10, Burst: 3, Want: 1}
	now, sold := start(), 0
	for ms := range 2001 {
		if ms == 1000 {
			o.Want = 2
		}
		sold += b.Sell(now.Add(time.Duration(ms)*time.Millisecond), o).Tokens
		if most := 3 + ms/100 + 1; sold > most {
			t.Fatalf("%d tokens after %d ms", sold, ms)
		}
	}
	if sold < 21 {
		t.Errorf("%d tokens in two seconds at 10/s", sold)
	}
}

func TestWhoIsAloneTakesWithoutAnybody(t *testing.T) {
	r, now := NewRate("webhook app", false), start()
	if _, ok, ask := r.Take(now, 0); !ok || ask {
		t.Error("without a limit there is one")
	}
	r.Set(now, 2, 1)
	if _, ok, ask := r.Take(now, 0); !ok || ask {
		t.Error("the first token is not there")
	}
	if wait, ok, ask := r.Take(now, 0); ok || ask || wait != 500*time.Millisecond {
		t.Errorf("the second one: %s, %t", wait, ok)
	}
	if wait, ok, _ := r.Take(now, time.Second); !ok || wait != 500*time.Millisecond {
		t.Errorf("the second one, with patience: %s, %t", wait, ok)
	}
	r.Untake()
	r.Set(now, 4, 1)
	if wait, _, _ := r.Take(now, 0); wait != 250*time.Millisecond {
		t.Errorf("at twice the rate the next one comes after %s", wait)
	}
}

// shared is a rate with its bucket.
type shared struct {
	Rate

	bank Bucket
}

// use takes what there is at a time, ordering as often as it has to.
func (s *shared) use(now time.Time, most int) (used int) {
	for used < most {
		_, ok, ask := s.Take(now, 0)
		if ask {
			o := s.Order(time.Second)
			s.Bought(now, o, s.bank.Sell(now, o), nil)
			continue
		}
		if !ok {
			break
		}
		used++
	}
	return used
}

func newShared(perSecond float64) *shared {
	s := &shared{Rate: NewRate("webhook app", true)}
	s.Set(start(), perSecond, 1)
	return s
}

func TestOrdersGrowWithWhatIsUsed(t *testing.T) {
	s, now := newShared(100), start()
	if o := s.Order(0); o.Want != 1 {
		t.Errorf("the first order is for %d", o.Want)
	}
	used := 0
	for ms := range 2000 {
		used += s.use(now.Add(time.Duration(ms)*time.Millisecond), 10)
	}
	if used < 195 || used > 201 {
		t.Errorf("%d tokens in two seconds at 100/s", used)
	}
	if s.size != 25 {
		t.Errorf("under full load an order is for %d, a quarter of a second is 25", s.size)
	}
	later := now.Add(time.Minute)
	if got := s.use(later, 1); got != 1 {
		t.Fatal("no token after a minute")
	}
	later = later.Add(time.Minute)
	if s.use(later, 1); s.size != 1 {
		t.Errorf("who uses one token a minute orders %d", s.size)
	}
}

func TestTokensAreNotSavedUp(t *testing.T) {
	s, now := newShared(100), start()
	for ms := range 1000 {
		s.use(now.Add(time.Duration(ms)*time.Millisecond), 10)
	}
	later := now.Add(10 * time.Second)
	if got := s.use(later, 1000); got > 2 {
		t.Errorf("%d tokens at once after a pause", got)
	}
}

func TestWithoutAnAnswerThereAreNoTokens(t *testing.T) {
	s, now := newShared(100), start()
	for _, want := range []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second} {
		if _, _, ask := s.Take(now, 0); !ask {
			t.Fatal("it does not ask again")
		}
		s.Bought(now, s.Order(0), Grant{}, errors.New("the database is away"))
		if wait, ok, ask := s.Take(now, time.Hour); ok || ask || wait != want {
			t.Errorf("it waits %s, want %s", wait, want)
		}
		now = now.Add(want)
	}
}

func TestASliceOfThePlacesIsTakenAndGivenUp(t *testing.T) {
	var till Till
	alive := []string{"a", "b", "c"}
	p, now := NewPlaces("webhook app", 8, true), start()
	ask := func(v View, busy int) {
		if want, ask, _ := p.Want(now, v, busy, true); ask {
			p.Got(now, want, till.Places("webhook app", "a", 8, want, alive), nil)
		}
	}
	if got := p.Limit(now, View{}); got != 0 {
		t.Errorf("before anything is known it has %d", got)
	}
	v := View{Members: 1, Sure: true, Spell: 1}
	ask(v, 0)
	if got := p.Limit(now, v); got != 8 {
		t.Errorf("alone it has %d of 8", got)
	}
	v.Members = 3
	if got := p.Limit(now, v); got != 3 {
		t.Errorf("of three members it has %d", got)
	}
	ask(v, 5)
	if got := till.Places("webhook app", "b", 8, 8, alive); got != 3 {
		t.Errorf("while five requests are under way, others get %d", got)
	}
	ask(v, 2)
	if got := till.Places("webhook app", "b", 8, 8, alive); got != 5 {
		t.Errorf("when they have ended, others get %d", got)
	}
	v.Sure = false
	if got := p.Limit(now, v); got != 0 {
		t.Errorf("when it may be taken for dead it has %d", got)
	}
	v.Sure, v.Spell = true, 2
	if got := p.Limit(now, v); got != 0 {
		t.Errorf("of what it had before it was, it has %d", got)
	}
}

func TestWhereThereAreFewerPlacesThanMembersTheyTakeTurns(t *testing.T) {
	var till Till
	alive := []string{"a", "b", "c"}
	v := View{Members: 3, Sure: true, Spell: 1}
	had := map[string]time.Duration{}
	members := map[string]*Places{}
	for _, id := range alive {
		p := NewPlaces("host erp", 1, true)
		members[id] = &p
	}
	const step = 10 * time.Millisecond
	for now := start(); now.Before(start().Add(5 * time.Minute)); now = now.Add(step) {
		holders := 0
		for _, id := range alive {
			p := members[id]
			if p.Limit(now, v) > 0 {
				had[id] += step
				holders++
			}
			if want, ask, _ := p.Want(now, v, 0, true); ask {
				p.Got(now, want, till.Places("host erp", id, 1, want, alive), nil)
			}
		}
		if holders > 1 {
			t.Fatalf("%d members have the only place", holders)
		}
	}
	for _, id := range alive {
		if had[id] < time.Minute {
			t.Errorf("%s had the place for %s in five minutes", id, had[id])
		}
	}
}
