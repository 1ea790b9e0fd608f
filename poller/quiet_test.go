package poller

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// after lets d pass, polls, and gives the turns that a tracker tells of.
func (r *rig) after(d time.Duration, k *tracker, want Verdict) []Turn {
	r.t.Helper()
	r.now = r.now.Add(d - time.Minute)
	var turns []Turn
	for _, turn := range k.after(r.want(want)) {
		turns = append(turns, turn.Turn)
	}
	return turns
}

func TestAQuietSourceIsToldOnceAndItsEndToo(t *testing.T) {
	const day = 24 * time.Hour
	s := newShelf("1")
	down := false
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		s.ServeHTTP(w, q)
	}, func(s *Source) { s.ExpectChange = setting.Duration(2 * day) })
	k := &tracker{}
	step := func(d time.Duration, want Verdict, turns ...Turn) {
		t.Helper()
		if got := r.after(d, k, want); !slices.Equal(got, turns) {
			t.Errorf("told %q, want %q", got, turns)
		}
	}
	step(0, Complete, Baselined)
	step(day, Unchanged)
	step(day, Unchanged, Quiet)
	var st Status
	if k.status(&st); st.State != TooQuiet || !strings.HasPrefix(st.Message, "nothing has changed since 2026-11-23") || !st.Changed.Equal(r.now.Add(-2*day)) {
		t.Errorf("status %+v", st)
	}
	r.untouched(func() { step(day, Unchanged) })
	r.restart()
	k = &tracker{}
	r.untouched(func() { step(day, Unchanged) }) // a restart tells nobody again
	if k.status(&st); st.State != TooQuiet {
		t.Errorf("after a restart it is %s", st.State)
	}
	s.put("1", "seen")
	step(day, Complete, Stirred)
	step(day, Unchanged)
	down = true
	step(5*day, Failed, Failing) // that nothing comes from it has another reason
	down = false
	step(time.Hour, Unchanged, Recovered, Quiet)
	r.edit(func(s *Source) { s.ExpectChange = 0 })
	step(day, Unchanged, Stirred)
	if k.status(&st); st.State != Ok {
		t.Errorf("it is %s", st.State)
	}
	r.tells("updated 1 status")
}

func TestASourceThatBecameQuietWhileNobodyLookedIsToldAtTheStart(t *testing.T) {
	r := newRig(t, newShelf("1").ServeHTTP, func(s *Source) { s.ExpectChange = setting.Duration(time.Hour) })
	r.want(Complete)
	r.restart()
	if got := r.after(24*time.Hour, &tracker{}, Unchanged); !slices.Equal(got, []Turn{Quiet}) {
		t.Errorf("told %q", got)
	}
}

func TestTheWeekendDoesNotCountForASourceThatRestsThen(t *testing.T) {
	r := newRig(t, newShelf("1").ServeHTTP, func(s *Source) {
		s.ExpectChange, s.Active = setting.Duration(12*time.Hour), hoursOf(t, nil, "mon-fri 08:00-18:00")
	})
	r.now = time.Date(2026, 11, 27, 16, 59, 0, 0, time.UTC) // Friday
	k := &tracker{}
	r.after(time.Minute, k, Complete)
	r.now = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	if got := r.after(time.Minute, k, Unchanged); len(got) != 0 {
		t.Errorf("told %q after one hour of work", got)
	}
	if got := r.after(9*time.Hour, k, Unchanged); len(got) != 0 {
		t.Errorf("told %q after ten hours", got)
	}
	if got := r.after(16*time.Hour, k, Unchanged); !slices.Equal(got, []Turn{Quiet}) {
		t.Errorf("told %q after twelve hours", got)
	}
}

func TestAnExpectationShorterThanThePeriodIsRefused(t *testing.T) {
	s := validSource()
	s.Every, s.ExpectChange = setting.Duration(time.Hour), setting.Duration(time.Minute)
	if got := fmt.Sprint(s.Validate(&setting.Secrets{})); !strings.Contains(got, `expect_change_within = "1m" is shorter than every = "1h"`) {
		t.Errorf("problems %s", got)
	}
}
