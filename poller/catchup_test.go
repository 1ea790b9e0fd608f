package poller

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

func TestT22P10WhatIsStoredOfARecordDoesNotExcludeItBeforeItsListIsRead(t *testing.T) {
	for _, how := range []int{1, 2} {
		l, status := newLists("a", "b"), 0
		l.bodies = five("status", &status)
		r := l.rig(t, func(s *Source) { s.Fields = paths("id") })
		r.want(Complete)
		status = 1
		r.want(Unchanged)
		l.broken["b"] = how
		r.edit(func(s *Source) { s.Where = conditions("status == 1") })
		r.want(Partial)
		clear(l.broken)
		r.want(Complete)
		r.tells()
		if n := len(r.ledger.rows("contacts")); n != 10 {
			t.Errorf("%d records", n)
		}
	}
}

func TestT22P10WhatIsStoredOfARecordDoesNotExcludeItBeforeItsWindowIsRead(t *testing.T) {
	r, api := follow(t, func(s *Source) {
		s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "10d", setting.Duration(24*time.Hour), "until"
		s.Fields = paths("id", "name")
	})
	start := r.now
	put := func(status string) {
		for i := range 40 {
			api.put(strconv.Itoa(i), start.Add(-time.Duration(i)*6*time.Hour), fmt.Sprintf(`,"name":"n","status":%q`, status))
		}
	}
	put("draft")
	r.catchUp()
	put("open")
	r.told()
	r.edit(func(s *Source) { s.Where = conditions(`status == "open"`) })
	r.catchUp()
	r.tells()
	if n := len(r.ledger.rows("contacts")); n != 40 {
		t.Errorf("%d records", n)
	}
}

func TestARecordThatAnEditExcludesAndItsListLacksIsForgottenSilently(t *testing.T) {
	for _, names := range [][]string{{"a"}, {"a", "b"}} {
		l, lacks := newLists(names...), false
		l.bodies = func(string) []string {
			if lacks {
				return []string{`{"id":1,"n":1}`}
			}
			return []string{`{"id":1,"n":1}`, `{"id":2,"n":2}`}
		}
		r := l.rig(t, nil)
		r.want(Complete)
		lacks = true
		r.edit(func(s *Source) { s.Where = conditions("n == 1") })
		r.want(Complete)
		r.want(Unchanged)
		r.tells()
		if n := len(r.ledger.rows("contacts")); n != len(names) {
			t.Errorf("%d records", n)
		}
	}
}

func TestARecordThatAnEditExcludesAndAMovingListDidNotShowIsJudgedWhenItsPlaceIsKnown(t *testing.T) {
	for back, tells := range map[string]string{
		`{"id":4,"n":1}`:        "", // as it was
		`{"id":4,"n":1,"a":2}`:  "", // something else has changed
		`{"id":4,"n":2}`:        "updated 4 n",
		`{"id":4,"n":2,"b":[]}`: "updated 4 b,n",
		"":                      "", // it is gone
	} {
		pages := []string{`[{"id":1,"n":2},{"id":2,"n":2}]`, `[{"id":3,"n":2},{"id":4,"n":1}]`, `[]`}
		r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
			n, err := strconv.Atoi(q.URL.Query().Get("page"))
			if err != nil || n > len(pages) {
				t.Errorf("page %q", q.URL.RawQuery)
				return
			}
			fmt.Fprint(w, pages[n-1])
		}, func(s *Source) {
			s.Pages.Kind, s.Deletes.Confirm = "page", 1
		})
		r.want(Complete)
		pages[1] = `[{"id":2,"n":2},{"id":3,"n":2}]` // the list was changed while it was read: 2 came twice, and 4 was not shown
		r.edit(func(s *Source) { s.Where = conditions("n == 2") })
		r.want(Partial)
		r.want(Partial)
		pages[1] = `[{"id":3,"n":2}` + strings.TrimSuffix(","+back, ",") + "]"
		r.want(Complete)
		known := 3
		if tells != "" {
			r.tells(tells)
			known = 4
		} else {
			r.tells()
		}
		r.want(Unchanged)
		if n := len(r.ledger.rows("contacts")); n != known {
			t.Errorf("with %q %d records are known, want %d", back, n, known)
		}
		r.unmarked()
	}
}

// What a record with details is in its list is not stored: whether it is still followed shows when it comes back.
func TestARecordWithDetailsThatAnEditExcludesAndItsListLackedGoesWhenItComesBack(t *testing.T) {
	for _, verify := range []string{"", "/contacts/{key}"} {
		g := newCatalogue("1", "2", "3")
		r := g.detailed(t, func(s *Source) { s.Deletes.Verify = verify })
		r.want(Complete)
		body := g.listed.items["2"]
		g.listed.remove("2")
		r.edit(func(s *Source) { s.Where = conditions(`v > 5`) })
		r.poll()
		g.listed.set("2", body)
		r.poll()
		r.tells("deleted 2")
		if rows := r.ledger.rows("contacts"); len(rows) > 0 {
			t.Errorf("still known: %v", rows)
		}
	}
}

