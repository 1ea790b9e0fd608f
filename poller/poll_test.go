package poller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

func TestTheFirstPollIsASilentBaseline(t *testing.T) {
	list := newShelf("1", "2", "3")
	r := newRig(t, list.ServeHTTP, nil)
	got := r.want(Complete)
	r.tells()
	if got.Created != 3 || got.Events != 0 || got.State.Records != 3 || got.State.Baselined.IsZero() {
		t.Errorf("result %+v", got)
	}
	if len(r.ledger.rows("contacts")) != 3 || r.outlet.calls != 0 {
		t.Error("the records are not stored, or somebody was told")
	}
	list.put("4", "new")
	r.want(Complete)
	r.tells("created 4")
}

func TestAnEmptyFirstListIsABaselineToo(t *testing.T) {
	list := newShelf()
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	list.put("1", "new")
	r.want(Complete)
	r.tells("created 1")
}

func TestTheFirstPollTellsAllWhenItIsAskedTo(t *testing.T) {
	r := newRig(t, newShelf("1", "2").ServeHTTP, func(s *Source) { s.Initial = "emit"; s.Guard.MaxEvents = 1 })
	if got := r.want(Complete); got.Events != 2 {
		t.Errorf("%d events", got.Events)
	}
	r.tells("created 1", "created 2")
}

func TestEachKindOfChangeIsToldOnce(t *testing.T) {
	list := newShelf("1", "2", "3")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Deletes.Confirm = 1 })
	r.want(Complete)
	list.put("2", "open")
	list.put("4", "new")
	list.remove("1")
	got := r.want(Complete)
	r.tells("updated 2 status", "created 4", "deleted 1")
	if got.Created != 1 || got.Updated != 1 || got.Deleted != 1 || got.Records != 3 {
		t.Errorf("result %+v", got)
	}
	if body := string(r.outlet.handed[0].Body); !strings.Contains(body, `"previous":{"status":"new"}`) {
		t.Errorf("the update does not tell what was: %s", body)
	}
	if body := string(r.outlet.handed[2].Body); !strings.Contains(body, `"record":{"id":"1","status":"new"}`) {
		t.Errorf("the deletion does not tell the last record: %s", body)
	}
	for range 3 {
		r.untouched(func() { r.want(Unchanged) })
	}
}

func TestAnUnchangedPollNeitherReadsNorWrites(t *testing.T) {
	r := newRig(t, newShelf("1", "2", "3").ServeHTTP, nil)
	r.want(Complete)
	reads := r.ledger.reads
	r.untouched(func() { r.want(Unchanged) })
	if r.ledger.reads != reads {
		t.Errorf("%d reads", r.ledger.reads-reads)
	}
}

func TestOtherSpellingIsNoChange(t *testing.T) {
	list := newShelf("1")
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	list.set("1", `{ "status" : "new", "id":"1" }`)
	r.untouched(func() { r.want(Unchanged) })
	list.set("1", `{"status":"new","id":"1" }`)
	r.restart()
	r.untouched(func() { r.want(Unchanged) })
	// The new spelling is known from now on, so that it is compared once.
	known, _, _ := r.poller.known.index.Get(differ.NewHasher(r.opts.Seed).Key([]byte("1")))
	if raw := differ.NewHasher(r.opts.Seed).Raw([]byte(`{"status":"new","id":"1" }`)); known.Raw != raw&rawMask {
		t.Error("the spelling is compared again with each poll")
	}
}

func TestRecordsPassThroughByteForByte(t *testing.T) {
	list := newShelf()
	const record = `{"id":"1", "n":9007199254740993,"p":1.10,"u":"\u2028","d":1,"d":2,"h":"<>&"}`
	list.set("1", record)
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Initial = "emit" })
	r.want(Complete)
	if got := r.ledger.rows("contacts")["1"]; got != record {
		t.Errorf("stored %s", got)
	}
}

