package poller

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// changes is an API that is asked for what changed since a time. Its clock is its own.
type changes struct {
	clock     func() time.Time
	rows      map[string]changed
	exclusive bool // since is not inclusive
	newest    bool // first
	size      int  // of a page; 0: all
	silent    bool // no Date
	fault     func(w http.ResponseWriter, q *http.Request) bool
	asked     []url.Values
}

type changed struct {
	at   time.Time
	more string // members beside id and at
}

func newChanges(clock func() time.Time) *changes {
	return &changes{clock: clock, rows: map[string]changed{}}
}

// put changes a record as it says, at a time of the server's clock.
func (c *changes) put(id string, at time.Time, more string) { c.rows[id] = changed{at, more} }

// touch changes a record now.
func (c *changes) touch(id, status string) { c.put(id, c.clock(), fmt.Sprintf(`,"status":%q`, status)) }

func (c *changes) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	query := q.URL.Query()
	c.asked = append(c.asked, query)
	w.Header()["Date"] = nil
	if !c.silent {
		w.Header().Set("Date", c.clock().UTC().Format(http.TimeFormat))
	}
	if c.fault != nil && c.fault(w, q) {
		return
	}
	since, _ := time.Parse(time.RFC3339, query.Get("since"))
	until, err := time.Parse(time.RFC3339, query.Get("until"))
	bounded := err == nil
	var ids []string
	for id, row := range c.rows {
		if row.at.Before(since) || c.exclusive && row.at.Equal(since) || bounded && !row.at.Before(until) {
			continue
		}
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b string) int {
		if d := c.rows[a].at.Compare(c.rows[b].at); d != 0 && c.newest {
			return -d
		} else if d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	if c.size > 0 {
		page, _ := strconv.Atoi(query.Get("page"))
		from := min((page-1)*c.size, len(ids))
		ids = ids[from:min(from+c.size, len(ids))]
	}
	var out []string
	for _, id := range ids {
		row := c.rows[id]
		out = append(out, fmt.Sprintf(`{"id":%q,"at":%q%s}`, id, row.at.UTC().Format(time.RFC3339Nano), row.more))
	}
	fmt.Fprintf(w, "[%s]", strings.Join(out, ","))
}

// since gives what the last request asked from; "-" for nothing.
func (c *changes) since() string {
	if last := c.asked[len(c.asked)-1]; last.Has("since") {
		return last.Get("since")
	}
	return "-"
}

// follow makes a source that follows an API by the field at and the parameter since.
func follow(t *testing.T, edit func(*Source)) (*rig, *changes) {
	t.Helper()
	var r *rig
	api := newChanges(func() time.Time { return r.now })
	r = newRig(t, api.ServeHTTP, func(s *Source) {
		s.Deletes.Detect = "off"
		s.Cursor.Field, s.Cursor.Param = differ.MustPath("at"), "since"
		if edit != nil {
			edit(s)
		}
	})
	return r, api
}

func TestAnIncrementalPollAsksForWhatChangedSinceTheWatermark(t *testing.T) {
	r, api := follow(t, nil)
	api.touch("1", "new")
	api.touch("2", "new")
	if got := r.want(Complete); api.since() != "-" || got.Mode != Whole { // the baseline is the whole listing
		t.Errorf("asked from %s, mode %q", api.since(), got.Mode)
	}
	r.untouched(func() {
		if got := r.want(Unchanged); api.since() != "2026-11-23T11:59:00Z" || got.Mode != Incremental || got.From != "2026-11-23T11:59:00Z" {
			t.Errorf("asked from %s, mode %q, from %q", api.since(), got.Mode, got.From)
		}
	})
	r.now = r.now.Add(time.Hour)
	api.touch("2", "open")
	if got := r.want(Partial); got.Message != "" || got.Records != 1 && got.Records != 2 {
		t.Errorf("message %q, %d records", got.Message, got.Records)
	}
	r.tells("updated 2 at,status")
	r.restart() // the watermark was stored with the events
	r.untouched(func() { r.want(Unchanged) })
	if want := api.rows["2"].at.Add(-time.Minute).Format(time.RFC3339); api.since() != want {
		t.Errorf("asked from %s, want %s", api.since(), want)
	}
	delete(api.rows, "1")
	r.now = r.now.Add(time.Hour)
	r.untouched(func() { r.want(Unchanged) }) // what an incremental poll lacks is not gone
}

