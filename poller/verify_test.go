package poller

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// registry is an API whose listing and whose single records are independent of each other.
type registry struct {
	listed *shelf
	single map[string]int // status by path; missing: 404
	body   map[string]string
	asked  []string // single records, as requested
	header []http.Header
}

func newRegistry(ids ...string) *registry {
	g := &registry{listed: newShelf(ids...), single: map[string]int{}, body: map[string]string{}}
	for _, id := range ids {
		g.single["/contacts/"+id] = http.StatusOK
	}
	return g
}

func (g *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/contacts" {
		g.listed.ServeHTTP(w, r)
		return
	}
	g.asked, g.header = append(g.asked, r.URL.RequestURI()), append(g.header, r.Header)
	status, ok := g.single[r.URL.Path]
	if !ok {
		status = http.StatusNotFound
	}
	if status >= 300 && status < 400 {
		w.Header().Set("Location", "/login")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, g.body[r.URL.Path])
}

func (g *registry) rig(t *testing.T, edit func(*Source)) *rig {
	t.Helper()
	return newRig(t, g.ServeHTTP, func(s *Source) {
		s.Deletes.Verify = "/contacts/{key}"
		s.Guard = Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}
		if edit != nil {
			edit(s)
		}
	})
}

func TestT1ARecordThatOnlyTheListLacksIsNotDeleted(t *testing.T) {
	g := newRegistry(numbered(1, 5)...)
	r := g.rig(t, nil)
	r.want(Complete)
	g.listed.remove("2")
	g.listed.remove("3")
	delete(g.single, "/contacts/3")
	r.want(Complete)
	if len(g.asked) > 0 {
		t.Errorf("asked %q before the absence was confirmed", g.asked)
	}
	got := r.want(Complete)
	r.tells("deleted 3")
	if !strings.Contains(got.Message, "the listing lacks what is still there by its own address: 2") || !strings.Contains(got.Hint, "does not show all") {
		t.Errorf("message %q, hint %q", got.Message, got.Hint)
	}
	slices.Sort(g.asked)
	if want := []string{"/contacts/2", "/contacts/3", "/contacts/5"}; !slices.Equal(g.asked, want) { // 5 proves that the address works
		t.Errorf("asked %q, want %q", g.asked, want)
	}
	r.restart() // its count starts over
	g.asked = nil
	if r.want(Complete); len(g.asked) > 0 {
		t.Errorf("asked %q", g.asked)
	}
	delete(g.single, "/contacts/2")
	r.want(Complete)
	r.tells("deleted 2")
}

func TestAnAnswerThatSaysNothingOfARecordDeletesNothing(t *testing.T) {
	for _, status := range []int{400, 401, 403, 405, 500, 503, 302} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			g := newRegistry("1", "2", "3")
			r := g.rig(t, func(s *Source) { s.Deletes.Confirm = 1 })
			r.want(Complete)
			g.listed.remove("2")
			g.single["/contacts/2"] = status
			wants := "the server answered " + strconv.Itoa(status)
			if status == http.StatusFound {
				wants = "/login, which answers 404"
			}
			for range 2 {
				got := r.poll()
				if !strings.HasPrefix(got.Message, "not verified, so not deleted: 1 (record 2: ") || !strings.Contains(got.Message, wants) || got.Missing != 1 {
					t.Errorf("%d missing, message %q", got.Missing, got.Message)
				}
				r.restart()
			}
			r.tells()
			delete(g.single, "/contacts/2")
			r.want(Complete)
			r.tells("deleted 2")
		})
	}
}