func TestADeletionNeedsAsManyCompleteScansAsConfigured(t *testing.T) {
	list := newShelf("1", "2", "3")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Deletes.Confirm = 3 })
	r.want(Complete)
	list.remove("2")
	if got := r.want(Complete); got.Missing != 1 || got.Deleted != 0 {
		t.Errorf("result %+v", got)
	}
	r.restart() // the count is durable
	r.want(Complete)
	r.tells()
	if got := r.want(Complete); got.Deleted != 1 {
		t.Errorf("result %+v", got)
	}
	r.tells("deleted 2")
	r.untouched(func() { r.want(Unchanged) })
}

func TestARecordThatComesBackIsMissedFromTheStart(t *testing.T) {
	list := newShelf("1", "2", "3")
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	list.remove("2")
	r.want(Complete)
	list.put("2", "new")
	r.want(Complete)
	list.remove("2")
	r.restart()
	r.want(Complete)
	r.tells()
	r.want(Complete)
	r.tells("deleted 2")
	list.put("2", "new")
	r.want(Complete)
	r.tells("created 2")
}

func TestNothingIsDeletedWithoutDetection(t *testing.T) {
	list := newShelf("1", "2")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Deletes.Detect = "off" })
	r.want(Complete)
	list.clear()
	for range 4 {
		r.untouched(func() { r.want(Unchanged) })
	}
}

func TestAnEmptyListAfterAFullOneIsHeld(t *testing.T) {
	list := newShelf("1", "2", "3")
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	rows := fmt.Sprint(r.ledger.sources["contacts"].Rows)
	list.clear()
	got := r.want(Held)
	if !strings.Contains(got.Message, "the list is empty; 3 records were known") || got.Hold == nil || got.Hold.Release {
		t.Errorf("message %q, hold %+v", got.Message, got.Hold)
	}
	commits := r.ledger.commits
	for range 5 {
		r.want(Held)
	}
	r.restart()
	r.want(Held)
	r.tells()
	if fmt.Sprint(r.ledger.sources["contacts"].Rows) != rows || r.ledger.commits != commits {
		t.Error("a held poll was applied, or written more than once")
	}
	for _, id := range []string{"1", "2", "3"} {
		list.put(id, "new")
	}
	if got := r.want(Complete); !got.released || r.ledger.sources["contacts"].State.Held != nil {
		t.Errorf("the hold stays although the list is back: %+v", got)
	}
	r.tells()
}

func TestAReleaseConfirmsWhatIsMissing(t *testing.T) {
	list := newShelf("1", "2", "3")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Deletes.Confirm = 5 })
	r.want(Complete)
	list.clear()
	r.want(Held)
	if err := r.poller.Decide(t.Context(), Release); err != nil {
		t.Fatal(err)
	}
	if got := r.want(Complete); got.Deleted != 3 || got.Hold != nil {
		t.Errorf("result %+v", got)
	}
	r.untouched(func() { r.want(Unchanged) })
}

func TestAnEmptyListCountsWhenItIsAllowed(t *testing.T) {
	list := newShelf("1", "2")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Guard.Empty = "allow" })
	r.want(Complete)
	list.clear()
	r.want(Complete)
	r.want(Complete)
	if got := r.told(); len(got) != 2 {
		t.Errorf("events %q", got)
	}
}

func TestAPollWithTooManyDeletionsIsHeldUntilItIsReleased(t *testing.T) {
	list := newShelf()
	for i := range 40 {
		list.put(fmt.Sprintf("%02d", i), "new")
	}
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	for i := range 11 {
		list.remove(fmt.Sprintf("%02d", i))
	}
	list.put("new", "new")
	r.want(Complete) // missed once
	r.tells("created new")
	list.put("other", "new")
	got := r.want(Held)
	if got.Message != `11 of 41 known records are missing in a complete scan (guard.max_deletes = "20%")` || got.Hold.Deletes != 11 || got.Hold.Creates != 1 {
		t.Errorf("message %q, hold %+v", got.Message, got.Hold)
	}
	r.tells() // neither deletions nor creations
	if err := r.poller.Decide(t.Context(), Release); err != nil {
		t.Fatal(err)
	}
	r.restart() // the release is durable
	r.want(Complete)
	if got := r.told(); len(got) != 12 || got[0] != "created other" {
		t.Errorf("events %q", got)
	}
	r.untouched(func() { r.want(Unchanged) })
	if err := r.poller.Decide(t.Context(), Release); !errors.Is(err, ErrNotHeld) {
		t.Errorf("a release without a hold gives %v", err)
	}
}

