package simtest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/poller"
)

// pageKind is a way to serve a list, and the configuration that reads it.
type pageKind struct {
	name  string
	pages string // the table pages; empty: one answer
	// live lists change while they are read, and nothing is missed for certain. The others are served as they were when the walk began.
	live bool
	// verify asks for each missing record before it is deleted: a live list of any kind is safe then, and a list that lies too.
	verify  bool
	sorted  bool   // by key
	orderly bool   // the list must not be shuffled while it is read
	cursor  bool   // it can be asked for what has changed since a time; see since_test.go
	windows bool   // it is asked for a slice of time after the other
	parts   bool   // it has several lists; see parts_test.go
	detail  string // how what the list shows of a record becomes one with what its own address says; see details_test.go
}

func pageKinds() []pageKind {
	return []pageKind{
		{name: "one answer"},
		{name: "since", cursor: true},
		{name: "one answer, verified", verify: true, live: true},
		{name: "page, empty page", pages: `{ kind = "page" }`},
		{name: "page, total", pages: `{ kind = "page", total = "total" }`},
		{name: "page, has_more, verified", pages: `{ kind = "page", has_more = "more" }`, verify: true, live: true},
		{name: "offset, overlap", pages: `{ kind = "offset", overlap = 3 }`, live: true, orderly: true},
		{name: "offset, total", pages: `{ kind = "offset", total = "total", size = 500, size_param = "limit" }`},
		{name: "link", pages: `{ kind = "link" }`},
		{name: "link, verified", pages: `{ kind = "link" }`, verify: true, live: true},
		{name: "next_url, total", pages: `{ kind = "next_url", next = "next", total = "total" }`},
		{name: "cursor", pages: `{ kind = "cursor", next = "token", param = "token" }`},
		{name: "cursor, has_more, verified", pages: `{ kind = "cursor", next = "token", param = "token", has_more = "more" }`, verify: true, live: true},
		{name: "last_key", pages: `{ kind = "last_key", param = "after" }`, live: true, sorted: true},
		{name: "last_key, has_more", pages: `{ kind = "last_key", param = "after", has_more = "more" }`, live: true, sorted: true},
		{name: "windows", cursor: true, windows: true},
		{name: "partitions", parts: true},
		{name: "details", detail: "replace"},
		{name: "details, members, total", pages: `{ kind = "page", total = "total" }`, detail: "members"},
	}
}

// scan is one reading of a list, from the first request of a walk to the verdict on it.
type scan struct {
	from, to int64 // steps; to is 0 while it goes on
	complete bool
	perhaps  bool            // what it came to is not known: the process died, or did not hear from its store
	lied     bool            // an answer was wrong: what it lacked is not known
	partial  bool            // it asked for what had changed only: what it lacked was not asked for
	until    string          // up to which time it asked; empty: there was no end
	life     int64           // of the process
	edition  int             // of the settings that it went by
	answered bool            // at least one request of it was
	served   map[string]bool // lists that were served, of an upstream that has several
	mingled  bool            // it may be two of them: the first was interrupted by what a person did
}

// upstream is an API with one list.
type upstream struct {
	w       *world
	name    string
	address string
	kind    pageKind
	calm    bool // it never fails: other sources must not be felt here

	mu         sync.Mutex
	history    *history
	chance     *rand.Rand // of its answers
	trouble    int        // percent of the answers that are wrong
	shifts     bool       // it changes between two answers
	size       int
	snapshot   []string // bodies that a walk is shown, when the kind is not live
	scans      []scan
	asked      time.Time // last request
	requests   int
	since      *since
	vouched    bool               // for a record that may be gone, by its own address
	denying    bool               // it says so of all
	failing    string             // the one of its lists that does not work
	unanswered map[string]int64   // the last step at which it did not say what the record is, by id
	denied     map[string][]int64 // steps at which its own address said that a record is not there, by id
	meddled    bool               // a person is just doing something that interrupts a poll
	believed   map[int]bool       // by edition: whether it takes such a record for missing
}

