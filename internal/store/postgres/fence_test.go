package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
	"github.com/deltahook/deltahook/poller"
)

// open opens a store in a database of its own.
func open(t *testing.T) (*postgres.Store, *database) {
	t.Helper()
	needServer(t)
	db, ok := fresh(t).(*database)
	if !ok {
		t.Fatal("no database")
	}
	s, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(db.name), Now: db.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, db
}

func owner(t *testing.T, s *postgres.Store, name string) store.Member {
	t.Helper()
	m, err := s.Join(t.Context(), name, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	leases, err := m.Acquire(t.Context(), store.AllShards())
	if err != nil || len(leases) != store.Shards {
		t.Fatalf("%d shards, %v", len(leases), err)
	}
	return m
}

// change is a commit of one event of the source contacts.
func change(s *postgres.Store, sequence int64) poller.Commit {
	e := &poller.Event{
		ID: "evt_" + string(rune('0'+sequence)), Source: "contacts", Sequence: sequence, Type: "contacts.updated", Change: differ.Updated,
		Key: "k", At: time.Now(), Body: []byte("{}"), To: []poller.Copy{{Webhook: "app"}},
	}
	return poller.Commit{
		Source: "contacts", Expect: sequence - 1, State: poller.State{Sequence: sequence},
		Writes: func(yield func(poller.Write, error) bool) {
			yield(poller.Write{Known: poller.Known{Hash: differ.NewHasher(s.Seed()).Key([]byte("k"))}, Key: "k", Body: e.Body, Event: e}, nil)
		},
	}
}

// hold locks the row of the source, so that a commit stops in its middle, until release.
func hold(t *testing.T, db *database) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL(db.name))
	if err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), `SELECT 1 FROM dh_source FOR UPDATE`)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = conn.Close(t.Context()) }
}

// blocked waits until n statements wait for a lock.
func blocked(t *testing.T, db *database, n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL(db.name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for range 12000 {
		var waiting int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		if waiting >= n {
			return
		}
		if _, err := conn.Exec(t.Context(), `SELECT pg_sleep(0.01)`); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatalf("%d statements never waited", n)
}

// The race that FOR SHARE closes: a commit has passed the fence when somebody takes the shard over.
func TestATakeOverWaitsForTheCommitThatRuns(t *testing.T) {
	s, db := open(t)
	a := owner(t, s, "a")
	if _, err := a.Commit(t.Context(), change(s, 1)); err != nil {
		t.Fatal(err)
	}
	release := hold(t, db)
	committed, taken := make(chan error, 1), make(chan []emitter.Delivery, 1)
	go func() {
		_, err := a.Commit(t.Context(), change(s, 2))
		committed <- err
	}()
	blocked(t, db, 1)
	db.Pass(t, 2*time.Minute)
	go func() {
		b := owner(t, s, "b")
		list, err := b.Pending(t.Context(), emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}, 0, 10)
		if err != nil {
			t.Error(err)
		}
		taken <- list
	}()
	blocked(t, db, 2)
	select {
	case <-taken:
		t.Error("the shard was taken over while a commit ran")
	default:
	}
	release()
	if err := <-committed; err != nil {
		t.Errorf("the commit: %v", err)
	}
	if list := <-taken; len(list) != 2 {
		t.Errorf("the new owner sees %d deliveries, 2 were committed", len(list))
	}
	if _, err := a.Commit(t.Context(), change(s, 3)); !errors.Is(err, poller.ErrFenced) {
		t.Errorf("a later commit of the old owner: %v", err)
	}
}

// A connection that breaks in a commit leaves an outcome that nobody knows: it is settled before anything else is done.
func TestAfterACommitOfUnknownOutcomeTheLeaseIsTakenAnew(t *testing.T) {
	s, db := open(t)
	m := owner(t, s, "a")
	if _, err := m.Commit(t.Context(), change(s, 1)); err != nil {
		t.Fatal(err)
	}
	epoch := epochOf(t, db)
	release := hold(t, db)
	committed := make(chan error, 1)
	go func() {
		_, err := m.Commit(t.Context(), change(s, 2))
		committed <- err
	}()
	blocked(t, db, 1)
	if err := server.Do(t.Context(), db.name, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`); err != nil {
		t.Fatal(err)
	}
	if err := <-committed; err == nil || errors.Is(err, poller.ErrFenced) || errors.Is(err, poller.ErrConflict) {
		t.Fatalf("the commit: %v", err)
	}
	release()
	st, err := m.Load(t.Context(), "contacts")
	if err != nil || st.Version != 1 {
		t.Errorf("version %d, %v", st.Version, err)
	}
	if again := epochOf(t, db); again != epoch+1 {
		t.Errorf("epoch %d after %d: the lease was not taken anew", again, epoch)
	}
	if _, err := m.Commit(t.Context(), change(s, 2)); err != nil {
		t.Errorf("the commit that follows: %v", err)
	}
}

func epochOf(t *testing.T, db *database) (epoch int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL(db.name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if err := conn.QueryRow(t.Context(), `SELECT epoch FROM dh_shard WHERE id = $1`, store.ShardOf("contacts")).Scan(&epoch); err != nil {
		t.Fatal(err)
	}
	return epoch
}