func TestFewDeletionsPassWhateverTheirShare(t *testing.T) {
	list := newShelf("1", "2", "3")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Deletes.Confirm = 1 })
	r.want(Complete)
	list.remove("1")
	list.remove("2")
	r.want(Complete)
	if got := r.told(); len(got) != 2 {
		t.Errorf("events %q", got)
	}
}

func TestTooManyEventsAreHeld(t *testing.T) {
	list := newShelf("1")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Guard.MaxEvents = 2 })
	r.want(Complete)
	for _, id := range []string{"2", "3", "4"} {
		list.put(id, "new")
	}
	if got := r.want(Held); !strings.Contains(got.Message, "3 events (guard.max_events = 2)") {
		t.Errorf("message %q", got.Message)
	}
	list.remove("4")
	r.want(Complete)
	r.tells("created 2", "created 3")
}

func TestEqualCopiesOfARecordCountOnce(t *testing.T) {
	body := `[{"id":"1","a":1},{"a":1, "id":"1"},{"id":"2","a":1}]`
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }, func(s *Source) { s.Initial = "emit" })
	r.want(Complete)
	r.tells("created 1", "created 2")
	r.want(Unchanged)
}

func TestDifferentRecordsWithOneKeyFailThePoll(t *testing.T) {
	body := `[{"id":"1","a":1},{"id":"2","a":1}]`
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }, nil)
	r.want(Complete)
	body = `[{"id":"1","a":1},{"id":"3","a":1},{"id":"1","a":2}]`
	r.untouched(func() {
		if got := r.want(Failed); !strings.Contains(got.Message, `key "id" is not unique: "1" appears twice on page 1`) {
			t.Errorf("message %q", got.Message)
		}
	})
	body = `[{"id":"1","a":1},{"id":"2","a":1},{"id":"3","a":1}]`
	r.want(Complete)
	r.tells("created 3")
}

func TestWhatIsWrongWithAKeyIsSaid(t *testing.T) {
	body := ""
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }, nil)
	for id, want := range map[string]string{
		`""`: "id is empty", `"a\u0000b"`: "id is a string with a NUL character", "\"\xff\"": "id is not valid UTF-8", `null`: "id is null",
		`"\ud800"`: "id is not valid Unicode: it has half of a surrogate pair", `{}`: "id is an object",
	} {
		body = `[{"id":` + id + `}]`
		if got := r.want(Failed); !strings.Contains(got.Message, want+";") {
			t.Errorf("%s: message %q", id, got.Message)
		}
	}
}

func TestRecordsWithoutAKeyAreSkippedAndProveNothing(t *testing.T) {
	body := `[{"id":"1"},{"id":"2"}]`
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }, func(s *Source) { s.Deletes.Confirm = 1 })
	r.want(Complete)
	body = `[{"id":"1"},{"name":"x","email":"y"},{"id":"3"}]`
	got := r.want(Partial)
	if got.Skipped != 1 || !strings.Contains(got.Message, `1 of 3 records have no usable key "id" (first: record 2, where id is missing; members: name, email)`) {
		t.Errorf("message %q", got.Message)
	}
	r.tells("created 3")
	body = `[{"name":"x"},{"name":"y"}]`
	r.untouched(func() { r.want(Failed) })
	body = `[{"id":"1"},{"id":"3"}]`
	r.want(Complete)
	r.tells("deleted 2")
}

