package poller

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
)

func TestATrialTellsEverythingAndChangesNothing(t *testing.T) {
	list := newShelf("1", "2", "3")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Query = map[string]string{"key": "{secret:env:TOKEN}"} })
	r.want(Complete)
	list.put("2", "open")
	list.put("4", "new")
	list.remove("3")
	var records, changes []string
	events, steps := 0, 0
	var trial *Trial
	r.untouched(func() {
		var err error
		trial, err = TryPoll(t.Context(), r.source, r.opts, TryOptions{
			Progress: func(Progress) { steps++ },
			Record:   func(key string, _ []byte) { records = append(records, key) },
			Change: func(c differ.Change) {
				changes = append(changes, fmt.Sprint(c.Kind, " ", c.Key, " ", c.Delta.Changed))
			},
			Event: func(*Event) { events++ },
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	if !slices.Equal(records, []string{"1", "2", "4"}) || !slices.Equal(changes, []string{"updated 2 [status]", "created 4 []"}) {
		t.Errorf("records %q, changes %q", records, changes)
	}
	if trial.Verdict != Complete || trial.Before != 3 || trial.Baseline || trial.Writes != 3 || trial.Missing != 1 || events != 2 || trial.Events != 2 || steps == 0 {
		t.Errorf("trial %+v, %d events", trial, events)
	}
	if len(trial.Exchanges) != 1 || trial.Exchanges[0].Status != 200 || strings.Contains(fmt.Sprint(trial.Exchanges), "planted") {
		t.Errorf("exchanges %+v", trial.Exchanges)
	}
	r.want(Complete)
	r.tells("updated 2 status", "created 4")
}

func TestATrialWithoutAStoreShowsTheRecords(t *testing.T) {
	r := newRig(t, newShelf("1", "2").ServeHTTP, nil)
	r.opts.Ledger, r.opts.Outlet = nil, nil
	records := 0
	trial, err := TryPoll(t.Context(), r.source, r.opts, TryOptions{Record: func(string, []byte) { records++ }})
	if err != nil || trial.Verdict != Complete || !trial.Baseline || records != 2 || trial.Writes != 2 || trial.Events != 0 {
		t.Errorf("%v, %+v, %d records", err, trial, records)
	}
}

func TestATrialShowsWhatAHeldPollWouldDo(t *testing.T) {
	list := newShelf("1", "2", "3")
	r := newRig(t, list.ServeHTTP, func(s *Source) { s.Deletes.Confirm = 1 })
	r.want(Complete)
	list.clear()
	r.want(Held)
	deleted := 0
	r.untouched(func() {
		trial, err := TryPoll(t.Context(), r.source, r.opts, TryOptions{Change: func(differ.Change) { deleted++ }})
		if err != nil || trial.Verdict != Held || deleted != 3 || !strings.Contains(trial.Message, "the list is empty") {
			t.Errorf("%v, %+v, %d deletions", err, trial, deleted)
		}
	})
	r.source.Key = differ.Paths(paths("status"))
	trial, err := TryPoll(t.Context(), r.source, r.opts, TryOptions{})
	if err != nil || trial.Verdict != Held {
		t.Errorf("%v, %+v", err, trial)
	}
}

func TestATrialNamesTheRecordsWithoutAKey(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[{"id":1},{"name":"x","mail":"y"}]`) }, nil)
	trial, err := TryPoll(t.Context(), r.source, r.opts, TryOptions{})
	if err != nil || trial.Verdict != Partial || len(trial.Keyless) != 1 || trial.Keyless[0].Number != 2 || !slices.Equal(trial.Keyless[0].Members, []string{"name", "mail"}) {
		t.Errorf("%v, %+v", err, trial)
	}
}

func TestATrialThatFailsSaysWhy(t *testing.T) {
	r := newRig(t, reply(200, "text/html", "<html>hello"), nil)
	trial, err := TryPoll(t.Context(), r.source, r.opts, TryOptions{})
	if err != nil || trial.Verdict != Failed || trial.Err == nil || !strings.Contains(trial.Message, "got HTML") || len(trial.Exchanges) != 1 {
		t.Errorf("%v, %+v", err, trial)
	}
	r.source.URL = "ftp://x"
	if _, err := TryPoll(t.Context(), r.source, r.opts, TryOptions{}); err == nil {
		t.Error("an impossible source is tried")
	}
}