func TestAnUnverifiedRecordIsAskedForAgainThoughTheListIsUnchanged(t *testing.T) {
	g := newRegistry("1", "2")
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if etag := fmt.Sprintf(`"%d"`, g.listed.len()); q.URL.Path == "/contacts" {
			w.Header().Set("ETag", etag)
			if q.Header.Get("If-None-Match") == etag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		g.ServeHTTP(w, q)
	}, func(s *Source) {
		s.Deletes.Verify, s.Deletes.Confirm = "/contacts/{key}", 1
	})
	r.want(Complete)
	g.listed.remove("2")
	g.single["/contacts/2"] = http.StatusBadGateway
	r.poll()
	r.restart()
	delete(g.single, "/contacts/2")
	r.want(Complete)
	r.tells("deleted 2")
}

func TestAnAddressThatDeniesWhatTheListShowsProvesNothing(t *testing.T) {
	g := newRegistry("1", "2", "3")
	r := g.rig(t, func(s *Source) { s.Deletes.Verify, s.Deletes.Confirm = "/contact/{key}", 1 })
	r.want(Complete)
	g.listed.remove("3")
	got := r.poll()
	r.tells()
	if !strings.Contains(got.Message, "deletes.verify leads nowhere: it denies record 2, which the listing shows") {
		t.Errorf("message %q", got.Message)
	}
	if len(g.asked) != 1 {
		t.Errorf("asked %q", g.asked)
	}
}

func TestASuccessCanSayThatARecordIsGone(t *testing.T) {
	g := newRegistry("1", "2", "3", "4")
	r := g.rig(t, func(s *Source) {
		s.Deletes.Confirm, s.Deletes.VerifyGone = 1, condition(`status == "deleted"`)
		s.Response.Error = condition("error")
	})
	g.body["/contacts/1"], g.body["/contacts/2"] = `{"status":"new"}`, `{"status":"deleted"}`
	g.body["/contacts/3"], g.body["/contacts/4"] = `{"status":"dele`, `{"error":"try later"}`
	r.want(Complete)
	for _, id := range numbered(2, 4) {
		g.listed.remove(id)
	}
	if got := r.want(Complete); !strings.Contains(got.Message, "not verified, so not deleted: 2") {
		t.Errorf("message %q", got.Message)
	}
	r.tells("deleted 2")
}

func TestTheAddressOfARecordIsEscaped(t *testing.T) {
	g := newRegistry()
	g.listed.set("1", `{"id":"a/b ?&ü","owner":{"name":"x&y=/"},"status":"new"}`)
	g.listed.set("2", `{"id":"..","owner":{"name":"z"},"status":"new"}`)
	g.listed.set("3", `{"id":"c","owner":null,"status":"new"}`)
	g.single["/contacts/keep/of/k"] = http.StatusOK
	g.listed.set("4", `{"id":"keep","owner":{"name":"k"},"status":"new"}`)
	r := g.rig(t, func(s *Source) {
		s.Deletes.Confirm, s.Deletes.Verify = 1, "/contacts/{key}/of/{record.owner.name}?q={record.owner.name}&s={record.status}"
		s.Query = map[string]string{"limit": "10", "k": "{secret:env:TOKEN}"}
		s.Headers = map[string]string{"X-Key": "{secret:env:PASSWORD}", "Content-Type": "text/plain"}
	})
	r.want(Complete)
	for _, id := range []string{"1", "2", "3"} {
		g.listed.remove(id)
	}
	got := r.want(Complete)
	r.tells("deleted a/b ?&ü")
	if got.Missing != 2 || !strings.Contains(got.Message, `".." cannot be a part of a path`) && !strings.Contains(got.Message, "{record.owner.name} is missing in this record") {
		t.Errorf("%d missing, message %q", got.Missing, got.Message)
	}
	want := "/contacts/a%2Fb%20%3F&%C3%BC/of/x&y=%2F?q=x%26y%3D%2F&s=new&k=tok-planted-secret"
	if !slices.Contains(g.asked, want) {
		t.Errorf("asked %q, want %q", g.asked, want)
	}
	if h := g.header[0]; h.Get("X-Key") != "pass/planted secret+" || h.Get("Content-Type") != "" {
		t.Errorf("header %v", h)
	}
}