func newUpstream(w *world, n int, kind pageKind) *upstream {
	u := &upstream{
		w: w, name: fmt.Sprintf("s%d", n), address: fmt.Sprintf("10.0.1.%d:80", n), kind: kind, size: 7,
		history: newHistory(w.seed*10 + uint64(n)), chance: rand.New(rand.NewPCG(w.seed, uint64(100+n))),
	}
	u.history.sorted, u.history.listed = kind.sorted, kind.detail != ""
	if kind.cursor {
		u.since = newSince(w, u)
		u.history.stamp = u.since.stamp
	}
	for range 8 + u.chance.IntN(20) {
		u.history.create(w.step.Add(1))
	}
	return u
}

// change changes the list.
func (u *upstream) change(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for range n {
		u.history.change(u.w.step.Add(1), !u.kind.orderly)
	}
}

// forget drops what only matters to those who check: a world without an end must not grow itself.
func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.scans, u.history.was = nil, map[string][]version{}
}

// calmDown ends all trouble.
func (u *upstream) calmDown() { u.harm(0, false) }

func (u *upstream) harm(percent int, shifts bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.trouble, u.shifts = percent, shifts && u.kind.live
	u.denying, u.failing = percent > 0 && u.chance.IntN(3) == 0, ""
	if u.kind.parts && percent > 0 {
		u.failing = append(partNames(), "")[u.chance.IntN(4)]
	}
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	u.w.checkCredentials(u, q)
	u.w.checkConfigured(u)
	if u.since != nil { // whatever it answers
		w.Header().Set("Date", u.w.now().Format(http.TimeFormat))
	}
	fault, wait := u.enter(q)
	if wait > 0 {
		pause(q.Context().Done(), wait)
	}
	if fault != nil && fault(w, q, 0) {
		return
	}
	if name, ok := strings.CutPrefix(q.URL.Path, "/parts/"); ok {
		u.part(w, name, fault == nil && q.Context().Err() == nil, editionOf(q))
		return
	}
	if key, ok := strings.CutPrefix(q.URL.Path, "/items/"); ok {
		u.one(w, key)
		return
	}
	if key, ok := strings.CutPrefix(q.URL.Path, "/details/"); ok {
		u.detail(w, key)
		return
	}
	u.page(w, q)
}

// pause waits in virtual time.
func pause(done <-chan struct{}, d time.Duration) {
	select {
	case <-done:
	case <-time.After(d):
	}
}

// enter notes a request, lets the list shift, and throws the dice.
func (u *upstream) enter(q *http.Request) (hooktest.Fault, time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	step := u.w.step.Add(1)
	u.requests++
	u.asked = time.Now()
	if u.shifts && u.chance.IntN(3) == 0 {
		u.history.change(u.w.step.Add(1), false)
	}
	if q.URL.Path == "/items" && first(q) {
		if n := len(u.scans); n > 0 && u.scans[n-1].to == 0 {
			u.scans[n-1].to = step
		}
		u.scans = append(u.scans, scan{from: step, partial: u.since != nil && u.since.asks(q), until: q.URL.Query().Get("until"), life: u.w.life.Load(), edition: editionOf(q)})
		if u.since != nil {
			clear(u.since.shown)
		}
		u.size = 4 + u.chance.IntN(9)
		u.snapshot = u.bodies()
	}
	if u.kind.parts {
		u.enterPart(q, step)
	}
	wait := time.Duration(u.chance.IntN(200)) * time.Millisecond
	if f := u.partFault(q.URL.Path); f != nil {
		return f, wait
	}
	if denied := u.denying && strings.HasPrefix(q.URL.Path, "/details/"); u.chance.IntN(100) >= u.trouble && !denied {
		return nil, wait
	}
	u.w.step.Add(1)
	if key, ok := strings.CutPrefix(q.URL.Path, "/details/"); ok {
		faults := u.detailFaults(key)
		u.failedFor(idOf(key))
		if u.denying {
			faults = faults[:1]
		}
		return faults[u.chance.IntN(len(faults))], wait
	}
	u.vouched = u.vouched || strings.HasPrefix(q.URL.Path, "/items/") // whatever is 200 says so
	faults := u.faults(q)
	return faults[u.chance.IntN(len(faults))], wait
}

