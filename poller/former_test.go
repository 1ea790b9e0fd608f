package poller

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// lists is an API of several lists of records, one at each path /r/NAME, that have details at /d/ID.
type lists struct {
	names  []string
	broken map[string]int             // 1: the list fails; 2: it breaks off behind its last record
	bodies func(list string) []string // of all records
	serve  map[string]http.Handler    // lists that serve themselves
	asked  map[string]int             // details
	bad    map[string]bool            // details that cannot be had
	gone   map[string]bool            // details whose address says that there is nothing
}

func newLists(names ...string) *lists {
	return &lists{names: names, broken: map[string]int{}, serve: map[string]http.Handler{}, asked: map[string]int{}, bad: map[string]bool{}, gone: map[string]bool{}}
}

func (l *lists) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	name := path.Base(q.URL.Path)
	switch list, own := l.serve[name]; {
	case strings.HasPrefix(q.URL.Path, "/d/") && l.bad[name]:
		w.WriteHeader(http.StatusBadRequest)
	case strings.HasPrefix(q.URL.Path, "/d/") && l.gone[name]:
		w.WriteHeader(http.StatusNotFound)
	case strings.HasPrefix(q.URL.Path, "/d/"):
		l.asked[name]++
		fmt.Fprint(w, `{"more":1}`)
	case l.broken[name] == 1:
		w.WriteHeader(http.StatusInternalServerError)
	case own:
		list.ServeHTTP(w, q)
	case l.broken[name] == 2:
		fmt.Fprintf(w, "[%s,", strings.Join(l.bodies(name), ","))
	default:
		fmt.Fprintf(w, "[%s]", strings.Join(l.bodies(name), ","))
	}
}

func (l *lists) rig(t *testing.T, edit func(*Source)) *rig {
	t.Helper()
	return newRig(t, l.ServeHTTP, func(s *Source) {
		s.URL = strings.TrimSuffix(s.URL, "/contacts") + "/r/{partition}"
		s.Partitions.Values = l.names
		s.Guard, s.Deletes.Confirm = Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}, 1
		if edit != nil {
			edit(s)
		}
	})
}

// follows has the lists tell what has changed since a moment, and a source ask for that. One list alone is not a partition.
func (l *lists) follows(t *testing.T, edit func(*Source)) (*rig, map[string]*changes) {
	t.Helper()
	var r *rig
	api := map[string]*changes{}
	for _, name := range l.names {
		api[name] = newChanges(func() time.Time { return r.now })
		l.serve[name] = api[name]
	}
	r = l.rig(t, func(s *Source) {
		s.Deletes.Detect, s.Cursor.Field, s.Cursor.Param = "off", paths("at")[0], "since"
		if len(l.names) == 1 {
			s.Partitions.Values, s.URL = nil, strings.Replace(s.URL, "{partition}", l.names[0], 1)
		}
		edit(s)
	})
	return r, api
}

// five gives five records with a member of this value.
func five(member string, value *int) func(string) []string {
	return func(string) (out []string) {
		for i := range 5 {
			out = append(out, fmt.Sprintf(`{"id":%d,%q:%d}`, i, member, *value))
		}
		return out
	}
}

func TestARecordOfAListThatWasReadIsToldHoweverManyEditsOthersWaitFor(t *testing.T) {
	g := newRegions("a", "b", "c")
	r := g.rig(t, []string{"a", "b", "c"}, func(s *Source) { s.Where = conditions(`status == "new"`) })
	r.want(Complete)
	g.broken["b 1"] = http.StatusNotFound // for good
	r.edit(func(s *Source) { s.Where = nil })
	r.want(Partial)
	g.lists["a"].put("8", "open")
	r.want(Partial)
	r.tells(`created ["a","8"]`)
	for i, edit := range []func(*Source){func(s *Source) { s.Ignore = paths("other") }, func(s *Source) { s.Ignore = nil }} {
		g.lists["a"].put(strconv.Itoa(20+i), "open")
		r.edit(edit)
		r.want(Partial)
		r.tells(fmt.Sprintf(`created ["a","%d"]`, 20+i))
	}
	g.broken["c 1"] = http.StatusNotFound
	r.edit(func(s *Source) { s.Ignore = paths("another") })
	r.want(Partial)
	delete(g.broken, "c 1")
	g.lists["c"].put("9", "open")
	r.want(Partial)
	r.tells(`created ["c","9"]`)
}

