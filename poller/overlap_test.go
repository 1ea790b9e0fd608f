package poller

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// shifting is an API whose list is changed between any two requests: with a chance of 0.3 each, a record is added and one is
// removed. It is served without a network, so that thousands of polls are cheap.
type shifting struct {
	rng    *rand.Rand
	newest bool // first
	size   int
	ids    []int
	alive  map[string]bool
	next   int
	quiet  bool
}

func newShifting(records, size int, newest bool) *shifting {
	s := &shifting{rng: rand.New(rand.NewPCG(1, 2)), newest: newest, size: size, alive: map[string]bool{}}
	for range records {
		s.insert()
	}
	return s
}

func (s *shifting) insert() {
	s.next++
	at := len(s.ids)
	if s.newest {
		at = 0
	}
	s.ids = slices.Insert(s.ids, at, s.next)
	s.alive[strconv.Itoa(s.next)] = true
}

func (s *shifting) move() {
	if s.quiet {
		return
	}
	const chance = 0.3
	if s.rng.Float64() < chance {
		s.insert()
	}
	if s.rng.Float64() < chance {
		at := s.rng.IntN(len(s.ids))
		delete(s.alive, strconv.Itoa(s.ids[at]))
		s.ids = slices.Delete(s.ids, at, at+1)
	}
}