func TestVerificationIsBoundedAndTheGuardCountsAllOfIt(t *testing.T) {
	g := newRegistry(numbered(1, 2000)...)
	r := g.rig(t, func(s *Source) { s.Deletes.Confirm, s.Guard.MaxDeletes, s.Guard.MinDeletes = 1, 0.6, 10 })
	r.want(Complete)
	for _, id := range numbered(500, 2000) { // 1501 of 2000: a slice of 1000 of them must not pass alone
		g.listed.remove(id)
		delete(g.single, "/contacts/"+id)
	}
	if got := r.want(Held); !strings.Contains(got.Message, "1501 of 2000 known records") {
		t.Errorf("message %q", got.Message)
	}
	if len(g.asked) != mostVerified+1 {
		t.Errorf("%d questions", len(g.asked))
	}
	if err := r.poller.Decide(t.Context(), Release); err != nil {
		t.Fatal(err)
	}
	g.asked = nil
	r.want(Complete)
	if told := r.told(); len(told) != 1501 {
		t.Errorf("%d events", len(told))
	}
}

func TestADecisionWaitsUntilAllIsVerified(t *testing.T) {
	g := newRegistry(numbered(1, 30)...)
	r := g.rig(t, func(s *Source) { s.Deletes.Confirm, s.Guard.MaxDeletes, s.Guard.MinDeletes = 1, 0.2, 1 })
	r.want(Complete)
	for _, id := range numbered(11, 30) {
		g.listed.remove(id)
		g.single["/contacts/"+id] = http.StatusNotFound
	}
	r.want(Held)
	g.single["/contacts/30"] = http.StatusServiceUnavailable
	if err := r.poller.Decide(t.Context(), Release); err != nil {
		t.Fatal(err)
	}
	if got := r.want(Partial); got.Hold == nil || !got.Hold.Release {
		t.Errorf("hold %+v", got.Hold)
	}
	if told := r.told(); len(told) != 19 {
		t.Errorf("events %q", told)
	}
	g.single["/contacts/30"] = http.StatusNotFound
	if got := r.want(Complete); got.Hold != nil {
		t.Errorf("hold %+v", got.Hold)
	}
	r.tells("deleted 30")
}

func TestManyRefusalsInARowEndTheQuestions(t *testing.T) {
	g := newRegistry(numbered(1, 300)...)
	r := g.rig(t, func(s *Source) { s.Deletes.Confirm = 1 })
	r.want(Complete)
	for _, id := range numbered(2, 300) {
		g.listed.remove(id)
		g.single["/contacts/"+id] = http.StatusForbidden
	}
	if got := r.poll(); got.Missing != 299 {
		t.Errorf("%d missing, message %q", got.Missing, got.Message)
	}
	if len(g.asked) > sideBatch+1 {
		t.Errorf("%d questions", len(g.asked))
	}
}