func TestABackfillComesAfterThePollThatTakesNoteOfAnEdit(t *testing.T) {
	s := newShelf()
	put := func(n int) {
		for i := range 5 {
			s.set(strconv.Itoa(i), fmt.Sprintf(`{"id":"%d","n":%d}`, i, n))
		}
	}
	put(1)
	r := newRig(t, s.ServeHTTP, func(s *Source) { s.Ignore = paths("n") })
	r.want(Complete)
	put(2)
	r.want(Unchanged)
	r.edit(func(s *Source) { s.Ignore = nil })
	r.backfill(Backfill{})
	if b, err := r.poller.StepBackfill(t.Context(), 25); err == nil || b.Looked > 0 {
		t.Errorf("%+v, %v", b, err)
	}
	r.want(Complete)
	if b := r.fill(25, nil); b.Told != 5 {
		t.Errorf("%+v", b)
	}
	r.holds("1")
}

// holds wants a receiver that applies all events to hold a record as upstream has it.
func (r *rig) holds(key string) {
	r.t.Helper()
	if held, known := r.applied()[key], r.ledger.rows("contacts")[key]; held != known || known == "" {
		r.t.Errorf("a receiver holds %s of %s, upstream %s", held, key, known)
	}
}

func TestWhatABackfillHasToldIsComparedWithThatFromThenOn(t *testing.T) {
	for _, details := range []string{"", "/d/{record.id}"} {
		l, n := newLists("a", "b"), 1
		l.bodies = five("n", &n)
		r := l.rig(t, func(s *Source) { s.Ignore, s.Detail.URL = paths("n"), details })
		r.want(Complete)
		n, l.broken["b"] = 2, 1
		r.edit(func(s *Source) { s.Ignore = nil })
		r.want(Partial)
		r.backfill(Backfill{})
		r.fill(3, func(int) { r.restart() })
		clear(l.broken)
		r.want(Complete)
		r.want(Unchanged)
		r.holds(`["b","1"]`)
	}
}

func TestABackfillTellsWhatIsFollowedWhateverIsStoredOfIt(t *testing.T) {
	t.Run("conditions on the entry of the list", func(t *testing.T) {
		r := newCatalogue("1", "2", "3").detailed(t, func(s *Source) { s.Detail.Merge, s.Where = "replace", conditions(`v > 0`) })
		r.want(Complete)
		r.backfill(Backfill{})
		if b := r.fill(25, nil); b.Told != 3 {
			t.Errorf("%+v", b)
		}
	})
	t.Run("conditions on what is not compared", func(t *testing.T) {
		l, status := newLists("a"), 0
		l.bodies = five("status", &status)
		r := l.rig(t, func(s *Source) { s.Fields = paths("id") })
		r.want(Complete)
		status = 1
		r.want(Unchanged)
		r.edit(func(s *Source) { s.Where = conditions("status == 1") })
		r.want(Complete)
		r.backfill(Backfill{})
		if b := r.fill(25, nil); b.Told != 5 {
			t.Errorf("%+v", b)
		}
	})
}

// Without whole listings now and then, an edit of what is compared asks for one: otherwise the next one, whatever asks for it, would tell
// what the edit brought to light.
func TestT22P10AWholeListingLongAfterAnEditIsNoNews(t *testing.T) {
	for name, c := range map[string]struct {
		source func(*Source)
		then   func(t *testing.T, r *rig)
	}{
		"the watermark is too old": {
			func(s *Source) { s.Cursor.Retention = setting.Duration(30 * 24 * time.Hour) },
			func(_ *testing.T, r *rig) { r.now = r.now.Add(60 * 24 * time.Hour) },
		},
		"reset --cursor": {nil, func(t *testing.T, r *rig) {
			t.Helper()
			if _, err := r.poller.Reset(t.Context(), ResetCursor); err != nil {
				t.Fatal(err)
			}
		}},
		"an edit of where":  {nil, func(_ *testing.T, r *rig) { r.edit(func(s *Source) { s.Where = conditions("status") }) }},
		"an edit of cursor": {nil, func(_ *testing.T, r *rig) { r.edit(func(s *Source) { s.Cursor.Timezone = "Europe/Berlin" }) }},
	} {
		for _, names := range [][]string{{"a"}, {"a", "b"}} {
			t.Run(fmt.Sprint(name, ", lists ", names), func(t *testing.T) {
				r, api := newLists(names...).follows(t, func(s *Source) {
					if s.Ignore = paths("at", "seen"); c.source != nil {
						c.source(s)
					}
				})
				put := func(seen int) {
					for _, list := range api {
						for i := range 40 {
							list.put(strconv.Itoa(i), r.now.Add(-time.Duration(i)*time.Minute), fmt.Sprintf(`,"status":"a","seen":%d`, seen))
						}
					}
				}
				put(1)
				r.want(Complete)
				r.now = r.now.Add(3 * time.Hour)
				put(2)
				r.poll()
				api["a"].put("0", r.now, `,"status":"b","seen":2`)
				r.poll()
				r.told()
				r.now = r.now.Add(3 * time.Hour)
				r.edit(func(s *Source) { s.Ignore = paths("at") })
				r.poll()
				if got := r.poll(); got.Mode != Incremental {
					t.Errorf("mode %s", got.Mode)
				}
				c.then(t, r)
				r.poll()
				r.tells()
			})
		}
	}
}

