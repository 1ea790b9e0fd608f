package daemon_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/hooktest"
)

// T28: a receiver that is away for long fills its queue, not the disk; its sources wait, others go on, and nothing is lost.
func TestT28AFullQueueStopsItsSourcesUntilThereIsRoomAndLosesNothing(t *testing.T) {
	t.Parallel()
	other := &hooktest.Receiver{Secrets: []string{secret}}
	hooks := httptest.NewServer(other)
	t.Cleanup(hooks.Close)
	calm := &upstream{body: `{"items":[{"id":1}]}`}
	second := httptest.NewServer(calm)
	t.Cleanup(second.Close)
	b := setup(t, `{"items":[{"id":0}]}`, fmt.Sprintf(`to = ["app"]
[source.calm]
url = %q
every = "1s"
records = "items"
key = "id"
to = ["other"]
[webhook.other]
url = %q
secret = %q
`, second.URL, hooks.URL, secret), edit("[webhook.app]", "[webhook.app]\nmax_queue = 20"))
	source := func(name string) (found admin.Source) {
		s, err := b.client.Status(t.Context())
		if err != nil {
			return found
		}
		for _, one := range s.Sources {
			if one.Name == name {
				found = one
			}
		}
		return found
	}
	until(t, "two baselines", func() bool { return source("things").State == "ok" && source("calm").State == "ok" })
	b.receiver.Set(func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	b.api.set(`{"items":[` + records(30) + `]}`)
	until(t, "a source that waits", func() bool { return source("things").State == "waiting" })
	if note := source("things").Note; !strings.Contains(note, "queue of webhook app is full") {
		t.Errorf("the source says %q", note)
	}
	b.api.set(`{"items":[` + records(60) + `]}`)
	for n := range 3 {
		calm.set(fmt.Sprintf(`{"items":[{"id":1,"n":%d}]}`, n))
		until(t, "an event of another source", func() bool { return other.Replica.Report().Events > n })
	}
	if s := source("things"); s.State != "waiting" || s.Sequence != 29 {
		t.Errorf("beside a full queue the source is %s at sequence %d", s.State, s.Sequence)
	}
	b.receiver.Set(nil)
	until(t, "all records", func() bool { return len(b.receiver.Replica.Records("things")) == 59 })
	if missing := b.receiver.Replica.Missing("things"); len(missing) > 0 {
		t.Errorf("sequences %v are missing", missing)
	}
	for _, told := range []string{"queue of a webhook is full", "has room again"} {
		if n := strings.Count(b.log.String(), told); n < 1 || n > 2 { // what was found meanwhile fills it again
			t.Errorf("%q was said %d times", told, n)
		}
	}
}

// records makes a list of the records from 0 on.
func records(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"id":%d}`, i)
	}
	return strings.Join(list, ",")
}
