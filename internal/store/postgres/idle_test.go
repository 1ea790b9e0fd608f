package postgres_test

import (
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
)

// What is due meanwhile would be left out by the next owner.
func TestHoweverLongAHandOverWaitsForTheDatabaseTheTimeIsNotLost(t *testing.T) {
	s, db := open(t)
	a, err := s.Join(t.Context(), "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Acquire(t.Context(), []int{3}); err != nil {
		t.Fatal(err)
	}
	left := time.Now()
	late(t, s, func() error { return a.Release(t.Context(), store.Freed{Shard: 3, Since: left}) })

	other, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(db.name), Now: db.now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	b, err := other.Join(t.Context(), "b", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var leases []store.Lease
	late(t, other, func() (err error) {
		leases, err = b.Acquire(t.Context(), []int{3})
		return err
	})
	if len(leases) != 1 {
		t.Fatal(leases)
	}
	if gap := leases[0].Since.Sub(left); gap > time.Millisecond {
		t.Errorf("nobody is said to have left the shard alone for the first %s", gap)
	}
}

// late does something for which there is no connection to the database for a while.
func late(t *testing.T, s *postgres.Store, do func() error) {
	t.Helper()
	free, err := s.Busy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- do() }()
	free()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
