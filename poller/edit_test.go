package poller

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
)

func paths(texts ...string) []differ.Path {
	var out []differ.Path
	for _, text := range texts {
		out = append(out, differ.MustPath(text))
	}
	return out
}

func TestT22AnEditOfWhatIsComparedIsNoChangeOfAnyRecord(t *testing.T) {
	for _, c := range []struct {
		name          string
		before, after func(*Source)
		stale         bool // "seen" changes unnoticed before the edit
	}{
		{"a path is ignored", nil, func(s *Source) { s.Ignore = paths("seen") }, false},
		{"a path counts again", func(s *Source) { s.Ignore = paths("seen") }, func(s *Source) { s.Ignore = nil }, true},
		{"only some fields are kept", nil, func(s *Source) { s.Fields = paths("id", "name") }, false},
		{"another field is kept", func(s *Source) { s.Fields = paths("id", "name") }, func(s *Source) { s.Fields = paths("id", "name", "seen") }, true},
		{"an array has no order", nil, func(s *Source) { s.Unordered = paths("tags") }, false},
		{"an array has an order", func(s *Source) { s.Unordered = paths("tags") }, func(s *Source) { s.Unordered = nil }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen, name, space := 1, "Ann", ""
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `[{"id":1,"name":%q,"seen":%d,"tags":["a","b"]%s},{"id":2,"name":"Bo","seen":%d,"tags":[]%s}]`, name, seen, space, seen, space)
			}, c.before)
			r.want(Complete)
			if c.stale {
				seen = 2
				r.untouched(func() { r.want(Unchanged) })
				seen = 3
			}
			r.edit(c.after)
			if got := r.want(Complete); got.Events != 0 {
				t.Errorf("the edit made %d events", got.Events)
			}
			r.tells()
			r.untouched(func() { r.want(Unchanged) })
			r.restart()
			space = " " // the new fingerprints were stored
			r.untouched(func() { r.want(Unchanged) })
			name = "Anna"
			r.want(Complete)
			r.tells("updated 1 name")
		})
	}
}

func TestARealChangeDuringAnEditIsTold(t *testing.T) {
	name, seen := "Ann", 1
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"id":1,"name":%q,"seen":%d},{"id":2,"name":"Bo","seen":%d}]`, name, seen, seen)
	}, func(s *Source) { s.Ignore = paths("seen") })
	r.want(Complete)
	name, seen = "Anna", 2
	r.edit(func(s *Source) { s.Ignore = nil })
	r.want(Complete)
	r.tells("updated 1 name,seen")
	r.untouched(func() { r.want(Unchanged) })
	seen = 3
	r.want(Complete)
	r.tells("updated 1 seen", "updated 2 seen")
}

func TestWhatChangedUnseenBeforeAnEditIsNotToldLater(t *testing.T) {
	name, seen, there := "Ann", 1, true
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[{"id":2}`)
		if there {
			fmt.Fprintf(w, `,{"id":1,"name":%q,"seen":%d}`, name, seen)
		}
		fmt.Fprint(w, `]`)
	}, func(s *Source) { s.Ignore = paths("seen") })
	r.want(Complete)
	seen = 2
	r.want(Unchanged)
	there = false // the count of missing scans is stored, with the fingerprint of a body that is not
	r.want(Complete)
	there = true
	r.want(Complete)
	r.edit(func(s *Source) { s.Ignore = nil })
	r.want(Complete)
	r.restart()
	name = "Anna"
	r.want(Complete)
	r.tells("updated 1 name")
}

func TestAnEditSurvivesAFailedPollAndARestart(t *testing.T) {
	broken, seen := false, 1
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		if broken {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, `[{"id":1,"seen":%d}]`, seen)
	}, func(s *Source) { s.Ignore = paths("seen") })
	r.want(Complete)
	seen, broken = 2, true
	r.edit(func(s *Source) { s.Ignore = nil })
	r.untouched(func() { r.want(Failed) })
	r.restart()
	broken = false
	r.want(Complete)
	r.tells()
}

