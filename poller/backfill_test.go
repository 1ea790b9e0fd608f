package poller

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// fill carries out a backfill in steps, with something between them, and gives how far it came.
func (r *rig) fill(limit int, between func(step int)) Backfill {
	r.t.Helper()
	for step := range 1000 {
		b, err := r.poller.StepBackfill(r.t.Context(), limit)
		if err != nil {
			r.t.Fatal(err)
		}
		if !b.Active() {
			return b
		}
		if between != nil {
			between(step)
		}
	}
	r.t.Fatal("the backfill does not end")
	return Backfill{}
}

func (r *rig) backfill(b Backfill) {
	r.t.Helper()
	if _, err := r.poller.StartBackfill(r.t.Context(), b); err != nil {
		r.t.Fatal(err)
	}
}

// applied is what a receiver holds that applies all events in their sequence.
func (r *rig) applied() map[string]string {
	r.t.Helper()
	held := map[string]string{}
	for _, e := range r.ledger.sources[r.source.Name].Events {
		var body struct {
			Record json.RawMessage `json:"record"`
		}
		if err := json.Unmarshal(e.Body, &body); err != nil {
			r.t.Fatal(err)
		}
		if held[e.Key] = string(body.Record); e.Change == differ.Deleted {
			delete(held, e.Key)
		}
	}
	return held
}

func idsUpTo(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(i + 1)
	}
	return ids
}

func TestABackfillTellsOfEachRecordOnceWithoutChangingIt(t *testing.T) {
	s := newShelf(idsUpTo(60)...)
	r := newRig(t, s.ServeHTTP, nil)
	r.want(Complete)
	rows := r.ledger.rows("contacts")
	r.backfill(Backfill{})
	b := r.fill(25, nil)
	if b.Total != 60 || b.Looked != 60 || b.Told != 60 || b.Stopped {
		t.Errorf("the backfill came to %+v", b)
	}
	told := r.told()
	if len(told) != 60 || len(r.outlet.handed) != 60 {
		t.Fatalf("%d snapshots, %d were handed over", len(told), len(r.outlet.handed))
	}
	for _, id := range idsUpTo(60) {
		if !slices.Contains(told, "snapshot "+id) {
			t.Errorf("%s was not told", id)
		}
	}
	if !maps.Equal(rows, r.ledger.rows("contacts")) {
		t.Error("the backfill changed records")
	}
	r.untouched(func() { r.want(Unchanged) })
}

// A snapshot is committed between two polls, with the next number of the source: whatever is newer has a later one.
func TestABackfillNeverOverwritesWhatIsNewer(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		s := newShelf(idsUpTo(40)...)
		r := newRig(t, s.ServeHTTP, func(s *Source) { s.Deletes.Confirm, s.Guard.MinDeletes = 1, 100 })
		r.want(Complete)
		s.put("1", "changed")
		r.backfill(Backfill{})
		b := r.fill(3, func(step int) {
			if restarts {
				r.restart()
			}
			s.put(strconv.Itoa(1+step%40), fmt.Sprint("change ", step))
			s.put(strconv.Itoa(100+step), "new")
			s.remove(strconv.Itoa(40 - step))
			r.poll()
		})
		if b.Looked < 40 && !restarts {
			t.Errorf("%d records were looked at", b.Looked)
		}
		want := r.ledger.rows("contacts")
		if got := r.applied(); !maps.Equal(got, want) {
			t.Errorf("restarts %t: the receiver has\n%v\nupstream\n%v", restarts, got, want)
		}
	}
}

func TestABackfillGoesOnAfterACommitWithAnUnknownOutcome(t *testing.T) {
	s := newShelf(idsUpTo(30)...)
	r := newRig(t, s.ServeHTTP, nil)
	r.want(Complete)
	r.backfill(Backfill{})
	n := 0
	r.ledger.after = func(Commit) error {
		if n++; n%3 == 1 {
			return errors.New("power was lost")
		}
		return nil
	}
	r.ledger.before = func(Commit) error {
		if n++; n%5 == 1 {
			return errors.New("disk full")
		}
		return nil
	}
	failures := 0
	for {
		b, err := r.poller.StepBackfill(t.Context(), 4)
		if err == nil && !b.Active() {
			break
		}
		if err != nil {
			failures++
		}
		if failures > 100 {
			t.Fatal("it does not end")
		}
	}
	r.ledger.before, r.ledger.after = nil, nil
	if told := r.told(); len(told) != 30 || failures == 0 {
		t.Errorf("%d snapshots after %d failures", len(told), failures)
	}
}