// projected is a source whose lists are named by another one.
func (l *lists) projected(t *testing.T, edit func(*Source)) *rig {
	t.Helper()
	r := l.rig(t, func(s *Source) {
		s.Partitions = Partitions{Source: "projects", Path: differ.MustPath("slug")}
		edit(s)
	})
	r.projects("a", "b")
	return r
}

func TestT22P10AListThatIsNotNamedForAWhileIsNoNewsSinceAnEdit(t *testing.T) {
	for _, named := range []bool{true, false} {
		l, n := newLists("a", "b"), 1
		l.bodies = five("n", &n)
		r := l.projected(t, func(s *Source) { s.Ignore, s.Deletes.Confirm, s.Deletes.Detect = paths("n"), 3, "scan" })
		r.want(Complete)
		n = 2
		r.want(Unchanged)
		if l.broken["b"] = 1; !named {
			r.projects("a")
		}
		r.edit(func(s *Source) { s.Ignore = nil })
		r.poll()
		r.projects("a")
		r.poll()
		clear(l.broken)
		r.projects("a", "b")
		r.want(Complete)
		r.tells()
		if r.want(Unchanged); r.ledger.sources["contacts"].State.Edits != nil {
			t.Error("edits are remembered")
		}
	}
}

func TestAListThatIsNotNamedAnyMoreIsNotWaitedFor(t *testing.T) {
	l, n := newLists("a", "b"), 1
	l.bodies = five("n", &n)
	r := l.projected(t, func(s *Source) { s.Ignore = paths("n") })
	r.want(Complete)
	r.projects("a")
	r.edit(func(s *Source) { s.Ignore = nil })
	r.poll()
	r.poll()
	r.poll()
	if e := r.ledger.sources["contacts"].State.Edits; e != nil || len(r.ledger.rows("contacts")) != 5 {
		t.Errorf("edits %+v, %d records", e, len(r.ledger.rows("contacts")))
	}
}

func TestTheGuardDoesNotCountWhatAnEditLetsIn(t *testing.T) {
	s := newShelf()
	for i := range 100 {
		s.set("o"+strconv.Itoa(i), fmt.Sprintf(`{"id":"o%d","status":"open"}`, i))
	}
	r := newRig(t, s.ServeHTTP, func(s *Source) { s.Where, s.Deletes.Confirm = conditions(`status == "open"`), 1 })
	r.want(Complete)
	for i := range 1000 {
		s.set("c"+strconv.Itoa(i), fmt.Sprintf(`{"id":"c%d","status":"closed"}`, i))
	}
	for i := range 90 {
		s.remove("o" + strconv.Itoa(i))
	}
	r.edit(func(s *Source) { s.Where = nil })
	r.want(Held)
}

func TestT22P10WhatAnEditLetsInIsNoNewsWhenItsDetailComesLater(t *testing.T) {
	g := newCatalogue(numbered(1, 50)...)
	r := g.detailed(t, func(s *Source) { s.Where = conditions(`v > 5`) })
	r.want(Complete)
	for i, id := range numbered(1, 50) {
		if i%3 > 0 {
			g.single["/contacts/"+id] = http.StatusInternalServerError
		}
	}
	r.edit(func(s *Source) { s.Where = nil })
	r.poll()
	r.restart()
	r.poll()
	clear(g.single)
	for _, id := range numbered(1, 51) {
		g.single["/contacts/"+id] = http.StatusOK
	}
	g.add("51", 1)
	r.poll()
	r.tells("created 51")
	if n := len(r.ledger.rows("contacts")); n != 51 {
		t.Errorf("%d records", n)
	}
}