func TestThePollTellsHowLateItFoundAChange(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Ignore = paths("seen") })
	api.touch("1", "new")
	api.put("2", api.clock().Add(-24*time.Hour), `,"seen":1`)
	if got := r.want(Complete); got.Lags != nil {
		t.Errorf("a baseline is no news, and its records are not late: %v", got.Lags)
	}
	r.now = r.now.Add(time.Hour)
	api.touch("1", "open")
	api.touch("3", "new")
	r.now = r.now.Add(40 * time.Second)
	// The rig polls a minute later.
	if got := r.want(Partial); len(got.Lags) != 2 || got.Lags[0] != 100*time.Second || got.Lags[1] != 100*time.Second {
		t.Errorf("%v", got.Lags)
	}
	api.put("2", api.clock(), `,"seen":2`) // its time has changed too: that is a change
	api.rows["3"] = changed{api.rows["3"].at, `,"status":"new","seen":3`}
	r.now = r.now.Add(5 * time.Second)
	if got := r.want(Partial); len(got.Lags) != 1 || got.Lags[0] != 65*time.Second || got.Ignored != 1 {
		t.Errorf("%v, %d ignored", got.Lags, got.Ignored)
	}
}

func TestT5TheWatermarkIsTheLatestOfACompleteWalk(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Pages.Kind = "page" })
	api.newest, api.size = true, 2
	api.touch("1", "new")
	r.want(Complete)
	r.now = r.now.Add(time.Hour)
	for i := range 5 {
		api.put(strconv.Itoa(i+2), r.now.Add(time.Duration(i)*time.Second), "")
	}
	api.fault = func(w http.ResponseWriter, q *http.Request) bool { // the newest are on page 1; the others do not come
		if q.URL.Query().Get("page") == "2" {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	}
	before := api.since()
	r.untouched(func() { r.want(Failed) })
	r.restart()
	api.fault = nil
	r.want(Partial)
	if got := r.told(); len(got) != 5 {
		t.Errorf("events %q (asked from %s before)", got, before)
	}
}

func TestT6SiblingsOfTheWatermarkAreNotLost(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		for _, overlap := range []time.Duration{0, time.Second} {
			if exclusive && overlap == 0 {
				continue // nothing can help there
			}
			t.Run(fmt.Sprint(exclusive, overlap), func(t *testing.T) {
				r, api := follow(t, func(s *Source) { s.Cursor.Overlap = setting.Duration(overlap) })
				api.exclusive = exclusive
				second := r.now.Add(time.Minute)
				api.put("1", second, "")
				r.want(Complete)
				api.put("2", second, "") // the same second, but it came a little later
				r.want(Partial)
				r.tells("created 2")
				api.put("3", second, "")
				r.want(Partial)
				r.tells("created 3")
				for range 3 {
					r.untouched(func() { r.want(Unchanged) })
				}
			})
		}
	}
}

