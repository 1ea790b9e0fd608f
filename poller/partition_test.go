package poller

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// regions is an API with a list for each region, in pages of three.
type regions struct {
	lists  map[string]*shelf
	broken map[string]int // status of a page, by region and page number
	asked  []string
}

func newRegions(names ...string) *regions {
	g := &regions{lists: map[string]*shelf{}, broken: map[string]int{}}
	for _, name := range names {
		g.lists[name] = newShelf("1", "2", "3", "4")
	}
	return g
}

func (g *regions) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	region := strings.TrimPrefix(q.URL.Path, "/r/")
	page, _ := strconv.Atoi(q.URL.Query().Get("page"))
	g.asked = append(g.asked, fmt.Sprint(region, " ", page))
	list := g.lists[region]
	if status := g.broken[fmt.Sprint(region, " ", page)]; status != 0 || list == nil {
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "3600")
		}
		if status == 0 {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		return
	}
	fmt.Fprintf(w, "[%s]", strings.Join(list.page(page*3-3, page*3), ","))
}

func (g *regions) rig(t *testing.T, values []string, edit func(*Source)) *rig {
	t.Helper()
	return newRig(t, g.ServeHTTP, func(s *Source) {
		s.URL = strings.TrimSuffix(s.URL, "/contacts") + "/r/{partition}"
		s.Pages = Pages{Kind: "page", Param: "page", Max: 10}
		s.Partitions.Values = values
		s.Guard = Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}
		s.Deletes.Confirm = 1
		if edit != nil {
			edit(s)
		}
	})
}

func TestOnePollReadsAllPartitions(t *testing.T) {
	g := newRegions("north", "south")
	r := g.rig(t, []string{"north", "south"}, nil)
	if got := r.want(Complete); got.Records != 8 || got.Pages != 6 || got.Events != 0 {
		t.Errorf("%d records, %d pages, %d events", got.Records, got.Pages, got.Events)
	}
	if rows := r.ledger.rows("contacts"); rows[`["north","1"]`] == "" || rows[`["south","1"]`] == "" || len(rows) != 8 {
		t.Errorf("records %v", rows)
	}
	r.untouched(func() { r.want(Unchanged) })
	r.restart()
	r.untouched(func() { r.want(Unchanged) })
	g.lists["south"].put("2", "open")
	g.lists["north"].put("5", "new")
	g.lists["north"].remove("1") // and south's 1 has the same bytes
	r.want(Complete)
	r.tells(`created ["north","5"]`, `updated ["south","2"] status`, `deleted ["north","1"]`)
	r.untouched(func() { r.want(Unchanged) })
}

func TestACompositeKeyAndAnOddNameMakeOneKey(t *testing.T) {
	name := `a/"b" ?`
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/r/"+name || q.URL.Query().Get("q") != name || q.Header.Get("X-Region") != name {
			t.Errorf("asked for %q, q %q, header %q", q.URL.Path, q.URL.Query().Get("q"), q.Header.Get("X-Region"))
		}
		fmt.Fprint(w, `[{"client":"01","id":4711}]`)
	}, func(s *Source) {
		s.URL = strings.TrimSuffix(s.URL, "/contacts") + "/r/{partition}"
		s.Query, s.Headers = map[string]string{"q": "{partition}"}, map[string]string{"X-Region": "{partition}"}
		s.Partitions.Values, s.Key = []string{name}, differ.Paths(paths("client", "id"))
	})
	r.want(Complete)
	if rows := r.ledger.rows("contacts"); rows[`["a/\"b\" ?","01","4711"]`] == "" {
		t.Errorf("records %v", rows)
	}
}