func (s *shifting) RoundTrip(q *http.Request) (*http.Response, error) {
	s.move()
	from, err := strconv.Atoi(q.URL.Query().Get("offset"))
	if err != nil {
		return nil, err
	}
	var body bytes.Buffer
	body.WriteByte('[')
	for i, id := range s.ids[min(from, len(s.ids)):min(from+s.size, len(s.ids))] {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"id":%d}`, id)
	}
	body.WriteByte(']')
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(&body), Request: q, ContentLength: int64(body.Len())}, nil
}

// falseDeletions polls so often, and counts deletions of records that are there.
func (s *shifting) falseDeletions(t *testing.T, polls int, edit func(*Source)) (wrong, right, requests int) {
	t.Helper()
	ledger, now := newMemLedger(), time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	source := DefaultSource()
	source.Name, source.URL, source.Every = "contacts", "http://127.0.0.1/contacts", setting.Duration(time.Minute)
	source.Key, source.Initial, source.Deletes.Detect = differ.Paths(paths("id")), "emit", "scan"
	source.Pages.Kind = "offset"
	edit(&source)
	if problems := source.Validate(secretsForTests()); len(problems) > 0 {
		t.Fatal(problems)
	}
	p, err := New(source, Options{Ledger: ledger, Outlet: &memOutlet{}, TempDir: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	p.client = outbound.NewClient(outbound.Options{
		Target: p.requests.target, Transport: s, Home: s, Retry: outbound.Retry{Attempts: 1}, Now: p.opts.Now,
	})
	receiver := &replica{records: map[string]string{}}
	seen := 0
	for i := range polls + 3 {
		s.quiet = i >= polls
		now = now.Add(time.Minute)
		r := p.Poll(t.Context(), Occasion{})
		if source.Pages.Overlap > 0 && (r.Verdict == Held || r.Verdict == Failed) {
			t.Fatalf("poll %d: %s %s", i, r.Verdict, r.Message)
		}
		requests += r.Requests
		for _, e := range ledger.sources["contacts"].Events[seen:] {
			if e.Change != differ.Deleted {
				continue
			}
			if right++; s.alive[e.Key] {
				wrong++
			}
		}
		if err := receiver.apply(ledger.sources["contacts"].Events[seen:]); err != nil {
			t.Fatal(err)
		}
		seen = len(ledger.sources["contacts"].Events)
	}
	if source.Pages.Overlap == 0 {
		return wrong, right, requests
	}
	if len(receiver.records) != len(s.alive) {
		t.Errorf("the receiver holds %d records, upstream %d", len(receiver.records), len(s.alive))
	}
	for id := range s.alive {
		if _, ok := receiver.records[id]; !ok {
			t.Errorf("the receiver lacks %s", id)
		}
	}
	return wrong, right, requests
}

// TestT1PagesThatOverlapMakeNoFalseDeletions repeats the simulation of the trap: ten pages, and a list that is changed between any two
// of them. Without an overlap a record that is pulled over the edge of a page counts as deleted.
func TestT1PagesThatOverlapMakeNoFalseDeletions(t *testing.T) {
	polls := 600
	if testing.Short() {
		polls = 100
	}
	for _, newest := range []bool{true, false} {
		for _, c := range []struct {
			name            string
			polls           int
			overlap, orders int
			sound           bool
		}{
			{"no overlap, no confirmation", 200, 0, 1, false},
			{"overlap", min(polls, 300), 5, 1, true},
			{"overlap and confirmation", polls, 5, 2, true},
		} {
			t.Run(fmt.Sprintf("%s, newest first %t", c.name, newest), func(t *testing.T) {
				wrong, all, requests := newShifting(400, 40, newest).falseDeletions(t, c.polls, func(s *Source) {
					s.Pages.Overlap, s.Deletes.Confirm = c.overlap, c.orders
				})
				t.Logf("%d polls, %d requests, %d deletions, %d of them false", c.polls, requests, all, wrong)
				switch {
				case c.sound && wrong > 0:
					t.Errorf("%d of %d deletions are false", wrong, all)
				case !c.sound && wrong == 0:
					t.Error("the simulation does not show the trap")
				case c.sound && all < c.polls:
					t.Errorf("only %d deletions were found", all)
				}
			})
		}
	}
}

// offsets serves list by offset, changes it before some requests, and remembers what it was asked.
func offsets(list *shelf, size int, before map[int]func()) (http.HandlerFunc, *[]string) {
	var asked []string
	return func(w http.ResponseWriter, q *http.Request) {
		if change := before[len(asked)+1]; change != nil {
			change()
		}
		text := q.URL.Query().Get("offset")
		asked = append(asked, text)
		from, err := strconv.Atoi(text)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, `{"items":[%s],"total":%d}`, strings.Join(list.page(from, from+size), ","), list.len())
	}, &asked
}

func TestAnOverlapEndsEachListAndCountsItsRecordsOnce(t *testing.T) {
	for records := range 10 {
		for _, size := range []int{1, 2, 3, 5} {
			for _, overlap := range []int{0, 1, 2, 4, 6} {
				for _, total := range []string{"", "total"} {
					list := newShelf()
					for i := range records {
						list.put(strconv.Itoa(i), "new")
					}
					handler, asked := offsets(list, size, nil)
					r := newRig(t, handler, func(s *Source) {
						s.Pages.Kind, s.Pages.Overlap, s.Records = "offset", overlap, differ.MustPath("items")
						if total != "" {
							s.Pages.Total = differ.MustPath(total)
						}
					})
					got := r.poll()
					if got.Verdict != Complete || got.Records != records || len(r.ledger.rows("contacts")) != records {
						t.Errorf("%d records in pages of %d, overlap %d, total %q: %s (%s), %d records, asked %q",
							records, size, overlap, total, got.Verdict, got.Message, got.Records, *asked)
					}
				}
			}
		}
	}
}

func TestT1AShiftWithinTheOverlapIsHandled(t *testing.T) {
	for name, total := range map[string]string{"empty page": "", "total": "total"} {
		t.Run(name, func(t *testing.T) {
			list := newShelf()
			for i := range 12 {
				list.put(strconv.Itoa(i), "new")
			}
			changes := map[int]func(){}
			handler, asked := offsets(list, 4, changes)
			r := newRig(t, handler, func(s *Source) {
				s.Pages.Kind, s.Pages.Overlap, s.Records, s.Deletes.Confirm = "offset", 2, differ.MustPath("items"), 1
				s.Pages.Total = differ.Path{}
				if total != "" {
					s.Pages.Total = differ.MustPath(total)
				}
			})
			r.want(Complete)
			changes[len(*asked)+2] = func() { list.remove("0") } // pulls 4 over the edge
			changes[len(*asked)+3] = func() {
				list.set("new", `{"id":"new"}`)
				list.order = append([]string{"new"}, list.order[:len(list.order)-1]...)
			} // pushes it back
			r.want(Unchanged)
			r.tells() // 0 was seen before it went, and the new one is on a page that was read
			if got := r.want(Complete); got.Deleted != 1 || got.Created != 1 {
				t.Errorf("%+v", got.Poll)
			}
			r.tells("created new", "deleted 0")
		})
	}
}

func TestT1AShiftBeyondTheOverlapProvesNothing(t *testing.T) {
	list := newShelf()
	for i := range 20 {
		list.put(strconv.Itoa(i), "new")
	}
	changes := map[int]func(){}
	handler, asked := offsets(list, 8, changes)
	r := newRig(t, handler, func(s *Source) {
		s.Pages.Kind, s.Pages.Overlap, s.Records, s.Deletes.Confirm = "offset", 2, differ.MustPath("items"), 1
	})
	r.want(Complete)
	changes[len(*asked)+2] = func() {
		for i := range 5 {
			list.remove(strconv.Itoa(i))
		}
	}
	got := r.want(Partial)
	if want := "page 2 shows none of the records before it again"; !strings.Contains(got.Message, want) {
		t.Errorf("message %q", got.Message)
	}
	r.tells()
	if got := r.want(Complete); got.Deleted != 5 {
		t.Errorf("%d deleted", got.Deleted)
	}
}

func TestT1AListThatShrinksBelowThePageThatIsAskedForProvesNothing(t *testing.T) {
	list := newShelf()
	for i := range 10 {
		list.put(strconv.Itoa(i), "new")
	}
	changes := map[int]func(){}
	handler, asked := offsets(list, 8, changes)
	r := newRig(t, handler, func(s *Source) {
		s.Pages.Kind, s.Pages.Overlap, s.Records, s.Deletes.Confirm = "offset", 1, differ.MustPath("items"), 1
	})
	r.want(Complete)
	changes[len(*asked)+2] = func() {
		for i := range 4 {
			list.remove(strconv.Itoa(i))
		}
	}
	r.want(Partial) // 8 and 9 were never shown
	r.tells()
	r.want(Complete)
	if got := r.told(); len(got) != 4 {
		t.Errorf("events %q", got)
	}
}