func TestT7LateRowsAreFoundWithinTheOverlapTheLagAndByFullScans(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Source)
		late time.Duration // a row that is visible so much later than its time says
		lost bool          // until the next full scan
	}{
		{"within the overlap", func(s *Source) { s.Cursor.Overlap = setting.Duration(10 * time.Minute) }, 9 * time.Minute, false},
		{"beyond it", func(s *Source) { s.Cursor.Overlap = setting.Duration(10 * time.Minute) }, 15 * time.Minute, true},
		{"within the lag", func(s *Source) { s.Cursor.Lag = setting.Duration(20 * time.Minute) }, 15 * time.Minute, false},
		{"within the lag, with an end", func(s *Source) { s.Cursor.Lag, s.Cursor.Until = setting.Duration(20*time.Minute), "until" }, 15 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, api := follow(t, func(s *Source) {
				s.Cursor.Overlap, s.Cursor.FullScan = 0, "6h"
				c.edit(s)
			})
			api.touch("1", "new")
			r.want(Complete)
			for i := range 4 { // others move the watermark on
				r.now = r.now.Add(10 * time.Minute)
				api.touch(strconv.Itoa(i+10), "new")
				r.poll()
			}
			r.told()
			api.put("late", r.now.Add(-c.late), "")
			r.poll()
			found := slices.Contains(r.told(), "created late")
			for range 3 {
				r.now = r.now.Add(10 * time.Minute)
				r.poll()
				found = found || slices.Contains(r.told(), "created late")
			}
			if found == c.lost {
				t.Errorf("found %t", found)
			}
			r.now = r.now.Add(6 * time.Hour)
			if got := r.poll(); got.Mode != Whole {
				t.Error("no full scan")
			}
			if c.lost {
				r.tells("created late")
			}
		})
	}
}

func TestLagKeepsRequestsBehindTheClock(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor.Lag, s.Cursor.Until = setting.Duration(5*time.Minute), "until" })
	api.touch("1", "new")
	r.want(Complete)
	api.touch("2", "new")
	r.now = r.now.Add(2 * time.Minute)
	r.want(Unchanged)
	if got, want := api.asked[len(api.asked)-1].Get("until"), r.now.Add(-5*time.Minute).Format(time.RFC3339); got != want {
		t.Errorf("asked until %s, want %s", got, want)
	}
	r.now = r.now.Add(5 * time.Minute)
	r.want(Partial)
	r.tells("created 2")
}

func TestT8OneRecordOfTheFutureDoesNotHideTheOthers(t *testing.T) {
	r, api := follow(t, nil)
	api.touch("1", "new")
	r.want(Complete)
	api.put("2099", time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), "")
	api.touch("2", "new")
	got := r.want(Partial)
	if want := `cursor.field "at" is 2099-01-01T00:00:00Z in a record, ahead of the server's clock: that record does not move the watermark`; got.Message != want {
		t.Errorf("message %q", got.Message)
	}
	r.tells("created 2", "created 2099")
	r.now = r.now.Add(time.Hour)
	api.touch("3", "new")
	r.want(Partial)
	r.tells("created 3")
	r.restart()
	r.untouched(func() { r.want(Unchanged) })
	if want := api.rows["3"].at.Add(-time.Minute).Format(time.RFC3339); api.since() != want {
		t.Errorf("asked from %s, want %s", api.since(), want)
	}
}

func TestT8TheWatermarkDoesNotComeFromOurClock(t *testing.T) {
	for _, off := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		for _, c := range []struct{ silent, until, window bool }{{}, {silent: true}, {until: true}, {until: true, window: true}} {
			t.Run(fmt.Sprintf("%s %+v", off, c), func(t *testing.T) {
				r, api := follow(t, func(s *Source) {
					if s.Cursor.Overlap = setting.Duration(time.Second); c.until {
						s.Cursor.Until = "until"
					}
					if c.window {
						s.Cursor.Window = setting.Duration(24 * time.Hour)
					}
				})
				api.clock, api.silent = func() time.Time { return r.now.Add(off) }, c.silent
				api.touch("1", "new")
				r.want(Complete)
				for i := range 4 {
					r.now = r.now.Add(time.Hour)
					id := strconv.Itoa(i + 2)
					api.touch(id, "new")
					r.want(Partial)
					r.tells("created " + id)
					if c.window { // it moves on
						r.want(Unchanged)
						continue
					}
					r.untouched(func() { r.want(Unchanged) })
				}
			})
		}
	}
}

func TestT8AServerWhoseTimesAreAllAheadIsFollowed(t *testing.T) {
	r, api := follow(t, nil)
	ahead := func(id string) { api.put(id, r.now.Add(2*time.Hour), "") } // local time that is called UTC
	ahead("1")
	r.want(Complete)
	for i := range 5 {
		r.now = r.now.Add(time.Hour)
		id := strconv.Itoa(i + 2)
		ahead(id)
		if got := r.want(Partial); got.Mode != Incremental {
			t.Error("it is read as a whole each time")
		}
		r.tells("created " + id)
	}
}

