package poller

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// catalogue is an API that lists a little and has the rest at the address of each record.
func newCatalogue(ids ...string) *registry {
	g := newRegistry()
	for _, id := range ids {
		g.add(id, 1)
	}
	return g
}

// add puts a record or a new version of it into the list and at its address.
func (g *registry) add(id string, version int) {
	g.listed.set(id, fmt.Sprintf(`{"id":%q,"v":%d}`, id, version))
	g.single["/contacts/"+id] = http.StatusOK
	g.body["/contacts/"+id] = fmt.Sprintf(`{"id":%q,"name":"n%d"}`, id, version)
}

func (g *registry) detailed(t *testing.T, edit func(*Source)) *rig {
	t.Helper()
	return newRig(t, g.ServeHTTP, func(s *Source) {
		s.Detail.URL = "/contacts/{key}"
		s.Guard = Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}
		if edit != nil {
			edit(s)
		}
	})
}

func TestOnlyNewAndChangedRecordsAreAskedFor(t *testing.T) {
	g := newCatalogue("1", "2", "3")
	r := g.detailed(t, nil)
	if got := r.want(Complete); got.Details != 3 || got.Requests != 4 || got.Events != 0 {
		t.Errorf("%d details, %d requests, %d events", got.Details, got.Requests, got.Events)
	}
	if rows := r.ledger.rows("contacts"); rows["2"] != `{"id":"2","v":1,"name":"n1"}` {
		t.Errorf("records %v", rows)
	}
	r.restart()
	g.asked = nil
	r.untouched(func() { r.want(Unchanged) })
	g.add("2", 2)
	g.add("4", 1)
	r.want(Complete)
	r.tells("updated 2 name,v", "created 4")
	slices.Sort(g.asked)
	if !slices.Equal(g.asked, []string{"/contacts/2", "/contacts/4"}) {
		t.Errorf("asked %q", g.asked)
	}
	g.asked = nil
	g.listed.set("3", `{ "id": "3", "v": 1 }`) // other bytes, no other record: asked once, told never
	r.want(Complete)
	r.restart()
	r.untouched(func() { r.want(Unchanged) })
	r.tells()
	if len(g.asked) != 1 {
		t.Errorf("asked %q", g.asked)
	}
	g.listed.remove("1")
	r.want(Complete)
	r.want(Complete)
	r.tells("deleted 1")
}