func TestT2AFailingPartitionStopsNoOtherAndProvesNothing(t *testing.T) {
	for _, page := range []int{1, 2, 3} {
		t.Run(strconv.Itoa(page), func(t *testing.T) {
			g := newRegions("east", "north", "south")
			r := g.rig(t, []string{"east", "north", "south"}, nil)
			r.want(Complete)
			for _, list := range g.lists {
				list.remove("4")
				list.put("1", "open")
				list.put("9", "new")
			}
			g.broken[fmt.Sprint("north ", page)] = http.StatusInternalServerError
			got := r.want(Partial)
			if !strings.Contains(got.Message, "1 of 3 partitions were not read completely: north (page ") {
				t.Errorf("message %q", got.Message)
			}
			want := []string{
				`updated ["east","1"] status`, `created ["east","9"]`, `updated ["south","1"] status`, `created ["south","9"]`,
				`deleted ["east","4"]`, `deleted ["south","4"]`,
			}
			told := r.told()
			slices.Sort(told)
			slices.Sort(want)
			if !slices.Equal(told, want) { // of north not even the pages that were read count
				t.Errorf("events %q\nwant   %q", told, want)
			}
			r.restart()
			r.untouched(func() { r.want(Partial) })
			clear(g.broken)
			r.want(Complete)
			r.tells(`updated ["north","1"] status`, `created ["north","9"]`, `deleted ["north","4"]`)
			r.untouched(func() { r.want(Unchanged) })
		})
	}
}

func TestAPartitionInDoubtDeletesNothingButIsApplied(t *testing.T) {
	g := newRegions("north", "south")
	r := g.rig(t, []string{"north", "south"}, nil)
	r.want(Complete)
	for _, list := range g.lists {
		list.remove("1")
		list.put("9", "new")
	}
	g.lists["north"].set("x", `{"name":"without a key"}`)
	if got := r.want(Partial); !strings.Contains(got.Message, "north (1 of 5 records have no usable key") {
		t.Errorf("message %q", got.Message)
	}
	r.tells(`created ["north","9"]`, `created ["south","9"]`, `deleted ["south","1"]`)
}

func TestWhenAllPartitionsFailThePollFails(t *testing.T) {
	g := newRegions("north", "south")
	r := g.rig(t, []string{"north", "south"}, nil)
	r.want(Complete)
	for region, list := range g.lists {
		list.put("9", "new")
		g.broken[region+" 2"] = http.StatusForbidden
	}
	r.untouched(func() {
		if got := r.want(Failed); !strings.Contains(got.Message, "no partition could be read; north: page 2: the server answered 403") || !strings.Contains(got.Hint, "check auth") {
			t.Errorf("message %q, hint %q", got.Message, got.Hint)
		}
	})
}

func TestAPartitionThatFailsInTheFirstPollHasABaselineLater(t *testing.T) {
	g := newRegions("north", "south")
	g.broken["south 2"] = http.StatusInternalServerError
	r := g.rig(t, []string{"north", "south"}, nil)
	if got := r.want(Partial); !got.baselined || got.State.Records != 4 {
		t.Errorf("baselined %t, %d records", got.baselined, got.State.Records)
	}
	g.lists["north"].put("9", "new")
	r.restart()
	r.want(Partial)
	r.tells(`created ["north","9"]`) // one that fails for good must not keep the others silent
	clear(g.broken)
	r.restart()
	r.want(Complete)
	r.tells()
	g.lists["south"].put("9", "new")
	r.want(Complete)
	r.tells(`created ["south","9"]`)
}

func TestANewPartitionIsASilentBaseline(t *testing.T) {
	g := newRegions("north", "south", "west")
	r := g.rig(t, []string{"north", "south"}, nil)
	r.want(Complete)
	r.edit(func(s *Source) { s.Partitions.Values = []string{"west", "north", "south"} })
	g.lists["north"].put("9", "new")
	g.broken["west 2"] = http.StatusBadGateway
	r.want(Partial)
	r.tells(`created ["north","9"]`)
	r.restart()
	clear(g.broken)
	r.want(Complete)
	r.tells()
	g.lists["west"].put("9", "new")
	r.want(Complete)
	r.tells(`created ["west","9"]`)
}

