package simtest

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/poller"
)

// stampField is the member of a record that says when it was changed.
const stampField = "at"

// since is how an upstream can be asked for what has changed since a time. Its clock is its own.
type since struct {
	w            *world
	chance       *rand.Rand
	overlap, lag time.Duration // that a source is configured with
}

func newSince(w *world, u *upstream) *since {
	return &since{w: w, chance: rand.New(rand.NewPCG(u.w.seed, 300)), overlap: 10 * time.Second, lag: []time.Duration{0, 20 * time.Second}[u.chance.IntN(2)]}
}

// now is what the clocks of others show: those of servers, which nobody sets.
func (w *world) now() time.Time {
	if w.net == nil { // before the first age
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Now().Add(w.offset).UTC()
}

// stamp says when a change happened: now, or some time ago, as rows do whose transaction took its time. It is as late as a source
// that looks back as far as it is told to still finds, less what an answer is on its way.
func (s *since) stamp() string {
	late := time.Duration(0)
	if s.chance.IntN(3) == 0 {
		late = time.Duration(s.chance.Int64N(int64(s.overlap + s.lag - 2*time.Second)))
	}
	return s.w.now().Add(-late).Format(time.RFC3339)
}

func asksSince(q *http.Request) bool { return q.URL.Query().Get("since") != "" }

// later gives the records that say that they are as late as what is asked for, or later.
func (s *since) later(rw http.ResponseWriter, q *http.Request, list []string) []string {
	rw.Header().Set("Date", s.w.now().Format(http.TimeFormat))
	from := q.URL.Query().Get("since")
	return slices.DeleteFunc(slices.Clone(list), func(body string) bool { return stampOf(body) < from })
}

func stampOf(body string) string {
	for _, m := range membersOf(body) {
		if m.name == stampField {
			return strings.Trim(m.raw, `"`)
		}
	}
	panic("a record without a time: " + body)
}

// ignoring is a list of what does not count, with what only says that there was a change.
func (s *sourceSettings) ignoring(list string) string {
	switch {
	case s.since != nil:
		return list + "," + stampField
	case s.kind.detail == "members":
		return list + "," + revField
	}
	return list
}

// allFound wants a poll that asks for what has changed to have found it: all that a record was before the poll began is known (P7).
func (w *world) allFound(u *upstream, r *poller.Result) {
	if u.since == nil || r.Mode != poller.Incremental || r.Verdict != poller.Partial && r.Verdict != poller.Unchanged {
		return
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	m, s := w.truth.of(u.name), w.running.source(u.name)
	if m.state.Baselined.IsZero() || m.state.Held != nil || m.maybe != nil || w.other != nil || r.At.Before(w.reloaded.Add(time.Second)) {
		return
	}
	least := m.least.and(s.compared)
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.scans) == 0 {
		return
	}
	from := u.scans[len(u.scans)-1].from
	for key, body := range u.history.now {
		versions := u.history.was[key]
		if len(versions) == 0 { // forgotten
			continue
		}
		if v := versions[len(versions)-1]; v.from >= from || !s.follows(body) {
			continue
		}
		if k, known := m.known[keyOf(s.key, key)]; !known || least.canon(k.body) != least.canon(body) {
			w.violated(7, "%s was asked for what had changed, and is known to have %s as\n%s\nand it has been\n%s", u.name, key, k.body, body)
		}
	}
}