func TestT13DetailsAreMergedByteForByte(t *testing.T) {
	for _, c := range []struct {
		merge, under, want string
	}{
		{"members", "detail", `{"id":9007199254740993,"n":1.10,"more":[1, 2.50],"e":"é"}`},
		{"replace", "detail", ` {"n":1.10 , "more": [1, 2.50],"e":"é"}`[1:]},
		{"under", "rest", `{"id":9007199254740993,"n":2,"rest":{"n":1.10 , "more": [1, 2.50],"e":"é"}}`},
	} {
		t.Run(c.merge, func(t *testing.T) {
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				if q.URL.Path == "/contacts" {
					fmt.Fprint(w, `[{"id":9007199254740993,"n":2}]`)
					return
				}
				fmt.Fprint(w, `{"data":{"n":1.10 , "more": [1, 2.50],"e":"é"}}`)
			}, func(s *Source) {
				s.Detail.URL, s.Detail.Merge, s.Detail.Under, s.Detail.Record = "/c/{record.id}", c.merge, c.under, differ.MustPath("data")
			})
			r.want(Complete)
			if got := r.ledger.rows("contacts")["9007199254740993"]; got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestADetailThatFailsFailsItsRecordOnly(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"a status":          {http.StatusInternalServerError, "broken"},
		"a login page":      {http.StatusOK, "<html><title>Log in</title>"},
		"half an answer":    {http.StatusOK, `{"id":"2","name":"n`},
		"nothing":           {http.StatusOK, ""},
		"no record":         {http.StatusOK, "null"},
		"no object":         {http.StatusOK, "[1]"},
		"an error in a 200": {http.StatusOK, `{"error":"try later"}`},
	} {
		t.Run(name, func(t *testing.T) {
			g := newCatalogue("1", "2", "3", "9")
			r := g.detailed(t, func(s *Source) { s.Response.Error, s.Deletes.Confirm = condition("error"), 1 })
			r.want(Complete)
			for _, id := range []string{"1", "2", "3", "4"} {
				g.add(id, 2)
			}
			g.listed.remove("9")
			fail := func() {
				for _, id := range []string{"2", "4"} {
					g.single["/contacts/"+id], g.body["/contacts/"+id] = answer.status, answer.body
				}
			}
			fail()
			got := r.want(Partial)
			if !strings.Contains(got.Message, "2 of 4 details could not be fetched") || !strings.Contains(got.Message, "record 2: ") {
				t.Errorf("message %q", got.Message)
			}
			r.tells("updated 1 name,v", "updated 3 name,v", "deleted 9")
			if rows := r.ledger.rows("contacts"); rows["2"] != `{"id":"2","v":1,"name":"n1"}` || rows["4"] != "" {
				t.Errorf("records %v", rows)
			}
			r.restart()
			r.untouched(func() { r.want(Partial) }) // it is tried again, and changes nothing
			g.add("2", 2)
			g.add("4", 2)
			r.want(Complete)
			r.tells("updated 2 name,v", "created 4")
			r.untouched(func() { r.want(Unchanged) })
		})
	}
}

func TestADetailThatIsNoObjectReplacesNoRecord(t *testing.T) {
	for _, answer := range []string{"[]", "[1]", "null", "7", `"gone"`, " []"} {
		g := newCatalogue("1", "2")
		r := g.detailed(t, func(s *Source) { s.Detail.Merge = "replace" })
		r.want(Complete)
		g.add("1", 2)
		g.single["/contacts/1"], g.body["/contacts/1"] = http.StatusOK, answer
		if got := r.want(Partial); !strings.Contains(got.Message, "record 1: ") {
			t.Errorf("%s: message %q", answer, got.Message)
		}
		r.tells()
		g.add("1", 2)
		r.want(Complete)
		r.tells("updated 1 name")
	}
}

func TestADetailThatIsNotThereIsWhatItsSourceSays(t *testing.T) {
	for _, c := range []struct {
		on404   string
		verdict Verdict
		first   []string // events of the poll that finds a 404
		row     string   // of the new record
		second  []string
	}{
		{"skip", Complete, []string{"updated 1 name,v"}, "", nil},
		{"fail", Partial, []string{"updated 1 name,v"}, "", nil},
		{"list", Complete, []string{"updated 1 name,v", "updated 2 name,v", "created 4"}, `{"id":"4","v":2}`, nil},
		{"deleted", Complete, []string{"updated 1 name,v"}, "", []string{"deleted 2"}},
	} {
		t.Run(c.on404, func(t *testing.T) {
			g := newCatalogue("1", "2", "3")
			r := g.detailed(t, func(s *Source) { s.Detail.On404 = c.on404 })
			r.want(Complete)
			g.add("1", 2)
			g.add("2", 2)
			g.add("4", 2)
			delete(g.single, "/contacts/2")
			g.single["/contacts/4"] = http.StatusGone
			r.want(c.verdict)
			r.tells(c.first...)
			if row := r.ledger.rows("contacts")["4"]; row != c.row {
				t.Errorf("record 4 is %s", row)
			}
			r.restart()
			r.poll()
			r.tells(c.second...)
		})
	}
}

// validated lets an API answer 304 as long as its answer stays the same.
func validated(api http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, q)
		tag := fmt.Sprintf("%q", fmt.Sprintf("%x", answer.Body.String()))
		if w.Header().Set("ETag", tag); q.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}
}

