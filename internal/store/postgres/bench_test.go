package postgres_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
	"github.com/deltahook/deltahook/internal/store/postgres/pgtest"
	"github.com/deltahook/deltahook/poller"
)

// bench is a store on a server of its own, which writes to the disk as a real one does.
type bench struct {
	*testing.B
	server *pgtest.Server
	url    string
	st     *postgres.Store
	m      store.Member
	pool   *pgxpool.Pool // for what the store does not do
	states map[string]*poller.State
}

// benchBody is as long as the notes' bodies were: 512 bytes.
const benchBody = 512

// The long benchmarks take their size from the environment: DELTAHOOK_BENCH_BACKLOG=1000000.
func backlogOf(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(os.Getenv("DELTAHOOK_BENCH_BACKLOG"))
	if err != nil {
		return 100_000
	}
	return n
}

func newBench(b *testing.B) *bench {
	b.Helper()
	needServer(b)
	srv, err := pgtest.Start(b.Context(), pgtest.Options{Durable: true, Settings: []string{"shared_buffers=1GB", "max_wal_size=4GB"}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Stop() })
	out := &bench{B: b, server: srv, url: srv.URL("postgres"), states: map[string]*poller.State{}}
	if out.st, err = postgres.Open(b.Context(), postgres.Options{URL: out.url}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = out.st.Close() })
	if out.pool, err = pgxpool.New(b.Context(), out.url+"&pool_max_conns=20"); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(out.pool.Close)
	out.m = out.join("bench")
	return out
}

func (b *bench) join(name string) store.Member {
	b.Helper()
	m, err := b.st.Join(b.Context(), name, time.Hour)
	if err == nil {
		_, err = m.Acquire(b.Context(), store.AllShards())
	}
	b.check(err)
	return m
}

func (b *bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) exec(query string, args ...any) {
	b.Helper()
	_, err := b.pool.Exec(b.Context(), query, args...)
	b.check(err)
}

// usage is what the server has used up.
type usage struct {
	cpu  time.Duration
	wal  int64 // bytes
	wall time.Time
}

func (b *bench) usage() (u usage) {
	b.Helper()
	var err error
	if u.cpu, err = b.server.CPU(); err != nil {
		b.Skip("the processor time of the server is not known: ", err)
	}
	b.check(b.pool.QueryRow(b.Context(), `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`).Scan(&u.wal))
	u.wall = time.Now()
	return u
}

// report says what n events have cost since.
func (b *bench) report(since usage, n int, prefix string) {
	b.Helper()
	now := b.usage()
	b.ReportMetric(float64((now.cpu-since.cpu).Nanoseconds())/1000/float64(n), prefix+"pg-us/event")
	b.ReportMetric(float64(now.wal-since.wal)/float64(n), prefix+"wal-B/event")
	b.ReportMetric(float64(n)/now.wall.Sub(since.wall).Seconds(), prefix+"events/s")
	b.ReportMetric(0, "ns/op")
}

// each gives the time, and the processor time of the server, that one of n has taken.
func (b *bench) each(since usage, n int) (wall, cpu float64) {
	b.Helper()
	now := b.usage()
	return now.wall.Sub(since.wall).Seconds() / float64(n), (now.cpu - since.cpu).Seconds() / float64(n)
}