func TestABackfillTellsOfTheRecordsThatItIsToldTo(t *testing.T) {
	s := newShelf(idsUpTo(10)...)
	s.put("3", "vip")
	s.put("4", "vip")
	r := newRig(t, s.ServeHTTP, func(s *Source) { s.Fields = paths("id", "status") })
	s.set("5", `{"id":"5","status":"vip","secret":1}`)
	r.want(Complete)
	r.backfill(Backfill{Where: []string{`status == "vip"`}, Keys: []string{"3", "5", "9", "nobody", "3"}})
	b := r.fill(2, nil)
	if b.Total != 5 || b.Told != 2 {
		t.Errorf("the backfill came to %+v", b)
	}
	told := r.told()
	slices.Sort(told)
	if !slices.Equal(told, []string{"snapshot 3", "snapshot 5"}) {
		t.Errorf("told %q", told)
	}
	if got := r.applied()["5"]; got != `{"id":"5","status":"vip"}` {
		t.Errorf("record 5 is told as %s", got)
	}
	if _, err := r.poller.StartBackfill(t.Context(), Backfill{Where: []string{"=="}}); err == nil {
		t.Error("a condition that is none was taken")
	}
}

func TestThereIsOneBackfillOfASourceAndItCanBeStopped(t *testing.T) {
	s := newShelf(idsUpTo(10)...)
	r := newRig(t, s.ServeHTTP, nil)
	if _, err := r.poller.StartBackfill(t.Context(), Backfill{}); !errors.Is(err, ErrNothing) {
		t.Errorf("before the baseline: %v", err)
	}
	r.want(Complete)
	if _, err := r.poller.StopBackfill(t.Context()); !errors.Is(err, ErrNothing) {
		t.Errorf("there is none: %v", err)
	}
	r.backfill(Backfill{})
	if _, err := r.poller.StartBackfill(t.Context(), Backfill{}); !errors.Is(err, ErrBackfilling) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := r.poller.StepBackfill(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	r.restart()
	b, err := r.poller.StopBackfill(t.Context())
	if err != nil || !b.Stopped || b.Told != 4 || b.Finished.IsZero() {
		t.Errorf("stopped: %+v, %v", b, err)
	}
	r.untouched(func() { r.fill(4, nil) })
	r.backfill(Backfill{})
	if b := r.fill(4, nil); b.Told != 10 || b.Stopped {
		t.Errorf("the next one: %+v", b)
	}
}

func TestAnEditOfTheKeyDuringABackfillMakesItBeginAnew(t *testing.T) {
	s := newShelf()
	for _, id := range idsUpTo(10) {
		s.set(id, fmt.Sprintf(`{"id":%q,"number":"n%s"}`, id, id))
	}
	r := newRig(t, s.ServeHTTP, nil)
	r.want(Complete)
	r.backfill(Backfill{})
	if _, err := r.poller.StepBackfill(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	r.edit(func(s *Source) { s.Key = paths("number") })
	if _, err := r.poller.Rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.told()
	if b := r.fill(4, nil); b.Told != 14 {
		t.Errorf("after the rekey: %+v", b)
	}
	told := r.told()
	for _, id := range idsUpTo(10) {
		if !slices.Contains(told, "snapshot n"+id) {
			t.Errorf("n%s was not told", id)
		}
	}
}

func TestThePlanOfABackfillChangesNothing(t *testing.T) {
	s := newShelf(idsUpTo(30)...)
	s.put("7", "vip")
	r := newRig(t, s.ServeHTTP, nil)
	r.want(Complete)
	r.untouched(func() {
		plan, err := r.poller.PlanBackfill(t.Context(), Backfill{Where: []string{`status == "vip"`}})
		if err != nil || plan.Records != 1 {
			t.Errorf("plan %+v, %v", plan, err)
		}
	})
	if !(&Backfill{}).Active() || (&Backfill{Finished: time.Now()}).Active() || (*Backfill)(nil).Active() {
		t.Error("what is active is confused")
	}
}