// proves says whether a poll was of a whole listing: that it could not take in all details is nothing to the list.
func (u *upstream) proves(v poller.Verdict) bool {
	return v == poller.Complete || v == poller.Partial && (u.kind.detail != "" || u.kind.parts)
}

// of says that a scan was of the list that a record stands in, to its end.
func (s *scan) of(by *sourceSettings, key string) bool {
	return len(by.parts) == 0 || s.perhaps || s.mingled || s.served[partOf(idOf(key))]
}

// ended closes the scan that a verdict is about.
func (u *upstream) ended(complete bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.scans); n > 0 && u.scans[n-1].to == 0 {
		u.scans[n-1].to, u.scans[n-1].complete = u.w.step.Load(), complete && !u.scans[n-1].partial
	}
}

// doubted closes a scan of which nobody heard whether it was written down.
func (u *upstream) doubted() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.scans); n > 0 && u.scans[n-1].to == 0 {
		u.scans[n-1].to, u.scans[n-1].perhaps = u.w.step.Load(), !u.scans[n-1].partial
	}
}

func first(q *http.Request) bool {
	v := q.URL.Query()
	return v.Get("page") <= "1" && (v.Get("offset") == "" || v.Get("offset") == "0") && v.Get("token") == "" && v.Get("after") == ""
}

// bodies gives the list as it is now.
func (u *upstream) bodies() []string {
	if u.kind.detail != "" {
		return u.entries()
	}
	out := make([]string, len(u.history.order))
	for i, key := range u.history.order {
		out[i] = u.history.now[key]
	}
	return out
}

func (u *upstream) one(w http.ResponseWriter, key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	body, ok := u.history.now[idOf(key)]
	if !ok {
		http.Error(w, `{"error":"not found"}`, http.StatusNotFound)
		return
	}
	fmt.Fprint(w, body)
}

func (u *upstream) page(w http.ResponseWriter, q *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.scans); n > 0 && q.Context().Err() == nil {
		u.scans[n-1].answered = true
	}
	list := u.snapshot
	if u.kind.live {
		list = u.bodies()
	}
	if u.since != nil {
		list = u.since.later(q, list)
	}
	if u.kind.pages == "" {
		u.whole(w, q, list)
		return
	}
	from := min(u.start(q, list), len(list))
	to := min(from+u.size, len(list))
	more, next, token := to < len(list), "null", "null"
	if more {
		page := from/u.size + 2
		w.Header().Set("Link", fmt.Sprintf(`</items?page=1>; rel="first", </items?page=%d&a=1,2>; title="a, b"; REL="Next last"`, page))
		next, token = fmt.Sprintf(`"/items?page=%d"`, page), fmt.Sprintf(`"t%d"`, to)
	}
	respond(w, fmt.Sprintf(`{"items":[%s],"total":%d,"more":%t,"next":%s,"token":%s}`, strings.Join(list[from:to], ","), len(list), more, next, token))
}

// whole serves the list in one answer, with a validator.
func (u *upstream) whole(w http.ResponseWriter, q *http.Request, list []string) {
	body := `{"items":[` + strings.Join(list, ",") + `]}`
	tag := fmt.Sprintf(`"%x"`, hash(body))
	w.Header().Set("ETag", tag)
	if q.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	respond(w, body)
}

func respond(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, body)
}

// start gives the place of the first record of a page.
func (u *upstream) start(q *http.Request, list []string) int {
	v := q.URL.Query()
	if n, err := strconv.Atoi(v.Get("page")); err == nil {
		return max(n-1, 0) * u.size
	}
	if n, err := strconv.Atoi(v.Get("offset")); err == nil {
		return max(n, 0)
	}
	if after := v.Get("after"); after != "" {
		n, found := slices.BinarySearch(u.history.order, idOf(after))
		if found {
			n++
		}
		return min(n, len(list))
	}
	n, _ := strconv.Atoi(strings.TrimPrefix(v.Get("token"), "t"))
	return n
}

