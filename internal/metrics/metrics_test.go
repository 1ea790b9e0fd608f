package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/poller"
)

// parsed is a text in the format of Prometheus, checked line by line.
type parsed struct {
	kinds   map[string]string  // of families
	samples map[string]float64 // by name and labels
}

var sampleLine = regexp.MustCompile(`^([a-z_][a-z0-9_]*)(\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})? (\S+)$`)

// parse fails for everything that the format does not have, and for what its conventions forbid.
func parse(t *testing.T, text string) parsed {
	t.Helper()
	p := parsed{kinds: map[string]string{}, samples: map[string]float64{}}
	var family, helped string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# HELP "); ok {
			helped, _, _ = strings.Cut(name, " ")
			continue
		}
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			var kind string
			family, kind, _ = strings.Cut(name, " ")
			if p.kinds[family] != "" || helped != family {
				t.Errorf("%s is there twice, or has no help", family)
			}
			p.kinds[family] = kind
			if strings.HasSuffix(family, "_total") != (kind == counter) {
				t.Errorf("%s is a %s", family, kind)
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no line of the format: %q", line)
			continue
		}
		suffix := strings.TrimPrefix(m[1], family)
		if allowed := map[string][]string{counter: {""}, gauge: {""}, histogram: {"_bucket", "_sum", "_count"}, summary: {"_sum", "_count"}}; !slices.Contains(allowed[p.kinds[family]], suffix) {
			t.Errorf("%s does not belong to %s, a %s", m[1], family, p.kinds[family])
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if _, twice := p.samples[m[1]+m[2]]; err != nil || twice {
			t.Errorf("%s: %v, or it is there twice", line, err)
		}
		p.samples[m[1]+m[2]] = v
	}
	return p
}

