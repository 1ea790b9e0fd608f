package main

import (
	"flag"
	"net/http"
	"testing"
	"time"
)

var replicaMany = flag.Int("replica-many", 0, "sources of the tests of take-over and rolling restart, which are skipped without")

// A shard is cared for when a living member owns it. The statement fails as long as one is not, or there are not so many members.
const caredForSQL = `SELECT 1 / (CASE WHEN count(*) = 0 AND (SELECT count(*) FROM dh_member WHERE expires_at > clock_timestamp()) = $1 THEN 1 ELSE 0 END)
	FROM dh_shard s WHERE NOT EXISTS (SELECT 1 FROM dh_member m WHERE m.name || '#' || m.incarnation = s.owner AND m.expires_at > clock_timestamp())`

// manyReplicas starts four replicas with many sources, and waits until each was polled.
func manyReplicas(t *testing.T) *quartet {
	t.Helper()
	if *replicaMany == 0 {
		t.Skip("it measures; say -replica-many 10000 -replica-every 20s -replica-lease 10s")
	}
	q := newQuartet(t, *replicaMany)
	q.startAll()
	q.caredFor(4, time.Minute)
	q.polled(time.Now(), 5*time.Minute)
	wait(t.Context(), 2**replicaEvery) // the first period after a poll at the start is up to a half longer
	q.fleet.forget()
	wait(t.Context(), *replicaEvery)
	late, _ := q.fleet.late(*replicaEvery, time.Now())
	t.Logf("%d sources at rest: none polled more than %s late on this machine", *replicaMany, late)
	q.fleet.forget()
	return q
}

// caredFor waits until each shard is owned by one of so many living replicas.
func (q *quartet) caredFor(replicas int, within time.Duration) {
	q.t.Helper()
	for end := time.Now().Add(within); q.server.Do(q.t.Context(), q.database, caredForSQL, replicas) != nil; wait(q.t.Context(), 20*time.Millisecond) {
		if time.Now().After(end) {
			q.t.Fatalf("after %s there are shards without an owner", within)
		}
	}
}

// ready waits until a replica says that it works, as an orchestrator does: without reading its configuration each time.
func (q *quartet) ready(i int, within time.Duration) {
	q.t.Helper()
	for end := time.Now().Add(within); !q.answers(i); wait(q.t.Context(), 50*time.Millisecond) {
		if time.Now().After(end) {
			q.t.Fatalf("replica %d is not ready after %s", i, within)
		}
	}
}

// answers says whether a replica says that it works.
func (q *quartet) answers(i int) bool {
	resp, err := http.Get("http://" + q.addresses[i] + "/readyz")
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// polled waits until each source was polled since a time.
func (q *quartet) polled(since time.Time, within time.Duration) {
	q.t.Helper()
	for end := time.Now().Add(within); ; wait(q.t.Context(), 20*time.Millisecond) {
		_, asked := q.fleet.late(*replicaEvery, since)
		if asked == len(q.fleet.polled) {
			return
		}
		if time.Now().After(end) {
			q.t.Fatalf("after %s only %d of %d sources were polled", within, asked, len(q.fleet.polled))
		}
	}
}

func TestTheSourcesOfADeadReplicaAreTakenOverWithinItsLeaseAndTwoSeconds(t *testing.T) {
	q := manyReplicas(t)
	died := time.Now()
	q.kill(2)
	q.caredFor(3, time.Minute)
	took := time.Since(died)
	q.polled(died, time.Minute+*replicaEvery)
	again := time.Since(died)
	late, _ := q.fleet.late(*replicaEvery, died)
	t.Logf("%d sources: shards taken over after %s; each source polled again after %s; none more than %s late", *replicaMany, took, again, late)
	if limit := *replicaLease + 2*time.Second; took > limit {
		t.Errorf("the take-over took %s, more than %s", took, limit)
	}
	q.start(2)
}

func TestARollingRestartDelaysNoSourceMuch(t *testing.T) {
	q := manyReplicas(t)
	begun := time.Now()
	for i := range q.configs {
		at := time.Now()
		q.stop(i)
		stopped := time.Since(at)
		q.start(i)
		q.ready(i, time.Minute)
		t.Logf("replica %d stopped in %s and was back after %s", i, stopped, time.Since(at))
	}
	took := time.Since(begun)
	q.polled(time.Now(), time.Minute+*replicaEvery)
	late, _ := q.fleet.late(*replicaEvery, begun)
	t.Logf("%d sources: all four replicas restarted in %s; no source polled more than %s late", *replicaMany, took, late)
	if late > 5*time.Second {
		t.Errorf("a source was polled %s late", late)
	}
}