// faults are what a server can do instead of answering.
func (u *upstream) faults(q *http.Request) []hooktest.Fault {
	foreignPage := "http://" + foreign + "/stolen"
	list := []hooktest.Fault{
		hooktest.Status(http.StatusInternalServerError), hooktest.Status(http.StatusBadGateway),
		hooktest.Status(http.StatusForbidden), hooktest.Close(), hooktest.Cut(http.StatusOK), hooktest.Garbage(), hooktest.Hang(),
		hooktest.HTTP10(http.StatusOK, `{"items":[{"id":"k001"},{"id":"k0`), hooktest.Drip(http.StatusOK, time.Second),
		hooktest.Answer(http.StatusOK, `{"items":[{"id":"k001"},{"id"`, "Content-Type", "application/json"),
		hooktest.Answer(http.StatusOK, `<html><title>Sign in</title><form>`, "Content-Type", "text/html"),
		hooktest.Answer(http.StatusOK, `{"items":null,"total":0,"more":false}`), hooktest.Answer(http.StatusOK, `{}`), hooktest.Answer(http.StatusOK, ``),
		hooktest.Answer(http.StatusOK, `{"items":"none"}`), hooktest.Answer(http.StatusOK, `{"error":"try later"}`),
		hooktest.RetryAfter(http.StatusTooManyRequests, strconv.Itoa(1+u.chance.IntN(20))), hooktest.RetryAfter(http.StatusTooManyRequests, "90"),
		hooktest.RetryAfter(http.StatusServiceUnavailable, "3"), hooktest.Status(http.StatusTooManyRequests),
		hooktest.Redirect(http.StatusFound, foreignPage), hooktest.Redirect(http.StatusTemporaryRedirect, foreignPage), slow(8 * time.Second),
	}
	if strings.Contains(u.kind.pages, "link") || strings.Contains(u.kind.pages, "next_url") {
		list = append(list, hooktest.Answer(http.StatusOK, `{"items":[],"next":"`+foreignPage+`","total":9}`, "Link", "<"+foreignPage+`>; rel="next"`))
	}
	if !strings.HasPrefix(q.URL.Path, "/items/") { // there it says that a record is gone
		list = append(list, hooktest.Status(http.StatusNotFound))
	}
	if u.kind.pages != "" && !first(q) {
		list = append(list, u.instead("", u.size))
	}
	return append(list, u.lies(q)...)
}

// lies are answers that are wrong in a way that nobody can see: they are for sources that ask again before they believe.
func (u *upstream) lies(q *http.Request) []hooktest.Fault {
	if !u.kind.verify {
		return nil
	}
	list := []hooktest.Fault{u.instead(q.URL.RawQuery, 2)}
	if all := u.bodies(); len(all) > 0 {
		list = append(list, hooktest.Answer(http.StatusOK, `{"items":[`+all[0]+`],"total":1000,"more":false}`))
	}
	for i, f := range list {
		list[i] = func(w http.ResponseWriter, q *http.Request, n int) bool {
			u.lied()
			return f(w, q, n)
		}
	}
	return list
}

// lied notes that what this scan lacks is not known.
func (u *upstream) lied() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.scans); n > 0 {
		u.scans[n-1].lied = true
	}
}

// instead answers what another request would get, with pages of another size.
func (u *upstream) instead(query string, size int) hooktest.Fault {
	return func(w http.ResponseWriter, q *http.Request, _ int) bool {
		other := q.Clone(q.Context())
		other.URL.RawQuery = query
		u.mu.Lock()
		was := u.size
		u.size = size
		u.mu.Unlock()
		defer func() {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.size = was
		}()
		u.page(w, other)
		return true
	}
}

// foreign is a host that must never see a credential.
const foreign = "10.9.9.9"

// slow is later than a source waits.
func slow(d time.Duration) hooktest.Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		pause(r.Context().Done(), d)
		return false
	}
}