func TestAPartitionThatLeavesTheConfigurationIsHeld(t *testing.T) {
	for _, d := range []Decision{0, Release, Discard} {
		t.Run(strconv.Itoa(int(d)), func(t *testing.T) {
			g := newRegions("north", "south")
			r := g.rig(t, []string{"north", "south"}, nil)
			r.want(Complete)
			r.edit(func(s *Source) { s.Partitions.Values = []string{"north"} })
			if got := r.want(Held); !strings.Contains(got.Message, `partitions.values lost ["south"]`) {
				t.Errorf("message %q", got.Message)
			}
			r.restart()
			r.want(Held)
			if d == 0 {
				r.edit(func(s *Source) { s.Partitions.Values = []string{"south", "north"} })
				if got := r.want(Unchanged); got.Hold != nil {
					t.Errorf("hold %+v", got.Hold)
				}
				r.tells()
				return
			}
			if err := r.poller.Decide(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			r.want(Complete)
			told := r.told()
			slices.Sort(told)
			if want := []string{`deleted ["south","1"]`, `deleted ["south","2"]`, `deleted ["south","3"]`, `deleted ["south","4"]`}; d == Release && !slices.Equal(told, want) || d == Discard && len(told) > 0 {
				t.Errorf("events %q", told)
			}
			if rows := r.ledger.rows("contacts"); len(rows) != 4 {
				t.Errorf("records %v", rows)
			}
			r.untouched(func() { r.want(Unchanged) })
		})
	}
}

func TestPartitionsAreAnIdentity(t *testing.T) {
	g := newRegions("north")
	r := g.rig(t, nil, func(s *Source) { s.URL = strings.ReplaceAll(s.URL, "{partition}", "north") })
	r.want(Complete)
	r.edit(func(s *Source) {
		s.URL = strings.ReplaceAll(s.URL, "north", "{partition}")
		s.Partitions.Values = []string{"north"}
	})
	if got := r.want(Held); !strings.Contains(got.Message, "partitions was changed") {
		t.Errorf("message %q", got.Message)
	}
	if _, err := r.poller.Rekey(t.Context()); !errors.Is(err, ErrRekey) {
		t.Errorf("error %v", err)
	}
	if err := r.poller.Decide(t.Context(), Discard); err != nil {
		t.Fatal(err)
	}
	r.want(Complete)
	r.tells()
	if rows := r.ledger.rows("contacts"); len(rows) != 4 || rows[`["north","1"]`] == "" {
		t.Errorf("records %v", rows)
	}
	r.edit(func(s *Source) { s.Key = differ.Paths(paths("status", "id")) }) // a rekey keeps the partition
	r.want(Held)
	if _, err := r.poller.Rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.poll()
	r.tells()
	if rows := r.ledger.rows("contacts"); len(rows) != 4 || rows[`["north","new","1"]`] == "" {
		t.Errorf("records %v", rows)
	}
}

// projects makes a source whose records name the partitions.
func (r *rig) projects(ids ...string) {
	r.t.Helper()
	state := r.ledger.sources["projects"].State
	rows := map[differ.Hash]memRow{}
	for _, id := range ids {
		hash := differ.NewHasher(r.opts.Seed).Key([]byte(id))
		rows[hash] = memRow{Known: Known{Hash: hash}, Key: id, Body: []byte(fmt.Sprintf(`{"id":%q,"slug":%q}`, id, id))}
	}
	state.Baselined = r.now
	r.ledger.sources["projects"] = memSource{State: state, Rows: rows}
}

func TestPartitionsCanComeFromAnotherSource(t *testing.T) {
	g := newRegions("a", "b", "c")
	r := g.rig(t, nil, func(s *Source) {
		s.Partitions = Partitions{Source: "projects", Path: differ.MustPath("slug")}
		s.Deletes.Confirm, s.Guard = 2, Guard{MaxDeletes: 0.2, MinDeletes: 3, Empty: "hold"}
	})
	if got := r.want(Deferred); !strings.Contains(got.Message, "source projects, which names the partitions, has no baseline yet") || len(g.asked) > 0 {
		t.Errorf("message %q, asked %q", got.Message, g.asked)
	}
	if got := r.poll(); got.again != time.Minute {
		t.Errorf("it tries again in %s", got.again)
	}
	r.projects("a", "b")
	r.want(Complete)
	r.tells()
	r.projects("a", "b", "c") // a new one is news: it was created there, too
	r.want(Complete)
	if told := r.told(); len(told) != 4 || told[0] != `created ["c","1"]` {
		t.Errorf("events %q", told)
	}
	r.projects("a", "c")
	r.want(Complete) // once
	r.tells()
	r.want(Held) // 4 of 12 are more than the guard allows
	r.projects("a", "b", "c")
	r.poll()
	r.tells()
	r.projects()
	if got := r.want(Held); !strings.Contains(got.Message, "the list is empty") {
		t.Errorf("message %q", got.Message)
	}
	r.tells()
}

func TestAServerThatWantsToBeLeftAloneIsNotAskedForTheOtherPartitions(t *testing.T) {
	g := newRegions("a", "b", "c", "d")
	r := g.rig(t, []string{"a", "b", "c", "d"}, nil)
	r.want(Complete)
	g.lists["a"].put("9", "new")
	g.lists["d"].put("9", "new")
	g.broken["b 1"], g.asked = http.StatusTooManyRequests, nil
	got := r.want(Partial)
	if got.Until.Before(r.now.Add(time.Hour)) || slices.ContainsFunc(g.asked, func(a string) bool { return a > "b 1" }) {
		t.Errorf("asked %q, until %s, message %q", g.asked, got.Until, got.Message)
	}
	r.tells(`created ["a","9"]`)
	clear(g.broken)
	g.asked, r.now = nil, got.Until
	r.want(Complete) // it begins where the last poll stopped
	r.tells(`created ["d","9"]`)
	if g.asked[0] != "c 1" {
		t.Errorf("asked %q", g.asked)
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		g.broken[name+" 1"] = http.StatusTooManyRequests
	}
	r.untouched(func() { r.want(Deferred) })
}

func TestPartitionsHaveDetailsAndVerification(t *testing.T) {
	g := newRegions("north", "south")
	var asked []string
	there := true
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if id, ok := strings.CutPrefix(q.URL.Path, "/one/"); ok {
			asked = append(asked, id)
			if id == "south/4" && !there {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			fmt.Fprintf(w, `{"more":%q}`, id)
			return
		}
		g.ServeHTTP(w, q)
	}, func(s *Source) {
		s.URL = strings.TrimSuffix(s.URL, "/contacts") + "/r/{partition}"
		s.Pages, s.Partitions.Values = Pages{Kind: "page", Param: "page", Max: 10}, []string{"north", "south"}
		s.Detail.URL, s.Deletes.Verify, s.Deletes.Confirm = "/one/{partition}/{record.id}", "/one/{partition}/{record.id}", 1
	})
	r.want(Complete)
	if rows := r.ledger.rows("contacts"); rows[`["south","2"]`] != `{"id":"2","status":"new","more":"south/2"}` {
		t.Errorf("records %v", rows)
	}
	r.untouched(func() { r.want(Unchanged) })
	g.lists["south"].remove("4")
	r.poll()
	r.tells()
	there = false
	r.want(Complete)
	r.tells(`deleted ["south","4"]`)
	r.edit(func(s *Source) { s.Ignore = paths("status") }) // is compared anew without being fetched anew
	asked = nil
	r.want(Complete)
	r.tells()
	if len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

func TestAPartitionThatIsTakenBackLeavesALargeSpoolInOrder(t *testing.T) {
	g := newRegions("a", "b", "c")
	for _, list := range g.lists {
		list.clear()
	}
	r := g.rig(t, []string{"a", "b", "c"}, nil)
	r.want(Complete)
	for _, list := range g.lists {
		for i := range 6 {
			list.set(strconv.Itoa(i), fmt.Sprintf(`{"id":"%d","text":%q}`, i, strings.Repeat("x", 1<<20)))
		}
	}
	g.broken["b 3"] = http.StatusBadGateway // 6 MB of it are on the spool, partly in its file
	r.want(Partial)
	if told := r.told(); len(told) != 12 || told[5] != `created ["a","5"]` || told[6] != `created ["c","0"]` {
		t.Errorf("events %q", told)
	}
	leftovers(t, r.opts.TempDir)
}

// TestPartitionsConvergeUnderFaults changes and breaks lists at random: once all is quiet, a receiver holds what upstream holds.
func TestPartitionsConvergeUnderFaults(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 5))
		names := []string{"a", "b", "c"}
		g := newRegions(names...)
		r := g.rig(t, names, func(s *Source) { s.Initial, s.Deletes.Confirm = "emit", 1+int(seed%2) })
		for range 60 {
			for range rng.IntN(4) {
				list := g.lists[names[rng.IntN(3)]]
				list.put(strconv.Itoa(rng.IntN(12)), strconv.Itoa(rng.IntN(5)))
				list.remove(strconv.Itoa(rng.IntN(12)))
			}
			clear(g.broken)
			if rng.IntN(2) == 0 {
				g.broken[fmt.Sprint(names[rng.IntN(3)], " ", 1+rng.IntN(3))] = http.StatusInternalServerError
			}
			if got := r.poll(); got.Verdict == Held {
				t.Fatalf("seed %d: %s", seed, got.Message)
			}
			if rng.IntN(6) == 0 {
				r.restart()
			}
		}
		clear(g.broken)
		for range 3 {
			r.poll()
		}
		receiver := &replica{records: map[string]string{}}
		if err := receiver.apply(r.ledger.sources["contacts"].Events); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		total := 0
		for name, list := range g.lists {
			for id, body := range list.items {
				total++
				if key := fmt.Sprintf("[%q,%q]", name, id); receiver.records[key] != body {
					t.Errorf("seed %d: %s is %s, want %s", seed, key, receiver.records[key], body)
				}
			}
		}
		if len(receiver.records) != total {
			t.Errorf("seed %d: %d records, %d are there", seed, len(receiver.records), total)
		}
	}
}

