package poller

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

// replica applies events in sequence, as a receiver would.
type replica struct {
	records  map[string]string
	sequence int64
}

func (r *replica) apply(events []*Event) error {
	for _, e := range events {
		if e.Sequence != r.sequence+1 {
			return fmt.Errorf("event %d follows %d", e.Sequence, r.sequence)
		}
		r.sequence = e.Sequence
		var body struct {
			Record   json.RawMessage            `json:"record"`
			Previous map[string]json.RawMessage `json:"previous"`
			Changed  []string                   `json:"changed"`
		}
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return err
		}
		_, known := r.records[e.Key]
		switch {
		case e.Change == differ.Created && known:
			return fmt.Errorf("%s is created twice", e.Key)
		case e.Change != differ.Created && !known:
			return fmt.Errorf("%s is %s and was never created", e.Key, e.Change)
		case e.Change == differ.Updated && len(body.Changed) == 0:
			return fmt.Errorf("%s is updated without a change", e.Key)
		case e.Change == differ.Deleted:
			delete(r.records, e.Key)
		default:
			r.records[e.Key] = string(body.Record)
		}
	}
	return nil
}

// world is an upstream that is changed and breaks at random.
type world struct {
	rng    *rand.Rand
	list   *shelf
	size   int
	faulty atomic.Bool
	moving atomic.Bool // is changed between two pages, too
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), list: newShelf()}
	w.size = 3 + w.rng.IntN(6)
	return w
}

// change makes one random change: insert at the end or before the rest, update, delete.
func (w *world) change() {
	id := strconv.Itoa(w.rng.IntN(60))
	switch w.rng.IntN(5) {
	case 0, 1:
		w.list.put(id, strconv.Itoa(w.rng.IntN(5)))
	case 2:
		w.list.remove(id)
	case 3:
		w.list.mu.Lock()
		if _, ok := w.list.items[id]; !ok {
			w.list.items[id] = fmt.Sprintf(`{"status":"first","id":%q}`, id)
			w.list.order = append([]string{id}, w.list.order...)
		}
		w.list.mu.Unlock()
	case 4:
		w.list.mu.Lock()
		w.rng.Shuffle(len(w.list.order), func(i, j int) { w.list.order[i], w.list.order[j] = w.list.order[j], w.list.order[i] })
		w.list.mu.Unlock()
	}
}

func (w *world) ServeHTTP(out http.ResponseWriter, q *http.Request) {
	if w.moving.Load() && w.rng.IntN(3) == 0 {
		w.change()
	}
	if w.faulty.Load() && w.rng.IntN(6) == 0 {
		switch w.rng.IntN(5) {
		case 0:
			out.WriteHeader(http.StatusBadGateway)
		case 1:
			fmt.Fprint(out, `{"items":[{"id":"1"},{"id":`)
		case 2:
			fmt.Fprint(out, `<html>maintenance</html>`)
		case 3:
			fmt.Fprint(out, `{"items":null,"total":0,"more":false}`)
		case 4:
			panic(http.ErrAbortHandler)
		}
		return
	}
	paged(w.list, w.size, nil)(out, q)
}

// TestT1P7AReplicaConverges plays random histories of an upstream that changes and breaks at random, with a store that fails
// and a process that restarts, and checks that a receiver that applies the events holds what upstream holds once all is quiet.
func TestT1P7AReplicaConverges(t *testing.T) {
	histories := 60
	if testing.Short() {
		histories = 10
	}
	for seed := range uint64(histories) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newWorld(seed)
			kind := pageCases()[seed%6]
			for range 20 {
				w.change()
			}
			r := newRig(t, w.ServeHTTP, func(s *Source) {
				kind.edit(s)
				s.Initial, s.Guard.MinDeletes, s.Guard.Empty = "emit", 1000, "allow"
				s.Deletes.Confirm = 2 + int(seed%2)
			})
			w.live(r, 40)
			quiet(r, w)
			received := &replica{records: map[string]string{}}
			if err := received.apply(r.ledger.sources["contacts"].Events); err != nil {
				t.Fatal(err)
			}
			if !sameRecords(r.poller, received.records, w.list.items) {
				t.Errorf("the replica has\n%v\nupstream has\n%v", received.records, w.list.items)
			}
		})
	}
}

// live lets upstream change and break while it is polled.
func (w *world) live(r *rig, polls int) {
	w.faulty.Store(true)
	w.moving.Store(true)
	for range polls {
		for range w.rng.IntN(4) {
			w.change()
		}
		switch w.rng.IntN(12) {
		case 0:
			r.ledger.before = func(Commit) error { return errors.New("disk full") }
		case 1:
			r.ledger.after = func(Commit) error { return errors.New("connection lost") }
		case 2:
			r.restart()
		}
		r.poll()
		r.ledger.before, r.ledger.after = nil, nil
	}
}

// quiet polls until everything that changed was told.
func quiet(r *rig, w *world) {
	w.faulty.Store(false)
	w.moving.Store(false)
	for range r.source.Deletes.Confirm + 1 {
		r.poll()
	}
	r.want(Unchanged)
}

// sameRecords compares as the poller does: an event is made when a record differs, whatever its spelling.
func sameRecords(p *Poller, a, b map[string]string) bool {
	hasher := differ.NewHasher(p.opts.Seed)
	canon := func(m map[string]string) map[string]uint64 {
		out := map[string]uint64{}
		for k, v := range m {
			out[k] = hasher.Canon(p.shape, []byte(v))
		}
		return out
	}
	return maps.Equal(canon(a), canon(b))
}

// TestT1RecordsThatShiftBetweenPagesAreNotDeleted polls a list whose records move between pages while it is read; none of
// those that stay may be told as deleted.
func TestT1RecordsThatShiftBetweenPagesAreNotDeleted(t *testing.T) {
	const stable = 40
	list := newShelf()
	for i := range stable {
		list.put(fmt.Sprint("keep", i), "new")
	}
	rng := rand.New(rand.NewPCG(7, 7))
	guests, visitors := []string{}, 0
	handler := paged(list, 10, nil)
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if rng.IntN(10) < 3 && len(guests) < 20 {
			visitors++
			id := fmt.Sprint("guest", visitors)
			list.mu.Lock()
			list.items[id] = fmt.Sprintf(`{"id":%q}`, id)
			list.order = append([]string{id}, list.order...)
			list.mu.Unlock()
			guests = append(guests, id)
		}
		if rng.IntN(10) < 3 && len(guests) > 0 {
			list.remove(guests[0])
			guests = guests[1:]
		}
		handler(w, q)
	}, func(s *Source) {
		s.Pages.Kind, s.Records, s.Guard.MinDeletes, s.Deletes.Confirm = "page", differ.MustPath("items"), 1000, 3
	})
	polls := 600
	if testing.Short() {
		polls = 60
	}
	partial := 0
	for range polls {
		if got := r.poll(); got.Verdict == Partial {
			partial++
		} else if got.Verdict == Failed {
			t.Fatal(got.Message)
		}
	}
	for _, e := range r.ledger.sources["contacts"].Events {
		if e.Change == differ.Deleted && strings.HasPrefix(e.Key, "keep") {
			t.Errorf("%s is told as deleted at sequence %d", e.Key, e.Sequence)
		}
	}
	if partial == 0 {
		t.Error("no record was ever seen twice: the list did not shift")
	}
}
