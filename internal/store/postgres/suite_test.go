package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
	"github.com/deltahook/deltahook/internal/store/postgres/pgtest"
	"github.com/deltahook/deltahook/internal/store/storetest"
)

// server is the PostgreSQL of these tests; nil when none is installed.
var server *pgtest.Server

// template is a database of it that has the schema.
var template string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	server, err = pgtest.Start(ctx, pgtest.Options{})
	if errors.Is(err, pgtest.ErrNotInstalled) {
		return m.Run(), nil
	}
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if template, err = server.Create(ctx, ""); err != nil {
		return 1, err
	}
	s, err := postgres.Open(ctx, postgres.Options{URL: server.URL(template)})
	if err != nil {
		return 1, err
	}
	if err := s.Close(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// needServer skips a test where there is no PostgreSQL.
func needServer(tb testing.TB) {
	tb.Helper()
	if server == nil {
		tb.Skip(pgtest.ErrNotInstalled)
	}
}

// database is a place for one store, with a clock that only a test turns.
type database struct {
	name  string
	start time.Time
	ahead atomic.Int64
}

func fresh(t storetest.T) storetest.Backend {
	t.Helper()
	name, err := databases.take(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() {
		queueFits(t, name)
		databases.giveBack(name)
	})
	return &database{name: name, start: time.Now()}
}

// queueFits checks, after whatever a test did, that the queue has what is pending and nothing else.
func queueFits(t storetest.T, name string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), server.URL(name)) // the context of the test has ended by then
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	var wrong, total int
	if err := conn.QueryRow(context.Background(), postgres.UnfitSQL).Scan(&wrong, &total); err != nil {
		t.Fatalf("%v", err)
	}
	if wrong > 0 {
		t.Errorf("%d of %d deliveries are pending and not in the queue, in the queue and not pending, in it with another batch, or parked and not marked so", wrong, total)
	}
}

// pool has databases that a test is done with: to empty one takes a tenth of the time that a new one does.
type pool struct {
	mu   sync.Mutex
	free []string
}

var databases pool

func (p *pool) take(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.free) == 0 {
		return server.Create(ctx, template)
	}
	name := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	return name, server.Do(ctx, name, postgres.EmptySQL)
}

func (p *pool) giveBack(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, name)
}

func (d *database) Open(t storetest.T) store.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(d.name), Now: d.now})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

func (d *database) now() time.Time { return d.start.Add(time.Duration(d.ahead.Load())) }

// Pass lets time go by. The clock of the server cannot be turned; to let all leases have begun earlier comes to the same.
func (d *database) Pass(t storetest.T, by time.Duration) {
	t.Helper()
	d.ahead.Add(int64(by))
	for _, earlier := range []string{
		`UPDATE dh_member SET expires_at = expires_at - $1::interval, beat_at = beat_at - $1::interval`,
		`UPDATE dh_bucket SET sold = sold - $1::interval, held_until = held_until - $1::interval`,
	} {
		if err := server.Do(t.Context(), d.name, earlier, by); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

func TestTheStoreKeepsItsPromises(t *testing.T) {
	needServer(t)
	storetest.Run(t, fresh)
}

func TestTheSuiteNoticesBrokenStores(t *testing.T) {
	needServer(t)
	storetest.RunMutants(t, fresh)
}