// commit commits n events of a source; every so many have one key.
func (b *bench) commit(source string, n, keys int) {
	b.Helper()
	st := b.states[source]
	if st == nil {
		st = &poller.State{}
		b.states[source] = st
	}
	hasher := differ.NewHasher(b.st.Seed())
	c := poller.Commit{Source: source, Expect: st.Version, State: *st}
	first := st.Sequence
	c.State.Sequence += int64(n)
	c.Writes = func(yield func(poller.Write, error) bool) {
		for i := range n {
			sequence := first + 1 + int64(i)
			key := "key-" + strconv.FormatInt(sequence%int64(keys), 10)
			body := fmt.Appendf(nil, `{"id":%q,"text":"%0*d"}`, key, benchBody-40, sequence*7919)
			w := poller.Write{Known: poller.Known{Hash: hasher.Key([]byte(key)), Print: differ.Print{Raw: uint64(sequence)}}, Key: key, Body: body}
			w.Event = &poller.Event{
				ID: fmt.Sprintf("evt_%s_%020d", source, sequence), Source: source, Sequence: sequence, Type: "bench.updated",
				Change: differ.Updated, Key: key, At: time.Now(), Body: body, To: []poller.Copy{{Webhook: "app"}},
			}
			if !yield(w, nil) {
				return
			}
		}
	}
	done, err := b.m.Commit(b.Context(), c)
	if err != nil {
		b.Error(err)
		return
	}
	st.Version, st.Sequence = done.Version, c.State.Sequence
}

// sourceNames gives names whose shards differ.
func sourceNames(n int) []string {
	seen := map[int]bool{}
	var list []string
	for i := 0; len(list) < n; i++ {
		name := fmt.Sprintf("source-%d", i)
		if shard := store.ShardOf(name); !seen[shard] {
			seen[shard] = true
			list = append(list, name)
		}
	}
	return list
}

func receiptsOf(list []emitter.Delivery) []emitter.Receipt {
	out := make([]emitter.Receipt, len(list))
	for i := range list {
		out[i] = emitter.Receipt{Ref: list[i].Ref, Attempt: emitter.Attempt{Number: 1, At: time.Now(), Took: time.Millisecond, Status: 204, Trigger: "initial"}}
	}
	return out
}

// BenchmarkPostgresCommit is what polls cost that find 1 to 1,000 changes, on eight connections, and what to acknowledge their events costs,
// some hundred at a time as the dispatcher does.
func BenchmarkPostgresCommit(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("changes-%d", n), func(b *testing.B) {
			s, sources := newBench(b), sourceNames(8)
			total := min(max(200*n, 2000), 50_000)
			for _, source := range sources {
				s.commit(source, 1000, 1000) // records that are there already
			}
			s.exec(`CHECKPOINT`)
			b.ResetTimer()
			for b.Loop() {
				begun := s.usage()
				var wg sync.WaitGroup
				for _, source := range sources {
					wg.Go(func() {
						for range total / n / len(sources) {
							s.commit(source, n, 1000)
						}
					})
				}
				wg.Wait()
				s.report(begun, total/n/len(sources)*len(sources)*n, "")
				begun = s.usage()
				s.report(begun, s.acknowledgeAll(sources, 300), "ack-")
			}
		})
	}
}

// acknowledgeAll drains the lanes, one after the other.
func (b *bench) acknowledgeAll(sources []string, window int) (n int) {
	b.Helper()
	for _, source := range sources {
		n += b.drain(source, window)
	}
	return n
}

// drain reads and acknowledges the lane of a source to its end.
func (b *bench) drain(source string, window int) (n int) {
	b.Helper()
	lane := emitter.Lane{Shard: store.ShardOf(source), Webhook: "app"}
	for after := int64(0); ; {
		list, err := b.m.Pending(b.Context(), lane, after, window)
		if err != nil {
			b.Error(err)
			return n
		}
		if len(list) == 0 {
			return n
		}
		n, after = n+len(list), list[len(list)-1].Seq
		if err := b.m.Ack(b.Context(), receiptsOf(list)); err != nil {
			b.Error(err)
			return n
		}
	}
}

