package poller

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

func conditions(texts ...string) []differ.Condition {
	var out []differ.Condition
	for _, text := range texts {
		c, err := differ.ParseCondition(text)
		if err != nil {
			panic(err)
		}
		out = append(out, c)
	}
	return out
}

func condition(text string) differ.Condition { return conditions(text)[0] }

func TestOnlyRecordsForWhichAllConditionsHoldAreFollowed(t *testing.T) {
	list := newShelf()
	list.set("1", `{"id":"1","status":"open","n":1}`)
	list.set("2", `{"id":"2","status":"closed","n":1}`)
	list.set("3", `{"id":"3","status":"open","n":9}`)
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Where, s.Initial = conditions(`status == "open"`, "n < 5"), "emit" })
	r.want(Complete)
	r.tells("created 1")
	r.untouched(func() { r.want(Unchanged) })
	list.set("2", `{"id":"2","status":"closed","n":2}`)
	r.untouched(func() { r.want(Unchanged) })
	list.set("3", `{"id":"3","status":"open","n":4}`)
	list.set("1", `{"id":"1","status":"closed","n":1}`)
	r.want(Complete)
	r.tells("created 3", "deleted 1")
	if body := string(r.outlet.handed[len(r.outlet.handed)-1].Body); !strings.Contains(body, `"status":"open"`) {
		t.Errorf("the event has not the last known record: %s", body)
	}
	list.set("1", `{"id":"1","status":"open","n":1}`)
	r.want(Complete)
	r.tells("created 1")
}

func TestARecordThatStopsMatchingCanBeForgottenInSilence(t *testing.T) {
	list := newShelf("1", "2")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Where, s.WhereExit = conditions(`status != "closed"`), "silent" })
	r.want(Complete)
	list.put("1", "closed")
	r.want(Complete)
	r.tells()
	if rows := r.ledger.rows("contacts"); len(rows) != 1 {
		t.Errorf("stored %v", rows)
	}
	r.untouched(func() { r.want(Unchanged) })
}

func TestAConditionMayAskForWhatIsIgnored(t *testing.T) {
	list := newShelf()
	list.set("1", `{"id":"1","hidden":false}`)
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Where, s.Ignore = conditions("hidden == false"), paths("hidden") })
	r.want(Complete)
	list.set("1", `{"id":"1","hidden":true}`)
	r.want(Complete)
	r.tells("deleted 1")
}

func TestARecordThatCarriesTheFlagIsDeleted(t *testing.T) {
	list := newShelf("1", "2")
	list.set("9", `{"id":"9","deleted":true}`) // a tombstone of a record that was never known
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Deletes.Detect, s.Deletes.Flag = "flag", condition("deleted") })
	r.want(Complete)
	list.remove("2") // missing proves nothing here
	list.set("1", `{"id":"1","deleted":true}`)
	r.want(Complete)
	r.tells("deleted 1")
	if body := string(r.outlet.handed[0].Body); !strings.Contains(body, `"status":"new"`) {
		t.Errorf("the event has not the last known record: %s", body)
	}
	r.untouched(func() { r.want(Unchanged); r.want(Unchanged) })
	list.put("1", "back")
	r.want(Complete)
	r.tells("created 1")
}

func TestTheGuardCountsExitsAsDeletes(t *testing.T) {
	for name, edit := range map[string]func(*Source){
		"where":        func(s *Source) { s.Where = conditions("status") },
		"where silent": func(s *Source) { s.Where, s.WhereExit = conditions("status"), "silent" },
		"flag":         func(s *Source) { s.Deletes.Detect, s.Deletes.Flag = "flag", condition("status == null") },
	} {
		t.Run(name, func(t *testing.T) {
			list := newShelf()
			for i := range 40 {
				list.put(strconv.Itoa(i), "new")
			}
			r := newRig(t, list.ServeHTTP, edit)
			r.want(Complete)
			for i := range 12 { // a field that upstream does not send for once
				list.set(strconv.Itoa(i), fmt.Sprintf(`{"id":"%d"}`, i))
			}
			got := r.want(Held)
			if want := "12 of 40 known records are marked as deleted or do not match where any more"; !strings.HasPrefix(got.Message, want) || got.Hold.Deletes != 12 {
				t.Errorf("message %q, %d deletes", got.Message, got.Hold.Deletes)
			}
			r.tells()
			for i := range 12 {
				list.put(strconv.Itoa(i), "new")
			}
			r.want(Complete)
			r.tells()
			if len(r.ledger.rows("contacts")) != 40 {
				t.Error("records were forgotten")
			}
		})
	}
}