func TestT22AChangedIdentityIsHeldUntilAPersonDecides(t *testing.T) {
	for _, c := range []struct {
		name    string
		edit    func(*Source)
		message string
	}{
		{"key", func(s *Source) { s.Key = differ.Paths(paths("number")) }, `key was changed from ["id"] to ["number"]`},
		{"records", func(s *Source) { s.Records = differ.MustPath("others") }, `records was changed from "items" to "others"`},
		{"origin", func(s *Source) { s.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) }, "the origin of url was changed from http://127.0.0.1:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asked := 0
			r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
				asked++
				fmt.Fprint(w, `{"items":[{"id":1,"number":"a"},{"id":2,"number":"b"}],"others":[{"id":7,"number":"z"}]}`)
			}, func(s *Source) { s.Records = differ.MustPath("items") })
			r.want(Complete)
			rows := fmt.Sprint(r.ledger.sources["contacts"].Rows)
			was := r.source
			r.edit(c.edit)
			for range 3 {
				if got := r.want(Held); !strings.Contains(got.Message, c.message) || !strings.Contains(got.Message, "the 2 known records") {
					t.Errorf("message %q", got.Message)
				}
			}
			r.restart()
			r.want(Held)
			r.tells()
			if asked != 1 || fmt.Sprint(r.ledger.sources["contacts"].Rows) != rows {
				t.Error("the source was asked, or its records were touched")
			}
			r.edit(func(s *Source) { *s = was })
			if got := r.want(Unchanged); !got.released {
				t.Error("the hold stays although the configuration is as it was")
			}
			r.edit(c.edit)
			r.want(Held)
			if err := r.poller.Decide(t.Context(), Release); err != nil {
				t.Fatal(err)
			}
			r.want(Complete)
			if r.ledger.sources["contacts"].State.Held != nil {
				t.Error("still held")
			}
			r.poll()
			if got := r.want(Unchanged); got.State.Identity == "" {
				t.Error("no identity")
			}
		})
	}
}

