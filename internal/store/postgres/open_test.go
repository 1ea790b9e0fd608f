package postgres_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/deltahook/deltahook/internal/store/postgres"
)

func TestReplicasThatStartTogetherMigrateOnce(t *testing.T) {
	needServer(t)
	name, err := server.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(name)})
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	wg.Wait()
}

func TestADatabaseThatDoesNotFitIsRefusedWithTheNextStep(t *testing.T) {
	needServer(t)
	cases := map[string]struct{ do, want string }{
		"a newer schema that this program cannot work with": {`UPDATE dh_meta SET version = 99, min_compatible = 98`, "run the newer version"},
		"another number of shards":                          {`UPDATE dh_meta SET shards = 512`, "512 shards"},
		"commits that are not durable":                      {`ALTER ROLE postgres SET synchronous_commit = off`, "SET synchronous_commit = on"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			db, err := server.Create(t.Context(), template)
			if err == nil {
				err = server.Do(t.Context(), db, c.do)
			}
			if err != nil {
				t.Fatal(err)
			}
			s, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(db)})
			if err == nil {
				_ = s.Close()
			}
			if undo := server.Do(t.Context(), db, `ALTER ROLE postgres RESET synchronous_commit`); undo != nil {
				t.Fatal(undo)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestANewerSchemaThatIsCompatibleIsFine(t *testing.T) {
	needServer(t)
	db, err := server.Create(t.Context(), template)
	if err == nil {
		err = server.Do(t.Context(), db, `UPDATE dh_meta SET version = version + 1`)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(db)})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

func TestTheErrorOfAURLHasNoPassword(t *testing.T) {
	for _, url := range []string{"postgres://ann:hunter2@127.0.0.1:x/db", "postgres://ann:hunter2@127.0.0.1:1/db?connect_timeout=1", "postgres://ann:hun ter2@/%zz"} {
		s, err := postgres.Open(t.Context(), postgres.Options{URL: url})
		if err == nil {
			_ = s.Close()
		}
		if err == nil || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestReadingNeitherMakesNorChangesADatabase(t *testing.T) {
	needServer(t)
	db, err := server.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(db), ReadOnly: true}); err == nil || !strings.Contains(err.Error(), "start deltahook run once") {
		t.Errorf("got %v", err)
	}
}

// A pooler that knows no prepared statements needs this mode; everything has to work in it.
func TestItWorksWithoutPreparedStatements(t *testing.T) {
	needServer(t)
	db, ok := fresh(t).(*database)
	if !ok {
		t.Fatal("no database")
	}
	s, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(db.name) + "&default_query_exec_mode=cache_describe", Now: db.now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	m := owner(t, s, "a")
	for n := range int64(3) {
		if _, err := m.Commit(t.Context(), change(s, n+1)); err != nil {
			t.Fatal(err)
		}
	}
	queues, err := s.Queues(t.Context())
	if err != nil || len(queues) != 1 || queues[0].Pending != 3 {
		t.Errorf("queues %+v, %v", queues, err)
	}
}