func TestT22P10AnEditOfWhereIsNoNews(t *testing.T) {
	open, big := conditions(`status == "open"`), conditions("n > 5")
	for _, c := range []struct {
		name          string
		before, after func(*Source)
	}{
		{"where is added", nil, func(s *Source) { s.Where = open }},
		{"where is removed", func(s *Source) { s.Where = open }, func(s *Source) { s.Where = nil }},
		{"where is removed that nothing matched", func(s *Source) { s.Where = conditions("nothing") }, func(s *Source) { s.Where = nil }},
		{"where is another", func(s *Source) { s.Where = open }, func(s *Source) { s.Where = big }},
		{"a flag is added", nil, func(s *Source) { s.Deletes.Detect, s.Deletes.Flag = "flag", open[0] }},
		{"a flag is removed", func(s *Source) { s.Deletes.Detect, s.Deletes.Flag = "flag", open[0] }, func(s *Source) { s.Deletes.Detect, s.Deletes.Flag = "scan", differ.Condition{} }},
		{"where and fields", func(s *Source) { s.Where = open }, func(s *Source) { s.Where, s.Fields = big, paths("id", "n") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := newShelf()
			for i := range 60 {
				list.set(strconv.Itoa(i), fmt.Sprintf(`{"id":"%d","status":%q,"n":%d}`, i, []string{"open", "closed"}[i%2], i%10))
			}
			r := newRig(t, list.ServeHTTP, func(s *Source) {
				s.Deletes.Confirm = 1
				if c.before != nil {
					c.before(s)
				}
			})
			r.want(Complete)
			r.edit(c.after)
			r.want(Complete)
			r.tells()
			followed := 0
			for _, body := range r.ledger.rows("contacts") {
				if !r.poller.selected.admits([]byte(body)) {
					t.Errorf("%s is still known", body)
				}
				followed++
			}
			for _, body := range list.page(0, 60) {
				if r.poller.selected.admits([]byte(body)) {
					followed--
				}
			}
			if followed != 0 {
				t.Errorf("%d records too many are known", followed)
			}
			r.untouched(func() { r.want(Unchanged) })
			r.restart()
			r.untouched(func() { r.want(Unchanged) })
		})
	}
}

func TestRealChangesDuringAnEditOfWhereAreTold(t *testing.T) {
	list := newShelf()
	put := func(id, status string, n int) {
		list.set(id, fmt.Sprintf(`{"id":%q,"status":%q,"n":%d}`, id, status, n))
	}
	put("stays", "open", 1)
	put("leaves", "open", 1)
	put("excluded", "open", 9)
	put("excluded and changed", "open", 9)
	put("admitted", "closed", 1)
	put("returns", "open", 9)
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Where, s.Deletes.Confirm = conditions(`status == "open"`), 1 })
	r.want(Complete)
	put("stays", "open", 2)
	put("leaves", "open", 7)
	put("excluded and changed", "open", 8)
	put("returns", "open", 3)
	put("new", "open", 1)
	put("new and hidden", "closed", 9)
	r.edit(func(s *Source) { s.Where = conditions("n < 5") })
	r.want(Complete)
	r.tells("updated stays n", "updated returns n", "created new", "deleted leaves")
	r.untouched(func() { r.want(Unchanged) })
}

func TestARecordThatWouldHaveGoneWithoutTheEditIsDeletedAlthoughOnlyWhatIsIgnoredChanged(t *testing.T) {
	list := newShelf("1", "2")
	list.put("1", "open")
	list.put("2", "open")
	r := newRig(t, list.ServeHTTP, func(s *Source) {
		s.Where, s.Ignore = conditions(`status != "draft"`), paths("status")
	})
	r.want(Complete)
	list.put("1", "draft")
	list.put("2", "closed")
	r.edit(func(s *Source) { s.Where = conditions(`status != "draft"`, `status != "closed"`) })
	r.want(Complete)
	r.tells("deleted 1")
	r.untouched(func() { r.want(Unchanged) })
}

func TestAnEditOfWhereSurvivesAFailedPoll(t *testing.T) {
	broken := true
	list := newShelf("1", "2")
	r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
		if broken {
			fmt.Fprint(w, `[{"id":"1","status":"closed"},{"id":`)
			return
		}
		list.ServeHTTP(w, q)
	}, func(s *Source) { s.Where = conditions(`status != "hidden"`) })
	broken = false
	list.put("3", "hidden")
	r.want(Complete)
	broken = true
	r.edit(func(s *Source) { s.Where = conditions(`status == "hidden"`) })
	r.want(Failed)
	r.want(Failed)
	r.restart()
	r.want(Failed)
	broken = false
	r.want(Complete)
	r.tells()
	if rows := r.ledger.rows("contacts"); len(rows) != 1 || rows["3"] == "" {
		t.Errorf("known %v", rows)
	}
}

func TestTwoCopiesOfWhichOneIsNotFollowedAreNotOneRecord(t *testing.T) {
	body := `[{"id":"1","a":1}]`
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }, func(s *Source) { s.Where = conditions("a < 5") })
	r.want(Complete)
	body = `[{"id":"1","a":7},{"id":"1","a":1}]`
	r.untouched(func() { r.want(Failed) })
}

func TestT22P10AnEditOfWhereIsNoNewsForWhatIsReadLater(t *testing.T) {
	t.Run("details in several polls", func(t *testing.T) {
		g := newCatalogue("1", "2", "3", "4", "5")
		r := g.detailed(t, func(s *Source) { s.Where, s.Detail.Max = conditions(`v > 1`), 2 })
		r.want(Complete)
		r.edit(func(s *Source) { s.Where = nil })
		for range 5 {
			r.poll()
			r.restart()
		}
		r.tells()
		if n := len(r.ledger.rows("contacts")); n != 5 {
			t.Errorf("%d records", n)
		}
		g.add("6", 1)
		r.poll()
		r.tells("created 6")
	})
	t.Run("a partition that fails", func(t *testing.T) {
		g := newRegions("a", "b")
		r := g.rig(t, []string{"a", "b"}, func(s *Source) { s.Where = conditions(`status == "open"`) })
		r.want(Complete)
		g.broken["b 2"] = http.StatusInternalServerError
		r.edit(func(s *Source) { s.Where = nil })
		r.want(Partial)
		g.lists["a"].put("5", "new") // of what was read, all is news
		r.want(Partial)
		r.tells(`created ["a","5"]`)
		g.broken = map[string]int{}
		r.restart()
		r.want(Complete)
		r.tells()
		g.lists["b"].put("5", "new")
		r.want(Complete)
		r.tells(`created ["b","5"]`)
	})
}