func TestWhatAPersonDecidedAboutIsNotVerified(t *testing.T) {
	for d, want := range map[Decision]int{Discard: 0, Release: 10} {
		g := newRegistry()
		for _, id := range numbered(1, 5) {
			g.listed.set(id, fmt.Sprintf(`{"id":%q,"no":"n%s"}`, id, id))
			g.single["/contacts/"+id] = http.StatusOK
		}
		r := g.rig(t, func(s *Source) { s.Deletes.Verify, s.Deletes.Confirm = "/contacts/{record.id}", 1 })
		r.want(Complete)
		r.edit(func(s *Source) { s.Key = paths("no") })
		r.want(Held)
		if err := r.poller.Decide(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		r.want(Complete)
		if told, n := r.told(), len(r.ledger.rows("contacts")); len(told) != want || n != 5 {
			t.Errorf("%d records; told %q", n, told)
		}
	}
}

func TestRecordsOfAPartitionThatLeftAreNotVerifiedAndOthersAre(t *testing.T) {
	l, lacks := newLists("a", "b"), 0
	l.bodies = func(list string) []string {
		return []string{fmt.Sprintf(`{"id":"%s1"}`, list), fmt.Sprintf(`{"id":"%s2"}`, list)}[:2-lacks]
	}
	r := l.rig(t, func(s *Source) { s.Deletes.Verify = "/d/{record.id}" })
	r.want(Complete)
	r.edit(func(s *Source) { s.Partitions.Values = []string{"a"} })
	r.want(Held)
	if err := r.poller.Decide(t.Context(), Release); err != nil {
		t.Fatal(err)
	}
	lacks = 1
	r.poll()
	r.tells(`deleted ["b","b1"]`, `deleted ["b","b2"]`)
}

func TestARecordThatAnEditExcludesAndAPersonLetsGoWaitsForNothing(t *testing.T) {
	for d, want := range map[Decision][]string{Discard: nil, Release: {`deleted ["b","1"]`}} {
		l := newLists("a", "b")
		l.bodies = func(string) []string { return []string{`{"id":"1"}`} }
		r := l.rig(t, nil)
		r.want(Complete)
		r.edit(func(s *Source) { s.Partitions.Values, s.Where = []string{"a"}, conditions("id == 2") })
		r.want(Held)
		if err := r.poller.Decide(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		r.want(Complete)
		r.tells(want...)
		if n := len(r.ledger.rows("contacts")); n != 0 {
			t.Errorf("%d records", n)
		}
		r.poll()
		r.unmarked()
	}
}

// An outage that is longer than the retention, and a listing that begins before it, are read in windows to their end.
func TestWhatIsReadAnewInWindowsIsReadToItsEnd(t *testing.T) {
	for _, start := range []string{"10d", "60d"} {
		r, api := follow(t, func(s *Source) {
			s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = start, setting.Duration(24*time.Hour), "until"
			s.Cursor.Retention = setting.Duration(30 * 24 * time.Hour)
		})
		for i := range 40 {
			api.put(strconv.Itoa(i), r.now.Add(-time.Duration(i)*6*time.Hour), `,"status":"open"`)
		}
		for range 100 {
			r.poll()
		}
		if n := len(r.ledger.rows("contacts")); n != 40 {
			t.Errorf("start %s: %d records", start, n)
		}
		r.now = r.now.Add(50 * 24 * time.Hour)
		api.put("new", r.now.Add(-time.Hour), `,"status":"open"`)
		api.put("1", r.now.Add(-time.Hour), `,"status":"closed"`)
		for i := range 150 {
			if r.poll(); i == 20 {
				r.restart()
			}
		}
		r.tells("updated 1 at,status", "created new")
		if s := r.ledger.sources["contacts"].State.Cursor; strings.Contains(string(s), "anew") {
			t.Errorf("cursor %s", s)
		}
	}
}

func TestAnOutageAmidWindowsThatIsLongerThanTheRetentionBeginsAnew(t *testing.T) {
	r, api := follow(t, func(s *Source) {
		s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "10d", setting.Duration(24*time.Hour), "until"
		s.Cursor.Retention = setting.Duration(30 * 24 * time.Hour)
	})
	api.put("1", r.now.Add(-9*24*time.Hour), "")
	r.poll()
	r.poll()
	first := r.poll().From
	r.now = r.now.Add(29 * 24 * time.Hour)
	if next := r.poll().From; next <= first {
		t.Errorf("it began anew at %s, after %s", next, first)
	}
	r.now = r.now.Add(31 * 24 * time.Hour)
	if again := r.poll().From; again >= first {
		t.Errorf("it goes on at %s, after %s", again, first)
	}
}

func TestADetailThatFailsSinceAnEditAndThenItsListAreNoNews(t *testing.T) {
	l, seen := newLists("a", "b"), 1
	l.bodies = func(list string) (out []string) {
		for i := range 20 {
			out = append(out, fmt.Sprintf(`{"id":"%s%d","seen":%d}`, list, i, seen))
		}
		return out
	}
	r := l.rig(t, func(s *Source) { s.Ignore, s.Detail.URL = paths("seen"), "/d/{record.id}" })
	r.want(Complete)
	for i := 0; i < 20; i += 2 {
		l.bad["b"+strconv.Itoa(i)] = true
	}
	seen = 2
	r.edit(func(s *Source) { s.Ignore = nil })
	r.want(Partial)
	clear(l.bad)
	l.broken["b"] = 1
	r.want(Partial)
	clear(l.broken)
	r.want(Complete)
	r.tells()
	r.unmarked()
}

// unmarked wants no edits to be remembered, and no record to wait since one.
func (r *rig) unmarked() {
	r.t.Helper()
	stored := r.ledger.sources["contacts"]
	if stored.State.Edits != nil {
		r.t.Errorf("edits %+v", stored.State.Edits)
	}
	for _, row := range stored.Rows {
		if row.Print.Raw > rawMask {
			r.t.Errorf("record %s has a mark", row.Key)
		}
	}
}

func TestADetailThatFailsInTheWholeListingSinceAnEditIsNoNewsInTheNext(t *testing.T) {
	l := newLists("a")
	r, api := l.follows(t, func(s *Source) { s.Ignore, s.Detail.URL, s.Cursor.FullScan = paths("seen"), "/d/{key}", "1d" })
	start := r.now
	put := func(seen int) {
		for i := range 20 {
			api["a"].put(strconv.Itoa(i), start.Add(-time.Duration(i)*time.Hour), fmt.Sprintf(`,"seen":%d`, seen))
		}
	}
	put(1)
	r.want(Complete)
	r.poll()
	put(2)
	for i := 0; i < 20; i += 2 {
		l.bad[strconv.Itoa(i)] = true
	}
	r.edit(func(s *Source) { s.Ignore = nil })
	r.poll()
	clear(l.bad)
	r.poll()
	r.now = r.now.Add(25 * time.Hour)
	r.poll()
	r.tells()
	r.unmarked()
}

func TestARecordThatWaitsForItsDetailAndThatItsListLacksIsNotWaitedFor(t *testing.T) {
	l := newLists("a")
	r, api := l.follows(t, func(s *Source) { s.Ignore, s.Detail.URL, s.Cursor.FullScan = paths("seen"), "/d/{key}", "1d" })
	for i := range 3 {
		api["a"].put(strconv.Itoa(i), r.now.Add(-time.Duration(i)*time.Hour), `,"seen":1`)
	}
	r.want(Complete)
	api["a"].put("1", r.now.Add(-time.Hour), `,"seen":2`)
	l.bad["1"] = true
	r.edit(func(s *Source) { s.Ignore = nil })
	r.poll()
	delete(api["a"].rows, "1")
	r.now = r.now.Add(25 * time.Hour)
	r.poll()
	r.tells()
	r.unmarked()
}

// A mark names an edit by its place: none may outlive the edits that it is about.
func TestAChangeIsToldWhoseDetailFailedThroughEditsAndWholeListings(t *testing.T) {
	l := newLists("a")
	r, api := l.follows(t, func(s *Source) { s.Detail.URL, s.Cursor.FullScan = "/d/{key}", "7d" })
	start := r.now
	for i := range 10 {
		api["a"].put(strconv.Itoa(i), start.Add(-time.Duration(i)*time.Hour), `,"v":1`)
	}
	r.want(Complete)
	r.poll()
	api["a"].put("5", start.Add(-5*time.Hour), `,"v":2`)
	l.bad["5"] = true
	for _, ignored := range [][]string{{"zz"}, {"zz", "v"}} {
		r.edit(func(s *Source) { s.Ignore = paths(ignored...) })
		r.poll()
		r.poll()
	}
	clear(l.bad)
	r.edit(func(s *Source) { s.Ignore = paths("zz") })
	for range 3 {
		r.poll()
		r.now = r.now.Add(8 * 24 * time.Hour)
	}
	r.tells("updated 5 v")
}

func TestNoMarkStaysOnARecordThatItsListLacksOnceAllListsWereRead(t *testing.T) {
	l, n, bodies := newLists("a", "b"), 1, 5
	all := five("n", &n)
	l.bodies = func(list string) []string { return all(list)[:bodies] }
	r := l.rig(t, func(s *Source) { s.Ignore, s.Deletes.Detect = paths("n"), "off" })
	r.want(Complete)
	n, bodies, l.broken["b"] = 2, 4, 1
	r.edit(func(s *Source) { s.Ignore = nil })
	r.want(Partial)
	clear(l.broken)
	r.want(Complete)
	r.tells()
	r.unmarked()
}

// backfilled has an edit exclude all records, and a backfill tell of one whose list fails since.
func backfilled(t *testing.T) (*lists, *rig) {
	t.Helper()
	l, n := newLists("a", "b"), 1
	l.bodies = five("n", &n)
	r := l.rig(t, nil)
	r.want(Complete)
	l.broken["b"] = 1
	r.edit(func(s *Source) { s.Where = conditions("n > 1") })
	r.want(Partial)
	r.backfill(Backfill{Keys: []string{`["b","1"]`}})
	r.fill(25, nil)
	return l, r
}

func TestWhatABackfillHasToldAndAnEditExcludesIsDeletedWhenItsListIsRead(t *testing.T) {
	l, r := backfilled(t)
	r.restart()
	clear(l.broken)
	r.want(Complete)
	r.tells(`snapshot ["b","1"]`, `deleted ["b","1"]`)
	if rows := r.ledger.rows("contacts"); len(rows) > 0 {
		t.Errorf("still known: %v", rows)
	}
}

// In windows, what an edit excludes as it is stored goes with the last of them at the latest, whatever it has become and whether or not it
// was shown.
func TestT22P10WhatAnEditExcludesIsForgottenSilentlyInWindows(t *testing.T) {
	for _, days := range []int{1, 20} { // many windows, or one
		r, api := follow(t, func(s *Source) {
			s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "10d", setting.Duration(24*time.Hour)*setting.Duration(days), "until"
		})
		start := r.now
		for i := range 30 {
			api.put(strconv.Itoa(i), start.Add(-time.Duration(i)*6*time.Hour), fmt.Sprintf(`,"n":1,"status":%q`, []string{"open", "closed"}[i%2]))
		}
		r.catchUp()
		r.told()
		hidden := api.rows["5"]
		delete(api.rows, "5")
		api.put("7", start.Add(-7*6*time.Hour), `,"n":2,"status":"closed"`)
		r.edit(func(s *Source) { s.Where = conditions(`status == "open"`) })
		r.catchUp()
		r.tells()
		api.rows["5"] = hidden
		if n := len(r.ledger.rows("contacts")); n != 15 {
			t.Errorf("%d records", n)
		}
	}
}

// letsIn has an edit let record 5 in, whose detail fails then.
func (l *lists) letsIn(t *testing.T) (*rig, *changes) {
	t.Helper()
	r, lists := l.follows(t, func(s *Source) { s.Where, s.Detail.URL = conditions(`k < 1`), "/d/{key}" })
	api := lists["a"]
	for i := range 6 {
		api.put(strconv.Itoa(i), r.now.Add(-time.Duration(i+1)*20*time.Hour), `,"k":`+strconv.Itoa(i%2))
	}
	r.poll()
	r.poll()
	l.bad["5"] = true
	r.edit(func(s *Source) { s.Where = conditions(`k < 2`) })
	r.poll()
	r.poll()
	r.tells()
	return r, api
}

func TestARecordThatAnEditLetInIsNewsOnceItIsAnotherOne(t *testing.T) {
	for name, c := range map[string]struct {
		away  func(api *changes, at time.Time)
		as    string
		tells []string
	}{
		"it did not match meanwhile":             {func(api *changes, at time.Time) { api.put("5", at, `,"k":2`) }, `,"k":0`, []string{"created 5"}},
		"it was not there meanwhile":             {func(api *changes, _ time.Time) { delete(api.rows, "5") }, `,"k":1`, []string{"created 5"}},
		"it did not match, and what it was then": {func(api *changes, at time.Time) { api.put("5", at, `,"k":2`) }, `,"k":1`, []string{"created 5"}},
		"it is as it was":                        {func(*changes, time.Time) {}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLists("a")
			r, api := l.letsIn(t)
			clear(l.bad)
			r.restart()
			r.now = r.now.Add(24 * time.Hour)
			c.away(api, r.now)
			if c.as != "" {
				r.poll()
				r.poll()
				r.tells()
				r.now = r.now.Add(24 * time.Hour)
				api.put("5", r.now, c.as)
			} else if _, err := r.poller.Reset(t.Context(), ResetCursor); err != nil {
				t.Fatal(err)
			}
			r.poll()
			r.poll()
			r.tells(c.tells...)
			r.unmarked()
		})
	}
}

// One that has a record without a key proves nothing, and is read all the same.
func TestAListThatNeverProvesAnythingIsNewsFromItsSecondReadingOn(t *testing.T) {
	l, n := newLists("a", "b"), 1
	l.bodies = func(list string) []string {
		return []string{fmt.Sprintf(`{"id":1,"n":%d}`, n), `{"name":"without a key in ` + list + `"}`}
	}
	r := l.rig(t, nil)
	r.want(Partial)
	n = 2
	r.want(Partial)
	r.tells(`updated ["a","1"] n`, `updated ["b","1"] n`)
}

// With on_404 = "skip" it is left out, and not waited for.
func TestARecordThatAnEditLetInAndThatHadNoDetailIsNewsWhenItHasOne(t *testing.T) {
	l := newLists("a")
	r, _ := l.letsIn(t)
	clear(l.bad)
	l.gone["5"] = true
	r.poll()
	r.unmarked()
	clear(l.gone)
	if _, err := r.poller.Reset(t.Context(), ResetCursor); err != nil {
		t.Fatal(err)
	}
	r.poll()
	r.tells("created 5")
}

func TestWhatFormerVersionsNotedOfARecordThatAnEditLetInIsReadOn(t *testing.T) {
	l := newLists("a")
	r, _ := l.letsIn(t)
	edits := r.ledger.sources["contacts"].State.Edits
	if edits == nil || len(edits.Joining) != 1 {
		t.Fatalf("edits %+v", edits)
	}
	edits.Joining[0] = edits.Joining[0][:2*len(differ.Hash{})]
	clear(l.bad)
	r.restart()
	if _, err := r.poller.Reset(t.Context(), ResetCursor); err != nil {
		t.Fatal(err)
	}
	r.poll()
	r.tells()
	r.unmarked()
}

func TestARecordWaitsNoMoreOnceTheEditThatLetItInIsTakenBack(t *testing.T) {
	l := newLists("a")
	r, lists := l.follows(t, func(s *Source) {
		s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "10d", setting.Duration(24*time.Hour), "until"
		s.Where, s.Detail.URL = conditions(`k == 0`), "/d/{key}"
	})
	api := lists["a"]
	for i := range 10 {
		api.put(strconv.Itoa(i), r.now.Add(-time.Duration(i)*20*time.Hour), fmt.Sprintf(`,"k":%d`, i%2))
	}
	r.catchUp()
	l.bad["5"] = true
	r.edit(func(s *Source) { s.Where = nil })
	r.catchUp()
	clear(l.bad)
	r.edit(func(s *Source) { s.Where = conditions(`k == 0`) })
	r.catchUp()
	r.tells()
	r.unmarked()
	r.now = r.now.Add(30 * 24 * time.Hour)
	api.put("5", r.now, `,"k":0`)
	r.catchUp()
	r.tells("created 5")
}

func TestAWaitingRecordThatAnEditLetInIsNoNewsOnceTheTableDetailIsGone(t *testing.T) {
	l := newLists("a")
	r, _ := l.letsIn(t)
	r.edit(func(s *Source) { s.Detail.URL = "" })
	r.poll()
	r.poll()
	r.tells()
	if n := len(r.ledger.rows("contacts")); n != 6 {
		t.Errorf("%d records", n)
	}
}

func TestAChangeIsToldHoweverManyEditsARecordWaitsThrough(t *testing.T) {
	for _, c := range []struct {
		edits int
		known bool // the record that waits
	}{{10, false}, {10, true}, {70, false}, {70, true}} {
		l, n, v := newLists("a", "b"), 1, 1
		l.bodies = func(list string) []string {
			all := five("n", &n)(list)
			if list == "a" {
				all = append(all, fmt.Sprintf(`{"id":"bad","v":%d}`, v))
			}
			return all
		}
		l.bad["bad"] = !c.known
		r := l.rig(t, func(s *Source) { s.Detail.URL = "/d/{record.id}" })
		r.poll()
		v, l.bad["bad"] = 2, true // for good
		for i := range c.edits {
			r.edit(func(s *Source) {
				if s.Ignore = paths("z" + strconv.Itoa(i)); i < c.edits-1 {
					s.Ignore = append(s.Ignore, paths("n")...)
				}
			})
			r.poll()
		}
		r.tells()
		n, l.broken["b"] = 2, 1 // n counts, before and behind the next edit
		r.edit(func(s *Source) { s.Ignore = append(s.Ignore, paths("other")...) })
		r.poll()
		clear(l.broken)
		for range 5 {
			r.poll()
		}
		if told := r.told(); len(told) != 10 {
			t.Errorf("%+v: %d of 10 are told", c, len(told))
		}
	}
}

func TestPollsAreConditionalAgainAlthoughADetailIsGoneSinceAnEdit(t *testing.T) {
	l, conditional := newLists("a"), 0
	r, api := l.follows(t, func(s *Source) { s.Ignore, s.Detail.URL = paths("seen"), "/d/{key}" })
	own := l.serve["a"]
	l.serve["a"] = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("If-None-Match") != "" {
			conditional++
		}
		w.Header().Set("ETag", `"x"`)
		own.ServeHTTP(w, q)
	})
	for i := range 5 {
		api["a"].put(strconv.Itoa(i), r.now.Add(-time.Duration(i+1)*time.Hour), `,"seen":1`)
	}
	r.poll()
	l.gone["3"] = true
	api["a"].put("3", r.now.Add(-4*time.Hour), `,"seen":2`)
	r.edit(func(s *Source) { s.Ignore = nil })
	for range 10 {
		r.poll()
	}
	if conditional == 0 {
		t.Error("no poll is conditional")
	}
}

