package daemon_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store"
)

// listing is a list of n records, of which the changing ones carry a version.
func listing(n, version int) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = fmt.Sprintf(`{"id":%d,"v":%d}`, i, version*max(0, 1-i%7))
	}
	return `{"items":[` + strings.Join(parts, ",") + `]}`
}

func TestANewReceiverIsFilledWhileRecordsChangeAndTheDaemonRestarts(t *testing.T) {
	t.Parallel()
	const n = 1800 // more than a backfill is ahead of its receiver
	late := &hooktest.Receiver{Secrets: []string{secret}}
	hooks := httptest.NewServer(late)
	t.Cleanup(hooks.Close)
	var opened store.Store
	b := setup(t, listing(n, 0), "guard = { max_events = 100000 }", func(b *bundle) {
		b.wrap = func(s store.Store) store.Store {
			opened = s
			return s
		}
		b.text += fmt.Sprintf("[webhook.late]\nurl = %q\nsecret = %q\n", hooks.URL, secret)
	})
	b.baselined(t)
	fill := admin.Backfill{Source: "things", To: []string{"late"}}
	if err := fill.Rate.UnmarshalText([]byte("900/s")); err != nil {
		t.Fatal(err)
	}
	plan, err := b.client.Backfill(t.Context(), fill, admin.PlanBackfill)
	if err != nil || plan.Records != n || plan.ByWebhook["late"] != n || len(plan.ByWebhook) != 1 || plan.Seconds != 2 {
		t.Fatalf("plan %+v, %v", plan, err)
	}
	turn := func(verb admin.Verb) {
		t.Helper()
		if err := b.client.Act(t.Context(), admin.Action{Verb: verb, Webhook: "late"}); err != nil {
			t.Fatal(err)
		}
	}
	turn(admin.Pause) // so that the backfill does not end before it is interrupted
	if _, err := b.client.Backfill(t.Context(), fill, admin.StartBackfill); err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.Backfill(t.Context(), fill, admin.StartBackfill); err == nil || !strings.Contains(err.Error(), "is under way") {
		t.Errorf("a second one: %v", err)
	}
	look := func() admin.Backfilled {
		out, err := b.client.Backfill(t.Context(), fill, admin.LookBackfill)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	b.api.set(listing(n, 1))
	until(t, "some snapshots", func() bool { return look().Told > 0 })
	if now := look(); now.Told >= n {
		t.Fatalf("the backfill was too fast to be interrupted: %+v", now)
	}
	if err := b.daemon.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	b.start(t)
	turn(admin.Resume)
	b.api.set(listing(n, 2))
	until(t, "the end of the backfill", func() bool { return look().State == "done" })
	if done := look(); done.Told != n || done.Looked != n {
		t.Errorf("done: %+v", done)
	}
	until(t, "all records as upstream has them, and the snapshots behind their changes", func() bool {
		return complete(late, n) && late.Replica.Report().ByChange["snapshot"] >= n
	})
	if report := late.Replica.Report(); report.Inversions != 0 || report.ByChange["snapshot"] != n {
		t.Errorf("the receiver saw %+v", report)
	}
	if other := b.receiver.Replica.Report(); other.ByChange["snapshot"] != 0 || other.Inversions != 0 {
		t.Errorf("the other receiver saw %+v", other)
	}
}

// complete says whether a receiver holds the last version of n records.
func complete(r *hooktest.Receiver, n int) bool {
	held := r.Replica.Records("things")
	if len(held) != n {
		return false
	}
	for i := 0; i < n; i += 7 {
		if string(held[strconv.Itoa(i)]) != fmt.Sprintf(`{"id":%d,"v":2}`, i) {
			return false
		}
	}
	return true
}

func TestABackfillWaitsForAReceiverThatIsBehind(t *testing.T) {
	t.Parallel()
	b := setup(t, listing(3000, 0), "")
	b.baselined(t)
	if err := b.client.Act(t.Context(), admin.Action{Verb: admin.Pause, Webhook: "app"}); err != nil {
		t.Fatal(err)
	}
	fill := admin.Backfill{Source: "things"}
	if _, err := b.client.Backfill(t.Context(), fill, admin.StartBackfill); err != nil {
		t.Fatal(err)
	}
	var now admin.Backfilled
	until(t, "a backfill that waits", func() bool {
		var err error
		now, err = b.client.Backfill(t.Context(), fill, admin.LookBackfill)
		return err == nil && now.Note == "webhook app takes nothing"
	})
	if now.Told < 1000 || now.Told > 1500 {
		t.Errorf("it waits after %d snapshots", now.Told)
	}
	ended := make(chan struct{})
	defer close(ended)
	b.receiver.Set(func(_ http.ResponseWriter, _ *http.Request, n int) bool { // takes some, and no more until the backfill was stopped
		if n > 200 {
			<-ended
		}
		return false
	})
	if err := b.client.Act(t.Context(), admin.Action{Verb: admin.Resume, Webhook: "app"}); err != nil {
		t.Fatal(err)
	}
	until(t, "more snapshots", func() bool {
		next, err := b.client.Backfill(t.Context(), fill, admin.LookBackfill)
		return err == nil && next.Told > now.Told
	})
	end, err := b.client.Backfill(t.Context(), fill, admin.StopBackfill)
	if err != nil || end.State == "running" {
		t.Errorf("stopped: %+v, %v", end, err)
	}
}
