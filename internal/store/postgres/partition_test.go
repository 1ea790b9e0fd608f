package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/postgres"
	"github.com/deltahook/deltahook/poller"
)

const day = 24 * time.Hour

// openOwn opens a store in a database that no other test gets: its partitions stay what they are.
func openOwn(t *testing.T) (*postgres.Store, *database) {
	t.Helper()
	needServer(t)
	name, err := server.Create(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	db := &database{name: name, start: time.Now()}
	s, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(name), Now: db.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, db
}

// asked gives the first column of a query in a database.
func asked[T any](t *testing.T, db *database, query string, args ...any) []T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL(db.name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// holding gives the partitions that have events, oldest first.
func holding(t *testing.T, db *database) []string {
	t.Helper()
	return asked[string](t, db, `SELECT tableoid::regclass::text FROM dh_event GROUP BY 1 ORDER BY min(seq)`)
}

// keepHouse deletes what is older than so long.
func keepHouse(t *testing.T, s *postgres.Store, db *database, keep time.Duration) {
	t.Helper()
	const most = 1000
	for range most {
		swept, err := s.Housekeep(t.Context(), store.Retention{EventsBefore: db.now().Add(-keep)})
		if err != nil {
			t.Fatal(err)
		}
		if !swept.More {
			return
		}
	}
	t.Fatal("housekeeping does not come to an end")
}

// aDay commits an event, acknowledged or not, and lets a day go by.
func aDay(t *testing.T, s *postgres.Store, db *database, m store.Member, sequence int64, settled bool) {
	t.Helper()
	c := change(s, sequence)
	writes := c.Writes
	c.Writes = func(yield func(poller.Write, error) bool) {
		writes(func(w poller.Write, err error) bool {
			w.Event.At = db.now()
			return yield(w, err)
		})
	}
	if _, err := m.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	list, err := m.Pending(t.Context(), emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}, 0, 100)
	if err != nil || len(list) == 0 {
		t.Fatalf("%v, %v", list, err)
	}
	if last := list[len(list)-1]; settled {
		if err := m.Ack(t.Context(), []emitter.Receipt{{Ref: last.Ref, Attempt: emitter.Attempt{Number: 1, At: db.now(), Status: 204}}}); err != nil {
			t.Fatal(err)
		}
	}
	db.ahead.Add(int64(day)) // leases go by the clock of the server
	keepHouse(t, s, db, 3*day+time.Hour)
}

func sequences(t *testing.T, s *postgres.Store) (list []int64) {
	t.Helper()
	events, err := s.Events(t.Context(), store.EventQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range slices.Backward(events) {
		list = append(list, e.Sequence)
	}
	return list
}

// patient is a member that does not expire in a test.
func patient(t *testing.T, s *postgres.Store) store.Member {
	t.Helper()
	m, err := s.Join(t.Context(), "patient", time.Hour)
	if err == nil {
		_, err = m.Acquire(t.Context(), store.AllShards())
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestADayOfEventsGoesAsAWholeOnceAllOfItIsOldAndSettled(t *testing.T) {
	s, db := openOwn(t)
	m := patient(t, s)
	keepHouse(t, s, db, 3*day+time.Hour)
	var days []string
	for n := range int64(9) {
		aDay(t, s, db, m, n+1, n != 2)
		days = append(days, holding(t, db)...)
	}
	slices.Sort(days)
	if days = slices.Compact(days); len(days) != 9 {
		t.Errorf("9 days were in %d partitions: %v", len(days), days)
	}
	// The third one is pending: it stays, and keeps its day. The others went with their tables.
	if got := sequences(t, s); !slices.Equal(got, []int64{3, 7, 8, 9}) {
		t.Errorf("events %v are left", got)
	}
	if left := holding(t, db); len(left) != 4 {
		t.Errorf("they are in %v", left)
	}
	if tables := asked[string](t, db, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'dh\_event\_%'`); len(tables) != 4+1+3 { // today, and the days ahead
		t.Errorf("tables %v", tables)
	}
	if refs := asked[int64](t, db, `SELECT count(*) FROM dh_delivery`); refs[0] != 4 {
		t.Errorf("%d deliveries are left", refs[0])
	}
	list, err := m.Pending(t.Context(), emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}, 0, 100)
	if err != nil || len(list) != 1 || list[0].Sequence != 3 || string(list[0].Body) != "{}" {
		t.Fatalf("pending %+v, %v", list, err)
	}
	if err := m.Ack(t.Context(), []emitter.Receipt{{Ref: list[0].Ref, Attempt: emitter.Attempt{Number: 1, At: db.now(), Status: 204}}}); err != nil {
		t.Fatal(err)
	}
	keepHouse(t, s, db, 3*day+time.Hour)
	if got := sequences(t, s); !slices.Equal(got, []int64{7, 8, 9}) {
		t.Errorf("events %v are left", got)
	}
	swept, err := s.Housekeep(t.Context(), store.Retention{})
	if young := 3 * (512 + int64(len("{}"))); err != nil || swept.Used > 2*young+1<<17 || swept.Used < young {
		t.Errorf("%d bytes are in use, %v", swept.Used, err)
	}
}

// Events are written into the day before until somebody begins the new one.
func TestEventsNeedNobodyToBeginTheDay(t *testing.T) {
	s, db := openOwn(t)
	m := patient(t, s)
	keepHouse(t, s, db, 3*day+time.Hour)
	for n := range int64(4) {
		if _, err := m.Commit(t.Context(), change(s, n+1)); err != nil {
			t.Fatal(err)
		}
		db.ahead.Add(int64(10 * day))
	}
	if in := holding(t, db); len(in) != 1 {
		t.Errorf("%v", in)
	}
	db.ahead.Store(0) // a clock that was wrong is right again
	keepHouse(t, s, db, 3*day+time.Hour)
	if _, err := m.Commit(t.Context(), change(s, 5)); err != nil {
		t.Fatal(err)
	}
	if got := sequences(t, s); !slices.Equal(got, []int64{1, 2, 3, 4, 5}) {
		t.Errorf("%v", got)
	}
}

// The gap between the look and the drop: whoever writes to the partition, or asks for one of its events again, in between.
func TestAPartitionThatIsNeededAfterAllIsPutBack(t *testing.T) {
	for name, meanwhile := range map[string]string{
		"a delivery": `WITH d AS (INSERT INTO dh_delivery(seq, webhook, shard) SELECT min(seq), 1, 7 FROM dh_event RETURNING shard, webhook, seq)
			INSERT INTO dh_queue(shard, webhook, seq) SELECT * FROM d`,
		"an event": `UPDATE dh_event SET at = now() + interval '1 year' WHERE seq = (SELECT min(seq) FROM dh_event)`,
	} {
		t.Run(name, func(t *testing.T) {
			s, db := openOwn(t)
			m := patient(t, s)
			keepHouse(t, s, db, 30*day)
			aDay(t, s, db, m, 1, true)
			oldest := holding(t, db)[0]
			if err := server.Do(t.Context(), db.name, `DELETE FROM dh_delivery`); err != nil {
				t.Fatal(err)
			}
			if err := server.Do(t.Context(), db.name, `ALTER TABLE dh_event DETACH PARTITION `+oldest+` CONCURRENTLY`); err != nil {
				t.Fatal(err)
			}
			// As it would be, had the one who detached it died, and somebody been under way.
			if err := server.Do(t.Context(), db.name, strings.ReplaceAll(meanwhile, "dh_event", oldest)); err != nil {
				t.Fatal(err)
			}
			again, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(db.name), Now: db.now})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = again.Close() }()
			keepHouse(t, again, db, 0)
			if in := holding(t, db); len(in) == 0 || in[0] != oldest {
				t.Errorf("the events are in %v, not in %s any more", in, oldest)
			}
		})
	}
}

func TestAPartitionThatSomebodyLeftDetachedGoes(t *testing.T) {
	s, db := openOwn(t)
	m := patient(t, s)
	keepHouse(t, s, db, 30*day)
	aDay(t, s, db, m, 1, true)
	oldest := holding(t, db)[0]
	for _, query := range []string{`DELETE FROM dh_delivery`, `ALTER TABLE dh_event DETACH PARTITION ` + oldest + ` CONCURRENTLY`} {
		if err := server.Do(t.Context(), db.name, query); err != nil {
			t.Fatal(err)
		}
	}
	again, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(db.name), Now: db.now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	keepHouse(t, again, db, 0)
	if there := asked[bool](t, db, `SELECT to_regclass($1) IS NOT NULL`, oldest); there[0] {
		t.Errorf("%s is still there", oldest)
	}
}

// before has what a program wrote that knew the first schema: five events, of which one waits, one waits in a batch, one is parked and
// two are delivered.
const beforeSQL = `INSERT INTO dh_name(text) VALUES ('contacts'), ('app');
	INSERT INTO dh_source(id, shard, version, sequence) VALUES (1, %[1]d, 5, 5);
	INSERT INTO dh_event(seq, id, source, sequence, type, change, key, at, bytes, body)
		SELECT nextval('dh_seq'), 'evt_' || n, 1, n, 'contacts.updated', 1, 'ann', now(), 400, 'body' FROM generate_series(1, 5) n;
	INSERT INTO dh_delivery(seq, webhook, shard, state, batch, reason) VALUES
		(1, 2, %[1]d, 1, '', ''), (2, 2, %[1]d, 2, '', 'refused'), (3, 2, %[1]d, 1, 'b1', ''), (4, 2, %[1]d, 0, 'b2', ''), (5, 2, %[1]d, 0, '', '')`

func TestEventsAndQueuesOfBeforeAreKept(t *testing.T) {
	needServer(t)
	name, err := server.Create(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	db := &database{name: name, start: time.Now()}
	old, err := postgres.OpenAs(t.Context(), postgres.Options{URL: server.URL(name), Now: db.now}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	conn, err := pgx.Connect(t.Context(), server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	shard := store.ShardOf("contacts")
	if _, err := conn.Exec(t.Context(), fmt.Sprintf(beforeSQL, shard), pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	before := asked[string](t, db, `SELECT e::text FROM dh_event e ORDER BY seq`)
	s, err := postgres.Open(t.Context(), postgres.Options{URL: server.URL(name), Now: db.now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if after := asked[string](t, db, `SELECT e::text FROM dh_event e ORDER BY seq`); len(before) != 5 || !slices.Equal(before, after) {
		t.Errorf("before %v\nafter %v", before, after)
	}
	queueFits(t, name)
	m, lane := patient(t, s), emitter.Lane{Shard: shard, Webhook: "app"}
	list, err := m.Pending(t.Context(), lane, 0, 100)
	if err != nil || len(list) != 2 || list[0].Seq != 4 || list[0].Batch != "b2" || list[1].Seq != 5 {
		t.Errorf("pending %+v, %v", list, err)
	}
	if batches, err := m.Batches(t.Context(), lane); err != nil || !slices.Equal(batches, []string{"b2"}) {
		t.Errorf("batches %v, %v", batches, err)
	}
	if queues, err := s.Queues(t.Context()); err != nil || len(queues) != 1 || queues[0].Pending != 2 || queues[0].Parked != 1 {
		t.Errorf("queues %+v, %v", queues, err)
	}
	if _, err := m.Commit(t.Context(), change(s, 6)); err != nil {
		t.Fatal(err)
	}
	keepHouse(t, s, db, 3*day+time.Hour)
	if got := sequences(t, s); !slices.Equal(got, []int64{1, 2, 3, 4, 5, 6}) {
		t.Errorf("%v", got)
	}
	if _, err := conn.Exec(t.Context(), `INSERT INTO dh_delivery(seq, webhook, shard, reason) VALUES (7, 2, 1, '')`); err == nil {
		t.Error("a program of before can queue what nobody would find")
	}
}

// The hot statements touch one partition, however many there are.
func TestHotStatementsLookIntoOnePartition(t *testing.T) {
	s, db := openOwn(t)
	m := patient(t, s)
	for n := range int64(6) {
		aDay(t, s, db, m, n+1, false)
	}
	last := asked[int64](t, db, `SELECT max(seq) FROM dh_event`)[0]
	for name, query := range map[string]string{
		"pending": fmt.Sprintf(`SELECT e.id FROM (SELECT * FROM dh_queue WHERE shard = 1 AND webhook = 1 AND seq >= %d ORDER BY seq LIMIT 10) d
			CROSS JOIN LATERAL (SELECT id FROM dh_event e WHERE e.seq = d.seq LIMIT 1) e`, last),
		"one": fmt.Sprintf(`SELECT body FROM dh_event WHERE seq = %d`, last),
	} {
		plan := asked[string](t, db, `EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) `+query)
		read := 0
		for _, line := range plan {
			if strings.Contains(line, "dh_event_d") && !strings.Contains(line, "never executed") {
				read++
			}
		}
		if read > 1 {
			t.Errorf("%s reads %d partitions:\n%s", name, read, strings.Join(plan, "\n"))
		}
	}
}

func TestReportsTakeThePlaceOfThoseBefore(t *testing.T) {
	s, _ := open(t)
	list, err := s.Reports(t.Context(), time.Time{})
	if err != nil || len(list) != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	put := func(by string, reports ...store.Report) {
		t.Helper()
		if err := s.Report(t.Context(), by, reports); err != nil {
			t.Fatal(err)
		}
	}
	put("a#1", store.Report{Part: "shard/002", Body: []byte("two")}, store.Report{Part: "shard/001", Body: []byte("one")})
	list, err = s.Reports(t.Context(), time.Time{})
	if err != nil || len(list) != 2 || list[0].By != "a#1" || list[0].At.IsZero() {
		t.Fatalf("%+v, %v", list, err)
	}
	after := list[1].At
	put("b#1", store.Report{Part: "shard/001", Body: []byte("another\x00")})
	list, err = s.Reports(t.Context(), after)
	if err != nil || len(list) != 1 || list[0].By != "b#1" || list[0].Part != "shard/001" || !strings.HasPrefix(string(list[0].Body), "another") {
		t.Fatalf("%+v, %v", list, err)
	}
	put("b#1") // nothing
}

// many commits n events of contacts with one key each and acknowledges them.
func many(t *testing.T, s *postgres.Store, db *database, m store.Member, st *poller.State, n int) {
	t.Helper()
	c := poller.Commit{Source: "contacts", Expect: st.Version, State: *st}
	first := st.Sequence
	c.State.Sequence += int64(n)
	c.Writes = func(yield func(poller.Write, error) bool) {
		for i := range int64(n) {
			key := fmt.Sprintf("key-%d", i)
			e := &poller.Event{
				ID: fmt.Sprintf("evt_%09d", first+1+i), Source: "contacts", Sequence: first + 1 + i, Type: "contacts.updated", Change: differ.Updated,
				Key: key, At: db.now(), Body: []byte(strings.Repeat("x", 500)), To: []poller.Copy{{Webhook: "app"}},
			}
			if !yield(poller.Write{Known: poller.Known{Hash: differ.NewHasher(s.Seed()).Key([]byte(key))}, Key: key, Body: e.Body, Event: e}, nil) {
				return
			}
		}
	}
	done, err := m.Commit(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	st.Version, st.Sequence = done.Version, c.State.Sequence
	list, err := m.Pending(t.Context(), emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}, 0, n+1)
	if err != nil || len(list) != n {
		t.Fatalf("%d pending, %v", len(list), err)
	}
	receipts := make([]emitter.Receipt, n)
	for i := range list {
		receipts[i] = emitter.Receipt{Ref: list[i].Ref, Attempt: emitter.Attempt{Number: 1, At: db.now(), Status: 204}}
	}
	if err := m.Ack(t.Context(), receipts); err != nil {
		t.Fatal(err)
	}
}

func TestTheTablesDoNotGrowWithTheDays(t *testing.T) {
	s, db := openOwn(t)
	m := patient(t, s)
	keepHouse(t, s, db, 2*day+time.Hour)
	const events = 300
	var st poller.State
	var sizes []int64 // of what is not dropped, and of all partitions
	for range 10 {
		many(t, s, db, m, &st, events)
		db.ahead.Add(int64(day))
		keepHouse(t, s, db, 2*day+time.Hour)
		for _, table := range []string{"dh_delivery", "dh_attempt"} { // as autovacuum would
			if err := server.Do(t.Context(), db.name, `VACUUM `+table); err != nil {
				t.Fatal(err)
			}
		}
		sizes = append(sizes, asked[int64](t, db, `SELECT pg_total_relation_size('dh_delivery') + sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = 'dh_event'::regclass`)...)
	}
	if early, late := sizes[4], sizes[9]; float64(late) > 1.1*float64(early) {
		t.Errorf("%d bytes after five days, %d after ten: %v", early, late, sizes)
	}
	if left := len(asked[int64](t, db, `SELECT seq FROM dh_event`)); left != 2*events {
		t.Errorf("%d events are left of %d a day", left, events)
	}
}

func TestTheWrongClockOfOneMachineDeletesNothingForAll(t *testing.T) {
	s, db := openOwn(t)
	m := patient(t, s)
	aDay(t, s, db, m, 1, true)
	db.ahead.Store(0)
	const wrong = 3650 * day
	other, err := postgres.OpenAhead(t.Context(), postgres.Options{URL: server.URL(db.name)}, wrong)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	before := time.Now().Add(wrong - 14*day)
	if _, err := other.Housekeep(t.Context(), store.Retention{EventsBefore: before, AttemptsBefore: before, RemovedBefore: before}); err != nil {
		t.Fatal(err)
	}
	if got := sequences(t, s); !slices.Equal(got, []int64{1}) {
		t.Errorf("events %v are left of an hour ago", got)
	}
	if last := asked[int64](t, db, `SELECT last_value >> 36 FROM dh_seq`)[0]; last > time.Now().Add(2*day).Unix()/86400 {
		t.Errorf("the numbers of events have gone on to day %d", last)
	}
	before = time.Now().Add(wrong + day)
	if _, err := other.Housekeep(t.Context(), store.Retention{EventsBefore: before}); err != nil {
		t.Fatal(err)
	}
	if got := sequences(t, s); len(got) != 0 {
		t.Errorf("events %v are left that are old", got)
	}
}
