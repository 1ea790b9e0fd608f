package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// flaky is a store whose commits fail: every third before it happened, every third after it, and the caller cannot tell which.
type flaky struct{ store.Store }

type flakyMember struct {
	store.Member
	commits atomic.Int64
}

var errLost = errors.New("the connection to the store is lost")

func (f flaky) Join(ctx context.Context, name string, ttl time.Duration) (store.Member, error) {
	m, err := f.Store.Join(ctx, name, ttl)
	if err != nil {
		return nil, err
	}
	return &flakyMember{Member: m}, nil
}

func (m *flakyMember) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	switch m.commits.Add(1) % 3 {
	case 0:
		return poller.Committed{}, errLost
	case 1:
		out, err := m.Member.Commit(ctx, c)
		if err != nil {
			return out, err
		}
		return poller.Committed{}, errLost
	}
	return m.Member.Commit(ctx, c)
}

// T6: a change is neither remembered without its event nor told without being remembered, whatever becomes of the commit.
func TestT6NoChangeIsLostOrToldTwiceWhenCommitsFail(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[]}`, "", func(b *bundle) {
		b.wrap = func(s store.Store) store.Store { return flaky{s} }
	})
	b.baselined(t)
	const rounds = 8
	for n := range rounds {
		b.api.set(fmt.Sprintf(`{"items":[{"id":%d,"n":1}]}`, n))
		key := strconv.Itoa(n)
		until(t, "the record of round "+key, func() bool {
			_ = b.client.Act(t.Context(), admin.Action{Verb: admin.Poll, Source: "things"}) // a failing source waits longer each time
			_, there := b.receiver.Replica.Records("things")[key]
			return there
		})
	}
	if gaps := b.receiver.Replica.Missing("things"); len(gaps) != 0 {
		t.Errorf("sequences %v never came", gaps)
	}
	if report := b.receiver.Replica.Report(); report.ByChange["created"] != rounds || report.Inversions != 0 {
		t.Errorf("report %+v", report)
	}
	for _, problem := range b.receiver.Problems() {
		t.Error(problem)
	}
}

// T26: what is there at the first poll is no news. Told to tell it anyway, deltahook keeps to the rate of the webhook.
func TestT26TheFirstPollDoesNotFloodTheReceiver(t *testing.T) {
	t.Parallel()
	var items []string
	for n := range 30 {
		items = append(items, fmt.Sprintf(`{"id":%d}`, n))
	}
	list := `{"items":[` + strings.Join(items, ",") + `]}`
	silent := setup(t, list, "")
	silent.baselined(t)
	silent.api.set(`{"items":[` + strings.Join(items, ",") + `,{"id":"new"}]}`)
	until(t, "the first news", func() bool { return silent.receiver.Replica.Report().Events > 0 })
	if report := silent.receiver.Replica.Report(); report.Events != 1 {
		t.Errorf("the first poll made %d events", report.Events-1)
	}

	loud := setup(t, list, "initial = \"emit\"\n", edit("[webhook.app]", "[webhook.app]\nrate = \"20/s\""))
	until(t, "all records", func() bool { return loud.receiver.Replica.Report().Events == 30 })
	got := loud.receiver.Requests()
	var first struct { // found before anything was sent; the receiver may notice the first request late
		Timestamp time.Time `json:"timestamp"`
	}
	if err := json.Unmarshal(got[0].Body, &first); err != nil {
		t.Fatal(err)
	}
	if took := got[len(got)-1].At.Sub(first.Timestamp); took < 1400*time.Millisecond { // 29 gaps of 50 ms
		t.Errorf("30 events at 20/s took %s", took)
	}
}

// T27: an upstream that suddenly shows nothing, or far too little, deletes nothing.
func TestT27AnEmptyPageOfUpstreamDeletesNothingAtTheReceiver(t *testing.T) {
	t.Parallel()
	var items []string
	for n := range 100 {
		items = append(items, fmt.Sprintf(`{"id":%d}`, n))
	}
	b := setup(t, `{"items":[`+strings.Join(items, ",")+`]}`, "")
	b.baselined(t)
	for _, listing := range []string{`{"items":[]}`, `{"items":[` + strings.Join(items[:50], ",") + `]}`} {
		b.api.set(listing)
		until(t, "a held source", func() bool {
			s, err := b.client.Status(t.Context())
			return err == nil && s.Sources[0].State == "held"
		})
		b.api.set(`{"items":[` + strings.Join(items, ",") + `]}`)
		b.baselined(t)
	}
	b.api.set(`{"items":[` + strings.Join(items, ",") + `,{"id":"new"}]}`)
	until(t, "the news after it", func() bool { return b.receiver.Replica.Report().Events > 0 })
	if report := b.receiver.Replica.Report(); report.Events != 1 || report.ByChange["deleted"] != 0 {
		t.Errorf("report %+v", report)
	}
}

// T28: a webhook that is full stops its sources, which loses nothing: what changed meanwhile is found when there is room.
func TestT28AFullQueueStopsPollingAndDropsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":0}]}`, "", edit("[webhook.app]", "[webhook.app]\nmax_queue = 3"))
	b.baselined(t)
	b.receiver.Set(hooktest.Status(http.StatusServiceUnavailable))
	b.api.set(`{"items":[{"id":0},{"id":1},{"id":2},{"id":3},{"id":4}]}`)
	until(t, "a queue that is full", func() bool {
		s, err := b.client.Status(t.Context())
		return err == nil && len(s.Webhooks) == 1 && s.Webhooks[0].Queued >= 4
	})
	b.api.set(`{"items":[{"id":0},{"id":1},{"id":2},{"id":3},{"id":4,"n":2},{"id":5}]}`)
	until(t, "a source that waits", func() bool { return strings.Contains(b.log.String(), "verdict=deferred") })
	b.receiver.Set(nil)
	until(t, "what changed meanwhile", func() bool {
		_ = b.client.Act(t.Context(), admin.Action{Verb: admin.Resume, Webhook: "app"}) // a probe at once
		records := b.receiver.Replica.Records("things")
		return len(records) == 5 && string(records["4"]) == `{"id":4,"n":2}` && len(b.receiver.Replica.Missing("things")) == 0
	})
	if report := b.receiver.Replica.Report(); report.Events != 6 || report.Inversions != 0 {
		t.Errorf("report %+v", report)
	}
}
