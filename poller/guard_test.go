package poller

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

// numbered gives the ids from..to as texts.
func numbered(from, to int) []string {
	var ids []string
	for i := from; i <= to; i++ {
		ids = append(ids, strconv.Itoa(i))
	}
	return ids
}

// suspicious is a poll that one part of the guard does not let pass.
type suspicious struct {
	name    string
	guard   Guard
	change  func(*shelf) // of a list of the records 1 to 20
	message string       // of the hold; empty: it passes
	tells   []string     // events when it is released
}

func suspiciousPolls() []suspicious {
	remove := func(from, to int) func(*shelf) {
		return func(s *shelf) {
			for _, id := range numbered(from, to) {
				s.remove(id)
			}
		}
	}
	told := func(kind string, from, to int) []string {
		var out []string
		for _, id := range numbered(from, to) {
			out = append(out, kind+" "+id)
		}
		return out
	}
	return []suspicious{
		{"max_deletes", Guard{MaxDeletes: 0.2, MinDeletes: 2, Empty: "hold"}, remove(1, 5), "5 of 20 known records are missing", told("deleted", 1, 5)},
		{"max_deletes just reached", Guard{MaxDeletes: 0.2, MinDeletes: 2, Empty: "hold"}, remove(1, 4), "", nil},
		{"min_deletes", Guard{MaxDeletes: 0.2, MinDeletes: 5, Empty: "hold"}, remove(1, 5), "", nil},
		{"max_events", Guard{MaxDeletes: 1, MaxEvents: 3, Empty: "hold"}, func(s *shelf) {
			for _, id := range numbered(21, 24) {
				s.put(id, "new")
			}
		}, "this poll would make 4 events", told("created", 21, 24)},
		{"max_events of all kinds together", Guard{MaxDeletes: 1, MinDeletes: 10, MaxEvents: 2, Empty: "hold"}, func(s *shelf) {
			s.remove("1")
			s.put("2", "open")
			s.put("21", "new")
		}, "this poll would make 3 events", []string{"created 21", "deleted 1", "updated 2 status"}},
		{"empty", Guard{MaxDeletes: 1, MinDeletes: 100, Empty: "hold"}, (*shelf).clear, "the list is empty; 20 records were known", told("deleted", 1, 20)},
		{"empty where that is allowed", Guard{MaxDeletes: 1, MinDeletes: 100, Empty: "allow"}, (*shelf).clear, "", nil},
	}
}

// held makes a source whose next poll is the suspicious one.
func (c suspicious) rig(t *testing.T) (r *rig, s *shelf, broken *bool) {
	t.Helper()
	s, broken = newShelf(numbered(1, 20)...), new(bool)
	r = newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if *broken {
			fmt.Fprint(w, `[{"id":"1","status":"half of`) // the answer breaks off
			return
		}
		s.ServeHTTP(w, q)
	}, func(s *Source) { s.Guard, s.Deletes.Confirm = c.guard, 1 })
	r.want(Complete)
	c.change(s)
	return r, s, broken
}

func (r *rig) sorted() []string {
	told := r.told()
	slices.Sort(told)
	return told
}

func TestTheGuardHoldsWhatLooksWrongAndNothingElse(t *testing.T) {
	for _, c := range suspiciousPolls() {
		t.Run(c.name, func(t *testing.T) {
			r, s, _ := c.rig(t)
			if c.message == "" {
				r.want(Complete)
				return
			}
			for range 2 {
				if got := r.want(Held); !strings.Contains(got.Message, c.message) || !strings.Contains(got.Hint, "deltahook discard contacts") {
					t.Errorf("message %q, hint %q", got.Message, got.Hint)
				}
				r.restart() // a hold is durable
			}
			r.tells()
			before := r.ledger.sources["contacts"].State.Held.Since
			if r.want(Held); !r.ledger.sources["contacts"].State.Held.Since.Equal(before) {
				t.Error("the hold began anew")
			}
			s.clear()
			for _, id := range numbered(1, 20) {
				s.put(id, "new")
			}
			if got := r.poll(); got.Verdict == Held || got.Hold != nil || got.Events != 0 {
				t.Errorf("the list looks right again, and the poll is %s with %d events", got.Verdict, got.Events)
			}
		})
	}
}

