package poller

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

// inWindows makes a source that is read in windows of a day, from ten days ago, with a record every six hours.
func inWindows(t *testing.T, edit func(*Source)) (*rig, *changes) {
	t.Helper()
	r, api := follow(t, func(s *Source) {
		s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "10d", setting.Duration(24*time.Hour), "until"
		if edit != nil {
			edit(s)
		}
	})
	for i := range 40 {
		api.put(strconv.Itoa(i), r.now.Add(-time.Duration(i)*6*time.Hour), fmt.Sprintf(`,"status":%q`, []string{"open", "closed"}[i%2]))
	}
	return r, api
}

// catchUp polls until no window waits, and gives the number of polls.
func (r *rig) catchUp() int {
	r.t.Helper()
	for n := 1; n < 100; n++ {
		switch got := r.poll(); {
		case got.Verdict == Failed || got.Verdict == Held:
			r.t.Fatalf("%s: %s", got.Verdict, got.Message)
		case !got.More:
			return n
		}
	}
	r.t.Fatal("the windows do not end")
	return 0
}

func TestALongListingIsReadInWindowsAndEachIsKept(t *testing.T) {
	r, api := inWindows(t, nil)
	for n := 1; ; n++ {
		got := r.poll()
		last := api.asked[len(api.asked)-1]
		from, _ := time.Parse(time.RFC3339, last.Get("since"))
		until, err := time.Parse(time.RFC3339, last.Get("until"))
		if err != nil || until.Sub(from) > 24*time.Hour+time.Minute || until.After(r.now) {
			t.Fatalf("poll %d asked for %v", n, last)
		}
		if !got.More {
			if n != 11 || got.State.Baselined.IsZero() || !got.baselined {
				t.Errorf("%d polls, baselined %s", n, got.State.Baselined)
			}
			break
		}
		if !got.State.Baselined.IsZero() || got.baselined {
			t.Error("the baseline is not whole yet")
		}
		r.restart() // what was read is kept
	}
	if len(r.ledger.rows("contacts")) != 40 {
		t.Errorf("%d records", len(r.ledger.rows("contacts")))
	}
	r.tells()
	r.untouched(func() { r.want(Unchanged) })
	api.touch("3", "changed")
	r.want(Partial)
	r.tells("updated 3 at,status")
}

func TestAWindowThatFailsIsAskedForAgain(t *testing.T) {
	r, api := inWindows(t, nil)
	r.poll()
	r.poll()
	api.fault = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return true }
	r.untouched(func() {
		if got := r.want(Failed); got.More {
			t.Error("a failed window does not wait for its turn")
		}
	})
	failed := api.since()
	api.fault = nil
	r.restart()
	r.poll()
	if api.since() != failed {
		t.Errorf("asked from %s, and %s failed", api.since(), failed)
	}
	if n := r.catchUp(); n != 8 {
		t.Errorf("%d more windows", n)
	}
	if len(r.ledger.rows("contacts")) != 40 {
		t.Errorf("%d records", len(r.ledger.rows("contacts")))
	}
}

func TestAfterAnOutageTheWindowsAreReadOneByOne(t *testing.T) {
	r, api := inWindows(t, nil)
	r.catchUp()
	r.now = r.now.Add(5 * 24 * time.Hour)
	for i := range 5 {
		api.put(strconv.Itoa(i), r.now.Add(-time.Duration(i)*24*time.Hour), "")
	}
	if n := r.catchUp(); n != 6 {
		t.Errorf("%d windows", n)
	}
	if got := r.told(); len(got) != 5 {
		t.Errorf("events %q", got)
	}
	r.untouched(func() { r.want(Unchanged) })
}

func TestEmptyWindowsAreProgress(t *testing.T) {
	r, api := inWindows(t, nil)
	clear(api.rows)
	api.touch("1", "new")
	if n := r.catchUp(); n != 11 {
		t.Errorf("%d windows", n)
	}
	if len(r.ledger.rows("contacts")) != 1 {
		t.Error("the record is not known")
	}
}