func TestPartitionsThatCannotWorkAreRefused(t *testing.T) {
	with := func(p Partitions, url string) Source {
		s := validSource()
		s.Partitions, s.URL = p, s.URL+url
		return s
	}
	for _, c := range []struct {
		s            Source
		key, message string
	}{
		{with(Partitions{Values: []string{"a"}}, ""), "partitions", "the same for each partition"},
		{with(Partitions{}, "/{partition}"), "url", "there are no partitions"},
		{with(Partitions{Values: []string{"a", "a"}}, "/{partition}"), "partitions.values", "stands there twice"},
		{with(Partitions{Values: []string{""}}, "/{partition}"), "partitions.values", "is empty"},
		{with(Partitions{Values: []string{"a"}, Source: "b", Path: differ.MustPath("id")}, "/{partition}"), "partitions.source", "both set"},
		{with(Partitions{Source: "b"}, "/{partition}"), "partitions.source", "needs path"},
		{with(Partitions{Path: differ.MustPath("id")}, ""), "partitions.path", "partitions.source"},
		{with(Partitions{Source: "contacts", Path: differ.MustPath("id")}, "/{partition}"), "partitions.source", "its own list"},
	} {
		wantProblem(t, &c.s, c.key, c.message)
	}
	ok := with(Partitions{Values: []string{"a"}}, "")
	ok.Method, ok.Body = "POST", `{"region":"{partition}"}`
	if problems := ok.Validate(&setting.Secrets{}); len(problems) > 0 {
		t.Errorf("problems %v", problems)
	}
}