// TestT1WithVerificationAMovingListNeverLies pages through a list by offset while records are inserted and deleted between
// two pages, with absence taken for a deletion at once: what is still there by its own address is never told as deleted.
func TestT1WithVerificationAMovingListNeverLies(t *testing.T) {
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 7))
		list := newShelf(numbered(1, 60)...)
		next, moving, shifts := 61, false, 0
		r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
			if id, ok := strings.CutPrefix(q.URL.Path, "/contacts/"); ok {
				list.mu.Lock()
				defer list.mu.Unlock()
				if _, there := list.items[id]; !there {
					w.WriteHeader(http.StatusNotFound)
				}
				return
			}
			from, _ := strconv.Atoi(q.URL.Query().Get("offset"))
			fmt.Fprintf(w, "[%s]", strings.Join(list.page(from, from+10), ","))
			if !moving {
				return
			}
			if rng.IntN(3) == 0 {
				list.put(strconv.Itoa(next), "new")
				next++
			}
			if rng.IntN(3) == 0 && list.len() > 20 {
				shifts++
				list.remove(list.order[rng.IntN(list.len()/2)])
			}
		}, func(s *Source) {
			s.Pages = Pages{Kind: "offset", Max: 100}
			s.Deletes.Confirm, s.Deletes.Verify = 1, "/contacts/{key}"
			s.Guard = Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}
		})
		r.want(Complete)
		copied := replica{records: r.ledger.rows("contacts")}
		seen := 0
		for range 40 {
			moving = true
			r.poll()
			moving = false
			events := r.ledger.sources["contacts"].Events
			for _, e := range events[seen:] {
				if _, there := list.items[e.Key]; e.Change == differ.Deleted && there {
					t.Fatalf("seed %d: %s is told as deleted and is there", seed, e.Key)
				}
			}
			seen = len(events)
		}
		r.poll()
		r.poll()
		if err := copied.apply(r.ledger.sources["contacts"].Events); err != nil {
			t.Fatal(err)
		}
		if len(copied.records) != list.len() || shifts == 0 {
			t.Errorf("seed %d: %d records, %d are there, %d shifts", seed, len(copied.records), list.len(), shifts)
		}
	}
}

func TestAddressesOfRecordsThatCannotWorkAreRefused(t *testing.T) {
	for verify, want := range map[string]string{
		"/contacts/7":                       "the same address for each record",
		"/contacts/{key}?p={page}":          "one record is no part of a listing",
		"https://elsewhere.example/c/{key}": "another origin than url",
		"/contacts/{kee}":                   "unknown placeholder {kee}",
		"ftp://crm.example.com/{key}":       "cannot be polled",
	} {
		s := validSource()
		s.Deletes = Deletes{Detect: "scan", Confirm: 2, Verify: verify}
		wantProblem(t, &s, "deletes.verify", want)
	}
	s := validSource()
	s.Deletes.Verify = "/contacts/{key}"
	wantProblem(t, &s, "deletes.verify", `counts only with deletes.detect = "scan"`)
	s = validSource()
	s.Deletes.VerifyGone = condition("deleted")
	wantProblem(t, &s, "deletes.verify_gone", "a condition on the answer of deletes.verify")
	s = validSource()
	s.URL += "/{key}"
	wantProblem(t, &s, "url", "{key} stands for one record")
	s = validSource()
	s.Key = differ.Paths(paths("client", "id"))
	s.Deletes = Deletes{Detect: "scan", Confirm: 2, Verify: "/contacts/{key}"}
	problems := s.Validate(&setting.Secrets{})
	if len(problems) != 1 || !problems[0].Warning || !strings.Contains(problems[0].Message, "JSON array") {
		t.Errorf("problems %v", problems)
	}
}

func wantProblem(t *testing.T, s *Source, key, message string) {
	t.Helper()
	for _, p := range s.Validate(&setting.Secrets{}) {
		if strings.Join(p.Key, ".") == key && strings.Contains(p.Message, message) {
			return
		}
	}
	t.Errorf("no problem %q at %s: %v", message, key, s.Validate(&setting.Secrets{}))
}

// Where each answer has a time of its own in each record, none is as it was, and there are witnesses all the same.
func TestARecordWhoseBytesDifferIsAWitness(t *testing.T) {
	g := newRegistry()
	r := g.rig(t, func(s *Source) { s.Deletes.Confirm, s.Ignore = 1, paths("at") })
	for i := range 3 {
		g.listed.set(strconv.Itoa(i), fmt.Sprintf(`{"id":"%d","at":1}`, i))
	}
	r.want(Complete)
	g.listed.clear()
	g.listed.set("1", `{"id":"1","at":2}`)
	if got := r.poll(); !strings.Contains(got.Message, "leads nowhere") {
		t.Errorf("%s: %q", got.Verdict, got.Message)
	}
	r.tells()
}
