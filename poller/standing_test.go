package poller

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// standing is lists in which nothing changes but what does not count, and what fails while they are read.
type standing struct {
	t       *testing.T
	rnd     *rand.Rand
	r       *rig
	names   []string
	records map[string][]*still
	broken  map[string]int  // lists: 1: they fail, 2: they break off
	failing map[string]bool // details, by id
	ignored []string
	shown   map[string]bool // ids of which a backfill has told: they may be corrected
	log     []string
}

type still struct {
	id      string
	at      time.Time
	n, m, k int
}

func (s *still) body() string {
	return fmt.Sprintf(`{"id":%q,"id2":"x%s","at":%q,"n":%d,"m":%d,"k":%d}`, s.id, s.id, s.at.UTC().Format(time.RFC3339), s.n, s.m, s.k)
}

func newStanding(t *testing.T, seed uint64) *standing {
	t.Helper()
	s := &standing{
		t: t, rnd: rand.New(rand.NewPCG(seed, 79)), names: []string{"a", "b"}, records: map[string][]*still{},
		broken: map[string]int{}, failing: map[string]bool{}, ignored: []string{"at"}, shown: map[string]bool{},
	}
	if seed&1 > 0 {
		s.names = s.names[:1]
	}
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, name := range s.names {
		for i := range 8 {
			s.records[name] = append(s.records[name], &still{id: fmt.Sprint(name, i), k: i % 3, at: start.Add(-time.Duration(i) * time.Hour)})
		}
	}
	s.r = newRig(t, s.serve, func(src *Source) {
		if src.URL = strings.TrimSuffix(src.URL, "/contacts") + "/r/a"; len(s.names) > 1 {
			src.URL, src.Partitions.Values = strings.TrimSuffix(src.URL, "a")+"{partition}", s.names
		}
		if src.Ignore = paths("at"); seed&2 > 0 {
			src.Detail.URL, src.Detail.Max, src.Detail.Concurrency = "/d/{record.id}", 5, 1
		}
		if seed&4 > 0 {
			src.Cursor.Field, src.Cursor.Param, src.Cursor.FullScan = paths("at")[0], "since", "1d"
		}
		if seed&12 == 12 {
			src.Cursor.Start, src.Cursor.Window, src.Cursor.Until = "30d", setting.Duration(48*time.Hour), "until"
		}
		if seed&16 > 0 {
			src.Deletes.Verify = "/s/{record.id}"
		}
		src.Guard, src.Deletes.Confirm = Guard{MaxDeletes: 1, MinDeletes: 1000, Empty: "allow"}, 2
	})
	s.settle()
	return s
}