// The whole listing behind an edit does not take in all, and those after it show only what changed since.
func TestT22P10WhatAWholeListingLeftIsReadBeforeOnlyChangesAreAskedFor(t *testing.T) {
	for name, c := range map[string]struct {
		source, edit func(*Source)
	}{
		"a list fails":       {nil, nil},
		"its details fail":   {func(s *Source) { s.Detail.URL = "/d/{key}" }, nil},
		"details are so few": {func(s *Source) { s.Detail.URL = "/d/{key}" }, func(s *Source) { s.Detail.Max, s.Detail.Concurrency = 2, 1 }},
	} {
		for _, several := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, several lists %t", name, several), func(t *testing.T) {
				l := newLists("a", "b")
				if !several {
					l.names = l.names[:1]
				}
				r, api := l.follows(t, func(s *Source) {
					if s.Ignore, s.Cursor.FullScan = paths("seen"), "1d"; c.source != nil {
						c.source(s)
					}
				})
				at := r.now.Add(-10 * time.Hour)
				put := func(seen int) {
					for _, list := range api {
						for i := range 20 {
							list.put(strconv.Itoa(i), at.Add(time.Duration(i)*time.Minute), fmt.Sprintf(`,"seen":%d`, seen))
						}
					}
				}
				put(1)
				r.want(Complete)
				put(2)
				if c.edit == nil {
					l.broken[l.names[len(l.names)-1]] = 1
				}
				r.edit(func(s *Source) {
					s.Ignore = nil
					if c.edit != nil {
						c.edit(s)
					}
				})
				r.poll()
				clear(l.broken)
				for range 20 {
					r.poll()
				}
				if got := r.poll(); got.Mode != Incremental || got.State.Edits != nil {
					t.Errorf("it reads all again: mode %s, edits %v", got.Mode, got.State.Edits)
				}
				r.now = r.now.Add(25 * time.Hour)
				for range 25 {
					r.poll()
				}
				r.tells()
				put(3)
				r.now = r.now.Add(25 * time.Hour)
				for range 25 {
					r.poll()
				}
				if n := len(r.told()); n != 20*len(l.names) {
					t.Errorf("%d records were told", n)
				}
			})
		}
	}
}

// In windows, the records of the later ones are read polls after an edit.
func TestT22P10WhatLaterWindowsBringIsNoNewsEither(t *testing.T) {
	for name, c := range map[string]struct{ source, edit func(*Source) }{
		"of several lists": {
			func(s *Source) {
				s.URL, s.Partitions.Values = strings.Replace(s.URL, "/r/a", "/r/{partition}", 1), []string{"a"}
				s.Where, s.Ignore = conditions(`status == "open"`), paths("seen")
			}, func(s *Source) { s.Where = nil },
		},
		"of records with details": {
			func(s *Source) { s.Ignore, s.Detail.URL = paths("seen"), "/d/{key}" },
			func(s *Source) { s.Ignore, s.Where = nil, conditions("status") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, lists := newLists("a").follows(t, func(s *Source) {
				s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "10d", setting.Duration(24*time.Hour), "until"
				c.source(s)
			})
			api := lists["a"]
			start := r.now
			put := func(seen int) {
				for i := range 40 {
					api.put(strconv.Itoa(i), start.Add(-time.Duration(i)*6*time.Hour), fmt.Sprintf(`,"status":%q,"seen":%d`, []string{"open", "closed"}[i%2], seen))
				}
			}
			put(1)
			r.catchUp()
			put(2)
			r.told()
			r.edit(c.edit)
			r.catchUp()
			r.tells()
			if n := len(r.ledger.rows("contacts")); n != 40 {
				t.Errorf("%d records", n)
			}
			api.put("7", r.now, `,"status":"gone","seen":3`)
			r.catchUp()
			if told := r.told(); len(told) != 1 || !strings.HasPrefix(told[0], "updated ") {
				t.Errorf("events %q", told)
			}
		})
	}
}

func TestT22P10ARecordWithDetailsWhoseListFailedJustAfterAnEditIsNoNews(t *testing.T) {
	l, seen := newLists("a", "b"), 1
	l.bodies = five("seen", &seen)
	r := l.rig(t, func(s *Source) { s.Ignore, s.Detail.URL = paths("seen"), "/d/{record.id}" })
	r.want(Complete)
	for _, how := range []int{1, 2} {
		seen++
		l.broken["b"] = how
		r.edit(func(s *Source) { s.Ignore = nil })
		r.want(Partial)
		clear(l.broken)
		r.want(Complete)
		r.tells()
		r.edit(func(s *Source) { s.Ignore = paths("seen") })
		r.want(Complete)
	}
	r.edit(func(s *Source) { s.Ignore = nil })
	r.want(Complete)
	seen++
	r.want(Complete)
	if n := len(r.told()); n != 10 {
		t.Errorf("%d records were told", n)
	}
}

