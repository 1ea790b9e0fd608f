package daemon_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

func TestPollsThatChangedNothingAreInTheHistory(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1,"seen":1},{"id":2,"seen":1}]}`, `ignore = ["seen"]`)
	b.baselined(t)
	b.api.set(`{"items":[{"id":1,"seen":2},{"id":2,"seen":1}]}`)
	var polls []admin.PastPoll
	until(t, "an ignored change", func() bool {
		polls, _ = b.client.Polls(t.Context(), "things", 0)
		return slices.ContainsFunc(polls, func(p admin.PastPoll) bool { return p.Ignored == 1 })
	})
	first, last := polls[len(polls)-1], polls[0]
	if first.Verdict != "complete" || first.Records != 2 || !first.Complete {
		t.Errorf("the first: %+v", first)
	}
	if last.Verdict != "unchanged" || !last.Complete || last.Status != 200 {
		t.Errorf("the last: %+v", last)
	}
	story, err := b.client.Why(t.Context(), "things", "1")
	if err != nil {
		t.Fatal(err)
	}
	if !has(story.Reasons, admin.WhyIgnored) || !has(story.Reasons, admin.WhyBaseline) || story.State != "known" || story.LastSeen.IsZero() {
		t.Errorf("the story: %+v", story)
	}
	if story, _ = b.client.Why(t.Context(), "things", "2"); has(story.Reasons, admin.WhyIgnored) {
		t.Errorf("the story of the other one: %+v", story)
	}
}

func TestTheStoryOfAKeyThatNoRecordHasTellsOfNoOther(t *testing.T) {
	t.Parallel()
	b, _ := eventful(t)
	for _, key := range []string{"", "none"} {
		story, err := b.client.Why(t.Context(), "things", key)
		if err != nil || len(story.Steps) > 0 || story.State != "unknown" {
			t.Errorf("key %q: %+v, %v", key, story, err)
		}
	}
}

func has(reasons []admin.Reason, code string) bool {
	return slices.ContainsFunc(reasons, func(r admin.Reason) bool { return r.Code == code })
}

func TestAFailedPollKeepsWhatWasAnsweredWithoutSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[]}`, "")
	b.baselined(t)
	b.api.fail(http.StatusInternalServerError, "broken: planted-in-environment, planted-in-query")
	var polls []admin.PastPoll
	until(t, "a failed poll", func() bool {
		polls, _ = b.client.Polls(t.Context(), "things", 1)
		return len(polls) == 1 && polls[0].Verdict == "failed"
	})
	if p := polls[0]; p.Status != 500 || !strings.HasPrefix(p.Excerpt, "broken: ") || strings.Contains(p.Excerpt, "planted") {
		t.Errorf("%+v", p)
	}
}

func TestASourceTellsItsConfigurationWithItsDefaults(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[]}`, `timeout = "7s"`)
	b.baselined(t)
	d, err := b.client.Source(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "things" || d.Schedule != "1s" || !slices.Equal(d.Webhooks, []string{"app"}) || len(d.Hours) != 24 || strings.Contains(d.Request, "planted") {
		t.Errorf("%+v", d)
	}
	for key, want := range map[string]admin.Setting{
		"timeout":  {Key: "timeout", Value: "7s"},
		"deadline": {Key: "deadline", Value: "10m", Default: true},
	} {
		if !slices.Contains(d.Settings, want) {
			t.Errorf("%s is not %+v: %+v", key, want, d.Settings)
		}
	}
	if _, err := b.client.Source(t.Context(), "nothing"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown source: %v", err)
	}
}

func TestTheStreamTellsWhatARecordWentThrough(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1}]}`, "")
	b.baselined(t)
	b.api.set(`{"items":[{"id":1},{"id":2}]}`)
	var kinds []string
	enough := errors.New("enough")
	err := b.client.Stream(t.Context(), admin.StreamQuery{Types: []string{"things.*"}, After: 1}, func(it admin.Item) error {
		if it.Kind != admin.KindIdle {
			kinds = append(kinds, strings.TrimSpace(it.Kind+" "+it.Key))
		}
		if it.Kind == admin.KindAttempt {
			return enough
		}
		return nil
	})
	if got := strings.Join(kinds, ", "); !errors.Is(err, enough) || got != "gap, event 2, attempt 2" {
		t.Errorf("%v: %s", err, got)
	}
	records, err := b.client.Records(t.Context(), store.RecordQuery{Source: "things", After: "1"})
	if err != nil || len(records) != 1 || records[0].Key != "2" {
		t.Errorf("records: %v, %v", records, err)
	}
	one, err := b.client.Record(t.Context(), "things", "2")
	if err != nil || string(one.Body) != `{"id":2}` {
		t.Errorf("the record: %+v, %v", one, err)
	}
	until(t, "the change counts, in this hour or the one before", func() bool { // the poll ends after its event is delivered
		all, err := b.client.Activity(t.Context(), []string{"things", "nothing"})
		return err == nil && all["things"][23].Created+all["things"][22].Created == 1 && len(all["nothing"]) == 24
	})
}

func TestAStreamEndsWithTheDaemon(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1}]}`, "")
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- b.client.Stream(context.WithoutCancel(t.Context()), admin.StreamQuery{After: 1, Failed: true}, func(it admin.Item) error {
			if it.Kind == admin.KindGap {
				close(begun)
			}
			return nil
		})
	}()
	select {
	case <-begun:
	case err := <-ended:
		t.Fatalf("it did not begin: %v", err)
	}
	if err := b.daemon.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, admin.ErrEnded) {
		t.Errorf("it ended with %v", err)
	}
}