// The address of a record may be behind the list for a moment.
func TestT9AListThatStaysAsItIsIsReadAgainAsLongAsDetailsAreMissing(t *testing.T) {
	for _, on404 := range []string{"skip", "fail", "deleted"} {
		t.Run(on404, func(t *testing.T) {
			g := newCatalogue("1", "2")
			r := newRig(t, validated(g), func(s *Source) {
				s.Detail.URL, s.Detail.On404, s.Deletes.Confirm = "/contacts/{key}", on404, 1
			})
			r.want(Complete)
			g.add("2", 2)
			g.add("3", 2)
			for _, id := range []string{"2", "3"} {
				g.single["/contacts/"+id] = http.StatusNotFound
			}
			r.poll()
			r.restart()
			r.poll()
			r.told()
			for _, id := range []string{"2", "3"} {
				g.single["/contacts/"+id] = http.StatusOK
			}
			r.poll()
			if rows := r.ledger.rows("contacts"); rows["2"] != `{"id":"2","v":2,"name":"n2"}` || rows["3"] != `{"id":"3","v":2,"name":"n2"}` {
				t.Errorf("records %v", rows)
			}
			r.poll()
			r.untouched(func() { r.want(Unchanged) })
		})
	}
}

func TestTooManyDetailsConvergeOverSeveralPolls(t *testing.T) {
	g := newCatalogue(numbered(1, 25)...)
	r := g.detailed(t, func(s *Source) { s.Detail.Max = 10 })
	for i, verdict := range []Verdict{Partial, Partial, Complete} {
		got := r.want(verdict)
		if baselined := !got.State.Baselined.IsZero(); baselined != (verdict == Complete) || got.baselined != baselined {
			t.Errorf("poll %d: baselined %t", i+1, baselined)
		}
		r.restart()
	}
	r.tells() // all of it was the baseline
	if len(g.asked) != 25 {
		t.Errorf("%d details were asked for", len(g.asked))
	}
	r.untouched(func() { r.want(Unchanged) })
	for _, id := range numbered(1, 12) {
		g.add(id, 2)
	}
	g.listed.remove("25")
	if got := r.want(Partial); !strings.Contains(got.Message, "10 details were fetched, 2 wait for the next poll") {
		t.Errorf("message %q", got.Message)
	}
	if told := r.told(); len(told) != 10 {
		t.Errorf("events %q", told)
	}
	r.want(Complete)
	if told := r.told(); len(told) != 3 || told[2] != "deleted 25" {
		t.Errorf("events %q", told)
	}
}

// Nobody was told of the records of a first listing that is not finished: with another key it begins anew, and no record is gone.
func TestAnEditOfTheKeyBeforeTheBaselineBeginsAnew(t *testing.T) {
	g := newCatalogue(numbered(1, 5)...)
	for _, id := range numbered(1, 5) {
		g.listed.set(id, fmt.Sprintf(`{"id":%q,"no":"n%s"}`, id, id))
	}
	r := g.detailed(t, func(s *Source) { s.Detail.URL, s.Detail.Max, s.Deletes.Confirm = "/contacts/{record.id}", 2, 5 })
	r.want(Partial)
	r.edit(func(s *Source) { s.Key = paths("no") })
	for range 2 {
		r.want(Partial)
	}
	if got := r.want(Complete); got.State.Baselined.IsZero() || got.State.Records != 5 {
		t.Errorf("state %+v", got.State)
	}
	for key := range r.ledger.rows("contacts") {
		if !strings.HasPrefix(key, "n") {
			t.Errorf("%s is known, and is no key any more", key)
		}
	}
	for range 5 {
		r.untouched(func() { r.want(Unchanged) })
	}
	r.tells()
}

func TestAListThatIsRemovedBeforeTheBaselineLeavesNoRecords(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if name, ok := strings.CutPrefix(q.URL.Path, "/lists/"); ok {
			fmt.Fprintf(w, `[{"id":"%[1]s1"},{"id":"%[1]s2"}]`, name)
			return
		}
		fmt.Fprintf(w, `{"id":%q}`, path.Base(q.URL.Path))
	}, func(s *Source) {
		s.URL = strings.TrimSuffix(s.URL, "/contacts") + "/lists/{partition}"
		s.Partitions.Values = []string{"north", "south"}
		s.Detail.URL, s.Detail.Max = "/contacts/{record.id}", 3
	})
	r.want(Partial)
	r.edit(func(s *Source) { s.Partitions.Values = []string{"south"} })
	if got := r.want(Complete); got.State.Baselined.IsZero() || got.State.Records != 2 {
		t.Errorf("state %+v", got.State)
	}
	for range 3 {
		r.untouched(func() { r.want(Unchanged) })
	}
	r.tells()
}