func TestT3AnEmptyPartitionAfterAFullOneIsHeld(t *testing.T) {
	for _, c := range []struct {
		empty   string
		least   int
		verdict Verdict
	}{{"hold", 3, Held}, {"hold", 4, Complete}, {"allow", 3, Complete}} {
		g := newRegions("a", "b", "c", "d")
		r := g.rig(t, []string{"a", "b", "c", "d"}, func(s *Source) { s.Guard = Guard{MaxDeletes: 0.9, MinDeletes: c.least, Empty: c.empty} })
		r.want(Complete)
		g.lists["c"].clear()
		got := r.want(c.verdict)
		if c.verdict == Held && !strings.Contains(got.Message, "the list of partition c is empty; 4 of its records were known") {
			t.Errorf("message %q", got.Message)
		}
	}
}

// journals is an API with a list for each region that can be asked for what changed since a number.
type journals struct {
	lists  map[string][]string // records, v counts up over all
	broken map[string]bool
	asked  []string
}

func (g *journals) add(region, id string, v int) {
	g.lists[region] = slices.DeleteFunc(g.lists[region], func(r string) bool { return strings.Contains(r, fmt.Sprintf("%q", id)) })
	g.lists[region] = append(g.lists[region], fmt.Sprintf(`{"id":%q,"v":%d}`, id, v))
}

