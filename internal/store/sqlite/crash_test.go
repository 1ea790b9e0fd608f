package sqlite_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/poller"
)

// crashStore names the store for the process that is going to be killed.
const crashStore = "DELTAHOOK_TEST_CRASH_STORE"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashStore); path != "" {
		fmt.Println("failed:", commitForEver(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// eventsOf is how many events the commit that makes a version has, so that a version tells what must be there.
func eventsOf(version int64) int { return int(version*7%23) + 1 }

func crashLane() emitter.Lane {
	return emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}
}

// commitForEver commits and acknowledges, and says each time what is done: "C version" and "A seq". A third of what is
// pending stays so.
func commitForEver(path string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, sqlite.Options{Path: path})
	if err != nil {
		return err
	}
	m, err := s.Join(ctx, "child", time.Hour)
	if err != nil {
		return err
	}
	if _, err := m.Acquire(ctx, store.AllShards()); err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		st, err := m.Load(ctx, "contacts")
		if err != nil {
			return err
		}
		done, err := m.Commit(ctx, change(s, st, eventsOf(st.Version+1), `{"id":1}`))
		if err != nil {
			return err
		}
		fmt.Printf("C %d\n", done.Version)
		acked, err := ackSome(ctx, m, st.Version)
		if err != nil {
			return err
		}
		for _, seq := range acked {
			fmt.Printf("A %d\n", seq)
		}
		if _, err := s.Housekeep(ctx, store.Retention{}); err != nil {
			return err
		}
	}
}

// ackSome acknowledges some deliveries and gives which.
func ackSome(ctx context.Context, m store.Member, turn int64) ([]int64, error) {
	list, err := m.Pending(ctx, crashLane(), 0, 40)
	if err != nil {
		return nil, err
	}
	var receipts []emitter.Receipt
	for _, d := range list {
		if (d.Seq+turn)%3 != 0 {
			receipts = append(receipts, emitter.Receipt{Ref: d.Ref, Attempt: emitter.Attempt{Number: 1, Status: 204}})
		}
	}
	if err := m.Ack(ctx, receipts); err != nil {
		return nil, err
	}
	seqs := make([]int64, len(receipts))
	for i, r := range receipts {
		seqs[i] = r.Seq
	}
	return seqs, nil
}

// killed runs commitForEver in a process of its own, kills it at some moment after some commits and gives the last
// confirmed version and what was acknowledged.
func killed(t *testing.T, path string) (version int64, acked []int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashStore+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	left := 1 + rand.IntN(12)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var n int64
		switch line := lines.Text(); {
		case line == "ready":
		case scanned(line, "C %d", &n):
			if version, left = n, left-1; left == 0 {
				time.AfterFunc(time.Duration(rand.IntN(8000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			}
		case scanned(line, "A %d", &n):
			acked = append(acked, n)
		default:
			t.Errorf("the process says %q", line)
		}
	}
	_ = cmd.Wait() // it was killed
	return version, acked
}

func scanned(line, format string, n *int64) bool {
	_, err := fmt.Sscanf(line, format, n)
	return err == nil
}

func TestWhatWasConfirmedSurvivesSIGKILL(t *testing.T) {
	path := newPath(t)
	settled := map[int64]bool{}
	last := int64(0)
	for round := range 20 {
		version, acked := killed(t, path)
		for _, seq := range acked {
			settled[seq] = true
		}
		last = max(last, version)
		last = checkAfterCrash(t, path, last, settled)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d commits, %d acknowledgements", last, len(settled))
}

// checkAfterCrash opens the store and compares it with what was confirmed. It gives the version that is there.
func checkAfterCrash(t *testing.T, path string, confirmed int64, settled map[int64]bool) int64 {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	m := mustOwn(t, s)
	st, err := m.Load(t.Context(), "contacts")
	if err != nil {
		t.Fatal(err)
	}
	if st.Version < confirmed || st.Version > confirmed+1 {
		t.Errorf("version %d, confirmed was %d", st.Version, confirmed)
	}
	want := int64(0)
	for v := int64(1); v <= st.Version; v++ {
		want += int64(eventsOf(v))
	}
	known := int64(0)
	if err := m.Prints(t.Context(), "contacts", func(poller.Known) bool { known++; return true }); err != nil {
		t.Fatal(err)
	}
	if st.Sequence != want || st.Records != want || known != want {
		t.Errorf("version %d has sequence %d, %d records, %d known; want %d of each", st.Version, st.Sequence, st.Records, known, want)
	}
	checkEvents(t, s, want)
	checkPending(t, m, want, settled)
	return st.Version
}

// checkEvents wants one event for each sequence.
func checkEvents(t *testing.T, s *sqlite.Store, want int64) {
	t.Helper()
	events, err := s.Events(t.Context(), store.EventQuery{Limit: 1 << 20})
	if err != nil || int64(len(events)) != want {
		t.Fatalf("%d events, want %d, %v", len(events), want, err)
	}
	for i, e := range events {
		if e.Sequence != want-int64(i) || e.ID != fmt.Sprintf("evt_%d", e.Sequence) {
			t.Fatalf("event %+v in place %d of %d", e, i, want)
		}
	}
	for _, e := range events[:min(len(events), 30)] {
		if whole, err := s.Event(t.Context(), e.ID); err != nil || string(whole.Body) != `{"id":1}` {
			t.Fatalf("event %s: %q, %v", e.ID, whole.Body, err)
		}
	}
}

// checkPending wants each event pending or settled, and nothing pending that was confirmed as acknowledged. What is settled
// without a confirmation is noted.
func checkPending(t *testing.T, m store.Member, want int64, settled map[int64]bool) {
	t.Helper()
	list, err := m.Pending(t.Context(), crashLane(), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	pending := map[int64]bool{}
	for _, d := range list {
		pending[d.Seq] = true
	}
	unheard := 0
	for seq := int64(1); seq <= want; seq++ {
		switch {
		case pending[seq] && settled[seq]:
			t.Errorf("delivery %d was acknowledged and is pending", seq)
		case !pending[seq] && !settled[seq]:
			settled[seq] = true
			unheard++
		}
	}
	if unheard > 40 { // one batch may be stored and not confirmed
		t.Errorf("%d deliveries are not pending and were never acknowledged", unheard)
	}
	if int64(len(settled)+len(pending)) != want {
		t.Errorf("of %d deliveries %d are pending and %d settled", want, len(pending), len(settled))
	}
}