// Receivers that were told of records of a first listing that is not finished hold them: a person says what becomes of these (P10).
func TestAnEditOfTheKeyAfterSomeOfAFirstListingWasToldIsHeld(t *testing.T) {
	release := func(r *rig) error { return r.poller.Decide(r.t.Context(), Release) }
	discard := func(r *rig) error { return r.poller.Decide(r.t.Context(), Discard) }
	rekey := func(r *rig) error {
		_, err := r.poller.Rekey(r.t.Context())
		return err
	}
	for name, c := range map[string]struct {
		edit   func(*Source)
		decide func(*rig) error
		tells  []string
	}{
		"and released":                         {nil, release, []string{"created n1", "created n2", "deleted 1", "deleted 2", "created n3", "created n4", "created n5"}},
		"and discarded":                        {nil, discard, nil},
		"and rekeyed":                          {nil, rekey, []string{"created n3", "created n4", "created n5"}},
		"and rekeyed, the rest without events": {func(s *Source) { s.Initial = "baseline" }, rekey, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := newCatalogue(numbered(1, 5)...)
			for _, id := range numbered(1, 5) {
				g.listed.set(id, fmt.Sprintf(`{"id":%q,"no":"n%s"}`, id, id))
			}
			r := g.detailed(t, func(s *Source) { s.Detail.URL, s.Detail.Max, s.Initial = "/contacts/{record.id}", 2, "emit" })
			r.want(Partial)
			r.tells("created 1", "created 2")
			r.edit(func(s *Source) { s.Key = paths("no") })
			if c.edit != nil {
				r.edit(c.edit)
			}
			for range 2 {
				r.want(Held)
			}
			if err := c.decide(r); err != nil {
				t.Fatal(err)
			}
			got := r.poll()
			for range 4 {
				got = r.poll()
			}
			if got.Verdict != Unchanged || got.State.Baselined.IsZero() || got.State.Held != nil || got.State.Records != 5 {
				t.Errorf("verdict %s, state %+v", got.Verdict, got.State)
			}
			for key := range r.ledger.rows("contacts") {
				if !strings.HasPrefix(key, "n") {
					t.Errorf("%s is known, and is no key any more", key)
				}
			}
			r.tells(c.tells...)
		})
	}
}

// An edit of what counts is no news of a record until it was read, which may take polls; what happens to it after that is.
func TestAChangeWhileOtherRecordsWaitSinceAnEditIsTold(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		g := newCatalogue()
		put := func(id string, a, b, version int) {
			g.add(id, version)
			g.body["/contacts/"+id] = fmt.Sprintf(`{"id":%q,"a":%d,"b":%d}`, id, a, b)
		}
		ids := numbered(1, 6)
		for _, id := range ids {
			put(id, 1, 1, 1)
		}
		r := g.detailed(t, func(s *Source) { s.Detail.Merge, s.Fields = "replace", paths("id", "a") })
		r.want(Complete)
		for _, id := range ids {
			put(id, 1, 2, 2) // not what counts
		}
		r.want(Complete)
		for _, id := range ids {
			put(id, 1, 3, 3)
		}
		r.edit(func(s *Source) { s.Fields, s.Detail.Max, s.Detail.Concurrency = paths("id", "a", "b"), 2, 1 })
		poll := func() {
			if restarts {
				r.restart()
			}
			r.want(Partial)
		}
		poll() // 1 and 2
		r.tells()
		put("1", 1, 4, 4)
		poll() // 1 and 3
		r.tells("updated 1 b")
		put("6", 2, 4, 4)
		put("2", 1, 4, 4)
		poll() // 2 and 4
		r.tells("updated 2 b")
		r.want(Complete) // 5 and 6
		r.tells("updated 6 a,b")
		r.untouched(func() { r.want(Unchanged) })
	}
}

