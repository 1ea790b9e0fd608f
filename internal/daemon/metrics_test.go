package daemon_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// scrape gives the lines of /metrics.
func (b *bundle) scrape(t *testing.T) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.daemon.Addr()+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	return strings.Split(string(text), "\n")
}

func TestMetricsFollowAChangeFromThePollToTheReceiver(t *testing.T) {
	t.Parallel()
	b := setup(t, `{"items":[{"id":1},{"id":2,"x":1}]}`, "ignore = [\"seen\"]")
	b.baselined(t)
	b.api.set(`{"items":[{"id":1,"seen":1},{"id":2,"x":2},{"id":3}]}`)
	until(t, "both changes", func() bool { return b.receiver.Replica.Report().Events == 2 })
	want := map[string]bool{
		`deltahook_source_state{source="things",state="ok"} 1`:                                  false,
		`deltahook_source_records{source="things"} 3`:                                           false,
		`deltahook_source_ignored_changes_total{source="things"} 1`:                             false,
		`deltahook_source_requests_total{source="things",code="200"}`:                           false,
		`deltahook_source_polls_total{source="things",result="complete"} 2`:                     false,
		`deltahook_events_total{source="things",type="things.created"} 1`:                       false,
		`deltahook_events_total{source="things",type="things.updated"} 1`:                       false,
		`deltahook_webhook_attempts_total{webhook="app",code_class="2xx",result="delivered"} 2`: false,
		`deltahook_queue_events{webhook="app",state="parked"} 0`:                                false,
		`deltahook_config_last_reload_successful 1`:                                             false,
		`deltahook_state_db_bytes `:                                                             false,
	}
	until(t, "all metrics", func() bool {
		for _, line := range b.scrape(t) {
			for prefix := range want {
				want[prefix] = want[prefix] || strings.HasPrefix(line, prefix)
			}
		}
		for _, seen := range want {
			if !seen {
				return false
			}
		}
		return true
	})
	for _, line := range b.scrape(t) {
		if strings.Contains(line, "planted") || strings.Contains(line, "127.0.0.1") {
			t.Errorf("a secret or an address is in %q", line)
		}
	}
}