func TestDetailsThatAreAddedAreNoNewsOfWhatWaitsSinceAnEdit(t *testing.T) {
	l, status := newLists("a", "b"), 1
	l.bodies = five("status", &status)
	r := l.rig(t, func(s *Source) { s.Ignore = paths("seen") })
	r.want(Complete)
	l.broken["b"] = 1
	r.edit(func(s *Source) { s.Ignore = nil })
	r.want(Partial)
	clear(l.broken)
	r.edit(func(s *Source) { s.Detail.URL = "/d/{record.id}" })
	r.want(Complete)
	r.untouched(func() { r.want(Unchanged) })
	r.tells()
	if len(l.asked) != 5 {
		t.Errorf("details %v", l.asked)
	}
}

func TestARecordThatAnEditDropsWhileItsListBreaksOffIsNotToldAsDeleted(t *testing.T) {
	g := newRegions("a", "b")
	for _, l := range g.lists {
		l.set("1", `{"id":"1","n":1}`)
	}
	r := g.rig(t, []string{"a", "b"}, func(s *Source) { s.Ignore = paths("n") })
	r.want(Complete)
	g.lists["b"].set("1", `{"id":"1","n":9}`)
	g.broken["b 2"] = http.StatusInternalServerError
	r.edit(func(s *Source) { s.Where = conditions(`n != 9`) })
	r.want(Partial)
	clear(g.broken)
	r.want(Complete)
	r.tells()
	if _, known := r.ledger.rows("contacts")[`["b","1"]`]; known {
		t.Error("it is still known")
	}
}

func TestAChangeWhoseDetailFailsWhileAnEditComesAndGoesIsTold(t *testing.T) {
	g := newCatalogue("1", "2")
	r := g.detailed(t, nil)
	r.want(Complete)
	g.add("1", 2)
	g.single["/contacts/1"] = http.StatusInternalServerError
	r.want(Partial)
	r.edit(func(s *Source) { s.Ignore = paths("name", "v") })
	r.want(Partial)
	r.edit(func(s *Source) { s.Ignore = nil })
	g.add("1", 2)
	r.want(Complete)
	r.tells("updated 1 name,v")
}

func TestASourceOfWhichNobodyWasToldSinceAResetIsNotHeld(t *testing.T) {
	g := newCatalogue("1", "2")
	r := g.detailed(t, func(s *Source) { s.Initial = "emit" })
	r.want(Complete)
	r.tells("created 1", "created 2")
	if _, err := r.poller.Reset(t.Context(), ResetRecords); err != nil {
		t.Fatal(err)
	}
	r.edit(func(s *Source) { s.Detail.URL, s.Detail.On404 = "/nowhere/{key}", "fail" })
	r.want(Partial)
	r.edit(func(s *Source) { s.Key, s.Detail.URL = paths("v"), "/contacts/{record.id}" })
	if got := r.poll(); got.Verdict == Held {
		t.Errorf("held: %s", got.Message)
	}
}

func TestASourceOfWhichSomebodyWasToldIsHeldAlsoWhenTheRestIsSilent(t *testing.T) {
	g := newCatalogue(numbered(1, 9)...)
	for _, id := range numbered(1, 9) {
		g.listed.set(id, fmt.Sprintf(`{"id":%q,"no":"n%s"}`, id, id))
	}
	r := g.detailed(t, func(s *Source) { s.Detail.URL, s.Detail.Max, s.Initial = "/contacts/{record.id}", 2, "emit" })
	r.want(Partial)
	r.tells("created 1", "created 2")
	r.edit(func(s *Source) { s.Initial = "baseline" })
	g.listed.set("1", `{"id":"1","no":"n1","v":2}`)
	r.want(Partial)
	r.tells()
	r.edit(func(s *Source) { s.Key = paths("no") })
	r.want(Held)
}

func TestAChangeInAListThatFollowsChangesIsToldAlthoughAnotherListFailsSinceAnEdit(t *testing.T) {
	l := newLists("a", "b")
	r, api := l.follows(t, func(s *Source) { s.Ignore = paths("at", "n") })
	at := r.now.Add(-10 * time.Hour)
	for _, list := range api {
		for i := range 5 {
			list.put(strconv.Itoa(i), at.Add(time.Duration(i)*time.Minute), `,"n":1`)
		}
	}
	r.want(Complete)
	r.now = r.now.Add(time.Hour)
	r.poll()
	l.broken["b"] = 1
	r.edit(func(s *Source) { s.Ignore = paths("at") })
	r.poll()
	r.tells()
	r.now = r.now.Add(time.Hour)
	api["a"].put("2", r.now, `,"n":2`)
	r.poll()
	r.tells(`updated ["a","2"] n`)
}