func TestAnOutageOfTheDetailsIsNoBaseline(t *testing.T) {
	for _, n := range []int{2, 200} {
		g := newCatalogue(numbered(1, n)...)
		for path := range g.single {
			g.single[path] = http.StatusBadGateway
		}
		r := g.detailed(t, nil)
		if got := r.want(Partial); !got.State.Baselined.IsZero() || got.baselined {
			t.Errorf("%d records: baselined", n)
		}
		if len(g.asked) > 20 {
			t.Errorf("%d questions", len(g.asked))
		}
		for path := range g.single {
			g.single[path] = http.StatusOK
		}
		if got := r.want(Complete); !got.baselined || got.Events != 0 {
			t.Errorf("%d records: baselined %t, %d events", n, got.baselined, got.Events)
		}
	}
}

func TestOneBrokenDetailDoesNotKeepASourceFromItsBaseline(t *testing.T) {
	g := newCatalogue("1", "2", "3")
	g.single["/contacts/2"] = http.StatusInternalServerError
	r := g.detailed(t, nil)
	if got := r.want(Partial); !got.baselined {
		t.Error("not baselined")
	}
	g.add("1", 2)
	r.want(Partial)
	r.tells("updated 1 name,v")
}

func TestAnEditOfDetailIsNoChangeOfAnyRecord(t *testing.T) {
	with := func(s *Source) { s.Detail.URL = "/contacts/{key}" }
	without := func(s *Source) { s.Detail.URL = "" }
	for _, c := range []struct {
		name          string
		before, after func(*Source)
		row           string
		asks          int
	}{
		{"details are added", without, with, `{"id":"3","v":1,"name":"n1"}`, 12},
		{"details are removed", with, without, `{"id":"3","v":1}`, 0},
		{"details are merged otherwise", with, func(s *Source) { s.Detail.Merge = "replace" }, `{"id":"3","name":"n1"}`, 12},
		{"details and fields", without, func(s *Source) { with(s); s.Ignore = paths("v") }, `{"id":"3","v":1,"name":"n1"}`, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newCatalogue(numbered(1, 12)...)
			r := g.detailed(t, c.before)
			r.want(Complete)
			g.asked = nil
			r.edit(func(s *Source) { c.after(s); s.Detail.Max = 5 })
			g.add("2", 2)
			for range 3 {
				if r.poll().Verdict == Failed {
					t.Fatal("failed")
				}
				r.restart()
			}
			told := r.told()
			if len(told) != 1 || !strings.HasPrefix(told[0], "updated 2 ") {
				t.Errorf("events %q: only record 2 was changed", told)
			}
			if row := r.ledger.rows("contacts")["3"]; row != c.row {
				t.Errorf("record 3 is %s, want %s", row, c.row)
			}
			if len(g.asked) != c.asks {
				t.Errorf("%d details were asked for, want %d", len(g.asked), c.asks)
			}
			r.untouched(func() { r.want(Unchanged) })
			g.asked = nil
			r.edit(func(s *Source) { s.Unordered = paths("tags") }) // what counts is compared anew without asking for anything
			r.want(Complete)
			r.tells()
			if len(g.asked) > 0 {
				t.Errorf("asked %q", g.asked)
			}
		})
	}
}

func TestDetailsStopInTimeToKeepWhatWasFetched(t *testing.T) {
	g := newCatalogue(numbered(1, 100)...)
	var r *rig
	slow := 0 * time.Second
	r = newRig(t, func(w http.ResponseWriter, q *http.Request) {
		r.now = r.now.Add(slow)
		g.ServeHTTP(w, q)
	}, func(s *Source) {
		s.Detail.URL, s.Detail.Concurrency, s.Deadline = "/contacts/{key}", 1, setting.Duration(10*time.Minute)
	})
	slow = 10 * time.Second
	got := r.want(Partial)
	if got.Details < 40 || got.Details > 50 || got.State.Records != int64(got.Details) {
		t.Errorf("%d details, %d records", got.Details, got.State.Records)
	}
	r.want(Partial)
	r.want(Complete)
}

