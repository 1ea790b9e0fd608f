package poller

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

func TestT22ARekeyedSourceGoesOnWithoutABurst(t *testing.T) {
	name, gone := "Ann", false
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"same"`)
		fmt.Fprintf(w, `{"items":[{"id":1,"number":"2","name":%q},{"id":2,"number":"1","name":"Bo"}`, name)
		if !gone {
			fmt.Fprint(w, `,{"id":3,"number":"3","name":"Cy"}`)
		}
		fmt.Fprint(w, `]}`)
	}, func(s *Source) { s.Records, s.Deletes.Confirm = differ.MustPath("items"), 2 })
	r.want(Complete)
	name = "Anna"
	r.want(Complete)
	gone = true
	r.want(Complete) // the first of two scans that lack it
	r.tells("updated 1 name")

	r.edit(func(s *Source) { s.Key = differ.Paths(paths("number")) })
	r.want(Held)
	plan, err := r.poller.PlanRekey(t.Context())
	if err != nil || plan.Records != 3 || plan.Moved != 2 || !strings.Contains(plan.Change, `key was changed from ["id"] to ["number"]`) {
		t.Errorf("plan %+v, %v", plan, err)
	}
	r.untouched(func() { _, _ = r.poller.PlanRekey(t.Context()) })
	if done, err := r.poller.Rekey(t.Context()); err != nil || done != plan {
		t.Errorf("done %+v, %v", done, err)
	}
	want := map[string]string{
		"2": `{"id":1,"number":"2","name":"Anna"}`, "1": `{"id":2,"number":"1","name":"Bo"}`, "3": `{"id":3,"number":"3","name":"Cy"}`,
	}
	if got := r.ledger.rows("contacts"); !maps.Equal(got, want) {
		t.Errorf("stored %v", got)
	}
	if got := r.want(Complete); !got.released || got.Deleted != 1 { // the count of missing scans went along
		t.Errorf("%+v", got)
	}
	r.tells("deleted 3")
	r.want(Unchanged)
	r.restart()
	r.want(Unchanged)
	name = "Annika"
	r.want(Complete)
	r.tells("updated 2 name")
	if _, err := r.poller.Rekey(t.Context()); !errors.Is(err, ErrNothing) {
		t.Errorf("once more: %v", err)
	}
}

func TestARekeyAcceptsThatTheSameRecordsAreElsewhere(t *testing.T) {
	r := newRig(t, newShelf("1", "2").ServeHTTP, nil)
	r.want(Complete)
	state := r.ledger.sources["contacts"]
	state.State.Cursor = []byte(`"x"`)
	r.ledger.sources["contacts"] = state
	r.edit(func(s *Source) { s.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) })
	r.want(Held)
	if done, err := r.poller.Rekey(t.Context()); err != nil || done.Moved != 0 || done.Records != 2 {
		t.Errorf("%+v, %v", done, err)
	}
	if got := r.ledger.sources["contacts"].State; got.Cursor != nil || got.Held != nil || got.Validators != (Validators{}) {
		t.Errorf("state %+v", got)
	}
	r.want(Unchanged)
	r.tells()
}

func TestARekeyThatCannotTellRecordsApartChangesNothing(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"id":1,"number":"a"},{"id":2,"number":"a"},{"id":3,"number":null},{"id":4,"number":"b"},{"id":5,"number":"a"}]`)
	}, nil)
	r.want(Complete)
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("number")) })
	r.want(Held)
	r.untouched(func() {
		got, err := r.poller.Rekey(t.Context())
		if !errors.Is(err, ErrRekey) || got.Keyless != 1 || got.Colliding != 3 || got.Example == "" {
			t.Errorf("%+v, %v", got, err)
		}
		if _, err := r.poller.PlanRekey(t.Context()); !errors.Is(err, ErrRekey) {
			t.Errorf("plan: %v", err)
		}
	})
	r.want(Held)
}

func TestARekeyKnowsTheNamesThatWereKeys(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"a":{"region":"eu"},"b":{"region":"us"}}`)
	}, func(s *Source) { s.Key = differ.Paths(paths("@key")) })
	r.want(Complete)
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("region", "@key")) })
	r.want(Held)
	if _, err := r.poller.Rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.want(Unchanged)
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("@key")) })
	r.want(Held)
	if _, err := r.poller.Rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.want(Unchanged)
	r.tells()
	if got := slices.Sorted(maps.Keys(r.ledger.rows("contacts"))); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("keys %q", got)
	}
}

func TestARekeyWhoseCommitFailsIsNoRekey(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[{"id":1,"number":"a"}]`) }, nil)
	r.want(Complete)
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("number")) })
	r.want(Held)
	r.ledger.before = func(Commit) error { return ErrFenced }
	r.untouched(func() {
		if _, err := r.poller.Rekey(t.Context()); !errors.Is(err, ErrFenced) {
			t.Errorf("error %v", err)
		}
	})
	r.ledger.before = nil
	r.want(Held)
}