func TestAChangeIsToldAlthoughADetailFailsSinceAnEdit(t *testing.T) {
	l := newLists("a")
	l.bad["bad"] = true
	r, lists := l.follows(t, func(s *Source) { s.Ignore, s.Detail.URL = paths("at", "n"), "/d/{key}" })
	api := lists["a"]
	at := r.now.Add(-10 * time.Hour)
	for i := range 5 {
		api.put(strconv.Itoa(i), at.Add(time.Duration(i)*time.Minute), `,"n":1`)
	}
	r.want(Complete)
	api.put("bad", r.now, `,"n":1`)
	r.poll()
	r.edit(func(s *Source) { s.Ignore = paths("at") })
	for range 3 {
		r.poll()
	}
	r.tells()
	for i := range 5 {
		r.now = r.now.Add(24 * time.Hour)
		api.put(strconv.Itoa(i), r.now, `,"n":2`)
		r.poll()
		r.tells(fmt.Sprintf(`updated %d n`, i))
	}
}

func TestT22P10FieldsAndWhereThatAreEditedTogetherAreNoNews(t *testing.T) {
	list := newShelf()
	r := newRig(t, list.ServeHTTP, func(s *Source) {
		s.Fields, s.Guard = paths("id", "name"), Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}
	})
	for i := range 40 {
		list.set(strconv.Itoa(i), fmt.Sprintf(`{"id":"%d","name":"n","status":"open"}`, i))
	}
	r.want(Complete)
	for i := range 30 { // does not count
		list.set(strconv.Itoa(i), fmt.Sprintf(`{"id":"%d","name":"n","status":"closed"}`, i))
	}
	r.want(Unchanged)
	r.edit(func(s *Source) { s.Fields, s.Where = paths("id", "name", "status"), conditions(`status == "open"`) })
	r.want(Complete)
	r.want(Unchanged)
	r.tells()
	if n := len(r.ledger.rows("contacts")); n != 10 {
		t.Errorf("%d records", n)
	}
}

func TestT22P10ConditionsAreAboutTheEntryOfTheListAlsoWhenTheyAreEdited(t *testing.T) {
	g := newCatalogue(numbered(1, 9)...)
	r := g.detailed(t, func(s *Source) { s.Detail.Merge = "replace" })
	r.want(Complete)
	g.add("9", 2)
	r.want(Complete)
	r.tells("updated 9 name")
	for _, c := range []struct {
		where string
		rows  int
	}{{`v > 0`, 9}, {`v > 1`, 1}} {
		g.asked = nil
		r.edit(func(s *Source) { s.Where = conditions(c.where) })
		r.want(Complete)
		r.want(Unchanged)
		if n := len(r.ledger.rows("contacts")); n != c.rows || len(g.asked) > 0 {
			t.Errorf("%s: %d records, %d details were asked for", c.where, n, len(g.asked))
		}
	}
	r.tells()
}

func TestAListThatWasBehindIsFollowedAgainAlthoughADetailElsewhereFails(t *testing.T) {
	l, since := newLists("a", "b"), map[string]string{}
	l.bad["bad"] = true
	r, api := l.follows(t, func(s *Source) { s.Ignore, s.Detail.URL = paths("at", "n"), "/d/{record.id}" })
	for n, list := range api {
		l.serve[n] = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			since[n] = q.URL.Query().Get("since")
			list.ServeHTTP(w, q)
		})
		for i := range 5 {
			list.put(strconv.Itoa(i), r.now.Add(-10*time.Hour), `,"n":1`)
		}
	}
	r.want(Complete)
	r.now = r.now.Add(time.Hour)
	api["a"].put("bad", r.now, `,"n":1`)
	r.poll()
	l.broken["b"] = 1
	r.edit(func(s *Source) { s.Ignore = paths("at") })
	r.poll()
	clear(l.broken)
	for range 30 {
		r.poll()
		clear(since)
	}
	r.poll()
	if since["b"] == "" || since["a"] == "" {
		t.Errorf("asked %q: it is read as a whole for ever", since)
	}
}

func TestAListThatIsNewIsAskedForAsAWholeUntilAllItsDetailsAreThere(t *testing.T) {
	l := newLists("a", "b")
	l.bad["b2"] = true
	r, api := l.follows(t, func(s *Source) { s.Partitions.Values, s.Detail.URL = []string{"a"}, "/d/{record.id}" })
	for n, list := range api {
		for i := range 3 {
			list.put(n+strconv.Itoa(i), r.now.Add(-10*time.Hour), "")
		}
	}
	r.want(Complete)
	r.now = r.now.Add(time.Hour)
	api["a"].put("a1", r.now, "")
	r.poll()
	r.edit(func(s *Source) { s.Partitions.Values = l.names })
	r.poll()
	r.poll()
	clear(l.bad)
	r.poll()
	if n := len(r.ledger.rows("contacts")); n != 6 {
		t.Errorf("%d records", n)
	}
}

