package poller

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// TestP7AReplicaConvergesWithACursor plays random histories: rows that become visible late, within the overlap, rows that
// vanish or become tombstones, pages that fail, a store that fails, restarts, and whole listings now and then. A receiver
// that applies the events holds what upstream holds once all is quiet.
func TestP7AReplicaConvergesWithACursor(t *testing.T) {
	histories := 40
	if testing.Short() {
		histories = 8
	}
	for seed := range uint64(histories) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			tombstones, windows := seed%2 == 0, seed%3 == 0
			r, api := follow(t, func(s *Source) {
				s.Initial, s.Guard.MinDeletes, s.Guard.Empty = "emit", 1000, "allow"
				s.Cursor.Overlap, s.Cursor.FullScan = setting.Duration(10*time.Minute), "6h"
				s.Pages.Kind, s.Deletes.Detect, s.Deletes.Confirm = "page", "scan", 1+int(seed%2)
				if windows {
					s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "3d", setting.Duration(2*time.Hour), "until"
				}
				if tombstones {
					s.Deletes.Detect, s.Deletes.Flag = "flag", condition("deleted")
				}
			})
			api.size, api.newest = 2+rng.IntN(5), seed%5 == 0
			faulty := true
			api.fault = func(w http.ResponseWriter, _ *http.Request) bool {
				if faulty && rng.IntN(8) == 0 {
					w.WriteHeader(http.StatusBadGateway)
					return true
				}
				return false
			}
			change := func() {
				id := strconv.Itoa(rng.IntN(40))
				at := r.now.Add(-time.Duration(rng.IntN(9*60)) * time.Second) // visible so much later than it says
				switch {
				case rng.IntN(4) > 0:
					api.put(id, at, fmt.Sprintf(`,"n":%d`, rng.IntN(5)))
				case tombstones:
					api.put(id, at, `,"deleted":true`)
				default:
					delete(api.rows, id)
				}
			}
			for range 60 {
				for range rng.IntN(5) {
					change()
				}
				switch rng.IntN(12) {
				case 0:
					r.ledger.before = func(Commit) error { return errors.New("disk full") }
				case 1:
					r.ledger.after = func(Commit) error { return errors.New("connection lost") }
				case 2:
					r.restart()
				case 3:
					r.now = r.now.Add(time.Duration(rng.IntN(5)) * time.Hour)
				}
				r.poll()
				r.ledger.before, r.ledger.after = nil, nil
			}
			faulty = false
			for range 3 {
				r.catchUp()
				r.now = r.now.Add(6 * time.Hour)
			}
			received := &replica{records: map[string]string{}}
			if err := received.apply(r.ledger.sources["contacts"].Events); err != nil {
				t.Fatal(err)
			}
			upstream := map[string]string{}
			for id, row := range api.rows {
				if row.more != `,"deleted":true` {
					upstream[id] = fmt.Sprintf(`{"id":%q,"at":%q%s}`, id, row.at.UTC().Format(time.RFC3339Nano), row.more)
				}
			}
			if !sameRecords(r.poller, received.records, upstream) {
				t.Errorf("the replica has\n%v\nupstream has\n%v", received.records, upstream)
			}
		})
	}
}
