package simtest

import (
	"fmt"
	"maps"
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
	overlap, lag time.Duration   // that a source is configured with
	window       time.Duration   // so much is asked for at most; 0: no end is
	shown        map[string]bool // ids of the records that a poll is shown
	read         map[string]bool // of those that one of them has taken in
}

// clocksDiffer is by how much upstream's clock may be thought to be elsewhere than it is.
const clocksDiffer = 5 * time.Second

// epoch is when worlds begin.
func epoch() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// start is where the listing begins, if it is read in windows.
func (s *since) start() string {
	const windows = 6
	return epoch().Add(-windows * s.window).Format(time.RFC3339)
}

// write adds the table cursor.
func (s *since) write(b *strings.Builder, whole time.Duration) {
	fmt.Fprintf(b, "cursor = { field = %q, param = \"since\", overlap = %q, lag = %q, full_scan = %q", stampField, s.overlap.String(), s.lag.String(), whole.String())
	if s.window > 0 {
		fmt.Fprintf(b, ", until = \"until\", window = %q, start = %q", s.window.String(), s.start())
	}
	b.WriteString(" }\n")
}

func newSince(w *world, u *upstream) *since {
	s := &since{w: w, shown: map[string]bool{}, read: map[string]bool{}, chance: rand.New(rand.NewPCG(u.w.seed, 300)), overlap: 10 * time.Second, lag: []time.Duration{0, 20 * time.Second}[u.chance.IntN(2)]}
	if u.kind.windows {
		s.window = max(time.Minute, 10*w.pace)
	}
	return s
}

// now is what the clocks of others show: those of servers, which nobody sets.
func (w *world) now() time.Time {
	if w.net == nil { // before the first age
		return epoch()
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

// asks says whether a request is for what has changed only: a whole listing begins where all begins, and has no end.
func (s *since) asks(q *http.Request) bool {
	v := q.URL.Query()
	from := v.Get("since")
	return v.Get("until") != "" || from != "" && (s.window == 0 || from != s.start())
}

// heard takes in what came of a poll.
func (s *since) heard(v poller.Verdict) {
	if s != nil && (v == poller.Complete || v == poller.Partial || v == poller.Unchanged) {
		maps.Copy(s.read, s.shown)
	}
}

// clockTold says whether a scan before this one by the same process and the same settings was answered.
func (u *upstream) clockTold(now *scan) bool {
	return slices.ContainsFunc(u.scans[:len(u.scans)-1], func(s scan) bool { return s.answered && s.life == now.life && s.edition == now.edition })
}

// expected gives the time before which all has to be found by a poll that asks up to a time: if it says that there is no more, that is what
// upstream had completed when it began.
func (s *since) expected(until string, more bool, begun time.Time) string {
	if done := begun.Add(s.w.offset - s.lag - clocksDiffer).UTC().Format(time.RFC3339); until != "" && !more && done > until {
		return done
	}
	return until
}

// later gives the records that say that they are as late as what is asked for, or later.
func (s *since) later(q *http.Request, list []string) []string {
	from, until := q.URL.Query().Get("since"), q.URL.Query().Get("until")
	return slices.DeleteFunc(slices.Clone(list), func(body string) bool {
		at := stampOf(body)
		if at < from || until != "" && at >= until {
			return true
		}
		s.shown[textOf(body, "id")] = true
		return false
	})
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
	scan := &u.scans[len(u.scans)-1]
	if scan.until != "" && !u.clockTold(scan) {
		return // a process that has just begun does not know what upstream's clock shows, nor does a source that was just edited
	}
	from, until := scan.from, u.since.expected(scan.until, r.More, r.At)
	for key, body := range u.history.now {
		versions := u.history.was[key]
		if len(versions) == 0 { // forgotten
			continue
		}
		if v := versions[len(versions)-1]; v.from >= from || !s.follows(body) || until != "" && stampOf(body) >= until {
			continue
		}
		if k, known := m.known[s.keyOf(key)]; !known || least.canon(k.body) != least.canon(body) {
			w.violated(7, "%s was asked for what had changed (up to %s, more %t, its clock is at %s), and is known to have %s as\n%s\nand it has been\n%s", u.name, scan.until, r.More, w.now().Format(time.RFC3339), key, k.body, body)
		}
	}
}