func TestP1TheWatermarkIsNeverAheadOfItsEvents(t *testing.T) {
	r, api := follow(t, nil)
	api.touch("1", "new")
	r.want(Complete)
	r.now = r.now.Add(time.Hour)
	api.touch("2", "new")
	r.ledger.before = func(Commit) error { return errors.New("disk full") }
	r.untouched(func() { r.outlet.calls--; r.want(Failed) })
	r.ledger.before = nil
	r.restart()
	r.want(Partial)
	r.tells("created 2")
}

func TestAHeldIncrementalPollDoesNotMoveTheWatermark(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Guard.MaxEvents = 3 })
	api.touch("1", "new")
	r.want(Complete)
	r.now = r.now.Add(time.Hour)
	for i := range 5 {
		api.touch(strconv.Itoa(i+2), "new")
	}
	r.want(Held)
	r.restart()
	r.want(Held)
	if err := r.poller.Decide(t.Context(), Release); err != nil {
		t.Fatal(err)
	}
	if got := r.want(Partial); got.Events != 5 || got.Hold != nil {
		t.Errorf("%d events, hold %v", got.Events, got.Hold)
	}
	r.untouched(func() { r.want(Unchanged) })
}

func TestOnlyFullScansFindDeletions(t *testing.T) {
	for name, full := range map[string]string{"a duration": "1d", "a cron spec": "0 3 * * *"} {
		t.Run(name, func(t *testing.T) {
			r, api := follow(t, func(s *Source) { s.Deletes.Detect, s.Deletes.Confirm, s.Cursor.FullScan = "scan", 1, full })
			api.put("old", r.now.Add(-time.Hour), "") // no incremental poll shows it
			api.touch("1", "new")
			api.touch("2", "new")
			r.want(Complete)
			delete(api.rows, "1")
			whole := 0
			for range 49 {
				r.now = r.now.Add(time.Hour)
				switch got := r.poll(); {
				case got.Mode == Whole:
					whole++
				case got.Deleted+got.Missing > 0:
					t.Fatal("an incremental poll finds something missing")
				}
			}
			if whole != 2 {
				t.Errorf("%d full scans in two days", whole)
			}
			r.tells("deleted 1")
			r.restart() // a full scan is remembered although it changed nothing
			if got := r.want(Unchanged); got.Mode != Incremental {
				t.Error("a full scan after each start")
			}
		})
	}
}

func TestAnAnswerThatNothingHasChangedTellsTheServersClock(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor.Until = "until" })
	api.clock = func() time.Time { return r.now.Add(10 * time.Minute) }
	api.fault = func(w http.ResponseWriter, q *http.Request) bool {
		w.Header().Set("ETag", `"1"`)
		same := q.Header.Get("If-None-Match") != ""
		if same {
			w.WriteHeader(http.StatusNotModified)
		}
		return same
	}
	long := r.now.Add(-time.Hour)
	api.put("1", long, "")
	r.want(Complete)
	r.restart()
	api.put("2", long, "")
	r.want(Partial) // up to our clock: the server's is not known
	r.tells("created 2")
	r.restart()
	r.now = r.now.Add(-time.Minute) // so that it is asked for the same
	if got := r.want(Unchanged); got.Pages != 0 {
		t.Fatalf("%d pages: it is not about a 304", got.Pages)
	}
	api.touch("1", "open")
	r.now = r.now.Add(time.Second)
	r.want(Partial)
	r.tells("updated 1 at,status")
}