func TestWhatWaitsInAWindowThatIsReadAgainIsNoNewsOfAnEdit(t *testing.T) {
	l := newLists("a")
	r, lists := l.follows(t, func(s *Source) {
		s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "10d", setting.Duration(24*time.Hour), "until"
		s.Ignore, s.Detail.URL = paths("seen"), "/d/{key}"
	})
	api := lists["a"]
	start := r.now
	put := func(seen int) {
		for i := range 40 {
			api.put(strconv.Itoa(i), start.Add(-time.Duration(i)*6*time.Hour), fmt.Sprintf(`,"status":%q,"seen":%d`, []string{"open", "closed"}[i%2], seen))
		}
	}
	put(1)
	r.catchUp()
	put(2)
	r.told()
	l.bad["35"], l.bad["37"] = true, true
	r.edit(func(s *Source) { s.Ignore, s.Where = nil, conditions("status") })
	r.catchUp()
	r.tells()
	clear(l.bad)
	r.catchUp()
	r.tells()
}

func TestARecordWhoseDetailIsGoneJustAfterAnEditIsNoNews(t *testing.T) {
	for _, on := range []string{"skip", "deleted", "fail"} {
		t.Run(on, func(t *testing.T) {
			g := newCatalogue("1", "2", "3")
			r := g.detailed(t, func(s *Source) { s.Ignore, s.Detail.On404, s.Deletes.Confirm = paths("v", "name"), on, 3 })
			r.want(Complete)
			g.add("1", 2)
			g.single["/contacts/1"] = http.StatusNotFound
			r.edit(func(s *Source) { s.Ignore = nil })
			r.poll()
			g.single["/contacts/1"] = http.StatusOK
			r.poll()
			r.tells()
		})
	}
}

func TestARecordIsToldAlthoughAnEditThatWasTakenBackExcludedIt(t *testing.T) {
	g := newRegions("a", "b")
	r := g.rig(t, []string{"a", "b"}, nil)
	r.want(Complete)
	g.broken["b 1"] = http.StatusInternalServerError
	r.edit(func(s *Source) { s.Where = conditions(`status == "new"`) })
	r.want(Partial)
	r.edit(func(s *Source) { s.Where = nil })
	r.want(Partial)
	r.want(Partial)
	g.lists["a"].put("8", "open")
	r.want(Partial)
	r.tells(`created ["a","8"]`)
	delete(g.broken, "b 1")
	g.broken["a 1"] = http.StatusInternalServerError
	r.edit(func(s *Source) { s.Ignore = paths("zz") })
	r.want(Partial)
	g.lists["a"].put("9", "open")
	clear(g.broken)
	r.want(Complete)
	r.tells(`created ["a","9"]`)
}

// In stores of before, the fingerprint had the bits of the mark.
func TestAStoreWhoseFingerprintsHaveMoreBitsIsReadOn(t *testing.T) {
	for _, edit := range []func(*Source){nil, func(s *Source) { s.Ignore = nil }} {
		g := newCatalogue(numbered(1, 50)...)
		r := g.detailed(t, func(s *Source) { s.Ignore = paths("zz") })
		r.want(Complete)
		src := r.ledger.sources["contacts"]
		i := uint64(0)
		for h, row := range src.Rows {
			i++
			row.Print.Raw |= i << rawBits
			src.Rows[h] = row
		}
		g.asked = nil
		if edit != nil {
			r.edit(edit)
		} else {
			r.restart()
		}
		r.want(Complete)
		r.untouched(func() { r.want(Unchanged) })
		r.restart()
		r.untouched(func() { r.want(Unchanged) })
		r.tells()
		if len(g.asked) > 0 {
			t.Errorf("asked %d", len(g.asked))
		}
	}
}

func TestT22P10WhereIsEditedWhileTheListOfRecordsWithDetailsChangesInWhatDoesNotCount(t *testing.T) {
	g := newCatalogue()
	put := func(seen int) {
		for i, id := range numbered(1, 20) {
			g.add(id, 1)
			g.listed.set(id, fmt.Sprintf(`{"id":%q,"status":"s%d","seen":%d}`, id, i%2, seen))
		}
	}
	put(1)
	r := g.detailed(t, func(s *Source) { s.Ignore = paths("seen") })
	r.want(Complete)
	put(2)
	r.edit(func(s *Source) { s.Where = conditions(`status == "s0"`) })
	r.want(Complete)
	r.want(Unchanged)
	r.tells()
	if n := len(r.ledger.rows("contacts")); n != 10 {
		t.Errorf("%d records", n)
	}
}