func (g *journals) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	region, since := strings.TrimPrefix(q.URL.Path, "/r/"), q.URL.Query().Get("since")
	g.asked = append(g.asked, region+">"+since)
	if g.broken[region] {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	from, _ := strconv.Atoi(since)
	var found []string
	for _, r := range g.lists[region] {
		if v, _ := strconv.Atoi(strings.TrimSuffix(r[strings.LastIndexByte(r, ':')+1:], "}")); v >= from {
			found = append(found, r)
		}
	}
	fmt.Fprintf(w, "[%s]", strings.Join(found, ","))
}

func TestOneCursorLeadsThroughAllPartitions(t *testing.T) {
	g := &journals{lists: map[string][]string{}, broken: map[string]bool{}}
	for v, region := range []string{"a", "a", "b", "c"} {
		g.add(region, strconv.Itoa(v), v+1)
	}
	r := newRig(t, g.ServeHTTP, func(s *Source) {
		s.URL = strings.TrimSuffix(s.URL, "/contacts") + "/r/{partition}"
		s.Partitions.Values, s.Deletes.Detect = []string{"a", "b"}, "off"
		s.Cursor.Field, s.Cursor.Param, s.Cursor.Format = differ.MustPath("v"), "since", "number"
	})
	asks := func(want ...string) {
		t.Helper()
		if !slices.Equal(g.asked, want) {
			t.Errorf("asked %q, want %q", g.asked, want)
		}
		g.asked = nil
	}
	r.want(Complete)
	asks("a>", "b>")
	g.add("a", "0", 10)
	g.add("b", "2", 11)
	g.broken["b"] = true
	r.want(Partial) // the watermark stays: b was not asked for what a was
	r.tells(`updated ["a","0"] v`)
	asks("a>3", "b>3")
	r.restart()
	clear(g.broken)
	r.poll()
	r.tells(`updated ["b","2"] v`)
	asks("a>3", "b>3")
	r.poll()
	asks("a>11", "b>11")

	r.edit(func(s *Source) { s.Partitions.Values = []string{"a", "b", "c"} }) // what it has is older than the watermark
	g.broken["c"] = true
	r.poll()
	asks("a>11", "b>11", "c>")
	r.restart()
	clear(g.broken)
	r.poll()
	asks("a>11", "b>11", "c>")
	r.tells()
	if rows := r.ledger.rows("contacts"); rows[`["c","3"]`] == "" {
		t.Errorf("records %v", rows)
	}
	g.add("c", "3", 12)
	r.poll()
	asks("a>11", "b>11", "c>11")
	r.tells(`updated ["c","3"] v`)
}

func TestAnEditWhileAPartitionFailsIsNoNewsLater(t *testing.T) {
	g := newRegions("a", "b")
	for _, list := range g.lists {
		list.set("5", `{"id":"5","status":"hidden"}`)
	}
	r := g.rig(t, []string{"a", "b"}, func(s *Source) { s.Where = conditions(`status != "hidden"`) })
	r.want(Complete)
	g.broken["b 1"] = http.StatusBadGateway
	r.edit(func(s *Source) { s.Where = nil })
	r.want(Partial)
	r.restart()
	clear(g.broken)
	r.want(Complete)
	r.tells()
	if rows := r.ledger.rows("contacts"); len(rows) != 10 {
		t.Errorf("records %v", rows)
	}
	g.lists["b"].put("5", "shown")
	r.want(Complete)
	r.tells(`updated ["b","5"] status`)
}