func TestAResetForgetsWhatItsLevelSays(t *testing.T) {
	for _, c := range []struct {
		level                             ResetLevel
		validators, cursor, records, rest bool // are forgotten
	}{
		{ResetValidators, true, false, false, false},
		{ResetCursor, true, true, false, false},
		{ResetRecords, true, true, true, false},
		{ResetAll, true, true, true, true},
	} {
		t.Run(string(c.level), func(t *testing.T) {
			asked := ""
			s := newShelf("1", "2")
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				asked = q.Header.Get("If-None-Match")
				w.Header().Set("ETag", `"e"`)
				s.ServeHTTP(w, q)
			}, nil)
			r.want(Complete)
			s.put("2", "seen")
			r.want(Complete)
			r.tells("updated 2 status")
			stored := r.ledger.sources["contacts"]
			stored.State.Cursor, stored.State.Paused = []byte(`"x"`), true
			r.ledger.sources["contacts"] = stored
			r.restart()

			was, err := r.poller.Reset(t.Context(), c.level)
			if err != nil || was.Records != 2 || was.Sequence != 1 {
				t.Fatalf("%+v, %v", was, err)
			}
			got := r.ledger.sources["contacts"]
			for what, forgotten := range map[string][2]bool{
				"validators": {c.validators, got.State.Validators == (Validators{})},
				"cursor":     {c.cursor, got.State.Cursor == nil},
				"records":    {c.records, len(got.Rows) == 0 && got.State.Baselined.IsZero() && got.State.Identity == ""},
				"history":    {c.rest, len(got.Polls) == 0 && got.State.Sequence == 0},
			} {
				if forgotten[0] != forgotten[1] {
					t.Errorf("%s: forgotten is %t", what, forgotten[1])
				}
			}
			if !got.State.Paused {
				t.Error("it is not paused any more")
			}
			if err := r.poller.SetPaused(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			s.put("1", "new again")
			polled := r.want(Complete)
			if asked != "" {
				t.Errorf("asked with %s", asked)
			}
			if c.records != polled.baselined || c.records == (polled.Events == 1) {
				t.Errorf("%+v", polled)
			}
			s.put("1", "last")
			r.want(Complete)
			want := was.Sequence + 1
			if c.rest {
				want = 1
			} else if !c.records {
				want++
			}
			if got := r.ledger.sources["contacts"].State.Sequence; got != want {
				t.Errorf("sequence %d, want %d", got, want)
			}
		})
	}
}

func TestAResetEndsAHoldAndTheNextPollTellsSo(t *testing.T) {
	s := newShelf("1", "2")
	r := newRig(t, s.ServeHTTP, nil)
	r.want(Complete)
	s.clear()
	r.want(Held)
	if _, err := r.poller.Reset(t.Context(), ResetRecords); err != nil {
		t.Fatal(err)
	}
	if got := r.want(Complete); !got.released || !got.baselined || got.Events != 0 {
		t.Errorf("%+v", got)
	}
	if got := r.want(Unchanged); got.released {
		t.Error("told twice")
	}
}

func TestP10ARekeyWhileDetailsWaitSinceAnEditIsNoNews(t *testing.T) {
	for _, several := range []bool{false, true} {
		l := newLists("a", "b")
		l.bodies = func(list string) (out []string) {
			for i := range 20 {
				out = append(out, fmt.Sprintf(`{"id":"%s%d","id2":"x%d","k":%d}`, list, i, i, i%2))
			}
			return out
		}
		r := l.rig(t, func(s *Source) {
			if s.Where, s.Detail.URL = conditions("k == 0"), "/d/{record.id}"; !several {
				s.Partitions.Values, s.URL = nil, strings.Replace(s.URL, "{partition}", "a", 1)
			}
		})
		r.want(Complete)
		for i := range 20 {
			l.bad["a"+strconv.Itoa(i)] = i%2 > 0
		}
		r.edit(func(s *Source) { s.Where = nil })
		r.poll()
		r.edit(func(s *Source) { s.Key = paths("id2") })
		if _, err := r.poller.Rekey(t.Context()); err != nil {
			t.Fatal(err)
		}
		clear(l.bad)
		r.poll()
		r.poll()
		r.tells()
		r.unmarked()
	}
}
