package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// turnover commits n events of 4 KiB, acknowledges them all and lets retention delete them. It gives the size of the file
// before and after.
func turnover(t *testing.T, s *Store, m store.Member, n int) (full, swept int64) {
	t.Helper()
	st, err := m.Load(t.Context(), "contacts")
	if err != nil {
		t.Fatal(err)
	}
	c := poller.Commit{Source: "contacts", Expect: st.Version, State: st}
	first := st.Sequence
	c.State.Sequence += int64(n)
	hash := differ.NewHasher(s.Seed()).Key([]byte("k"))
	c.Writes = func(yield func(poller.Write, error) bool) {
		for i := range int64(n) {
			w := poller.Write{Known: poller.Known{Hash: hash}, Key: "k", Body: []byte("{}")}
			w.Event = &poller.Event{
				ID: fmt.Sprintf("evt_%d", first+1+i), Source: "contacts", Sequence: first + 1 + i, Type: "contacts.updated", Key: "k",
				Change: differ.Updated, At: time.Now(), Body: fmt.Appendf(nil, "%04096d", i), To: []poller.Copy{{Webhook: "app"}},
			}
			if !yield(w, nil) {
				return
			}
		}
	}
	if _, err := m.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	list, err := m.Pending(t.Context(), emitter.Lane{Shard: store.ShardOf("contacts"), Webhook: "app"}, 0, n)
	if err != nil {
		t.Fatal(err)
	}
	receipts := make([]emitter.Receipt, len(list))
	for i, d := range list {
		receipts[i] = emitter.Receipt{Ref: d.Ref, Attempt: emitter.Attempt{Number: 1, At: time.Now(), Status: 200}}
	}
	if err := m.Ack(t.Context(), receipts); err != nil {
		t.Fatal(err)
	}
	full = fileSize(t, s)
	for more := true; more; {
		swept, err := s.Housekeep(t.Context(), store.Retention{EventsBefore: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		more = swept.More
	}
	return full, fileSize(t, s)
}

// fileSize gives the size of the database file with everything in it.
func fileSize(t *testing.T, s *Store) int64 {
	t.Helper()
	s.run(t, "PRAGMA wal_checkpoint(TRUNCATE)")
	info, err := os.Stat(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestTheFileShrinksWhenRetentionHasDeletedMuchAndDoesNotGrowForEver(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "x.db"))
	m, err := s.Join(t.Context(), "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Acquire(t.Context(), store.AllShards()); err != nil {
		t.Fatal(err)
	}
	first, after := turnover(t, s, m, 4500)
	if after > first/2 {
		t.Errorf("the file had %d bytes and has %d although all events are gone", first, after)
	}
	if again, _ := turnover(t, s, m, 4500); again > first*5/4 {
		t.Errorf("the same number of events took %d bytes at first and then %d", first, again)
	}
	if verdict := s.integrity(t); verdict != "ok" {
		t.Error(verdict)
	}
}

func (s *Store) integrity(t *testing.T) (verdict string) {
	t.Helper()
	err := s.read(t.Context(), func(q querier) error {
		return q.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&verdict)
	})
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}
