package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/poller"
)

func noon() time.Time { return time.Date(2026, 11, 23, 12, 30, 0, 0, time.UTC) }

func polled(source string, at time.Time, created int) *poller.Result {
	verdict := poller.Unchanged
	if created > 0 {
		verdict = poller.Complete
	}
	return &poller.Result{Source: source, Poll: poller.Poll{At: at, Verdict: verdict, Created: created, Records: 7}}
}

func TestTheJournalKeepsTheLastPollsOfASource(t *testing.T) {
	var j admin.Journal
	for i := range 450 {
		j.Polled(polled("contacts", noon().Add(time.Duration(i)*time.Minute), 0))
	}
	list := j.Polls("contacts")
	if len(list) != 200 || !list[0].At.Equal(noon().Add(449*time.Minute)) || !list[199].At.Equal(noon().Add(250*time.Minute)) {
		t.Errorf("%d polls, from %s to %s", len(list), list[0].At, list[len(list)-1].At)
	}
}

// Ten thousand sources must not take 200 polls each.
func TestTheJournalIsBoundedOverAllSources(t *testing.T) {
	const sources, most = 10_000, 4
	var j admin.Journal
	for i := range sources {
		j.Polled(polled(fmt.Sprintf("s%d", i), noon(), 0))
	}
	for i := range 3 * most {
		j.Polled(polled("s7", noon().Add(time.Duration(i)*time.Minute), 0))
	}
	if n := len(j.Polls("s7")); n != most {
		t.Errorf("%d polls of one of %d sources are kept, want %d", n, sources, most)
	}
	j.Keep([]string{"s7"})
	if j.Polls("s8") != nil || j.Polls("s7") == nil {
		t.Error("Keep kept others")
	}
}

func TestTheJournalKeepsFewExcerpts(t *testing.T) {
	var j admin.Journal
	for i := range 20 {
		r := polled("contacts", noon(), 0)
		if i%2 == 0 {
			r.Excerpt = fmt.Sprintf("answer %d", i)
		}
		j.Polled(r)
	}
	var kept []string
	for _, p := range j.Polls("contacts") {
		if p.Excerpt != "" {
			kept = append(kept, p.Excerpt)
		}
	}
	if got := strings.Join(kept, ", "); got != "answer 18, answer 16, answer 14" {
		t.Errorf("kept: %s", got)
	}
}

func TestADayHasTwentyFourHours(t *testing.T) {
	var j admin.Journal
	now := noon()
	for _, ago := range []time.Duration{25 * time.Hour, 23 * time.Hour, time.Hour, 0} {
		j.Polled(polled("contacts", now.Add(-ago), 1))
	}
	j.Polled(polled("contacts", now, 0))
	held := polled("contacts", now, 100)
	held.Verdict = poller.Held
	j.Polled(held)
	j.Recall("contacts", []poller.Poll{polled("contacts", now.Add(-time.Hour), 2).Poll, polled("contacts", now.Add(-30*time.Hour), 2).Poll})
	list := j.Hours("contacts", now)
	if len(list) != 24 || list[0].Created != 1 || list[22].Created != 3 || list[23].Created != 1 {
		t.Errorf("%+v", list)
	}
	if !list[23].At.Equal(now.Truncate(time.Hour)) {
		t.Errorf("the current hour begins at %s", list[23].At)
	}
	if day := j.Day("contacts", now); day != (admin.Changes{Created: 5}) {
		t.Errorf("the day: %+v", day)
	}
	if day := j.Day("nobody", now); day != (admin.Changes{}) {
		t.Errorf("a day of nobody: %+v", day)
	}
}

var errEnough = errors.New("enough")