// A clock that was set back does not put the next whole listing off by as much.
func TestT8AFullScanIsReadWhenTheClockWasSetBack(t *testing.T) {
	for name, full := range map[string]string{"a duration": "1d", "a cron spec": "0 3 * * *", "none": ""} {
		t.Run(name, func(t *testing.T) {
			r, api := follow(t, func(s *Source) {
				if s.Cursor.FullScan = full; full != "" {
					s.Deletes.Detect, s.Deletes.Confirm = "scan", 1
				}
			})
			api.put("old", r.now.Add(-100*24*time.Hour), "")
			api.touch("1", "new")
			api.touch("2", "new")
			r.want(Complete)
			delete(api.rows, "1")
			r.now = r.now.Add(-30 * 24 * time.Hour)
			first, second := r.poll(), r.poll()
			if second.Mode != Incremental || (first.Mode == Whole) != (full != "") {
				t.Errorf("the polls after it are %q and %q", first.Mode, second.Mode)
			}
			if full != "" {
				r.tells("deleted 1")
			}
		})
	}
}

func TestAFullScanThatFailsIsTriedAgain(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor.FullScan = "1d" })
	api.touch("1", "new")
	r.want(Complete)
	r.now = r.now.Add(25 * time.Hour)
	api.fault = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }
	r.untouched(func() { r.want(Failed) })
	api.fault = nil
	if got := r.poll(); got.Mode != Whole {
		t.Error("the full scan was given up")
	}
	if got := r.poll(); got.Mode != Incremental {
		t.Error("the full scan is repeated")
	}
}

func TestTombstonesOfIncrementalPollsAreDeletions(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Deletes.Detect, s.Deletes.Flag = "flag", condition("deleted") })
	api.touch("1", "new")
	api.touch("2", "new")
	r.want(Complete)
	r.now = r.now.Add(time.Hour)
	api.put("1", r.now, `,"deleted":true`)
	api.put("9", r.now.Add(10*time.Second), `,"deleted":true`) // nobody knew it, but it moves the watermark
	r.want(Partial)
	r.tells("deleted 1")
	r.restart()
	r.untouched(func() { r.want(Unchanged) })
	if want := api.rows["9"].at.Add(-time.Minute).Format(time.RFC3339); api.since() != want {
		t.Errorf("asked from %s, want %s", api.since(), want)
	}
}

func TestT21AfterTheRetentionAllIsReadAgain(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor.Retention = setting.Duration(7 * 24 * time.Hour) })
	api.touch("1", "new")
	r.want(Complete)
	r.now = r.now.Add(8 * 24 * time.Hour) // nobody polled
	api.touch("2", "new")
	got := r.poll()
	if want := `is older than what the API keeps (cursor.retention = "7d")`; got.Mode != Whole || !strings.Contains(got.Message, want) || got.Notice == "" {
		t.Errorf("mode %q, message %q, notice %q", got.Mode, got.Message, got.Notice)
	}
	r.tells("created 2")
	if got := r.want(Unchanged); got.Mode != Incremental || got.Message != "" {
		t.Errorf("mode %q, message %q", got.Mode, got.Message)
	}
}

func TestT21AQuietSourceIsNotReadAgainAndAgain(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor.Retention = setting.Duration(7 * 24 * time.Hour) })
	api.touch("1", "new")
	r.want(Complete)
	writes := r.ledger.commits
	for range 40 {
		r.now = r.now.Add(24 * time.Hour)
		if got := r.want(Unchanged); got.Mode != Incremental {
			t.Fatalf("the watermark %s became too old", got.From)
		}
	}
	if n := r.ledger.commits - writes; n > 25 {
		t.Errorf("%d writes", n)
	}
	api.touch("2", "new")
	r.want(Partial)
	r.tells("created 2")
}

func TestAServerThatMovesItsListDoesNotMoveTheWatermark(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Pages.Kind = "page" })
	api.size = 2
	for i := range 4 {
		api.touch(strconv.Itoa(i), "new")
	}
	r.want(Complete)
	r.now = r.now.Add(time.Hour)
	at := r.now
	for i := range 4 {
		api.put(strconv.Itoa(i), at.Add(time.Duration(i)*time.Second), "")
	}
	api.fault = func(_ http.ResponseWriter, q *http.Request) bool {
		if q.URL.Query().Get("page") == "2" { // one is pushed in before them, 1 comes again
			api.put("new", at.Add(-time.Second), "")
		}
		return false
	}
	if got := r.want(Partial); !strings.Contains(got.Message, "appeared on two pages") {
		t.Errorf("message %q", got.Message)
	}
	api.fault = nil
	again := r.poll()
	if again.From >= at.Add(-time.Minute).Format(time.RFC3339) || again.Mode != Incremental {
		t.Errorf("asked from %s", again.From)
	}
	if got := r.told(); len(got) != 5 {
		t.Errorf("events %q", got)
	}
	r.poll()
	if got := r.poll(); got.From != at.Add(3*time.Second-time.Minute).Format(time.RFC3339) {
		t.Errorf("the watermark stays at %s", got.From)
	}
}