func (s *standing) serve(w http.ResponseWriter, q *http.Request) {
	name := path.Base(q.URL.Path)
	w.Header()["Date"] = []string{s.r.now.UTC().Format(http.TimeFormat)}
	switch {
	case strings.HasPrefix(q.URL.Path, "/d/") && !s.failing[name]:
		fmt.Fprint(w, `{"more":1}`)
		return
	case strings.HasPrefix(q.URL.Path, "/s/"):
		return
	case s.broken[name] == 1, s.failing[name]:
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	since, _ := time.Parse(time.RFC3339, q.URL.Query().Get("since"))
	until, err := time.Parse(time.RFC3339, q.URL.Query().Get("until"))
	var out []string
	for _, one := range s.records[name] {
		if !one.at.Before(since) && (err != nil || one.at.Before(until)) {
			out = append(out, one.body())
		}
	}
	fmt.Fprint(w, "["+strings.Join(out, ",")+map[bool]string{true: ",", false: "]"}[s.broken[name] == 2])
}

func (s *standing) say(what ...any) { s.log = append(s.log, fmt.Sprint(what...)) }

// uncounted says whether a member has not counted since its records were read.
func (s *standing) uncounted(member string) bool {
	state := s.r.ledger.sources["contacts"].State
	for _, text := range append([]string{state.Compare}, state.Edits.formers()...) {
		var c comparison
		if text != "" && (json.Unmarshal([]byte(text), &c) != nil || !slices.Contains(c.Ignore, member)) {
			return false
		}
	}
	return slices.Contains(s.ignored, member)
}

// stir changes what does not count, and what fails.
func (s *standing) stir() {
	for _, name := range s.names {
		for _, one := range s.records[name] {
			switch s.rnd.IntN(10) {
			case 0:
				if s.uncounted("n") {
					one.n++
				}
			case 1:
				if s.uncounted("m") {
					one.m++
					one.at = s.r.now
				}
			case 2:
				s.failing[one.id] = !s.failing[one.id]
			}
		}
		s.broken[name] = max(s.rnd.IntN(4)-1, 0) % 3
	}
	s.say("broken ", s.broken, " failing ", s.failing)
	if s.rnd.IntN(3) == 0 {
		s.ignored = [][]string{{"at"}, {"at", "n"}, {"at", "m"}, {"at", "n", "m"}}[s.rnd.IntN(4)]
		where := [][]string{nil, {"k == 0"}, {"k < 2"}}[s.rnd.IntN(3)]
		s.r.edit(func(src *Source) { src.Ignore, src.Where = paths(s.ignored...), conditions(where...) })
		s.say("ignore ", s.ignored, " where ", where)
	}
}

// act does what a person or a machine may do.
func (s *standing) act() {
	r, ctx := s.r, s.t.Context()
	switch what := s.rnd.IntN(16); what {
	case 0, 1, 2:
		r.restart()
		s.say("restart")
	case 3, 4:
		level := ResetLevels()[s.rnd.IntN(3)]
		_, err := r.poller.Reset(ctx, level)
		if s.say("reset ", level, " ", err); level == ResetRecords { // a detail that fails in a first listing is news later
			s.settle()
		}
	case 5, 6:
		_, err := r.poller.StartBackfill(ctx, Backfill{})
		s.say("backfill ", err)
	case 7:
		r.now = r.now.Add(25 * time.Hour)
		s.say("a day")
	case 8:
		s.rekey()
	case 9:
		s.say("skip ", r.poller.Skip(ctx))
	}
	if s.rnd.IntN(2) == 0 {
		_, err := r.poller.StepBackfill(ctx, 3)
		s.say("step ", err)
	}
	switch s.rnd.IntN(12) {
	case 0:
		r.ledger.before = func(Commit) error { return errors.New("disk full") }
	case 1:
		r.ledger.after = func(Commit) error { return errors.New("lost connection") }
	}
}

func (s *standing) rekey() {
	r := s.r
	key := "id"
	if texts(r.source.Key)[0] == key {
		key = "id2"
	}
	r.edit(func(src *Source) { src.Key = paths(key) })
	if s.rnd.IntN(2) == 0 {
		_, err := r.poller.Rekey(s.t.Context())
		s.say("rekey ", key, " ", err)
		return
	}
	s.say("discard ", key, " ", r.poll().Verdict, " ", r.poller.Decide(s.t.Context(), Discard))
	s.settle()
}

// settle polls until all is read.
func (s *standing) settle() {
	clear(s.broken)
	clear(s.failing)
	for range 60 {
		s.poll()
	}
}

func (s *standing) poll() {
	got := s.r.poll()
	s.r.ledger.before, s.r.ledger.after = nil, nil
	s.say("poll ", got.Verdict, " ", got.Mode, " ", got.Message)
	for _, text := range s.r.told() {
		words := strings.Fields(text)
		id := strings.TrimPrefix(strings.ReplaceAll(words[1], `"x`, `"`), "x")
		if s.shown[id] = s.shown[id] || words[0] == "snapshot"; words[0] != "snapshot" && (words[0] == "created" || !s.shown[id]) {
			s.t.Errorf("%s, after\n%s", text, strings.Join(s.log, "\n"))
		}
	}
}

// check wants all that is followed to be known, and nothing to be remembered of edits.
func (s *standing) check() {
	if s.r.ledger.sources["contacts"].State.Held != nil {
		return // a key that nobody decided about
	}
	s.r.unmarked()
	want := 0
	for _, list := range s.records {
		for _, one := range list {
			if s.r.poller.selected.admits([]byte(one.body())) {
				want++
			}
		}
	}
	if have := len(s.r.ledger.rows("contacts")); have != want {
		s.t.Errorf("%d records, want %d", have, want)
	}
}

// Nothing is told of lists that stand still, whatever is edited, and whatever happens and is done meanwhile: resets, backfills, other keys,
// skips, restarts, commits that fail. Records of which a backfill has told may be corrected.
func TestT22P10NothingIsToldOfListsThatStandStill(t *testing.T) {
	seeds := uint64(48)
	if testing.Short() {
		seeds = 32
	}
	for seed := range seeds {
		s := newStanding(t, seed)
		for range 25 {
			if s.stir(); !t.Failed() {
				s.act()
				s.poll()
			}
		}
		for range 3 {
			s.settle()
			s.r.now = s.r.now.Add(25 * time.Hour)
			s.r.restart()
		}
		s.settle()
		if s.check(); t.Failed() {
			t.Fatalf("seed %d, after\n%s", seed, strings.Join(s.log, "\n"))
		}
		s.r.api.Close()
	}
}
