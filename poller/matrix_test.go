package poller

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

var matrixPolls = flag.Int("polls", 60, "polls of each kind of paging in the test of false deletions")

// mutating serves a list that changes between two requests and answers wrongly now and then, in pages whose size the server
// chooses anew for each walk.
type mutating struct {
	rng    *rand.Rand
	list   *shelf
	guests []string
	count  int
	size   int
	calm   bool
	faults map[string]int // that were shown
}

func newMutating(seed uint64) *mutating {
	m := &mutating{rng: rand.New(rand.NewPCG(seed, 99)), list: newShelf(), size: 7, faults: map[string]int{}}
	for i := range 40 {
		m.list.put(fmt.Sprint("keep", i), "new")
	}
	return m
}

// shift inserts a guest anywhere, and lets one go: records behind either move from page to page.
func (m *mutating) shift() {
	if m.rng.IntN(10) < 3 && len(m.guests) < 20 {
		m.count++
		id := fmt.Sprint("guest", m.count)
		m.list.mu.Lock()
		m.list.items[id] = fmt.Sprintf(`{"id":%q,"status":"guest"}`, id)
		m.list.order = slices.Insert(m.list.order, m.rng.IntN(len(m.list.order)+1), id)
		m.list.mu.Unlock()
		m.guests = append(m.guests, id)
	}
	if m.rng.IntN(10) < 3 && len(m.guests) > 0 {
		i := m.rng.IntN(len(m.guests))
		m.list.remove(m.guests[i])
		m.guests = slices.Delete(m.guests, i, i+1)
	}
}

func (m *mutating) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if id, ok := strings.CutPrefix(q.URL.Path, "/contacts/"); ok {
		if !slices.Contains(m.list.page(0, m.list.len()), m.list.items[id]) {
			http.NotFound(w, q)
			return
		}
		fmt.Fprint(w, m.list.items[id])
		return
	}
	if m.calm {
		paged(m.list, m.size, nil)(w, q)
		return
	}
	m.shift()
	question, err := io.ReadAll(q.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	again := func() { q.Body = io.NopCloser(bytes.NewReader(question)) }
	again()
	from := pageStart(m.list, m.size, q)
	again()
	if from == 0 {
		m.size = 4 + m.rng.IntN(9)
	}
	if from > 0 && from >= m.list.len() && m.rng.IntN(2) == 0 {
		m.faults["past the end"]++
		w.WriteHeader([]int{http.StatusBadRequest, http.StatusNotFound}[m.rng.IntN(2)])
		return
	}
	if m.rng.IntN(25) == 0 {
		m.fault(w, q)
		return
	}
	paged(m.list, m.size, nil)(w, q)
}

// fault answers with one of the things that are not the page that was asked for.
func (m *mutating) fault(w http.ResponseWriter, q *http.Request) {
	faults := map[string]func(){
		"500":        func() { w.WriteHeader(http.StatusInternalServerError) },
		"cut":        func() { fmt.Fprint(w, `{"items":[{"id":"keep1"},{"id`) },
		"login page": func() { fmt.Fprint(w, `<html><title>Sign in</title>`) },
		"null":       func() { fmt.Fprint(w, `{"items":null,"total":0,"more":false}`) },
		"closed":     func() { panic(http.ErrAbortHandler) },
		"the page one": func() {
			paged(m.list, m.size, nil)(w, &http.Request{URL: q.URL.JoinPath(), Header: http.Header{}, Body: http.NoBody})
		},
		"a short page":  func() { paged(m.list, 2, nil)(w, q) },
		"a larger list": func() { fmt.Fprint(w, `{"items":[{"id":"keep1","status":"new"}],"total":1000,"more":false}`) },
	}
	name := slices.Sorted(maps.Keys(faults))[m.rng.IntN(len(faults))]
	m.faults[name]++
	faults[name]()
}

// TestT1T2T10NoFaultAndNoShiftOfAnyKindOfPagingMakesAFalseDeletion drives each kind of paging through a list that never
// stands still and a server that fails in all ways. Where the kind has no seam of its own, deletes.verify is what proves.
func TestT1T2T10NoFaultAndNoShiftOfAnyKindOfPagingMakesAFalseDeletion(t *testing.T) {
	t.Parallel()
	for seed, c := range pageCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMutating(uint64(seed))
			r := newRig(t, m.ServeHTTP, func(s *Source) {
				c.edit(s)
				s.Guard.MinDeletes = 1000
				if s.Pages.Kind == "offset" {
					s.Pages.Overlap = 3
				} else if s.Pages.Kind != "last_key" {
					s.Deletes.Verify = strings.SplitN(s.URL, "?", 2)[0] + "/{key}"
				}
			})
			verdicts := map[Verdict]int{}
			for range *matrixPolls {
				verdicts[r.poll().Verdict]++
			}
			m.calm = true
			for range 4 {
				r.poll()
			}
			r.want(Unchanged)
			deleted := 0
			for _, e := range r.ledger.sources["contacts"].Events {
				if e.Change != differ.Deleted {
					continue
				}
				if deleted++; strings.HasPrefix(e.Key, "keep") {
					t.Errorf("%s is told as deleted at sequence %d", e.Key, e.Sequence)
				}
			}
			if have, want := slices.Sorted(maps.Keys(r.ledger.rows("contacts"))), slices.Sorted(maps.Keys(m.list.items)); !slices.Equal(have, want) {
				t.Errorf("known are %v, upstream has %v", have, want)
			}
			if deleted == 0 || verdicts[Complete] == 0 || len(m.faults) < 3 {
				t.Error("nothing was put to the test")
			}
			t.Logf("%s polls: %v, %d true deletions, faults %v", strconv.Itoa(*matrixPolls), verdicts, deleted, m.faults)
		})
	}
}