func TestT8AWindowIsOverWhenTheServersClockSaysSo(t *testing.T) {
	r, api := inWindows(t, func(s *Source) { s.Cursor.Overlap = 0 })
	ours := 3 * 24 * time.Hour
	api.clock = func() time.Time { return r.now.Add(-ours) } // our clock is three days ahead
	for i := range 40 {
		api.put(strconv.Itoa(i), api.clock().Add(-time.Duration(i)*6*time.Hour), "")
	}
	if n := r.catchUp(); n > 12 {
		t.Errorf("%d windows", n)
	}
	for i := range 5 {
		r.now = r.now.Add(5 * time.Hour)
		id := strconv.Itoa(100 + i)
		api.touch(id, "new")
		for range 3 {
			if got := r.poll(); got.More {
				t.Error("it is polled without end")
			}
		}
		r.tells("created " + id)
	}
}

func TestT22P10AnEditOfTheCursorIsNoNews(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*Source)
		whole bool // all is read again
	}{
		{"overlap", func(s *Source) { s.Cursor.Overlap = setting.Duration(time.Hour) }, false},
		{"lag", func(s *Source) { s.Cursor.Lag = setting.Duration(time.Hour) }, false},
		{"parameter", func(s *Source) { s.Cursor.Param = "from" }, false},
		{"format of the request", func(s *Source) { s.Cursor.ParamFormat = "unix" }, false},
		{"start", func(s *Source) { s.Cursor.Start = "1d" }, false},
		{"full_scan", func(s *Source) { s.Cursor.FullScan = "30d" }, false},
		{"field", func(s *Source) { s.Cursor.Field = paths("other")[0] }, true},
		{"format", func(s *Source) { s.Cursor.Format = "%Y-%m-%dT%H:%M:%SZ" }, true},
		{"time zone", func(s *Source) { s.Cursor.Timezone = "Europe/Berlin" }, true},
		{"no cursor", func(s *Source) { s.Cursor = DefaultSource().Cursor }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, api := follow(t, nil)
			for i := range 30 {
				api.put(strconv.Itoa(i), r.now.Add(-time.Duration(i)*time.Hour), `,"other":"2026-01-01T00:00:00Z"`)
			}
			r.want(Complete)
			r.edit(c.edit)
			if got := r.poll(); (got.Mode == Whole) != c.whole || got.Records < 1 && !c.whole {
				t.Errorf("mode %q, %d records", got.Mode, got.Records)
			}
			r.poll()
			r.tells()
			if len(r.ledger.rows("contacts")) != 30 {
				t.Error("records were lost")
			}
		})
	}
}

func TestACursorForASourceThatIsKnownIsNoNews(t *testing.T) {
	r, api := follow(t, func(s *Source) { s.Cursor = DefaultSource().Cursor })
	for i := range 30 {
		api.put(strconv.Itoa(i), r.now.Add(-time.Duration(i)*time.Hour), "")
	}
	r.want(Complete)
	r.edit(func(s *Source) { s.Cursor.Field, s.Cursor.Param, s.Cursor.Start = paths("at")[0], "since", "1h" })
	if got := r.want(Unchanged); got.Mode != Whole || api.since() != "-" {
		t.Errorf("mode %q, asked from %s", got.Mode, api.since())
	}
	r.restart()
	if got := r.want(Unchanged); got.Mode != Incremental {
		t.Error("no watermark")
	}
	r.tells()
}

func TestT22P10AnEditOfWhereReadsAllRecordsAgain(t *testing.T) {
	for name, edit := range map[string]func(*Source){
		"at once":    func(s *Source) { s.Cursor.Window, s.Cursor.Until, s.Cursor.Start = 0, "", "" },
		"in windows": nil,
	} {
		t.Run(name, func(t *testing.T) {
			r, api := inWindows(t, func(s *Source) {
				s.Where = conditions(`status == "open"`)
				if edit != nil {
					edit(s)
				}
			})
			r.catchUp()
			if n := len(r.ledger.rows("contacts")); n != 20 {
				t.Fatalf("%d records", n)
			}
			r.now = r.now.Add(time.Hour)
			r.edit(func(s *Source) { s.Where = nil })
			windows := 0
			for {
				got := r.poll()
				r.restart()
				if windows++; !got.More {
					break
				}
			}
			if n := len(r.ledger.rows("contacts")); n != 40 {
				t.Errorf("%d records after %d polls", n, windows)
			}
			r.tells()
			r.poll()
			api.touch("1", "closed")
			r.want(Partial)
			if got := r.told(); !slices.Equal(got, []string{"updated 1 at"}) && !slices.Equal(got, []string{"updated 1 at,status"}) {
				t.Errorf("events %q", got)
			}
			api.touch("new", "closed")
			r.want(Partial)
			r.tells("created new")
		})
	}
}

func TestTheSchedulerReadsTheNextWindowAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		windows := 3
		var polled []time.Duration
		start := time.Now()
		d.act = func(context.Context, Source) Result {
			polled = append(polled, time.Since(start))
			windows--
			return Result{Poll: Poll{Verdict: Partial}, More: windows > 0}
		}
		source := plainSource("a", time.Hour)
		source.Pages.Delay = setting.Duration(2 * time.Second)
		add(t, s, source)
		s.Start(t.Context())
		time.Sleep(30 * time.Minute)
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if want := []time.Duration{0, 2 * time.Second, 4 * time.Second}; !slices.Equal(polled, want) {
			t.Errorf("polled at %v, want %v", polled, want)
		}
	})
}

func TestEachMistakeOfACursorIsReportedAtItsKey(t *testing.T) {
	for _, c := range []struct {
		edit func(*Source)
		want string
	}{
		{func(s *Source) { s.Cursor.Field = differ.Path{} }, "cursor.param: cursor.param counts only with cursor.field"},
		{func(s *Source) { s.Cursor.Param = "" }, "cursor.field: the watermark is nowhere in the request"},
		{func(s *Source) { s.URL += "?q={cursor}" }, "cursor.field: {cursor} has no value in a whole listing without cursor.start"},
		{func(s *Source) { s.Cursor, s.URL = DefaultSource().Cursor, s.URL+"?q={cursor}" }, "cursor.field: {cursor} is used, but there is no cursor"},
		{func(s *Source) { s.Cursor.Format = "iso" }, `cursor.format: "iso" is not a format of times`},
		{func(s *Source) { s.Cursor.Format = "%Y-%Q" }, `cursor.format: "%Y-%Q" has a code that is not known here`},
		{func(s *Source) { s.Cursor.Format = "%Y-%m-%d %I:%M" }, `cursor.format: "%Y-%m-%d %I:%M" is not a format of times`},
		{func(s *Source) { s.Cursor.Format = "2006-01-02 15:04 MST" }, `cursor.format: the format "2006-01-02 15:04 MST" has the name of a zone`},
		{func(s *Source) { s.Cursor.ParamFormat = "number" }, "cursor.param_format: rfc3339 cannot be written as number"},
		{func(s *Source) { s.Cursor.Timezone = "Mars" }, `cursor.timezone: "Mars" is not a time zone`},
		{func(s *Source) { s.Cursor.Start = "yesterday" }, `cursor.start: cursor.start = "yesterday" is neither`},
		{func(s *Source) { s.Cursor.Format, s.Cursor.Lag = "number", setting.Duration(time.Minute) }, "cursor.lag: cursor.lag is about times, and the format is number"},
		{func(s *Source) { s.Cursor.Window = setting.Duration(time.Hour) }, "cursor.window: cursor.window needs an end in the request"},
		{func(s *Source) {
			s.Cursor.Window, s.Cursor.Until, s.Cursor.Format = setting.Duration(time.Hour), "to", "date"
		}, `cursor.window: cursor.window = "1h" is shorter than`},
		{func(s *Source) { s.Cursor.FullScan = "daily" }, `cursor.full_scan: cursor.full_scan = "daily" is neither a duration nor a cron spec`},
		{func(s *Source) { s.Cursor.FullScan = "0s" }, "cursor.full_scan: cursor.full_scan must be more than zero"},
		{func(s *Source) { s.Deletes.Detect = "scan" }, `deletes.detect: deletes.detect = "scan" needs cursor.full_scan`},
		{func(s *Source) { s.Single, s.Key = true, nil }, "cursor.field: one single object is asked for as a whole"},
	} {
		s := validSource()
		s.Cursor.Field, s.Cursor.Param = paths("at")[0], "since"
		c.edit(&s)
		var got []string
		for _, p := range s.Validate(secretsForTests()) {
			got = append(got, p.Error())
			if p.Hint == "" {
				t.Errorf("%s: no next step", p.Error())
			}
		}
		if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("problems %q, want %q alone", got, c.want)
		}
	}
}