// watch reads n items, told by tell once it listens.
func watch(t *testing.T, j *admin.Journal, q admin.StreamQuery, n int, tell func()) (got []admin.Item) {
	t.Helper()
	q.After = 1 // a gap, so that we know that we are listening
	err := j.Watch(t.Context(), q, func(it admin.Item) error {
		if it.Kind == admin.KindGap && got == nil {
			got = []admin.Item{}
			go tell()
			return nil
		}
		if it.Kind == admin.KindIdle {
			return nil
		}
		if got = append(got, it); len(got) == n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("watching ended: %v", err)
	}
	return got
}

func TestAStreamTellsWhatIsAskedFor(t *testing.T) {
	everything := func(j *admin.Journal) {
		j.Polled(polled("contacts", noon(), 1))
		j.Committed([]*poller.Event{{ID: "evt_1", Source: "contacts", Type: "contacts.created", Key: "7", Sequence: 3}}, 1)
		j.Attempted(&emitter.Delivery{ID: "evt_1", Source: "contacts", Type: "contacts.created", Ref: emitter.Ref{Lane: emitter.Lane{Webhook: "app"}}}, &emitter.Outcome{Class: emitter.Delivered, Status: 204})
		j.Attempted(&emitter.Delivery{ID: "evt_1", Source: "contacts", Type: "contacts.created", Attempts: 2, Ref: emitter.Ref{Lane: emitter.Lane{Webhook: "crm"}}}, &emitter.Outcome{Class: emitter.Failed, Status: 503})
		j.Turned("crm", "failing", "503", true)
		j.Transition(&poller.Transition{Source: "orders", Turn: poller.Failing, Message: "HTTP 503"})
		j.Polled(polled("end", noon(), 0))
	}
	for want, q := range map[string]admin.StreamQuery{
		"poll contacts, event evt_1, attempt app 204, attempt crm 503, transition crm failing, transition orders failing, poll end": {},
		"poll contacts, event evt_1, attempt app 204, attempt crm 503":                                                              {Sources: []string{"contacts"}},
		"attempt crm 503, transition crm failing":                                                                                   {Webhooks: []string{"crm"}},
		"event evt_1, attempt app 204, attempt crm 503":                                                                             {Types: []string{"*.created"}},
		"attempt crm 503, transition crm failing, transition orders failing":                                                        {Failed: true},
		"event evt_1": {Kinds: []string{admin.KindEvent}},
	} {
		t.Run(want, func(t *testing.T) {
			j := &admin.Journal{}
			var said []string
			for _, it := range watch(t, j, q, strings.Count(want, ",")+1, func() { everything(j) }) {
				text := it.Kind
				switch it.Kind {
				case admin.KindPoll:
					text += " " + it.Source
				case admin.KindEvent:
					text += " " + it.Event
				case admin.KindAttempt:
					text += fmt.Sprintf(" %s %d", it.Webhook, it.Status)
				case admin.KindTransition:
					text += " " + it.Source + it.Webhook + " " + it.State
				}
				said = append(said, text)
			}
			if got := strings.Join(said, ", "); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestASlowReaderIsDroppedAndTold(t *testing.T) {
	j := &admin.Journal{}
	stuck, goOn := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		ended <- j.Watch(t.Context(), admin.StreamQuery{After: 1}, func(it admin.Item) error {
			if it.Kind == admin.KindGap {
				close(stuck)
				<-goOn
			}
			return nil
		})
	}()
	<-stuck
	for i := range 2000 { // whoever tells does not wait
		j.Polled(polled("contacts", noon().Add(time.Duration(i)*time.Second), 0))
	}
	close(goOn)
	if err := <-ended; !errors.Is(err, admin.ErrTooSlow) {
		t.Errorf("it ended with %v", err)
	}
}

func TestWhoComesBackIsToldWhatItMissed(t *testing.T) {
	j := &admin.Journal{}
	var last uint64
	watch(t, j, admin.StreamQuery{}, 1, func() { j.Polled(polled("contacts", noon(), 1)) })
	for range 1500 {
		j.Polled(polled("contacts", noon(), 0))
	}
	var got []admin.Item
	read := func(after uint64, n int) {
		got = nil
		err := j.Watch(t.Context(), admin.StreamQuery{After: after}, func(it admin.Item) error {
			if it.Kind == admin.KindIdle {
				last = it.ID
				return errEnough
			}
			got = append(got, it)
			return nil
		})
		if !errors.Is(err, errEnough) || len(got) != n {
			t.Fatalf("%d items, %v", len(got), err)
		}
	}
	read(1, 1025)
	if last != got[1024].ID || got[0].Kind != admin.KindGap || got[1].ID != last-1023 {
		t.Errorf("it began with %+v and ended with %d", got[0], last)
	}
	read(last-3, 3)
	if got[0].ID != last-2 || got[2].ID != last {
		t.Errorf("after %d came %d to %d", last-3, got[0].ID, got[2].ID)
	}
}

func TestAStreamHasRoomForSoManyAndEndsWithTheDaemon(t *testing.T) {
	j := &admin.Journal{}
	ready, ended := make(chan struct{}), make(chan error)
	for range 64 {
		go func() {
			ended <- j.Watch(context.Background(), admin.StreamQuery{After: 1}, func(it admin.Item) error {
				if it.Kind == admin.KindGap {
					ready <- struct{}{}
				}
				return nil
			})
		}()
		<-ready
	}
	if err := j.Watch(t.Context(), admin.StreamQuery{}, func(admin.Item) error { return nil }); !errors.Is(err, admin.ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
	j.Close()
	for range 64 {
		if err := <-ended; !errors.Is(err, admin.ErrEnded) {
			t.Errorf("it ended with %v", err)
		}
	}
	if err := j.Watch(t.Context(), admin.StreamQuery{}, func(admin.Item) error { return nil }); !errors.Is(err, admin.ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
}