func TestAServerThatWantsToBeLeftAloneEndsTheDetails(t *testing.T) {
	g := newCatalogue(numbered(1, 100)...)
	for _, id := range numbered(51, 100) {
		g.single["/contacts/"+id] = http.StatusTooManyRequests
	}
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/contacts" && g.single[q.URL.Path] == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "3600")
		}
		g.ServeHTTP(w, q)
	}, func(s *Source) { s.Detail.URL, s.Detail.Concurrency = "/contacts/{key}", 4 })
	got := r.want(Partial)
	const beside = 3 // questions that may not have been asked yet when the server answers the one for record 51
	if got.State.Records > 50 || got.State.Records < 50-beside || !got.State.Baselined.IsZero() || len(g.asked) > 80 {
		t.Errorf("%d records, %d questions, message %q", got.State.Records, len(g.asked), got.Message)
	}
}

func TestEqualAndDifferentCopiesWithDetails(t *testing.T) {
	body := `{"id":"1","v":1},{"id":"1","v":1}`
	g := newCatalogue("1")
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/contacts" {
			fmt.Fprintf(w, "[%s]", body)
			return
		}
		g.ServeHTTP(w, q)
	}, func(s *Source) { s.Detail.URL = "/contacts/{key}" })
	r.want(Complete)
	if len(g.asked) != 1 {
		t.Errorf("asked %q", g.asked)
	}
	body = `{"id":"1","v":2},{"id":"1","v":2}`
	r.want(Complete)
	r.tells("updated 1 v")
	body = `{"id":"1","v":3},{"id":"1","v":4}`
	r.untouched(func() { r.want(Failed) })
}

func TestATrialAsksForAFewDetailsOnly(t *testing.T) {
	g := newCatalogue(numbered(1, 100)...)
	r := g.detailed(t, nil)
	trial, err := TryPoll(t.Context(), r.source, Options{Secrets: r.opts.Secrets, Seed: r.opts.Seed}, TryOptions{})
	if err != nil || trial.Err != nil {
		t.Fatal(err, trial.Err)
	}
	if len(g.asked) != 20 || trial.Details != 20 || trial.Records != 100 {
		t.Errorf("%d questions, %d details, %d records", len(g.asked), trial.Details, trial.Records)
	}
}

// TestDetailsConvergeUnderFaults changes list and details at random while addresses fail: once all is quiet, a receiver holds
// what upstream holds, and never held anything that upstream did not have.
func TestDetailsConvergeUnderFaults(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 3))
		g := newCatalogue()
		faulty := true
		r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path != "/contacts" && faulty && rng.IntN(4) == 0 {
				w.WriteHeader([]int{500, 403, 404, 200}[rng.IntN(4)])
				return
			}
			g.ServeHTTP(w, q)
		}, func(s *Source) {
			s.Detail.URL, s.Detail.Max, s.Initial = "/contacts/{key}", 8, "emit"
			s.Guard = Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}
		})
		for version := range 60 {
			for range rng.IntN(4) {
				g.add(strconv.Itoa(rng.IntN(30)), version)
			}
			g.listed.remove(strconv.Itoa(rng.IntN(30)))
			if got := r.poll(); got.Verdict == Failed || got.Verdict == Held {
				t.Fatalf("seed %d: %s %s", seed, got.Verdict, got.Message)
			}
			if rng.IntN(5) == 0 {
				r.restart()
			}
		}
		faulty = false
		for range 6 {
			r.poll()
		}
		receiver := &replica{records: map[string]string{}}
		if err := receiver.apply(r.ledger.sources["contacts"].Events); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for id := range g.listed.items {
			want, err := differ.Merge(nil, []byte(g.listed.items[id]), []byte(g.body["/contacts/"+id]))
			if err != nil || receiver.records[id] != string(want) {
				t.Errorf("seed %d: record %s is %s, want %s (%v)", seed, id, receiver.records[id], want, err)
			}
		}
		if len(receiver.records) != g.listed.len() {
			t.Errorf("seed %d: %d records, %d are there", seed, len(receiver.records), g.listed.len())
		}
	}
}