func TestARecordWhoseDetailFailsForGoodDoesNotStopTheWindows(t *testing.T) {
	broken := "30"
	r, api := inWindows(t, func(s *Source) { s.Detail.URL = strings.TrimSuffix(s.URL, "/contacts") + "/detail/{key}" })
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
	r.catchUp()
	if n := len(r.ledger.rows("contacts")); n != 39 {
		t.Errorf("%d records", n)
	}
	for _, id := range []string{"a", "b"} {
		r.now = r.now.Add(24 * time.Hour)
		api.touch(id, "open")
		r.catchUp()
		r.tells("created " + id)
	}
	broken = ""
	r.catchUp()
	r.tells("created 30")
	if got := r.poll(); got.Mode != Incremental || got.Records > 2 {
		t.Errorf("%d records from %s", got.Records, got.From)
	}
}

func TestAFirstListingThatMovedBeginsWhereItDid(t *testing.T) {
	broken := true
	r, api := follow(t, func(s *Source) {
		s.Cursor.Start, s.Detail.URL = "30d", strings.TrimSuffix(s.URL, "/contacts")+"/detail/{key}"
	})
	api.fault = func(w http.ResponseWriter, q *http.Request) bool {
		id, detail := strings.CutPrefix(q.URL.Path, "/detail/")
		if detail && id == "2" && broken {
			w.WriteHeader(http.StatusBadRequest)
		} else if detail {
			fmt.Fprintf(w, `{"id":%q,"name":"n%s"}`, id, id)
		}
		return detail
	}
	api.put("old", r.now.Add(-40*24*time.Hour), "")
	api.touch("1", "new")
	api.touch("2", "new")
	r.want(Partial)
	r.poll()
	broken = false
	r.poll()
	r.tells("created 2")
}

// What a window has read since an edit is as new as any other record, also after a restart.
func TestARecordThatAWindowReadSinceAnEditIsToldToGo(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		r, api := inWindows(t, func(s *Source) {
			s.Ignore, s.Guard = paths("at", "status"), Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}
		})
		r.catchUp()
		r.edit(func(s *Source) { s.Where = conditions(`status != "dead"`) })
		for range 9 {
			if got := r.poll(); !got.More || got.Ignored > 0 {
				t.Fatalf("more %t, %d ignored", got.More, got.Ignored)
			}
		}
		if restarts {
			r.restart()
		}
		r.now = r.now.Add(time.Minute)
		api.put("20", r.now, `,"status":"dead"`)
		r.catchUp()
		r.tells("deleted 20")
	}
}

// What a poll asked up to its own time may be asked again as a window that lies in the past: that nothing has changed in it is no reason
// to stay there.
func TestAWindowThatWasAskedForBeforeIsNotTheLastOne(t *testing.T) {
	const window = 10 * time.Minute
	r, api := follow(t, func(s *Source) {
		s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "1h", setting.Duration(window), "until"
	})
	api.fault = func(w http.ResponseWriter, q *http.Request) bool {
		tag := fmt.Sprintf("%q", q.URL.RawQuery)
		if w.Header().Set("ETag", tag); q.Header.Get("If-None-Match") != tag {
			return false
		}
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	start := r.now
	api.touch("1", "new")
	r.catchUp()
	r.now = start.Add(window) // a minute before the end of the window that begins at the watermark
	r.catchUp()
	if last := api.asked[len(api.asked)-1].Get("until"); last != start.Add(window+time.Minute).Format(time.RFC3339) {
		t.Fatalf("asked up to %s", last)
	}
	r.now = r.now.Add(5 * time.Second)
	api.touch("2", "new")
	r.now = r.now.Add(window)
	r.catchUp()
	r.tells("created 2")
}