func TestAKeyMayBeMadeOfParts(t *testing.T) {
	body := `[{"plant":"01","no":4711},{"plant":"014","no":"711"},{"plant":"0","no":14711}]`
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }, func(s *Source) {
		s.Key = differ.Paths{differ.MustPath("plant"), differ.MustPath("no")}
		s.Initial = "emit"
	})
	r.want(Complete)
	r.tells(`created ["01","4711"]`, `created ["014","711"]`, `created ["0","14711"]`)
}

func TestMembersOfAnObjectAreRecordsWhateverTheirOrder(t *testing.T) {
	body := `{"a":{"s":1},"b":{"s":1},"c":{"s":2}}`
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }, func(s *Source) {
		s.Key, s.Initial, s.Deletes.Confirm = differ.Paths{differ.MustPath("@key")}, "emit", 1
	})
	r.want(Complete)
	r.tells("created a", "created b", "created c")
	body = `{"b":{"s":1},"c":{"s":2},"a":{"s":1}}`
	r.untouched(func() { r.want(Unchanged) })
	body = `{"b":{"s":1},"c":{"s":2},"d":{"s":1}}`
	r.want(Complete)
	r.tells("created d", "deleted a")
}

func TestAListInAnotherOrderIsUnchanged(t *testing.T) {
	list := newShelf("1", "2", "3", "4", "5")
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	for _, order := range [][]string{{"5", "4", "3", "2", "1"}, {"2", "1", "4", "3", "5"}, {"1", "3", "5", "2", "4"}} {
		list.order = order
		r.untouched(func() { r.want(Unchanged) })
	}
	list.remove("3")
	r.want(Complete)
	r.want(Complete)
	r.tells("deleted 3")
}

func TestASingleObjectIsARecord(t *testing.T) {
	body := `{"version":1,"at":"10:00"}`
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }, func(s *Source) {
		s.Single, s.Key, s.Deletes.Detect = true, nil, "off"
		s.Ignore = []differ.Path{differ.MustPath("at")}
	})
	r.want(Complete)
	body = `{"version":1,"at":"10:01"}`
	r.untouched(func() { r.want(Unchanged) })
	body = `{"version":2,"at":"10:02"}`
	r.want(Complete)
	r.tells("updated contacts version")
	body = `null`
	r.untouched(func() { r.want(Failed) })
}

func TestAFullWebhookKeepsTheSourceFromPolling(t *testing.T) {
	asked := 0
	list := newShelf("1")
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) { asked++; list.ServeHTTP(w, q) }, nil)
	r.want(Complete)
	r.outlet.full = "app"
	r.untouched(func() {
		if got := r.want(Deferred); !strings.Contains(got.Message, "webhook app is full") || got.Err != nil {
			t.Errorf("result %+v", got)
		}
	})
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	r.outlet.full = ""
	r.want(Unchanged)
}

