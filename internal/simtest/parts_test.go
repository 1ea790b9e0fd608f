package simtest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/poller"
)

// partNames are the lists of an upstream that has several.
func partNames() []string { return []string{"p0", "p1", "p2"} }

// partOf gives the list that a record stands in.
func partOf(id string) string { return partNames()[hash(id)%3] }

// keyOf gives the key under which a source knows the record with an id.
func (s *sourceSettings) keyOf(id string) string {
	if len(s.parts) == 0 {
		return keyOf(s.key, id)
	}
	parts := []string{partOf(id), keyOf(s.key, id)}
	if s.key == byBoth {
		parts = []string{partOf(id), id, "u-" + id}
	}
	return fmt.Sprintf(`["%s"]`, strings.Join(parts, `","`))
}

// reads says whether a record stands in a list that the source reads.
func (s *sourceSettings) reads(id string) bool {
	return len(s.parts) == 0 || slices.Contains(s.parts, partOf(id))
}

// enterPart notes a request for one of several lists. A poll that was interrupted by an edit comes to no verdict.
func (u *upstream) enterPart(q *http.Request, step int64) {
	n := len(u.scans)
	switch edition := editionOf(q); {
	case n > 0 && u.scans[n-1].edition > edition:
	case n == 0 || u.scans[n-1].to != 0 || u.scans[n-1].edition < edition:
		if n > 0 && u.scans[n-1].to == 0 {
			u.scans[n-1].to = step
		}
		u.scans = append(u.scans, scan{from: step, edition: edition, mingled: u.meddled})
	}
}

func editionOf(q *http.Request) int {
	n, _ := strconv.Atoi(q.Header.Get("X-Edition"))
	return n
}

// part serves one of several lists, as it is.
func (u *upstream) part(w http.ResponseWriter, name string, clean bool, edition int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var list []string
	for _, id := range u.history.order {
		if partOf(id) == name {
			list = append(list, u.history.now[id])
		}
	}
	if n := len(u.scans); n > 0 && clean && u.scans[n-1].edition == edition && u.scans[n-1].to == 0 {
		if u.scans[n-1].served == nil {
			u.scans[n-1].served = map[string]bool{}
		}
		u.scans[n-1].served[name] = true
	}
	respond(w, `{"items":[`+strings.Join(list, ",")+`]}`)
}

// partFault is what one of several lists does as long as it fails and the others work.
func (u *upstream) partFault(path string) hooktest.Fault {
	if u.failing == "" || path != "/parts/"+u.failing {
		return nil
	}
	return hooktest.Status([]int{http.StatusInternalServerError, http.StatusNotFound, http.StatusForbidden}[u.chance.IntN(3)])
}

// interrupted closes a scan of which no verdict will come.
func (u *upstream) interrupted() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.scans); n > 0 && u.scans[n-1].to == 0 {
		u.scans[n-1].to = u.w.step.Load()
	}
}

// meddle notes that a person begins, or has ended, what interrupts a poll: it begins anew, and its requests do not say so.
func (u *upstream) meddle(begins bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.meddled = begins
	if n := len(u.scans); n > 0 && u.scans[n-1].to == 0 {
		u.scans[n-1].mingled = true
	}
}

// served copies which lists were read by the poll that is just going on, and says whether that is certain.
func (u *upstream) served() (names map[string]bool, certain bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := len(u.scans); n > 0 {
		return maps.Clone(u.scans[n-1].served), !u.scans[n-1].mingled
	}
	return nil, true
}

// partState is what is known of one of several lists.
type partState int

const (
	unread partState = iota // what is found there first is no news
	doubtful
	wasRead
)

// partState says how it is with the list that a record stands in; wasRead where there is one only.
func (r *reading) partState(id string) partState {
	if len(r.s.parts) == 0 {
		return wasRead
	}
	return r.m.parts[partOf(id)]
}

// partsRead notes which lists a commit has read to their end, and forgets those that were configured no more.
func (m *memory) partsRead(c *commit) {
	if len(c.parts) == 0 || !c.complete {
		return
	}
	if m.parts == nil {
		m.parts = map[string]partState{}
	}
	for name := range c.served {
		if c.certain {
			m.parts[name] = wasRead
		} else if m.parts[name] == unread {
			m.parts[name] = doubtful
		}
	}
	for name, was := range m.parts {
		if was == unread || slices.Contains(c.parts, name) {
			continue
		}
		if m.parts[name] = doubtful; c.verdict == poller.Complete {
			m.parts[name] = unread
		}
	}
}

// strayed says whether a record is known of a list that the source does not read any more.
func (r *reading) strayed(key string) bool { return !r.s.reads(idOf(key)) }

// allTaken wants a poll of several lists to have taken in what those show that were read to their end, whatever became of the
// others (P5, P7).
func (w *world) allTaken(u *upstream, r *poller.Result) {
	if !u.kind.parts || !u.proves(r.Verdict) && r.Verdict != poller.Unchanged {
		return
	}
	w.truth.mu.Lock()
	defer w.truth.mu.Unlock()
	m, s := w.truth.of(u.name), w.running.source(u.name)
	if m.state.Held != nil || m.maybe != nil || w.other != nil || s.away || r.At.Before(w.reloaded.Add(time.Second)) || (&reading{w: w, u: u, m: m, s: s}).reidentified() {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(u.scans)
	if n == 0 || u.scans[n-1].mingled {
		return
	}
	scan, least := &u.scans[n-1], m.least.and(s.compared)
	for id, body := range u.history.now {
		versions := u.history.was[id]
		if v := versions[len(versions)-1]; v.from >= scan.from || !s.follows(body) || !s.reads(id) || !scan.served[partOf(id)] {
			continue
		}
		if k, known := m.known[s.keyOf(id)]; !known || least.canon(k.body) != least.canon(body) {
			w.violated(7, "%s has read the list %s, and is known to have %s as\n%s\nand it has been\n%s", u.name, partOf(id), id, k.body, body)
		}
	}
}

// editParts lets the source read other lists.
func (w *world) editParts(s *sourceSettings) {
	if len(s.parts) == 0 {
		return
	}
	if s.parts = partNames(); w.chance.IntN(3) == 0 {
		s.parts = [][]string{{"p0", "p1"}, {"p2", "p1"}, {"p2", "p0"}}[w.chance.IntN(3)]
	}
}
