package poller

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

func TestAResumedSourceThatSkipsTellsNothingOfWhatChangedMeanwhile(t *testing.T) {
	s := newShelf("1", "2", "3")
	fails := false
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if fails {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		s.ServeHTTP(w, q)
	}, func(s *Source) { s.Deletes.Confirm = 1 })
	r.want(Complete)
	if err := r.poller.SetPaused(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	r.want(Deferred)
	s.put("1", "changed")
	s.put("4", "new")
	s.remove("2")
	if err := r.poller.Skip(t.Context()); err != nil {
		t.Fatal(err)
	}
	fails = true
	r.want(Failed) // leaves it waiting, over a restart too
	r.restart()
	fails = false
	got := r.want(Complete)
	if got.Message != "skipped: 1 created, 1 updated and 1 deleted records are known now, without events" || got.Hold != nil {
		t.Errorf("message %q, hold %+v", got.Message, got.Hold)
	}
	r.tells()
	s.put("1", "changed again")
	r.want(Complete)
	r.tells("updated 1 status")
}

func TestASkipWaitsForWhatAPersonHasToDecide(t *testing.T) {
	s := newShelf("1", "2", "3")
	r := newRig(t, s.ServeHTTP, nil)
	r.want(Complete)
	s.clear()
	r.want(Held)
	if err := r.poller.Skip(t.Context()); !errors.Is(err, ErrHeld) {
		t.Fatalf("skip of a held source: %v", err)
	}
	r.want(Held)
}

func TestASkipOfAnIncrementalSourceTakesAllWindowsUpToNow(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	type item struct{ id, at string }
	items := []item{{"1", "2026-11-23T11:00:00Z"}}
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		since, until := q.URL.Query().Get("since"), q.URL.Query().Get("until")
		sep := ""
		fmt.Fprint(w, "[")
		for _, i := range items {
			if i.at >= since && (until == "" || i.at <= until) {
				fmt.Fprintf(w, `%s{"id":%q,"at":%q}`, sep, i.id, i.at)
				sep = ","
			}
		}
		fmt.Fprint(w, "]")
	}, func(s *Source) {
		s.Deletes.Detect = "off"
		s.Cursor = DefaultSource().Cursor
		s.Cursor.Field, s.Cursor.Param, s.Cursor.Until = paths("at")[0], "since", "until"
		s.Cursor.Window, s.Cursor.Start = setting.Duration(time.Hour), "2026-11-23T10:00:00Z"
		s.Cursor.Lag, s.Cursor.Overlap = 0, 0
	})
	r.now = now
	for range 5 {
		r.poll()
	}
	r.told()
	if err := r.poller.SetPaused(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	r.now = now.Add(5 * time.Hour)
	items = append(items, item{"2", "2026-11-23T13:00:00Z"}, item{"3", "2026-11-23T15:30:00Z"}, item{"4", "2026-11-23T16:50:00Z"})
	if err := r.poller.Skip(t.Context()); err != nil {
		t.Fatal(err)
	}
	windows := 0
	for got := r.poll(); got.More; got = r.poll() {
		windows++
	}
	if windows < 2 {
		t.Fatalf("%d windows: this test wants several", windows)
	}
	r.tells()
	items = append(items, item{"5", r.now.Add(time.Second).Format(time.RFC3339)})
	r.now = r.now.Add(time.Minute)
	r.poll()
	r.tells("created 5")
}