// What happened upstream in a list that could not be read when the configuration was edited is news all the same.
func TestAPartitionThatFailsAfterAnEditLosesNoChange(t *testing.T) {
	for name, edit := range map[string]func(*Source){
		"where":  func(s *Source) { s.Where = nil },
		"ignore": func(s *Source) { s.Ignore = paths("etag") },
		"detail": func(s *Source) { s.Detail.Merge = "under" },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRegions("a", "b")
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				if region, id, ok := strings.Cut(strings.TrimPrefix(q.URL.Path, "/d/"), "/"); ok && strings.HasPrefix(q.URL.Path, "/d/") {
					fmt.Fprintf(w, `{"id":%q,"region":%q}`, id, region)
					return
				}
				g.ServeHTTP(w, q)
			}, func(s *Source) {
				origin := strings.TrimSuffix(s.URL, "/contacts")
				s.URL = origin + "/r/{partition}"
				s.Pages = Pages{Kind: "page", Param: "page", Max: 10}
				s.Partitions.Values = []string{"a", "b"}
				s.Where = conditions(`status != "draft"`)
				if name == "detail" {
					s.Detail.URL = origin + "/d/{partition}/{record.id}"
				}
			})
			g.lists["b"].put("5", "draft")
			r.want(Complete)
			g.broken["b 1"] = http.StatusInternalServerError
			r.edit(edit)
			r.want(Partial)
			g.lists["b"].put("1", "changed")
			g.lists["b"].put("6", "new")
			g.broken = map[string]int{}
			r.restart()
			r.want(Complete)
			if got := r.told(); len(got) != 2 || !strings.HasPrefix(got[0], `updated ["b","1"] `) || got[1] != `created ["b","6"]` {
				t.Errorf("events %q", got)
			}
		})
	}
}

func TestAPartitionThatBreaksOffJustAfterAnEditIsNoNewsWhenItIsBack(t *testing.T) {
	g := newRegions("north", "south")
	r := g.rig(t, []string{"north", "south"}, func(s *Source) { s.Ignore = paths("status") })
	r.want(Complete)
	for _, l := range g.lists {
		for _, id := range []string{"1", "2", "3", "4"} {
			l.put(id, "later")
		}
	}
	r.want(Unchanged)
	r.edit(func(s *Source) { s.Ignore = nil })
	g.broken["south 2"] = 500
	r.want(Partial)
	r.tells()
	clear(g.broken)
	r.want(Complete)
	r.tells()
}

// afterOutage edits a source while one of its partitions is down, and counts the details that are asked for until it is back.
func afterOutage(t *testing.T, edit func(*Source)) (asked int) {
	t.Helper()
	broken := false
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case strings.HasPrefix(q.URL.Path, "/r/"):
			if broken && q.URL.Path == "/r/south" {
				w.WriteHeader(500)
				return
			}
			p := q.URL.Path[3:]
			fmt.Fprintf(w, `[{"id":"%s1"},{"id":"%s2"}]`, p, p)
		case strings.HasPrefix(q.URL.Path, "/d/"):
			asked++
			fmt.Fprintf(w, `{"id":%q,"x":1}`, q.URL.Path[3:])
		default:
			asked++
			fmt.Fprintf(w, `{"id":%q,"x":1,"y":2}`, q.URL.Path[3:])
		}
	}, func(s *Source) {
		s.URL = strings.TrimSuffix(s.URL, "/contacts") + "/r/{partition}"
		s.Partitions.Values = []string{"north", "south"}
		s.Detail.URL = "/d/{record.id}"
	})
	r.want(Complete)
	asked = 0
	broken = true
	r.edit(edit)
	r.want(Partial)
	r.tells()
	broken = false
	r.want(Complete)
	r.tells()
	return asked
}

func TestAnEditWhileAPartitionIsDownIsNoNewsWhenItIsBack(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*Source)
		asked int
	}{
		"detail":            {func(s *Source) { s.Detail.URL = "/e/{record.id}" }, 4},
		"detail and ignore": {func(s *Source) { s.Detail.URL, s.Ignore = "/e/{record.id}", paths("zz") }, 4},
		"ignore":            {func(s *Source) { s.Ignore = paths("zz") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if n := afterOutage(t, c.edit); n != c.asked {
				t.Errorf("%d details were asked for, want %d", n, c.asked)
			}
		})
	}
}