func TestWhatWaitsForItsDetailSinceAnEditDoesSoBehindARestart(t *testing.T) {
	l, seen, failing := newLists("a", "b"), 1, false
	l.bodies = func(list string) (out []string) {
		for i := range 3 {
			out = append(out, fmt.Sprintf(`{"id":"%s%d","seen":%d}`, list, i, seen))
		}
		return out
	}
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if failing && strings.HasPrefix(q.URL.Path, "/d/b") {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		l.ServeHTTP(w, q)
	}, func(s *Source) {
		s.URL = strings.TrimSuffix(s.URL, "/contacts") + "/r/{partition}"
		s.Partitions.Values, s.Ignore, s.Detail.URL = l.names, paths("seen"), "/d/{record.id}"
	})
	r.want(Complete)
	seen, l.broken["b"] = 2, 1
	r.edit(func(s *Source) { s.Ignore = nil })
	r.want(Partial)
	clear(l.broken)
	failing = true
	r.want(Partial)
	r.restart()
	failing = false
	r.want(Complete)
	r.tells()
}

func TestEqualCopiesOfARecordThatAnEditExcludesDoNoHarm(t *testing.T) {
	status := "open"
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		record := fmt.Sprintf(`{"id":"1","name":"n","status":%q}`, status)
		fmt.Fprintf(w, `[%s,%s,{"id":"2","name":"n","status":"open"}]`, record, record)
	}, func(s *Source) {
		s.Fields, s.Guard = paths("id", "name"), Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}
	})
	r.want(Complete)
	status = "closed"
	r.want(Unchanged)
	r.edit(func(s *Source) { s.Fields, s.Where = paths("id", "name", "status"), conditions(`status == "open"`) })
	r.want(Complete)
	r.want(Unchanged)
	r.tells()
}

// Nothing changes upstream: no edit makes an event, whatever fails meanwhile, and in the end what is selected is known.
func TestP10EditsOfAStandingListAreNoNews(t *testing.T) {
	const records = 10
	body := func(i int) string { return fmt.Sprintf(`{"id":%d,"n":%d,"m":%d,"k":%d}`, i, i%3, i%2, i%5) }
	for seed := range uint64(20) {
		rnd, l := rand.New(rand.NewPCG(seed, 7)), newLists("a", "b", "c")
		l.bodies = func(string) (out []string) {
			for i := range records {
				out = append(out, body(i))
			}
			return out
		}
		r := l.rig(t, func(s *Source) {
			if seed%2 > 0 {
				s.Detail.URL, s.Detail.Max, s.Detail.Concurrency = "/d/{record.id}", 4, 1
			}
		})
		for range 10 {
			r.poll()
		}
		var log []string
		for range 12 {
			if rnd.IntN(2) == 0 {
				ignored, where := [][]string{nil, {"n"}, {"m"}, {"n", "m"}}[rnd.IntN(4)], [][]string{nil, {"n == 0"}, {"m == 1"}, {"k < 3"}}[rnd.IntN(4)]
				r.edit(func(s *Source) { s.Ignore, s.Where = paths(ignored...), conditions(where...) })
				log = append(log, fmt.Sprint("ignore ", ignored, " where ", where))
			}
			clear(l.broken)
			for _, name := range l.names {
				l.broken[name] = rnd.IntN(4)
			}
			if rnd.IntN(3) == 0 {
				r.restart()
			}
			log = append(log, fmt.Sprint("broken ", l.broken, " ", r.poll().Verdict))
		}
		clear(l.broken)
		for range 20 {
			r.poll()
		}
		want := 0
		for i := range records {
			if r.poller.selected.admits([]byte(body(i))) {
				want += len(l.names)
			}
		}
		told, state := r.told(), r.ledger.sources["contacts"].State
		if have := len(r.ledger.rows("contacts")); len(told) > 0 || have != want || state.Edits != nil {
			t.Errorf("seed %d: events %q; %d records, want %d; edits %v; after\n%s", seed, told, have, want, state.Edits, strings.Join(log, "\n"))
		}
		r.api.Close()
	}
}

