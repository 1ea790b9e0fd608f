package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
	"github.com/deltahook/deltahook/internal/store/postgres/pgtest"
	"github.com/deltahook/deltahook/internal/store/storetest"
)

// pooled is a database that is reached by way of PgBouncer in transaction mode.
type pooled struct {
	*database
	by *pgtest.Pooler
}

func (p pooled) Open(t storetest.T) store.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: p.by.URL(p.name), Now: p.now})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

// The pooler has half as many connections as the store would like: no statement may find its session again.
func TestTheStoreKeepsItsPromisesBehindPgBouncer(t *testing.T) {
	needServer(t)
	by, err := server.Pool(t.Context(), 6)
	if errors.Is(err, pgtest.ErrNoPooler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := by.Stop(); err != nil {
			t.Error(err)
		}
	})
	if testing.Short() {
		storetest.RunOnly(t, func(t storetest.T) storetest.Backend { return behind(t, by) }, storetest.Atomic, storetest.Ownership)
		return
	}
	storetest.Run(t, func(t storetest.T) storetest.Backend { return behind(t, by) })
}

func behind(t storetest.T, by *pgtest.Pooler) storetest.Backend {
	t.Helper()
	name, err := server.Create(t.Context(), template)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return pooled{&database{name: name, start: time.Now()}, by}
}