func TestRecordsWithoutAValueDoNotMoveTheWatermark(t *testing.T) {
	r, api := follow(t, nil)
	api.touch("1", "new")
	api.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		fmt.Fprintf(w, `[{"id":"1","at":%q},{"id":"2","at":null},{"id":"3"},{"id":"4","at":"soon"},{"id":"5","at":{}}]`, r.now.Format(time.RFC3339))
		return true
	}
	got := r.want(Complete)
	if want := `cursor.field "at" is "soon" in a record, which cursor.format does not describe: that record does not move the watermark`; got.Message != want {
		t.Errorf("message %q", got.Message)
	}
	at := r.now
	if r.poll(); api.since() != at.Add(-time.Minute).Format(time.RFC3339) {
		t.Errorf("asked from %s", api.since())
	}
}

func TestNumbersAndTextsAreWatermarksToo(t *testing.T) {
	for _, c := range []struct {
		format    string
		values    []string // of v, as JSON, in order of the records
		watermark string
	}{
		{"number", []string{"9", "10", "9007199254740993", "9007199254740992"}, "9007199254740993"},
		{"number", []string{`"-5"`, `"-12"`, `"-3"`}, "-3"},
		{"number", []string{`"007"`, `"6"`}, "7"},
		{"text", []string{`"01ARZ"`, `"01BX5"`, `"01AS0"`}, "01BX5"},
		{"unix", []string{"1763899200", "1763899201.5", "1763899100"}, "1763899141"},
		{"unix_ms", []string{`"1763899200123"`, "1763899100000"}, "1763899140123"},
		{"dotnet", []string{`"\/Date(1763899200123+0100)\/"`}, "/Date(1763899140123)/"},
		{"date", []string{`"2025-11-22"`, `"2025-11-23"`}, "2025-11-22"},
		{"datetime", []string{`"2025-11-23 10:00:00"`, `"2025-11-23 11:30:00.75"`}, "2025-11-23 11:29:00"},
		{"http", []string{`"Sun, 23 Nov 2025 12:00:00 GMT"`}, "Sun, 23 Nov 2025 11:59:00 GMT"},
		{"%d.%m.%Y %H:%M", []string{`"23.11.2025 12:00"`, `"22.11.2025 23:59"`}, "23.11.2025 11:59"},
		{"02/01/2006 15:04:05 -0700", []string{`"23/11/2025 12:00:00 +0200"`}, "23/11/2025 09:59:00 +0000"},
	} {
		t.Run(c.format+" "+c.watermark, func(t *testing.T) {
			asked := ""
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				asked = q.URL.Query().Get("after")
				var out []string
				for i, v := range c.values {
					out = append(out, fmt.Sprintf(`{"id":%d,"v":%s}`, i, v))
				}
				fmt.Fprintf(w, "[%s]", strings.Join(out, ","))
			}, func(s *Source) {
				s.Deletes.Detect = "off"
				s.Cursor.Field, s.Cursor.Param, s.Cursor.Format = differ.MustPath("v"), "after", c.format
			})
			r.want(Complete)
			r.restart()
			r.want(Unchanged)
			if asked != c.watermark {
				t.Errorf("asked from %q, want %q", asked, c.watermark)
			}
		})
	}
}

func TestTheRequestMayHaveAnotherFormatThanTheField(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor.ParamFormat = "unix" })
	api.touch("1", "new")
	r.want(Complete)
	r.want(Unchanged)
	if want := strconv.FormatInt(api.rows["1"].at.Add(-time.Minute).Unix(), 10); api.since() != want {
		t.Errorf("asked from %s, want %s", api.since(), want)
	}
}

