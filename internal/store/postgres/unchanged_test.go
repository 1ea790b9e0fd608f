package postgres_test

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
	"github.com/deltahook/deltahook/internal/store/postgres/pgtest"
	"github.com/deltahook/deltahook/poller"
)

var unchangedRecords = flag.Int("records", 20_000, "length of the listing that does not change")

// touched is what the server has counted.
type touched struct {
	read    int64 // rows of records
	written int64 // rows of anything but members and shards
}

// listing is a list that never changes, and a database that knows it, on a server where nothing else happens.
type listing struct {
	*testing.T
	server *pgtest.Server
	url    string
	api    string
}

func newListing(t *testing.T, records int) *listing {
	t.Helper()
	needServer(t)
	srv, err := pgtest.Start(t.Context(), pgtest.Options{Settings: []string{
		"autovacuum=off", "checkpoint_timeout=1h", "max_wal_size=8GB", "wal_level=minimal", "max_wal_senders=0", "shared_buffers=256MB",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Stop() })
	body := []byte(`[`)
	for i := range records {
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"id":%d,"name":"Customer %d","city":"Springfield"}`, i, i)
	}
	body = append(body, ']')
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}))
	t.Cleanup(api.Close)
	return &listing{T: t, server: srv, url: srv.URL("postgres"), api: api.URL}
}

func (l *listing) ask(query string, to ...any) {
	l.Helper()
	conn, err := pgx.Connect(l.Context(), l.url+"&application_name=test")
	if err == nil {
		err = conn.QueryRow(l.Context(), query).Scan(to...)
	}
	if err == nil {
		err = conn.Close(l.Context())
	}
	if err != nil {
		l.Fatal(err)
	}
}

// counted gives the counters, once all connections of the store have ended and told what they did.
func (l *listing) counted() (c touched) {
	l.Helper()
	for left := 1; left > 0; {
		l.ask(`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'deltahook'`, &left)
	}
	l.ask(`SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FILTER (WHERE relname = 'dh_record')::bigint,
		sum(n_tup_ins + n_tup_upd + n_tup_del) FILTER (WHERE relname NOT IN ('dh_member', 'dh_shard'))::bigint FROM pg_stat_user_tables`, &c.read, &c.written)
	return c
}

func (l *listing) wal() (position int64) {
	l.Helper()
	l.ask(`SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`, &position)
	return position
}

// polled polls so many times in a process of its own. It gives what was written to the log after the first time.
func (l *listing) polled(times int) (wal int64) {
	l.Helper()
	s, err := postgres.Open(l.Context(), postgres.Options{URL: l.url})
	if err != nil {
		l.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	m, err := s.Join(l.Context(), "poller", time.Hour)
	if err == nil {
		_, err = m.Acquire(l.Context(), store.AllShards())
	}
	if err != nil {
		l.Fatal(err)
	}
	text := fmt.Sprintf("[source.things]\nurl = %q\nevery = \"1h\"\nkey = \"id\"\ntimeout = \"10m\"\ndeadline = \"1h\"\ndeletes = { detect = \"scan\" }\n"+
		"response = { max_body = \"4GiB\" }\n[webhook.app]\nurl = \"http://127.0.0.1:1/\"\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n", l.api)
	secrets := &setting.Secrets{}
	c, report := config.Parse([]config.File{{Path: "a.toml", Text: []byte(text)}}, secrets)
	if err := report.Err(); err != nil {
		l.Fatal(err)
	}
	p, err := poller.New(*c.Sources[0], poller.Options{
		Ledger: m, Vault: m, Outlet: daemon.TrialOutlet(c, s.Seed()), Secrets: secrets, Seed: s.Seed(), TempDir: l.TempDir(),
	})
	if err != nil {
		l.Fatal(err)
	}
	var begun int64
	for n := range times {
		if n == 1 {
			begun = l.wal()
		}
		if r := p.Poll(l.Context(), poller.Occasion{}); r.Records != *unchangedRecords || r.Created+r.Updated+r.Deleted > 0 && !r.Quiet {
			l.Fatalf("poll %d: %s, %d records, %d created, %s", n, r.Verdict, r.Records, r.Created, r.Message)
		}
	}
	if times > 1 {
		wal = l.wal() - begun
	}
	return wal
}

// With -records 1000000 it is the listing of a million.
func TestAListingThatDoesNotChangeReadsNoRecordAndWritesNothing(t *testing.T) {
	l := newListing(t, *unchangedRecords)
	l.polled(1) // the baseline
	baseline := l.counted()
	l.polled(1)
	once := l.counted()
	wal := l.polled(6)
	often := l.counted()
	if baseline.written < int64(*unchangedRecords) || once.read-baseline.read < int64(*unchangedRecords) {
		t.Fatalf("the counters do not count: %+v, then %+v", baseline, once)
	}
	if more := (often.read - once.read) - (once.read - baseline.read); more != 0 {
		t.Errorf("five more polls read %d rows of records", more)
	}
	if n := often.written - baseline.written; n != 0 {
		t.Errorf("seven polls wrote %d rows", n)
	}
	if wal != 0 {
		t.Errorf("five polls wrote %d bytes of log", wal)
	}
}