func TestWhatIsRememberedOfEditsOfDetailIsBounded(t *testing.T) {
	l, n := newLists("a", "b"), 1
	l.bodies = five("n", &n)
	r := l.rig(t, func(s *Source) { s.Detail.URL = "/d/{record.id}" })
	r.want(Complete)
	l.bad["2"] = true
	for i := range 3 * mostTables {
		r.edit(func(s *Source) { s.Detail.URL = "/d/{record.id}?v=" + strconv.Itoa(i) })
		r.poll()
	}
	if list := r.ledger.sources["contacts"].State.Details; len(list) > mostTables {
		t.Errorf("%d tables", len(list))
	}
	r.tells()
}

func TestARecordThatItsListLackedBehindAnEditIsToldWhenItComesBackAsAnotherOne(t *testing.T) {
	l, n, lacks := newLists("a", "b"), 1, false
	l.bodies = func(list string) []string {
		if lacks && list == "a" {
			return nil
		}
		return []string{fmt.Sprintf(`{"id":1,"n":%d}`, n)}
	}
	r := l.rig(t, func(s *Source) { s.Ignore, s.Deletes.Detect = paths("n"), "off" })
	r.want(Complete)
	lacks, l.broken["b"] = true, 1
	r.edit(func(s *Source) { s.Ignore = nil })
	r.poll()
	r.poll()
	n, lacks = 2, false
	r.poll()
	r.tells(`updated ["a","1"] n`)
}

