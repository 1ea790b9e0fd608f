package emitter

import (
	"strings"
	"testing"
	"time"
)

func laneFor(a *agenda, name string, attempts int, due, now time.Time) {
	l := &lane{key: laneKey{key: name}}
	l.items = []*item{{Delivery: Delivery{Key: name, Attempts: attempts}, lane: l, due: due}}
	a.place(l, now)
}

func drain(a *agenda, now time.Time) string {
	var names []string
	for l := a.peek(now); l != nil; l = a.peek(now) {
		a.remove(l)
		a.turn++
		names = append(names, l.key.key)
	}
	return strings.Join(names, " ")
}

// T4: a crowd of repeated deliveries does not keep fresh ones waiting, nor the other way round.
func TestT4FreshDeliveriesGoFirstAndEveryFourthIsARepeatedOne(t *testing.T) {
	now := time.Unix(1000, 0)
	var a agenda
	for _, name := range []string{"r1", "r2", "r3"} {
		laneFor(&a, name, 2, time.Time{}, now)
	}
	for _, name := range []string{"f1", "f2", "f3", "f4", "f5"} {
		laneFor(&a, name, 0, time.Time{}, now)
	}
	if got := drain(&a, now); got != "f1 f2 f3 r1 f4 f5 r2 r3" {
		t.Errorf("order %s", got)
	}
}

func TestLanesThatWaitComeWhenTheyAreDueAndInThatOrder(t *testing.T) {
	now := time.Unix(1000, 0)
	var a agenda
	for _, w := range []struct {
		name string
		in   int
	}{{"c", 3}, {"a", 1}, {"d", 4}, {"b", 2}} {
		laneFor(&a, w.name, 1, now.Add(time.Duration(w.in)*time.Second), now)
	}
	if got := drain(&a, now); got != "" {
		t.Errorf("before anything is due: %s", got)
	}
	if due, ok := a.nextDue(); !ok || due.Sub(now) != time.Second {
		t.Errorf("next due %s, %v", due, ok)
	}
	if got := drain(&a, now.Add(3*time.Second)); got != "a b c" {
		t.Errorf("after three seconds: %s", got)
	}
	if got := drain(&a, now.Add(4*time.Second)); got != "d" {
		t.Errorf("after four: %s", got)
	}
}

func TestNothingGetsBeforeABundleOrBetweenItsDeliveries(t *testing.T) {
	b := &bundle{id: "bat_1"}
	l := &lane{}
	for _, it := range []*item{
		{Delivery: Delivery{Ref: Ref{Seq: 5}}, bundle: b},
		{Delivery: Delivery{Ref: Ref{Seq: 8}}, bundle: b},
		{Delivery: Delivery{Ref: Ref{Seq: 3}}},
		{Delivery: Delivery{Ref: Ref{Seq: 6}}},
	} {
		if first := l.insert(it); first != (it.Seq == 5) {
			t.Errorf("%d is the head: %v", it.Seq, first)
		}
	}
	if l.items[0].Seq != 5 || l.items[1].Seq != 8 || l.held() != 2 {
		t.Errorf("first stand %d and %d", l.items[0].Seq, l.items[1].Seq)
	}
}
