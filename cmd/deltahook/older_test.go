package main

import (
	"context"
	"flag"
	"strings"
	"testing"
	"time"
)

var replicaOlder = flag.String("replica-older", "", "the binary of an older version, to be replaced by this one while everything changes")

// refusals are what a replica says that cannot work with the others, or with the database.
func refusals() []string { return []string{"stop all replicas", "run the newer version"} }

// joins starts a replica and says whether it works. When it does not, it has to have said why.
func (q *quartet) joins(i int) bool {
	q.t.Helper()
	q.start(i)
	p := q.running[i]
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); wait(q.t.Context(), 100*time.Millisecond) {
		select {
		case <-p.ended:
			q.running[i] = nil
			text := p.log.String()
			for _, word := range refusals() {
				if strings.Contains(text, word) {
					q.t.Logf("replica %d is refused: %s", i, text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:])
					return false
				}
			}
			q.t.Fatalf("replica %d has ended:\n%s", i, text)
		default:
		}
		if q.answers(i) {
			return true
		}
	}
	q.t.Fatalf("replica %d is not ready:\n%s", i, p.log.String())
	return false
}

// A rolling update, and one that is taken back half-way, as far as the schema allows it.
func TestAnOlderVersionAndThisOneReplaceEachOtherOrOneSaysThatItCannot(t *testing.T) {
	if *replicaOlder == "" {
		t.Skip("it needs an older binary; say -replica-older PATH")
	}
	q := newQuartet(t, *replicaSources)
	older, newer := *replicaOlder, q.binary
	changing, calm := context.WithCancel(t.Context())
	defer calm()
	go q.fleet.run(changing, 200)
	while := func() { wait(t.Context(), 5**replicaLease) }
	as := func(binary string, i int) bool {
		q.binary = binary
		return q.joins(i)
	}

	if !as(older, 0) || !as(older, 1) {
		t.Fatal("two of the older version do not work together")
	}
	while()
	if !as(newer, 2) { // then all of the older version have to be stopped
		while()
		q.stop(0)
		q.stop(1)
		if !as(newer, 2) {
			t.Fatal("this version does not work after all of the older one have stopped")
		}
	}
	while()
	back := as(older, 3) // an older one comes back
	while()
	for i, p := range q.running[:2] {
		if p != nil {
			q.stop(i)
		}
		if !as(newer, i) {
			t.Fatal("this version does not join its like")
		}
		while()
	}
	if back {
		q.stop(3)
	}
	while()
	calm()
	if v := q.judge(time.Minute); !v.kept() || v.repeated > 0 || v.refused > 0 {
		t.Errorf("promises are broken: %+v", v)
	}
}