// BenchmarkPostgresDrain is a backlog that nobody delivers, only reads and acknowledges, in windows of 500. The bound is the design of
// docs/decisions/shard-ownership.md with nothing but what it needs, measured in turns: an event has an id, a key, a type and a body; a
// delivery is a row that its acknowledgement deletes, and nothing is remembered of it.
func BenchmarkPostgresDrain(b *testing.B) {
	for _, workers := range []int{1, 4} {
		b.Run(fmt.Sprintf("workers-%d", workers), func(b *testing.B) {
			s, sources := newBench(b), sourceNames(16)
			n := backlogOf(b) / len(sources)
			for b.Loop() {
				for _, source := range sources {
					for left := n; left > 0; left -= 1000 {
						s.commit(source, min(left, 1000), 1000)
					}
				}
				s.bare(n * len(sources))
				s.exec(`CHECKPOINT`)
				s.exec(`VACUUM ANALYZE`)
				begun := s.usage()
				drained := s.concurrently(workers, sources, func(source string) int { return s.drain(source, 500) })
				s.report(begun, drained, "")
				ours, cpu := s.each(begun, drained)
				s.exec(`CHECKPOINT`)
				begun = s.usage()
				drained = s.concurrently(workers, sources, s.drainBare)
				s.report(begun, drained, "bound-")
				bound, boundCPU := s.each(begun, drained)
				b.ReportMetric(bound/ours, "x/bound")
				b.ReportMetric(boundCPU/cpu, "x/bound-cpu")
			}
		})
	}
}

func (b *bench) concurrently(workers int, sources []string, do func(source string) int) (n int) {
	b.Helper()
	queue := make(chan string, len(sources))
	for _, source := range sources {
		queue <- source
	}
	close(queue)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for source := range queue {
				done := do(source)
				mu.Lock()
				n += done
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return n
}

const (
	bareSQL = `CREATE TABLE IF NOT EXISTS bare_event (seq bigint PRIMARY KEY, at timestamptz NOT NULL, source bigint NOT NULL, version bigint NOT NULL,
			event_id text NOT NULL, key text NOT NULL, type text NOT NULL, body bytea NOT NULL);
		CREATE TABLE IF NOT EXISTS bare_delivery (shard int, endpoint int, seq bigint, at timestamptz, attempt smallint DEFAULT 0, next_at timestamptz, last_error text,
			PRIMARY KEY (shard, endpoint, seq)) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
		TRUNCATE bare_event, bare_delivery`
	bareFillSQL    = `INSERT INTO bare_event SELECT n, now(), n % 16, n, 'evt_' || lpad(n::text, 26, '0'), 'key-' || n % 1000, 'bench.updated', convert_to(rpad(n::text, $2, 'x'), 'UTF8') FROM generate_series(1, $1) n`
	bareQueueSQL   = `INSERT INTO bare_delivery(shard, endpoint, seq, at) SELECT n % 16, 1, n, now() FROM generate_series(1, $1) n`
	barePendingSQL = `SELECT d.seq, d.attempt, d.next_at, e.event_id, e.key, e.type, e.body, e.version FROM (SELECT * FROM bare_delivery
		WHERE shard = $1 AND endpoint = 1 AND seq > $2 ORDER BY seq LIMIT $3) d JOIN bare_event e ON e.seq = d.seq ORDER BY d.seq`
	bareAckSQL = `DELETE FROM bare_delivery WHERE ctid = ANY(ARRAY(SELECT x.c FROM unnest($1::int[], $2::bigint[]) u(shard, seq) CROSS JOIN LATERAL
		(SELECT ctid c FROM bare_delivery t WHERE t.shard = u.shard AND t.endpoint = 1 AND t.seq = u.seq LIMIT 1) x))`
)

// bare fills the tables of the bound.
func (b *bench) bare(n int) {
	b.Helper()
	b.exec(bareSQL, pgx.QueryExecModeSimpleProtocol)
	b.exec(bareFillSQL, n, benchBody)
	b.exec(bareQueueSQL, n)
}

func (b *bench) drainBare(source string) (n int) {
	shard := 0
	for i, name := range sourceNames(16) {
		if name == source {
			shard = i
		}
	}
	for after := int64(0); ; {
		seqs, err := b.bareWindow(b.Context(), shard, after)
		if err != nil {
			b.Error(err)
		}
		if err != nil || len(seqs) == 0 {
			return n
		}
		n, after = n+len(seqs), seqs[len(seqs)-1]
		shards := make([]int, len(seqs))
		for i := range shards {
			shards[i] = shard
		}
		if _, err := b.pool.Exec(b.Context(), bareAckSQL, shards, seqs); err != nil {
			b.Error(err)
			return n
		}
	}
}

func (b *bench) bareWindow(ctx context.Context, shard int, after int64) (seqs []int64, err error) {
	rows, err := b.pool.Query(ctx, barePendingSQL, shard, after, 500)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq, version int64
		var attempt int16
		var next *time.Time
		var id, key, kind string
		var body []byte
		if err := rows.Scan(&seq, &attempt, &next, &id, &key, &kind, &body, &version); err != nil {
			return nil, err
		}
		seqs = append(seqs, seq)
	}
	return seqs, rows.Err()
}