func TestTheWatermarkStandsWhereThePlaceholderDoes(t *testing.T) {
	var got []string
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		body := make([]byte, q.ContentLength)
		_, _ = q.Body.Read(body)
		got = []string{q.URL.EscapedPath(), q.URL.RawQuery, q.Header.Get("X-Since"), string(body)}
		fmt.Fprint(w, `[{"id":1,"v":41},{"id":2,"v":42}]`)
	}, func(s *Source) {
		s.Deletes.Detect = "off"
		s.Method, s.URL = "POST", s.URL+"/{cursor}"
		s.Query = map[string]string{"filter": "v >= {cursor}"}
		s.Headers = map[string]string{"X-Since": "v{cursor}", "Content-Type": "application/json"}
		s.Body = `{"since":{cursor},"text":"from {cursor}"}`
		s.Cursor.Field, s.Cursor.Format, s.Cursor.Start = differ.MustPath("v"), "number", "7"
	})
	r.want(Complete)
	if want := []string{"/contacts/7", "filter=v+%3E%3D+7", "v7", `{"since":7,"text":"from 7"}`}; !slices.Equal(got, want) {
		t.Errorf("the whole listing: asked %q, want %q", got, want)
	}
	r.want(Unchanged)
	if want := []string{"/contacts/42", "filter=v+%3E%3D+42", "v42", `{"since":42,"text":"from 42"}`}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestAListingBeginsAtItsStart(t *testing.T) {
	for _, start := range []string{"30d", "2026-10-24T12:01:00Z"} {
		t.Run(start, func(t *testing.T) {
			r, api := follow(t, func(s *Source) {
				s.Cursor.Start, s.Cursor.FullScan, s.Deletes.Detect, s.Deletes.Confirm = start, "1d", "scan", 1
			})
			old := r.now.Add(-40 * 24 * time.Hour)
			api.put("old", old, "")
			api.touch("1", "new")
			api.touch("2", "new")
			r.want(Complete)
			if api.since() != "2026-10-24T12:01:00Z" || len(r.ledger.rows("contacts")) != 2 {
				t.Errorf("asked from %s, %d records", api.since(), len(r.ledger.rows("contacts")))
			}
			r.edit(func(s *Source) { s.Cursor.Start = "7d" }) // counts for a source without records only
			delete(api.rows, "1")
			r.now = r.now.Add(24 * time.Hour)
			if got := r.poll(); got.Mode != Whole || api.since() != "2026-10-24T12:01:00Z" {
				t.Errorf("mode %q, asked from %s", got.Mode, api.since())
			}
			r.tells("deleted 1")
		})
	}
}

func TestAListingThatBeginsLaterThanTheBaselineProvesNothing(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor = DefaultSource().Cursor })
	api.put("old", r.now.Add(-40*24*time.Hour), "")
	api.touch("1", "new")
	r.edit(func(s *Source) { s.Deletes.Detect, s.Deletes.Confirm = "scan", 1 })
	r.want(Complete)
	r.edit(func(s *Source) {
		s.Query = map[string]string{"since": "{cursor}"}
		s.Cursor.Field, s.Cursor.Start, s.Cursor.FullScan = differ.MustPath("at"), "30d", "1h"
	})
	for range 5 {
		r.now = r.now.Add(time.Hour)
		if got := r.want(Partial); !strings.Contains(got.Message, "begins at cursor.start") {
			t.Errorf("message %q", got.Message)
		}
	}
	r.tells()
}