func TestT22AReleasedKeyIsReadFromRecordsWhoseBytesAreKnown(t *testing.T) {
	keyless := ""
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"id":1,"number":"a"}%s]`, keyless)
	}, nil)
	r.want(Complete)
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("number")) })
	r.want(Held)
	if err := r.poller.Decide(t.Context(), Release); err != nil {
		t.Fatal(err)
	}
	keyless = `,{"id":2}` // what is deleted is not known from this one: it ends nothing
	r.want(Partial)
	r.tells("created a")
	keyless = ""
	if got := r.want(Complete); !got.released {
		t.Error("it is not released")
	}
	r.tells("deleted 1")
	r.want(Unchanged)
	r.restart()
	r.want(Unchanged)
}

// nameless is a record that cannot be identified.
const nameless = `,{"name":"Ann"}`

// keyed is a source of one record with several members that could be its key, and of more. One that has none of them keeps polls from
// proving what is gone.
func keyed(t *testing.T) (r *rig, more *string) {
	t.Helper()
	more = new(string)
	r = newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `[{"id":1,"number":"a","code":"x"}%s]`, *more)
	}, func(s *Source) { s.Guard = Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"} })
	r.want(Complete)
	return r, more
}

// by has a source tell its records apart by another member.
func (r *rig) by(member string) {
	r.t.Helper()
	r.edit(func(s *Source) { s.Key = differ.Paths(paths(member)) })
}

// release wants the source to wait for a person, also behind a restart, and releases it.
func (r *rig) release(message string) {
	r.t.Helper()
	if got := r.want(Held); !strings.HasPrefix(got.Message, message) {
		r.t.Errorf("held because %s, want %s", got.Message, message)
	}
	r.restart()
	r.want(Held)
	r.tells()
	if err := r.poller.Decide(r.t.Context(), Release); err != nil {
		r.t.Fatal(err)
	}
}

func TestT22P10ADecisionAboutAnIdentityIsAboutNoLaterEdit(t *testing.T) {
	for _, back := range []string{"id", "code"} {
		r, more := keyed(t)
		r.by("number")
		r.release(`key was changed from ["id"] to ["number"]`)
		r.by("code") // nobody was told yet
		r.want(Held)
		r.by("number")
		r.release(`key was changed from ["id"] to ["number"]`)
		*more = nameless
		r.want(Partial)
		r.tells("created a")
		r.restart()
		r.want(Partial)
		r.by(back) // the former record is still known, and a person has let it go
		r.release(fmt.Sprintf(`key was changed from ["number"] to [%q]`, back))
		*more = ""
		r.want(Complete)
		if told := r.told(); back == "id" && !slices.Equal(told, []string{"deleted a"}) || back == "code" && len(told) != 3 {
			t.Errorf("back to %s: told %q", back, told)
		}
		if r.want(Unchanged); len(r.ledger.rows("contacts")) != 1 || r.ledger.sources["contacts"].State.Held != nil {
			t.Errorf("back to %s: %v", back, r.ledger.rows("contacts"))
		}
	}
}

func TestWhatAReleasedIdentityBringsIsNotHeldByTheGuard(t *testing.T) {
	r, more := keyed(t)
	r.edit(func(s *Source) { s.Guard.MaxEvents = 1 })
	r.by("number")
	r.release(`key was changed from ["id"] to ["number"]`)
	*more = `,{"number":"b"}` + nameless
	r.want(Partial)
	r.tells("created a", "created b")
	*more = `,{"number":"b"}`
	r.want(Complete)
	r.tells("deleted 1")
}

// What a person released is the exchange of the records, not what happens to them later, as long as no poll proves what is gone.
func TestP6TheGuardIsBackOnceAReleasedIdentityHasBeenApplied(t *testing.T) {
	l, rows := newLists("a", "b"), 30
	l.bodies = func(name string) (list []string) {
		for i := range rows {
			list = append(list, fmt.Sprintf(`{"id":%d,"number":"n%d"}`, i, i))
		}
		return list
	}
	r := l.rig(t, func(s *Source) { s.Guard = Guard{MaxDeletes: 0.3, MinDeletes: 5, Empty: "hold"} })
	r.want(Complete)
	l.broken["b"] = 1
	r.by("number")
	r.release(`key was changed from ["id"] to ["number"]`)
	if r.want(Partial); len(r.told()) != 60 {
		t.Error("list a is not exchanged")
	}
	r.want(Partial)
	rows = 0
	empty := "the list is empty; 60 records were known"
	r.release(empty)
	if got := r.ledger.sources["contacts"].State.Held; !strings.HasPrefix(got.Message, empty) || got.Reason != reasonIdentity {
		t.Errorf("held: %+v", got)
	}
	if r.want(Partial); len(r.told()) != 30 {
		t.Error("what was released is not told")
	}
	clear(l.broken)
	if r.want(Complete); len(r.told()) != 30 || r.ledger.sources["contacts"].State.Held != nil {
		t.Error("list b is not exchanged")
	}
}

func TestADecisionThatAFormerVersionStoredIsAboutNoLaterEdit(t *testing.T) {
	r, more := keyed(t)
	r.by("number")
	r.release(`key was changed from ["id"] to ["number"]`)
	r.ledger.sources["contacts"].State.Held.About = ""
	r.restart()
	*more = nameless
	r.want(Partial)
	r.tells("created a")
	r.by("code")
	r.release(`key was changed from ["number"] to ["code"]`)
}

func TestANewQuestionIsAskedSinceItIs(t *testing.T) {
	r, _ := keyed(t)
	r.by("number")
	r.want(Held)
	first := r.now
	r.want(Held)
	if got := r.ledger.sources["contacts"].State.Held.Since; !got.Equal(first) {
		t.Errorf("held since %s, want %s", got, first)
	}
	r.by("code")
	r.want(Held)
	if got := r.ledger.sources["contacts"].State.Held.Since; !got.Equal(r.now) {
		t.Errorf("held since %s, want %s", got, r.now)
	}
}

func TestATrialSaysThatAnEditedSourceIsHeld(t *testing.T) {
	for _, unproven := range []string{"", nameless} {
		r, more := keyed(t)
		*more = unproven
		r.by("number")
		for range 2 {
			got, err := TryPoll(t.Context(), r.source, r.opts, TryOptions{})
			if err != nil || got.Verdict != Held || !strings.HasPrefix(got.Message, `key was changed from ["id"] to ["number"]`) {
				t.Errorf("more %q: %s, %s, %v", unproven, got.Verdict, got.Message, err)
			}
			r.want(Held)
		}
	}
}

func TestADecisionThatIsNotCarriedOutIsAskedForAgainWhenTheEditComesBack(t *testing.T) {
	r, more := keyed(t)
	r.by("number")
	r.release(`key was changed from ["id"] to ["number"]`)
	*more = nameless
	r.want(Partial)
	r.tells("created a")
	r.by("id")
	r.want(Held)
	r.by("number")
	stored := r.ledger.sources["contacts"].State
	if e, err := r.source.Against(&stored); err != nil || e.Identity == "" {
		t.Errorf("a plan says %+v, %v", e, err)
	}
	r.want(Held)
	if _, err := r.poller.Rekey(t.Context()); !errors.Is(err, ErrRekey) {
		t.Errorf("rekey: %v", err)
	}
	r.release("the configuration was edited again before")
	r.want(Partial)
	*more = ""
	r.want(Complete)
	r.tells("deleted 1")
	r.want(Unchanged)
}

func TestP6WhatIsKnownUnderALetGoIdentityHidesNoRecord(t *testing.T) {
	r, _ := keyed(t)
	r.edit(func(s *Source) { s.Deletes.Detect = "off" })
	r.by("number")
	r.release(`key was changed from ["id"] to ["number"]`)
	r.want(Complete)
	r.tells("created a")
	r.poll()
	r.restart()
	r.edit(func(s *Source) { s.Deletes = Deletes{Detect: "scan", Confirm: 1} })
	r.want(Complete)
	r.tells("deleted 1")
}

func TestTheIdentityOfASourceWithoutABaselineIsFree(t *testing.T) {
	r := newRig(t, newShelf("1").ServeHTTP, func(s *Source) { s.Key = differ.Paths(paths("nope")) })
	r.want(Failed)
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("id")) })
	r.want(Complete)
}

func TestT22P10WhatAnEditBringsToLightIsNoNewsWhenItIsReadLater(t *testing.T) {
	t.Run("a partition that fails", func(t *testing.T) {
		g := newRegions("a", "b")
		r := g.rig(t, []string{"a", "b"}, func(s *Source) { s.Ignore = paths("status") })
		r.want(Complete)
		for _, id := range []string{"1", "2", "3", "4"} {
			g.lists["b"].put(id, "old")
		}
		g.broken["b 1"] = http.StatusInternalServerError
		r.edit(func(s *Source) { s.Ignore = nil })
		r.want(Partial)
		g.broken = map[string]int{}
		r.restart()
		r.want(Complete)
		r.tells()
		g.lists["b"].put("1", "new")
		r.want(Complete)
		r.tells(`updated ["b","1"] status`)
	})
	t.Run("an incremental poll", func(t *testing.T) {
		r, api := follow(t, func(s *Source) { s.Cursor.FullScan, s.Ignore = "1d", paths("seen") })
		at := r.now.Add(-10 * time.Hour)
		put := func(seen int) {
			for i := range 5 {
				api.put(strconv.Itoa(i), at.Add(time.Duration(i)*time.Hour), fmt.Sprintf(`,"seen":%d`, seen))
			}
		}
		put(1)
		r.want(Complete)
		put(2)
		r.edit(func(s *Source) { s.Ignore = nil })
		if got := r.poll(); got.Mode != Whole {
			t.Error("the records were not read again")
		}
		if got := r.poll(); got.Mode != Incremental {
			t.Error("the records are read again and again")
		}
		r.now = r.now.Add(25 * time.Hour)
		r.poll()
		r.tells()
		put(3)
		r.now = r.now.Add(25 * time.Hour)
		r.poll()
		r.tells("updated 0 seen", "updated 1 seen", "updated 2 seen", "updated 3 seen", "updated 4 seen")
	})
}

// Two edits follow each other while records wait that the first one concerns: each record is judged by what counted when it was read.
func TestT22P10WhatWaitsSinceAnEditIsNoNewsAfterAnotherOne(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		t.Run(fmt.Sprintf("restarts %t, other records are followed", restarts), func(t *testing.T) {
			g := newCatalogue(numbered(1, 8)...)
			for i, id := range numbered(1, 8) {
				g.listed.set(id, fmt.Sprintf(`{"id":%q,"old":%t}`, id, i >= 2))
			}
			r := g.detailed(t, func(s *Source) { s.Where = conditions(`old == false`) })
			poll := func(v Verdict) {
				t.Helper()
				if restarts {
					r.restart()
				}
				r.want(v)
			}
			r.want(Complete)
			r.edit(func(s *Source) { s.Where, s.Detail.Max, s.Detail.Concurrency = nil, 2, 1 })
			poll(Partial) // 3 and 4
			r.edit(func(s *Source) { s.Ignore = paths("other") })
			poll(Partial) // 5 and 6
			r.edit(func(s *Source) { s.Ignore = nil })
			g.add("2", 2)
			poll(Partial) // 2 and 7
			r.tells("updated 2 name,old,v")
			poll(Complete)
			r.tells()
			if n := len(r.ledger.rows("contacts")); n != 8 {
				t.Errorf("%d records", n)
			}
			g.listed.set("9", `{"id":"9","old":true}`)
			g.add("9", 1)
			poll(Complete)
			r.tells("created 9")
		})
		t.Run(fmt.Sprintf("restarts %t, more is compared", restarts), func(t *testing.T) {
			lists, broken := map[string][]string{"north": nil, "south": nil, "west": nil}, ""
			put := func(list, id string, status, size int) {
				if id == "1" {
					lists[list] = nil
				}
				lists[list] = append(lists[list], fmt.Sprintf(`{"id":%s,"status":%d,"size":%d}`, id, status, size))
			}
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				list := strings.TrimPrefix(q.URL.Path, "/r/")
				switch breaks := strings.Contains(broken, list); {
				case breaks && list == "west":
					w.WriteHeader(http.StatusInternalServerError)
				case breaks: // off
					fmt.Fprintf(w, "[%s,", strings.Join(lists[list], ","))
				default:
					fmt.Fprintf(w, "[%s]", strings.Join(lists[list], ","))
				}
			}, func(s *Source) {
				s.URL = strings.TrimSuffix(s.URL, "/contacts") + "/r/{partition}"
				s.Partitions.Values, s.Ignore = []string{"north", "south", "west"}, paths("status", "size")
			})
			all := func(status, size int) {
				for list := range lists {
					for _, id := range []string{"1", "2", "3"} {
						put(list, id, status, size)
					}
				}
			}
			all(1, 1)
			r.want(Complete)
			all(2, 2)
			broken = "south west"
			r.edit(func(s *Source) { s.Ignore = paths("size") })
			r.want(Partial) // these were read when neither counted
			r.tells()
			all(2, 3)
			put("north", "1", 3, 3) // status counts there, of all of them alone
			put("north", "2", 2, 3)
			put("north", "3", 2, 3)
			broken = "north west"
			r.edit(func(s *Source) { s.Ignore = nil })
			r.want(Partial) // and north when size did not
			r.tells()
			if broken = ""; restarts {
				r.restart()
			}
			put("south", "1", 9, 3)
			put("south", "2", 2, 3)
			put("south", "3", 2, 3)
			r.want(Complete)
			r.tells(`updated ["north","1"] size,status`, `updated ["south","1"] status`)
			r.untouched(func() { r.want(Unchanged) })
		})
		t.Run(fmt.Sprintf("restarts %t, more of the details is compared", restarts), func(t *testing.T) {
			g := newCatalogue()
			put := func(id string, a, b, version int) {
				g.add(id, version)
				g.body["/contacts/"+id] = fmt.Sprintf(`{"id":%q,"a":%d,"b":%d}`, id, a, b)
			}
			all := func(a, b, version int) {
				for _, id := range numbered(1, 6) {
					put(id, a, b, version)
				}
			}
			all(1, 1, 1)
			r := g.detailed(t, func(s *Source) { s.Detail.Merge, s.Fields = "replace", paths("id", "a") })
			r.want(Complete)
			all(1, 3, 3)
			r.edit(func(s *Source) { s.Fields, s.Detail.Max, s.Detail.Concurrency = paths("id", "a", "b"), 2, 1 })
			r.want(Partial) // 1 and 2
			put("1", 1, 4, 4)
			put("2", 1, 4, 4)
			r.edit(func(s *Source) { s.Fields, s.Detail.Max = paths("id", "a", "b", "c"), 1 })
			r.want(Partial)
			r.tells("updated 1 b")
			if restarts {
				r.restart()
			}
			r.want(Partial)
			r.tells("updated 2 b")
			for range 3 {
				r.want(Partial)
			}
			r.want(Complete)
			r.tells()
		})
	}
}