// Lists that fail, edits and changes at any time: each record is judged by what counted when it was read last.
func TestP10EachRecordIsJudgedByWhatCountedWhenItWasReadLast(t *testing.T) {
	members := [3]string{"x", "y", "z"}
	type values [3]int
	differ := func(a, b values, ignored int) bool {
		for i := range a {
			if ignored&(1<<i) == 0 && a[i] != b[i] {
				return true
			}
		}
		return false
	}
	for seed := range uint64(40) {
		rnd, l := rand.New(rand.NewPCG(seed, 9)), newLists("a", "b", "c")
		now, stored := map[string]*values{}, map[string]values{}
		by := map[string][]int{} // what may have been ignored when a record was read last
		for _, name := range l.names {
			for i := range 4 {
				key := fmt.Sprintf(`["%s","%d"]`, name, i)
				now[key], stored[key], by[key] = &values{}, values{}, []int{0}
			}
		}
		l.bodies = func(list string) (out []string) {
			for i := range 4 {
				v := now[fmt.Sprintf(`["%s","%d"]`, list, i)]
				out = append(out, fmt.Sprintf(`{"id":%d,"x":%d,"y":%d,"z":%d}`, i, v[0], v[1], v[2]))
			}
			return out
		}
		r := l.rig(t, nil)
		r.poll()
		ignored := 0
		for range 14 {
			switch rnd.IntN(3) {
			case 0:
				ignored = rnd.IntN(8)
				r.edit(func(s *Source) {
					s.Ignore = nil
					for i, m := range members {
						if ignored&(1<<i) != 0 {
							s.Ignore = append(s.Ignore, paths(m)...)
						}
					}
				})
			case 1:
				r.restart()
			}
			for _, key := range slices.Sorted(maps.Keys(now)) {
				if rnd.IntN(4) == 0 {
					now[key][rnd.IntN(3)]++
				}
			}
			for _, name := range l.names {
				l.broken[name] = max(rnd.IntN(5)-2, 0)
			}
			got, told := r.poll(), r.told()
			for key, v := range now {
				is := slices.ContainsFunc(told, func(e string) bool { return strings.Contains(e, key) })
				if how := l.broken[partitionOf(key)]; how > 0 || got.Verdict == Failed {
					if is {
						t.Fatalf("seed %d: %s is told, and was not read", seed, key)
					}
					if how == 2 && got.Verdict != Failed && *v == stored[key] { // that it is as it was may count as read, or not
						by[key] = append(by[key], ignored)
					}
					continue
				}
				changed := differ(stored[key], *v, ignored)
				may := slices.ContainsFunc(by[key], func(was int) bool { return changed && (was == ignored || differ(stored[key], *v, was)) })
				must := !slices.ContainsFunc(by[key], func(was int) bool { return !changed || was != ignored && !differ(stored[key], *v, was) })
				if is && !may || !is && must {
					t.Fatalf("seed %d: %s is told: %t; it may be: %t, must be: %t; was %v, is %v, ignored %b, before %b", seed, key, is, may, must, stored[key], *v, ignored, by[key])
				}
				if changed {
					stored[key] = *v
				}
				by[key] = []int{ignored}
			}
		}
		r.api.Close()
	}
}

// Nothing changes upstream, which is asked for what has changed, in windows or at once, with details or without: no edit makes an event, and
// each source ends with what is selected, and with polls for what has changed.
func TestP10EditsOfAListThatFollowsChangesAreNoNews(t *testing.T) {
	const records = 10
	body := func(i int) string { return fmt.Sprintf(`,"n":%d,"m":%d,"k":%d`, i%3, i%2, i%5) }
	for seed := range uint64(32) {
		rnd, l := rand.New(rand.NewPCG(seed, 77)), newLists("a", "b", "c")
		several := seed%2 == 0
		if !several {
			l.names = l.names[:1]
		}
		r, api := l.follows(t, func(s *Source) {
			if seed&2 == 0 {
				s.Detail.URL, s.Detail.Max, s.Detail.Concurrency = "/d/{record.id}", 3, 1
			}
			if seed&4 == 0 {
				s.Cursor.FullScan = "1d"
			}
			if seed&8 == 0 {
				s.Cursor.Start, s.Cursor.Window, s.Cursor.Until = "10d", setting.Duration(48*time.Hour), "until"
			}
			if seed&16 == 0 {
				s.WhereExit = "silent"
			}
		})
		for _, list := range api {
			for i := range records {
				list.put(strconv.Itoa(i), r.now.Add(-time.Duration(i)*20*time.Hour), body(i))
			}
		}
		polls := func(n int) (last Result) {
			for range n {
				last = r.poll()
			}
			return last
		}
		polls(30)
		var log, where []string
		for range 14 {
			if rnd.IntN(3) == 0 {
				ignored := [][]string{nil, {"n"}, {"m"}, {"n", "m"}}[rnd.IntN(4)]
				if rnd.IntN(2) == 0 {
					where = [][]string{nil, {"n == 0"}, {"m == 1"}, {"k < 3"}}[rnd.IntN(4)]
				}
				r.edit(func(s *Source) { s.Ignore, s.Where = paths(ignored...), conditions(where...) })
				log = append(log, fmt.Sprint("ignore ", ignored, " where ", where))
			}
			for _, name := range l.names {
				l.broken[name] = max(rnd.IntN(3)-1, 0)
			}
			switch rnd.IntN(8) {
			case 0, 1:
				r.restart()
			case 2:
				r.now = r.now.Add(25 * time.Hour)
			}
			got := r.poll()
			log = append(log, fmt.Sprint("broken ", l.broken, " ", got.Verdict, " ", got.Mode))
		}
		clear(l.broken)
		last, want := polls(40), 0
		for i := range records {
			if r.poller.selected.admits([]byte("{" + body(i)[1:] + "}")) {
				want += len(l.names)
			}
		}
		told, state := r.told(), r.ledger.sources["contacts"].State
		have, followed := len(r.ledger.rows("contacts")), !several || len(state.Partitions.Followed) == len(l.names)
		if len(told) > 0 || have != want || state.Edits != nil || last.Mode != Incremental || !followed {
			t.Errorf("seed %d: events %q; %d records, want %d; edits %v; mode %s, followed %t; after\n%s", seed, told, have, want, state.Edits, last.Mode, followed, strings.Join(log, "\n"))
		}
		r.api.Close()
	}
}