func TestA304OfAnIncrementalPollIsTakenForTheSameQuestionOnly(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor.FullScan = "1d" })
	var conditions []string
	api.fault = func(w http.ResponseWriter, q *http.Request) bool {
		conditions = append(conditions, q.Header.Get("If-None-Match"))
		if tag := fmt.Sprintf("%q", q.URL.RawQuery+api.rows["1"].more); q.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return true
		} else { //nolint:revive // the tag is needed in both
			w.Header().Set("ETag", tag)
		}
		return false
	}
	api.touch("1", "new")
	r.want(Complete)  // the whole listing
	r.want(Unchanged) // another question
	r.want(Unchanged)
	if last := conditions[len(conditions)-1]; last == "" || conditions[0]+conditions[1] != "" {
		t.Errorf("conditions %q", conditions)
	}
	api.touch("1", "open")
	r.want(Partial)
	r.want(Unchanged)
	if last := conditions[len(conditions)-1]; last != "" {
		t.Errorf("the watermark moved, and the condition stayed: %q", conditions)
	}
	r.now = r.now.Add(24 * time.Hour)
	if got := r.poll(); got.Mode != Whole || conditions[len(conditions)-1] != "" {
		t.Error("a full scan must not be spared")
	}
	if got := r.poll(); got.Mode != Incremental {
		t.Error("the full scan was not remembered")
	}
}

func TestAnUnchangedRecordOfAFullScanIsNotReadForItsValue(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor.FullScan = "1h" })
	for i := range 100 {
		api.touch(strconv.Itoa(i), "new")
	}
	r.want(Complete)
	r.now = r.now.Add(time.Hour)
	w, err := r.poller.newWalk(t.Context(), Occasion{}, nil, &Result{Poll: Poll{At: r.now}}, newSpool(t.TempDir()))
	if err != nil || w.scan.gauge.all || !w.reach.full {
		t.Errorf("all %t, full %t, error %v", w.scan.gauge.all, w.reach.full, err)
	}
}

func TestARecordWhoseDetailDoesNotComeHoldsTheWatermark(t *testing.T) {
	broken := ""
	r, api := follow(t, func(s *Source) {
		s.Cursor.FullScan = "30d"
		s.Detail.URL = strings.TrimSuffix(s.URL, "/contacts") + "/detail/{key}"
	})
	api.fault = func(w http.ResponseWriter, q *http.Request) bool {
		id, detail := strings.CutPrefix(q.URL.Path, "/detail/")
		switch {
		case !detail:
			return false
		case id == broken:
			w.WriteHeader(http.StatusBadRequest)
		default:
			fmt.Fprintf(w, `{"id":%q,"name":"n%s"}`, id, id)
		}
		return true
	}
	api.touch("1", "new")
	r.want(Complete)
	broken = "2"
	r.now = r.now.Add(time.Hour)
	api.touch("2", "new")
	r.now = r.now.Add(time.Hour)
	api.touch("3", "new")
	r.want(Partial)
	r.tells("created 3")
	r.restart()
	r.want(Partial)
	broken = ""
	r.want(Partial)
	r.tells("created 2")
	r.untouched(func() { r.want(Unchanged) })
	r.edit(func(s *Source) { s.Detail.Merge = "under" }) // is for all records
	if got := r.poll(); got.Mode != Whole || got.Details != 3 {
		t.Errorf("mode %q, %d details: %s", got.Mode, got.Details, got.Message)
	}
	r.tells()
	if got := r.want(Unchanged); got.Mode != Incremental {
		t.Error("all is read again and again")
	}
}

func TestT22P10AListingThatIsReadAnewBeginsWhereItDid(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"another field":  func(r *rig) { r.edit(func(s *Source) { s.Cursor.Field = paths("other")[0] }) },
		"another format": func(r *rig) { r.edit(func(s *Source) { s.Cursor.Format = "%Y-%m-%dT%H:%M:%SZ" }) },
		"a reset": func(r *rig) {
			if _, err := r.poller.Reset(r.t.Context(), ResetCursor); err != nil {
				r.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, api := follow(t, func(s *Source) { s.Cursor.Start = "30d" })
			api.put("old", r.now.Add(-40*24*time.Hour), `,"other":"2026-01-01T00:00:00Z"`)
			api.put("1", r.now.Add(-time.Hour), `,"other":"2026-11-20T00:00:00Z"`)
			r.want(Complete)
			from := api.since()
			change(r)
			if got := r.poll(); got.Mode != Whole || api.since() != from {
				t.Errorf("mode %q, asked from %s", got.Mode, api.since())
			}
			r.tells()
		})
	}
}