func TestAReleaseTellsWhatWasHeldAndADiscardDoesNot(t *testing.T) {
	for _, c := range suspiciousPolls() {
		if c.message == "" {
			continue
		}
		for _, d := range []Decision{Release, Discard} {
			t.Run(fmt.Sprint(c.name, " ", d), func(t *testing.T) {
				r, s, broken := c.rig(t)
				r.want(Held)
				if err := r.poller.Decide(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				r.restart()
				*broken = true // the poll that was decided about fails midway: nothing of it is applied, and the decision stays
				r.untouched(func() { r.want(Failed) })
				r.restart()
				*broken = false
				got := r.want(Complete)
				told := r.sorted()
				slices.Sort(c.tells)
				switch {
				case got.Hold != nil || !got.released:
					t.Error("it is still held")
				case d == Release && !slices.Equal(told, c.tells):
					t.Errorf("released: events %q, want %q", told, c.tells)
				case d == Discard && len(told) > 0:
					t.Errorf("discarded: events %q", told)
				case d == Discard && !strings.Contains(got.Message, "without events"):
					t.Errorf("message %q", got.Message)
				}
				if len(r.ledger.rows("contacts")) != s.len() {
					t.Errorf("%d records are known, %d are there", len(r.ledger.rows("contacts")), s.len())
				}
				r.untouched(func() { r.want(Unchanged) })
				s.put("99", "new") // the decision was for one poll: what comes next is told, inside the guard
				r.want(Complete)
				r.tells("created 99")
				if err := r.poller.Decide(t.Context(), d); !errors.Is(err, ErrNotHeld) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

func TestADiscardedIdentityIsASilentNewBaseline(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"id":1,"number":"a"},{"id":2,"number":"b"}]`)
	}, func(s *Source) { s.Deletes.Detect = "scan" })
	r.want(Complete)
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("number")) })
	r.want(Held)
	if err := r.poller.Decide(t.Context(), Discard); err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.want(Complete)
	r.tells()
	if rows := r.ledger.rows("contacts"); len(rows) != 2 || rows["a"] == "" || rows["b"] == "" {
		t.Errorf("records %v", rows)
	}
	r.untouched(func() { r.want(Unchanged) })
}

func TestADecisionIsForgottenWhenTheEditIsUndone(t *testing.T) {
	name := "Ann"
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"id":1,"number":"a","name":%q}]`, name)
	}, nil)
	r.want(Complete)
	was := r.source
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("number")) })
	r.want(Held)
	if err := r.poller.Decide(t.Context(), Discard); err != nil {
		t.Fatal(err)
	}
	r.edit(func(s *Source) { *s = was })
	name = "Anna"
	r.want(Complete)
	r.tells("updated 1 name")
}

func TestADecisionWaitsForACompletePoll(t *testing.T) {
	list := `{"id":1},{"id":2},{"id":3}`
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `[%s]`, list) }, func(s *Source) {
		s.Guard, s.Deletes.Confirm = Guard{MaxDeletes: 0.2, MinDeletes: 1, Empty: "hold"}, 1
	})
	r.want(Complete)
	list = `{"id":1}`
	r.want(Held)
	list = `{"id":1},{"id":4},{"name":"without a key"}`
	if got := r.want(Partial); got.Hold == nil {
		t.Error("a poll that proves nothing ended the hold")
	}
	r.tells("created 4")
	if err := r.poller.Decide(t.Context(), Discard); err != nil {
		t.Fatal(err)
	}
	list = `{"id":1},{"id":4},{"id":5},{"name":"without a key"}`
	if got := r.want(Held); !strings.Contains(got.Message, "the discard waits for a complete poll: 1 of 4 records have no usable key") {
		t.Errorf("message %q", got.Message)
	}
	list = `{"id":1},{"id":4},{"id":5}`
	r.want(Complete)
	r.tells()
	if rows := r.ledger.rows("contacts"); len(rows) != 3 {
		t.Errorf("records %v", rows)
	}
}

func TestTheLastOfTwoDecisionsCounts(t *testing.T) {
	c := suspiciousPolls()[0]
	r, _, _ := c.rig(t)
	r.want(Held)
	for _, d := range []Decision{Discard, Release} {
		if err := r.poller.Decide(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	r.want(Complete)
	if told := r.told(); len(told) != len(c.tells) {
		t.Errorf("events %q", told)
	}
}

func TestADecisionCanBeTakenWhileNobodyPolls(t *testing.T) {
	c := suspiciousPolls()[0]
	r, _, _ := c.rig(t)
	if err := DecideStored(t.Context(), r.ledger, "contacts", Discard); !errors.Is(err, ErrNotHeld) {
		t.Errorf("error %v", err)
	}
	r.want(Held)
	if err := DecideStored(t.Context(), r.ledger, "contacts", Discard); err != nil {
		t.Fatal(err)
	}
	r.restart()
	r.want(Complete)
	r.tells()
}

func TestAReleasedIdentityReplacesRecordsWhoseBytesAreTheSame(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"id":1,"number":"a"},{"id":2,"number":"b"}]`)
	}, nil)
	r.want(Complete)
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("number")) })
	r.want(Held)
	if err := r.poller.Decide(t.Context(), Release); err != nil {
		t.Fatal(err)
	}
	r.want(Complete)
	if got, want := r.sorted(), []string{"created a", "created b", "deleted 1", "deleted 2"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}