func TestAPausedSourceIsNotAskedUntilItIsResumed(t *testing.T) {
	asked := 0
	list := newShelf("1")
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) { asked++; list.ServeHTTP(w, q) }, nil)
	r.want(Complete)
	if err := r.poller.SetPaused(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	r.restart()
	list.put("2", "new")
	if got := r.poll(); !got.Paused || asked != 1 {
		t.Errorf("result %+v, asked %d times", got, asked)
	}
	if err := r.poller.SetPaused(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	r.want(Complete)
	r.tells("created 2")
}

func TestAnEventThatCannotBeMadeAbortsThePoll(t *testing.T) {
	list := newShelf("1")
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	list.put("2", "new")
	list.put("3", "new")
	r.outlet.fail = func(c differ.Change) error {
		if c.Key == "3" {
			return errors.New("no template")
		}
		return nil
	}
	before := r.ledger.snapshot(t, "contacts")
	if got := r.want(Failed); !strings.Contains(got.Message, `event of record "3": no template`) {
		t.Errorf("message %q", got.Message)
	}
	if r.ledger.snapshot(t, "contacts") != before {
		t.Error("half a poll was committed")
	}
	r.outlet.fail = nil
	r.want(Complete)
	r.tells("created 2", "created 3")
}

func TestARefusedCommitLosesAndRepeatsNothing(t *testing.T) {
	for _, refusal := range []error{ErrFenced, ErrConflict, errors.New("disk full")} {
		t.Run(refusal.Error(), func(t *testing.T) {
			list := newShelf("1")
			r := newRig(t, list.ServeHTTP, nil)
			r.want(Complete)
			list.put("2", "new")
			r.ledger.before = func(Commit) error { return refusal }
			if got := r.want(Failed); !errors.Is(got.Err, refusal) {
				t.Errorf("error %v", got.Err)
			}
			r.ledger.before = nil
			r.want(Complete)
			r.tells("created 2")
		})
	}
}

func TestEventsOfACommitWithUnknownOutcomeAreReadFromTheStore(t *testing.T) {
	list := newShelf("1")
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	list.put("2", "new")
	r.ledger.after = func(Commit) error { return errors.New("connection lost") }
	r.want(Failed)
	r.ledger.after = nil
	r.outlet.mu.Lock()
	r.outlet.incomplete = 0
	r.outlet.mu.Unlock()
	r.want(Unchanged)
	r.tells("created 2")
	if r.outlet.incomplete != 1 || len(r.outlet.handed) != 0 {
		t.Errorf("the outlet was told %d times to read the store, and got %d events", r.outlet.incomplete, len(r.outlet.handed))
	}
}

func TestManyEventsAreLeftInTheStore(t *testing.T) {
	list := newShelf()
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	for i := range handoverEvents + 5 {
		list.put(strconv.Itoa(i), "new")
	}
	got := r.want(Complete)
	if got.Events != handoverEvents+5 || len(r.outlet.handed) != handoverEvents || r.outlet.incomplete != 1 {
		t.Errorf("%d events, %d handed over, incomplete %d", got.Events, len(r.outlet.handed), r.outlet.incomplete)
	}
}

func TestALargePollGoesThroughAFileThatIsGoneAfterwards(t *testing.T) {
	list := newShelf()
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Initial = "emit" })
	blob := strings.Repeat("x", 100<<10)
	for i := range 100 {
		list.put(strconv.Itoa(i), blob)
	}
	r.want(Complete)
	if len(r.told()) != 100 || len(r.ledger.rows("contacts")) != 100 {
		t.Error("something was lost on the way through the file")
	}
	leftovers(t, r.opts.TempDir)
}

func TestAnInterruptedPollHasNoEffect(t *testing.T) {
	list := newShelf("1", "2")
	ctx, cancel := context.WithCancelCause(t.Context())
	block := false
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if block {
			fmt.Fprint(w, `[{"id":"7"},`)
			_ = http.NewResponseController(w).Flush()
			cancel(errStopping)
			<-q.Context().Done()
			return
		}
		list.ServeHTTP(w, q)
	}, nil)
	r.want(Complete)
	block = true
	r.untouched(func() {
		if got := r.pollIn(ctx); got.Verdict != Failed || !interrupted(&got) {
			t.Errorf("result %+v", got)
		}
	})
	block = false
	r.untouched(func() { r.want(Unchanged) })
}

func TestACommitThatHasBegunIsNotInterrupted(t *testing.T) {
	list := newShelf("1")
	ctx, cancel := context.WithCancel(t.Context())
	r := newRig(t, list.ServeHTTP, nil)
	r.ledger.before = func(Commit) error { cancel(); return nil }
	if got := r.pollIn(ctx); got.Verdict != Complete {
		t.Errorf("%s: %s", got.Verdict, got.Message)
	}
}

func TestAPanicFailsOnlyItsPoll(t *testing.T) {
	list := newShelf("1")
	r := newRig(t, list.ServeHTTP, nil)
	r.want(Complete)
	list.put("2", "new")
	r.outlet.fail = func(differ.Change) error { panic("bug") }
	if got := r.want(Failed); !strings.Contains(got.Message, "internal error: bug") {
		t.Errorf("result %+v", got)
	}
	r.outlet.fail = nil
	r.want(Complete)
	r.tells("created 2")
}