func TestWhatABackfillHasToldIsLookedAtAlsoBehindAnotherEdit(t *testing.T) {
	l, r := backfilled(t)
	r.edit(func(s *Source) { s.Ignore = paths("zz") })
	r.want(Partial)
	clear(l.broken)
	r.want(Complete)
	r.tells(`snapshot ["b","1"]`, `deleted ["b","1"]`)
}

func TestOneDetailThatFailsForGoodMakesNoPollAWholeListing(t *testing.T) {
	for name, c := range map[string]struct {
		full string
		then func(r *rig)
	}{
		"an edit of ignore":        {"", func(r *rig) { r.edit(func(s *Source) { s.Ignore = paths("zz") }) }},
		"an edit of where":         {"", func(r *rig) { r.edit(func(s *Source) { s.Where = conditions("v") }) }},
		"no edit, reset --cursor":  {"", func(r *rig) { _, _ = r.poller.Reset(r.t.Context(), ResetCursor) }},
		"no edit, full_scan is 1d": {"1d", func(r *rig) { r.now = r.now.Add(25 * time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLists("a")
			r, api := l.follows(t, func(s *Source) { s.Detail.URL, s.Cursor.FullScan = "/d/{key}", c.full })
			for i := range 20 {
				api["a"].put(strconv.Itoa(i), r.now.Add(-time.Duration(i+1)*time.Hour), `,"v":1`)
			}
			r.poll()
			r.poll()
			l.bad["3"] = true
			api["a"].put("3", r.now, `,"v":2`)
			r.poll()
			c.then(r)
			r.poll()
			api["a"].put("4", r.now.Add(time.Hour), `,"v":2`)
			r.now = r.now.Add(2 * time.Hour)
			for range 5 {
				if got := r.poll(); got.Mode != Incremental {
					t.Fatalf("mode %q", got.Mode)
				}
			}
			r.tells("updated 4 at,v")
			clear(l.bad)
			r.poll()
			r.tells("updated 3 at,v")
			r.unmarked()
		})
	}
}

// unended gives rows of CSV over HTTP/1.0: the end of the connection is the only end there is.
func unended(t *testing.T, rows func() []string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		fmt.Fprintf(buf, "HTTP/1.0 200 OK\r\nContent-Type: text/csv\r\n\r\n%s\n", strings.Join(rows(), "\n"))
		if err := errors.Join(buf.Flush(), conn.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestP10AListingThatWasCutOffJustAfterAnEditIsNoNewsWhenItIsWhole(t *testing.T) {
	seen, rows := 1, 20
	r := newRig(t, unended(t, func() []string {
		all := []string{"id,seen"}
		for i := range rows {
			all = append(all, fmt.Sprintf("%d,%d", i, seen))
		}
		return all
	}), func(s *Source) { s.Response.Format, s.Ignore = "csv", paths("seen") })
	r.poll()
	r.poll()
	seen, rows = 2, 10
	r.edit(func(s *Source) { s.Ignore = nil })
	r.want(Partial)
	r.restart()
	rows = 21 // one is new
	r.poll()
	r.tells("created 20")
	r.unmarked()
	seen = 3
	r.poll()
	if n := len(r.told()); n != 21 {
		t.Errorf("%d records are told", n)
	}
}

func TestNothingIsWaitedForForEverWhereNoListEverProvesWhatItLacks(t *testing.T) {
	for name, keyless := range map[string]bool{"an end that nothing proves": false, "a record without a key": true} {
		t.Run(name, func(t *testing.T) {
			rows := []string{"id,n", "1,1", "2,1", "3,2"}
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				if !keyless {
					unended(t, func() []string { return rows })(w, q)
					return
				}
				w.Header().Set("Content-Type", "text/csv")
				fmt.Fprintf(w, "%s\n,7\n", strings.Join(rows, "\n"))
			}, func(s *Source) { s.Response.Format = "csv" })
			r.poll()
			r.poll()
			rows = rows[:2] // 2 and 3 are gone
			r.edit(func(s *Source) { s.Where = conditions("n == 1") })
			r.poll()
			if r.ledger.sources["contacts"].State.Edits == nil {
				t.Error("they are not waited for")
			}
			r.poll()
			r.poll()
			r.tells()
			r.unmarked()
			if rows := r.ledger.rows("contacts"); len(rows) != 2 {
				t.Errorf("known: %v", rows)
			}
		})
	}
}

func TestAListThatFailsForGoodMakesNoOtherBeAskedForAsAWhole(t *testing.T) {
	for name, c := range map[string]struct {
		full string
		then func(r *rig)
	}{
		"an edit of where": {"", func(r *rig) { r.edit(func(s *Source) { s.Where = conditions("v") }) }},
		"full_scan is 1d":  {"1d", func(r *rig) { r.now = r.now.Add(25 * time.Hour) }},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLists("a", "b")
			r, api := l.follows(t, func(s *Source) { s.Cursor.FullScan = c.full })
			for i := range 20 {
				for _, list := range api {
					list.put(strconv.Itoa(i), r.now.Add(-time.Duration(i+1)*time.Hour), `,"v":1`)
				}
			}
			r.poll()
			r.poll()
			l.broken["b"] = 1
			r.poll()
			api["b"].put("7", r.now, `,"v":2`)
			c.then(r)
			r.poll()
			api["a"].put("8", r.now, `,"v":2`)
			asked := len(api["a"].asked)
			for range 5 {
				r.now = r.now.Add(10 * time.Minute)
				r.poll()
			}
			for _, q := range api["a"].asked[asked:] {
				if q.Get("since") == "" {
					t.Error("a is asked for as a whole")
				}
			}
			r.tells(`updated ["a","8"] at,v`)
			clear(l.broken)
			r.poll()
			r.tells(`updated ["b","7"] at,v`)
			r.poll()
			if got := api["b"].asked[len(api["b"].asked)-1]; got.Get("since") == "" {
				t.Error("b is asked for as a whole")
			}
			r.unmarked()
		})
	}
}