// now is a status with the given sources, and one webhook.
func now(sources ...admin.Source) *Now {
	at := time.Unix(1_764_000_000, 500_000_000)
	return &Now{StoreBytes: 4096, Status: admin.Status{
		Running: true, Version: `1.0"\`, Started: at, Sources: sources,
		Webhooks: []admin.Webhook{{Name: "app", State: "failing", Queued: 12, Parked: 2, Oldest: time.Now().Add(-time.Hour), InFlight: 1, Failures: 3, ClockSkewMS: 1500, Merged: 4}},
		Config:   &admin.Config{OK: false, Loaded: at, Reloads: 2, Rejected: 1},
	}}
}

func TestWhatHappensIsCounted(t *testing.T) {
	m := New()
	at := time.Unix(1_764_000_000, 0)
	poll := poller.Result{Source: "crm", Poll: poller.Poll{Verdict: poller.Complete, Took: 1500 * time.Millisecond, Skipped: 3, Ignored: 4}}
	poll.Traffic = outbound.Traffic{Answers: []outbound.Answers{{Status: 200, Count: 2}, {Status: 799, Count: 1}, {Status: 0, Count: 1}}, Waited: 2 * time.Second}
	poll.Lags = []time.Duration{10 * time.Second, 20 * time.Second}
	m.Polled(&poll)
	m.Polled(&poller.Result{Source: "crm", Poll: poller.Poll{Verdict: poller.Deferred}})
	m.Committed("crm", "crm.created", 2)
	m.Committed("crm", "crm.created", 1)
	m.Attempted("app", &emitter.Outcome{Class: emitter.Delivered, Status: 204, Took: 40 * time.Millisecond})
	m.Attempted("app", &emitter.Outcome{Class: emitter.Failed, Status: 503, Took: 40 * time.Millisecond})
	m.Attempted("app", &emitter.Outcome{Class: emitter.Failed, Took: 15 * time.Second})
	p := parse(t, string(m.Text(now(admin.Source{Name: "crm", State: "failing", LastOK: at, NextPoll: at.Add(time.Minute), Changed: at, Failures: 5, Records: 7, Skipped: 1}))))
	for sample, want := range map[string]float64{
		`deltahook_build_info{version="1.0\"\\",goversion="` + runtime.Version() + `"}`: 1,
		`deltahook_start_time_seconds`:                                                        1_764_000_000.5,
		`deltahook_state_db_bytes`:                                                            4096,
		`deltahook_config_last_reload_successful`:                                             0,
		`deltahook_config_last_reload_success_timestamp_seconds`:                              1_764_000_000.5,
		`deltahook_config_reloads_total{result="applied"}`:                                    2,
		`deltahook_config_reloads_total{result="rejected"}`:                                   1,
		`deltahook_source_state{source="crm",state="failing"}`:                                1,
		`deltahook_source_state{source="crm",state="ok"}`:                                     0,
		`deltahook_sources{state="failing"}`:                                                  1,
		`deltahook_sources{state="held"}`:                                                     0,
		`deltahook_source_last_success_timestamp_seconds{source="crm"}`:                       1_764_000_000,
		`deltahook_source_next_poll_timestamp_seconds{source="crm"}`:                          1_764_000_060,
		`deltahook_source_last_change_timestamp_seconds{source="crm"}`:                        1_764_000_000,
		`deltahook_source_consecutive_failures{source="crm"}`:                                 5,
		`deltahook_source_records{source="crm"}`:                                              7,
		`deltahook_source_polls_total{source="crm",result="complete"}`:                        1,
		`deltahook_source_polls_total{source="crm",result="deferred"}`:                        1,
		`deltahook_source_scheduled_polls_skipped_total{source="crm"}`:                        1,
		`deltahook_source_poll_duration_seconds_sum{source="crm"}`:                            1.5,
		`deltahook_source_poll_duration_seconds_count{source="crm"}`:                          1,
		`deltahook_poll_duration_seconds_bucket{le="1"}`:                                      0,
		`deltahook_poll_duration_seconds_bucket{le="2.5"}`:                                    1,
		`deltahook_poll_duration_seconds_bucket{le="+Inf"}`:                                   1,
		`deltahook_source_change_lag_seconds_sum{source="crm"}`:                               30,
		`deltahook_change_lag_seconds_bucket{le="15"}`:                                        1,
		`deltahook_change_lag_seconds_count`:                                                  2,
		`deltahook_source_records_skipped_total{source="crm",reason="key"}`:                   3,
		`deltahook_source_ignored_changes_total{source="crm"}`:                                4,
		`deltahook_source_rate_limited_seconds_total{source="crm"}`:                           2,
		`deltahook_source_requests_total{source="crm",code="200"}`:                            2,
		`deltahook_source_requests_total{source="crm",code="other"}`:                          1,
		`deltahook_source_requests_total{source="crm",code="none"}`:                           1,
		`deltahook_events_total{source="crm",type="crm.created"}`:                             3,
		`deltahook_webhook_state{webhook="app",state="failing"}`:                              1,
		`deltahook_webhook_state{webhook="app",state="ok"}`:                                   0,
		`deltahook_queue_events{webhook="app",state="pending"}`:                               12,
		`deltahook_queue_events{webhook="app",state="parked"}`:                                2,
		`deltahook_webhook_in_flight{webhook="app"}`:                                          1,
		`deltahook_webhook_consecutive_failures{webhook="app"}`:                               3,
		`deltahook_webhook_clock_skew_seconds{webhook="app"}`:                                 1.5,
		`deltahook_webhook_merged_total{webhook="app"}`:                                       4,
		`deltahook_webhook_attempts_total{webhook="app",code_class="2xx",result="delivered"}`: 1,
		`deltahook_webhook_attempts_total{webhook="app",code_class="5xx",result="failed"}`:    1,
		`deltahook_webhook_attempts_total{webhook="app",code_class="none",result="failed"}`:   1,
		`deltahook_webhook_attempt_duration_seconds_bucket{webhook="app",le="0.05"}`:          2,
		`deltahook_webhook_attempt_duration_seconds_count{webhook="app"}`:                     3,
	} {
		if got, ok := p.samples[sample]; !ok || got != want {
			t.Errorf("%s is %v (there: %v), want %v", sample, got, ok, want)
		}
	}
	if age := p.samples[`deltahook_queue_oldest_age_seconds{webhook="app"}`]; age < 3599 || age > 3700 {
		t.Errorf("the oldest event is %v s old", age)
	}
}

// What is not known, or has not happened, is absent rather than zero; a source that left the configuration is gone.
func TestAbsentIsNotZero(t *testing.T) {
	m := New()
	m.Polled(&poller.Result{Source: "gone", Poll: poller.Poll{Verdict: poller.Failed}})
	m.Committed("gone", "gone.created", 1)
	m.Attempted("old", &emitter.Outcome{Class: emitter.Delivered, Status: 200})
	text := string(m.Text(now(admin.Source{Name: "new", State: "waiting"})))
	parse(t, text)
	for _, absent := range []string{`"gone"`, `"old"`, `last_success_timestamp_seconds{source="new"`, `next_poll_timestamp_seconds{source="new"`, `poll_duration_seconds_sum{source`} {
		if strings.Contains(text, absent) {
			t.Errorf("%s is there", absent)
		}
	}
	m.Text(now(admin.Source{Name: "gone", State: "ok"}))
	if again := string(m.Text(now(admin.Source{Name: "gone", State: "ok"}))); strings.Contains(again, `polls_total{source="gone"`) {
		t.Error("what was counted of a source that was removed came back with it")
	}
}

// thousands is a status of n sources that did all they can do.
func thousands(m *Metrics, n int) *Now {
	at := time.Now()
	sources := make([]admin.Source, n)
	for i := range sources {
		name := fmt.Sprintf("source-%d", i)
		sources[i] = admin.Source{Name: name, State: "ok", LastOK: at, NextPoll: at, Changed: at, Skipped: 1}
		for _, v := range []poller.Verdict{poller.Complete, poller.Unchanged} {
			r := poller.Result{Source: name, Poll: poller.Poll{Verdict: v, Took: time.Second}, Lags: []time.Duration{time.Second}}
			r.Traffic.Answers = []outbound.Answers{{Status: 200, Count: 1}}
			m.Polled(&r)
		}
		m.Committed(name, name+".created", 1)
	}
	return now(sources...)
}

// A histogram, or a label that upstream decides on, would multiply by the number of sources.
func TestTenThousandSourcesHaveAFewSeriesEach(t *testing.T) {
	n, each := 10_000, 25
	if testing.Short() {
		n = 500
	}
	m := New()
	text := m.Text(thousands(m, n))
	if lines := bytes.Count(text, []byte("\n")); lines > n*each+500 {
		t.Errorf("%d lines for %d sources", lines, n)
	}
	labels := map[string]bool{}
	for _, m := range regexp.MustCompile(`[{,]([a-z_]+)="`).FindAllSubmatch(text, -1) {
		labels[string(m[1])] = true
	}
	for name := range labels {
		if !slices.Contains([]string{"source", "webhook", "state", "result", "reason", "type", "code", "code_class", "le", "version", "goversion"}, name) {
			t.Errorf("the label %s is not bounded", name)
		}
	}
}

func TestCountingAnUnchangedPollAllocatesNothing(t *testing.T) {
	m := New()
	r := poller.Result{Source: "crm", Poll: poller.Poll{Verdict: poller.Unchanged, Took: time.Millisecond}}
	r.Traffic.Answers = []outbound.Answers{{Status: 304, Count: 1}}
	o := emitter.Outcome{Class: emitter.Delivered, Status: 200, Took: time.Millisecond}
	m.Polled(&r)
	m.Attempted("app", &o)
	if n := testing.AllocsPerRun(100, func() {
		m.Polled(&r)
		m.Attempted("app", &o)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// stuck is a reader that takes nothing until it is freed.
type stuck struct {
	http.ResponseWriter
	began, free chan struct{}
	once        sync.Once
}

func (s *stuck) Write([]byte) (int, error) {
	s.once.Do(func() { close(s.began) })
	<-s.free
	return 0, errors.New("gone")
}

func TestASlowReaderHoldsUpNothing(t *testing.T) {
	m := New()
	status := thousands(m, 100)
	w := &stuck{ResponseWriter: httptest.NewRecorder(), began: make(chan struct{}), free: make(chan struct{})}
	var reading sync.WaitGroup
	reading.Go(func() {
		m.Handler(func(context.Context) *Now { return status }).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	})
	<-w.began
	m.Polled(&poller.Result{Source: "another", Poll: poller.Poll{Verdict: poller.Complete}}) // takes the lock for writing
	m.Polled(&poller.Result{Source: "source-1", Poll: poller.Poll{Verdict: poller.Complete}})
	m.Text(status)
	close(w.free)
	reading.Wait()
}

func TestTheAnswerIsCompressedForThoseWhoTakeIt(t *testing.T) {
	m := New()
	h := m.Handler(func(context.Context) *Now { return now() })
	for _, accept := range []string{"", "gzip"} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		req.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		var body io.Reader = w.Body
		if got := w.Header().Get("Content-Encoding"); got != accept || w.Header().Get("Content-Type") != ContentType {
			t.Errorf("%v", w.Header())
		} else if accept == "gzip" {
			zip, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = zip
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		parse(t, string(text))
	}
}

func TestCountersMayBeUsedByAllAtOnce(t *testing.T) {
	m := New()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for round := range 100 {
				m.Polled(&poller.Result{Source: "s" + strconv.Itoa(i%3), Poll: poller.Poll{Verdict: poller.Complete}, Traffic: outbound.Traffic{Answers: []outbound.Answers{{Status: 200, Count: 1}}}})
				m.Attempted("app", &emitter.Outcome{Class: emitter.Delivered, Status: 200})
				if round%20 == 0 {
					m.Text(now(admin.Source{Name: "s0"}, admin.Source{Name: "s1"}, admin.Source{Name: "s2"}))
				}
			}
		})
	}
	all.Wait()
	if got := parse(t, string(m.Text(now(admin.Source{Name: "s0"})))).samples[`deltahook_source_requests_total{source="s0",code="200"}`]; got != 300 {
		t.Errorf("%v", got)
	}
}

// The linter of Prometheus itself.
func TestPromtoolFindsNothingWrong(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if promtool, err = exec.LookPath("../../bin/promtool"); err != nil {
			t.Skip("promtool is not installed; make promtool")
		}
	}
	m := New()
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = bytes.NewReader(m.Text(thousands(m, 3)))
	if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func BenchmarkScrapeOf10000Sources(b *testing.B) {
	m := New()
	status := thousands(m, 10_000)
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(m.Text(status))))
	}
}