func TestDetailsThatCannotWorkAreRefused(t *testing.T) {
	for _, c := range []struct {
		edit         func(*Source)
		key, message string
	}{
		{func(s *Source) { s.Detail.URL = ""; s.Detail.Merge = "replace" }, "detail", "without url nothing is fetched"},
		{func(s *Source) { s.Detail.URL = "/c" }, "detail.url", "the same address for each record"},
		{func(s *Source) { s.Detail.Merge = "deep" }, "detail.merge", "not known"},
		{func(s *Source) { s.Detail.On404 = "ignore" }, "detail.on_404", "not known"},
		{func(s *Source) { s.Detail.On404 = "deleted" }, "detail.on_404", "nothing is deleted for that"},
		{func(s *Source) { s.Detail.Under = "x" }, "detail.under", `counts only with detail.merge = "under"`},
		{func(s *Source) { s.Detail.Merge, s.Detail.Under = "under", "" }, "detail.under", "is empty"},
		{func(s *Source) { s.Detail.Concurrency = 0 }, "detail.concurrency", "not possible"},
		{func(s *Source) { s.Detail.Concurrency = 65 }, "detail.concurrency", "not possible"},
		{func(s *Source) { s.Detail.Max = 0 }, "detail.max", "too small"},
		{func(s *Source) { s.Single = true }, "detail.url", "one single object"},
	} {
		s := validSource()
		s.Detail.URL = "/contacts/{key}"
		c.edit(&s)
		wantProblem(t, &s, c.key, c.message)
	}
}

// TestT2RecordsThatAreLeftAsideAreCountedOnce overlaps pages whose records are excluded or whose details wait: counted twice,
// they would reach the server's total before the end of the list, and what is behind it would be taken for deleted.
func TestT2RecordsThatAreLeftAsideAreCountedOnce(t *testing.T) {
	for name, edit := range map[string]func(*Source){
		"excluded":        func(s *Source) { s.Where = conditions(`v != 1`) },
		"waiting details": func(s *Source) { s.Detail.URL, s.Detail.Max, s.Detail.Concurrency = "/contacts/{key}", 2, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			g := newCatalogue(numbered(1, 20)...)
			var offsets []string
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				if q.URL.Path != "/contacts" {
					g.ServeHTTP(w, q)
					return
				}
				offsets = append(offsets, q.URL.Query().Get("offset"))
				from, _ := strconv.Atoi(q.URL.Query().Get("offset"))
				fmt.Fprintf(w, `{"total":20,"items":[%s]}`, strings.Join(g.listed.page(from, from+5), ","))
			}, func(s *Source) {
				s.Records, s.Deletes.Confirm = differ.MustPath("items"), 1
				s.Pages = Pages{Kind: "offset", Max: 100, Total: differ.MustPath("total"), Overlap: 2}
				edit(s)
			})
			if got := r.poll(); got.Records != 20 || strings.Join(offsets, " ") != "0 3 6 9 12 15" {
				t.Errorf("%d records, offsets %q, %s", got.Records, offsets, got.Message)
			}
		})
	}
}

func TestDetailsThatFailForGoodDoNotKeepTheOthersFromBeingAskedFor(t *testing.T) {
	var ids []string
	for i := range 40 {
		ids = append(ids, strconv.Itoa(100+i))
	}
	g := newCatalogue(ids...)
	for _, id := range ids[:30] {
		g.single["/contacts/"+id] = http.StatusBadRequest
	}
	r := g.detailed(t, nil)
	for range 5 {
		r.poll()
	}
	if n := len(r.ledger.rows("contacts")); n != 10 {
		t.Errorf("%d records", n)
	}
	g.add("new", 1)
	r.poll()
	if got := r.told(); !slices.Equal(got, []string{"created new"}) {
		t.Errorf("events %q", got)
	}
	for _, id := range ids[:30] {
		g.add(id, 2)
	}
	for range 5 {
		r.poll()
	}
	if n := len(r.told()); n != 30 {
		t.Errorf("%d events when the details are back", n)
	}
	r.want(Unchanged)
}