// What changes after its list was read under the present configuration is told by the next poll that reads it, whatever fails elsewhere.
func TestP10WhatChangesBehindAnEditIsTold(t *testing.T) {
	type record struct{ n, m, k int }
	for seed := range uint64(32) {
		rnd, l := rand.New(rand.NewPCG(seed, 78)), newLists("a", "b", "c")
		r, api := l.follows(t, func(s *Source) {
			if s.Ignore = paths("at"); seed&1 != 0 {
				s.Cursor.Field, s.Cursor.Param = differ.Path{}, ""
			}
			if seed&2 == 0 {
				s.Detail.URL = "/d/{record.id}"
			}
			if seed&5 == 0 {
				s.Cursor.FullScan = "1d"
			}
		})
		all, read, must := map[string]*record{}, map[string]bool{}, map[string]string{}
		keyOf := func(list string, i int) string { return fmt.Sprintf(`["%s","%d"]`, list, i) }
		put := func(list string, i int, kind, member string) {
			v := all[keyOf(list, i)]
			api[list].put(strconv.Itoa(i), r.now, fmt.Sprintf(`,"n":%d,"m":%d,"k":%d`, v.n, v.m, v.k))
			counts := !slices.Contains(texts(r.source.Ignore), member) && r.poller.selected.admits(fmt.Appendf(nil, `{"k":%d}`, v.k))
			if read[list] && counts {
				must[keyOf(list, i)] = kind
			}
		}
		const records = 6
		for _, list := range l.names {
			for i := range records {
				all[keyOf(list, i)] = &record{k: i}
				put(list, i, "created", "")
			}
		}
		r.poll()
		r.poll()
		for step := range 20 {
			if rnd.IntN(3) == 0 {
				ignored, where, was := [][]string{{"at"}, {"at", "n"}, {"at", "m"}, {"at", "n", "m"}}[rnd.IntN(4)], [][]string{nil, {"k > 1"}, {"k < 3"}}[rnd.IntN(3)], r.poller.compare
				if r.edit(func(s *Source) { s.Ignore, s.Where = paths(ignored...), conditions(where...) }); was != r.poller.compare {
					clear(read)
				}
				clear(must)
			}
			r.now = r.now.Add(10 * time.Minute)
			for _, list := range l.names {
				for i := range records {
					switch v := all[keyOf(list, i)]; rnd.IntN(10) {
					case 0:
						v.n++
						put(list, i, "updated", "n")
					case 1:
						v.m++
						put(list, i, "updated", "m")
					}
				}
				if rnd.IntN(4) == 0 {
					all[keyOf(list, records+step)] = &record{k: rnd.IntN(5)}
					put(list, records+step, "created", "")
				}
				l.broken[list] = max(rnd.IntN(3)-1, 0)
			}
			if rnd.IntN(4) == 0 {
				r.restart()
			}
			got, told := r.poll(), r.told()
			if got.Verdict == Failed {
				continue
			}
			for _, list := range l.names {
				read[list] = read[list] || l.broken[list] == 0
			}
			maps.DeleteFunc(must, func(key, kind string) bool {
				if l.broken[partitionOf(key)] > 0 {
					return false
				}
				if !slices.ContainsFunc(told, func(e string) bool { return strings.HasPrefix(e, kind+" "+key) || strings.HasPrefix(e, "created "+key) }) {
					t.Errorf("seed %d, step %d: %s %s is not told", seed, step, kind, key)
				}
				return true
			})
		}
		r.api.Close()
	}
}
