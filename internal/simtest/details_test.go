package simtest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/hooktest"
)

// detailSettings say how the rest of records is asked for, of which a list shows but an entry.
type detailSettings struct {
	on404       string // skip, list, deleted or fail
	max         int    // in a poll
	concurrency int
}

func (w *world) newDetails() detailSettings {
	return detailSettings{
		on404: []string{"skip", "list", "deleted", "fail"}[w.chance.IntN(4)], max: []int{4, 15, 1000}[w.chance.IntN(3)], concurrency: 1 + w.chance.IntN(4),
	}
}

func (d detailSettings) write(b *strings.Builder, merge string) {
	fmt.Fprintf(b, "detail = { url = \"/details/{key}\", merge = %q, on_404 = %q, max = %d, concurrency = %d }\n", merge, d.on404, d.max, d.concurrency)
}

// polls is how many polls it may take until all details are known.
func (d detailSettings) polls() int {
	const most = 60 // records of a list
	return most/d.max + 1
}

// revField is the member of an entry that is another one after each change of its record.
const revField = "rev"

// entry is what a list shows of a version of a record.
func entry(body string, step int64) string {
	text := map[string]string{}
	for _, m := range membersOf(body) {
		text[m.name] = m.raw
	}
	return fmt.Sprintf(`{"id":%s, "uid":%s,"status":%s,%q:%d}`, text["id"], text["uid"], text["status"], revField, step)
}

// entries gives the list as it is now.
func (u *upstream) entries() []string {
	out := make([]string, len(u.history.order))
	for i, key := range u.history.order {
		versions := u.history.was[key]
		out[i] = versions[len(versions)-1].entry
	}
	return out
}

// detail serves a record by its own address.
func (u *upstream) detail(w http.ResponseWriter, key string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	body, ok := u.history.now[idOf(key)]
	if !ok {
		u.deny(idOf(key))
		http.Error(w, `{"error":"not found"}`, http.StatusNotFound)
		return
	}
	respond(w, body)
}

// deny notes that an address said that there is nothing.
func (u *upstream) deny(id string) {
	if u.denied == nil {
		u.denied = map[string][]int64{}
	}
	u.denied[id] = append(u.denied[id], u.w.step.Load())
	u.failedFor(id)
}

// believe notes whether settings take a record for missing when its address says that there is nothing.
func (u *upstream) believe(edition int, denials bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.believed == nil {
		u.believed = map[int]bool{}
	}
	u.believed[edition] = denials
}

// failedFor notes that the address of a record did not say what it is.
func (u *upstream) failedFor(id string) {
	if u.unanswered == nil {
		u.unanswered = map[string]int64{}
	}
	u.unanswered[id] = u.w.step.Load()
}

// missedEdit says that since an edit the detail of a record failed, or the list was changed while it was read, and may not have shown it:
// what the edit brings to light of it is told when it is there.
func (r *reading) missedEdit(key string, edited int64) bool {
	return edited > 0 && (r.u.unanswered[idOf(key)] >= edited || r.m.shifts >= edited)
}

// denies says whether it did between two steps.
func (u *upstream) denies(id string, from, to int64) bool {
	return slices.ContainsFunc(u.denied[id], func(step int64) bool { return from <= step && step <= to })
}

// detailFaults are what a server can do instead of giving a detail; one of them is to deny what its list shows.
func (u *upstream) detailFaults(key string) []hooktest.Fault {
	foreignPage := "http://" + foreign + "/stolen"
	deny := func(w http.ResponseWriter, q *http.Request, n int) bool {
		u.mu.Lock()
		u.deny(idOf(key))
		u.mu.Unlock()
		return hooktest.Status(http.StatusNotFound)(w, q, n)
	}
	return []hooktest.Fault{
		deny, deny, deny, hooktest.Status(http.StatusInternalServerError), hooktest.Status(http.StatusForbidden), hooktest.Close(),
		hooktest.Cut(http.StatusOK), hooktest.Garbage(), hooktest.Hang(), hooktest.HTTP10(http.StatusOK, `{"id":"k001","st`),
		hooktest.Answer(http.StatusOK, `{"id":"k001","status"`, "Content-Type", "application/json"), hooktest.Answer(http.StatusOK, `[]`),
		hooktest.Answer(http.StatusOK, `<html><title>Sign in</title><form>`, "Content-Type", "text/html"), hooktest.Answer(http.StatusOK, ``),
		hooktest.RetryAfter(http.StatusTooManyRequests, strconv.Itoa(1+u.chance.IntN(20))), hooktest.RetryAfter(http.StatusServiceUnavailable, "90"),
		hooktest.Redirect(http.StatusFound, foreignPage), slow(8 * time.Second),
	}
}

// seen says whether, while it was read, a record was one of which this holds. What selects a record is its entry, and its detail may be
// of later.
func (r *reading) seen(key, record string, is func(body string) bool) bool {
	if r.u.kind.detail == "" {
		return is(record)
	}
	return r.u.history.had(idOf(key), r.from, r.to, is)
}

// entryOnly says that what is known of a record is what the list says of it, because its address said that there is nothing.
func (s *sourceSettings) entryOnly(id, body string) bool {
	if s.kind.detail == "" || len(s.denied[id]) == 0 {
		return false
	}
	canon := s.compared.canon(body)
	return slices.ContainsFunc(s.history.was[id], func(v version) bool { return s.compared.canon(v.entry) == canon })
}