// manySourcesSQL makes sources that are as the one is that was committed, each with an event that waits.
const manySourcesSQL = `WITH n AS (INSERT INTO dh_name(text) SELECT unnest($1::text[]) RETURNING id, text),
	t AS MATERIALIZED (SELECT n.id, t.shard, nextval('dh_seq') AS seq FROM n JOIN unnest($1, $2::integer[]) t(name, shard) ON t.name = n.text),
	s AS (INSERT INTO dh_source(id, shard, version, sequence, records, book, state)
		SELECT t.id, t.shard, s.version, s.sequence, s.records, nextval('dh_book'), s.state FROM t, dh_source s),
	e AS (INSERT INTO dh_event(seq, id, source, sequence, type, change, key, at, bytes, body)
		SELECT t.seq, 'evt_' || t.seq, t.id, 1, e.type, e.change, e.key, now(), e.bytes, e.body FROM t, dh_event e),
	d AS (INSERT INTO dh_delivery(seq, webhook, shard) SELECT t.seq, d.webhook, t.shard FROM t, dh_delivery d)
	INSERT INTO dh_queue(shard, webhook, seq, plain) SELECT t.shard, d.webhook, t.seq, true FROM t, dh_delivery d`

func (b *bench) manySources(n int) {
	b.Helper()
	b.commit("source-0", 1, 1)
	var names []string
	var shards []int
	for i := 1; i < n; i++ {
		names = append(names, fmt.Sprintf("source-%d", i))
		shards = append(shards, store.ShardOf(names[i-1]))
	}
	b.exec(manySourcesSQL, names, shards)
	b.exec(`VACUUM ANALYZE`)
}

// BenchmarkPostgresTakeOver is what it costs to take over all shards of one that died, and to read what 10,000 sources need to go on, while
// a backlog waits.
func BenchmarkPostgresTakeOver(b *testing.B) {
	const sources = 10_000
	s := newBench(b)
	s.manySources(sources)
	var took time.Duration
	b.ResetTimer()
	n := 0
	begun := s.usage()
	for b.Loop() {
		n++
		s.exec(`UPDATE dh_member SET expires_at = clock_timestamp()`)
		start := time.Now()
		m := s.join(fmt.Sprintf("next-%d", n))
		lanes, err := m.Lanes(b.Context())
		s.check(err)
		if len(lanes) != store.Shards {
			b.Fatalf("%d lanes", len(lanes))
		}
		rows, err := s.st.Sources(b.Context())
		if err != nil || len(rows) != sources {
			b.Fatal(len(rows), err)
		}
		for _, lane := range lanes {
			if _, err := m.Pending(b.Context(), lane, 0, 500); err != nil {
				b.Fatal(err)
			}
		}
		took += time.Since(start)
	}
	now := s.usage()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took.Milliseconds())/float64(n), "ms/take-over")
	b.ReportMetric(float64(took.Microseconds())/float64(n*sources), "us/source")
	b.ReportMetric(float64((now.cpu-begun.cpu).Microseconds())/float64(n*sources), "pg-us/source")
}
