package tracing

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/poller"
)

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

func TestTheEnvironmentOfOpenTelemetryChooses(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want string // endpoint
		err  string
	}{
		{"nothing", nil, "", ""},
		{"a base", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318/"}, "http://127.0.0.1:4318/v1/traces", ""},
		{"traces alone, as it is", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://b:2/x"}, "https://b:2/x", ""},
		{"switched off", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_SDK_DISABLED": "true"}, "", ""},
		{"no exporter", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_TRACES_EXPORTER": "none"}, "", ""},
		{"another exporter", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, "", "OTEL_TRACES_EXPORTER=zipkin"},
		{"gRPC", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "", "port 4318"},
		{"no URL", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, "", "not a URL"},
		{"no headers, and the value is not shown", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_HEADERS": "secret"}, "", "key=value"},
		{"no time", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, "", "milliseconds"},
		{"another compression", map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_COMPRESSION": "zstd"}, "", "gzip or none"},
		{"another sampler", map[string]string{"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "", "OTEL_TRACES_SAMPLER=jaeger_remote"},
		{"no ratio", map[string]string{"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "10%"}, "", "OTEL_TRACES_SAMPLER_ARG"},
	} {
		o, err := FromEnvironment(lookup(c.env))
		if o.Endpoint != c.want || (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %q, %v", c.name, o.Endpoint, err)
		}
	}
	o, err := FromEnvironment(lookup(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a:1", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x, x-tenant=7", "OTEL_EXPORTER_OTLP_TIMEOUT": "1500",
		"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test,service.name=other", "OTEL_SERVICE_NAME": "crm-hooks",
	}))
	if err != nil || !o.Gzip || o.Timeout != 1500*time.Millisecond ||
		!maps.Equal(o.Headers, map[string]string{"authorization": "Bearer x", "x-tenant": "7"}) ||
		!maps.Equal(o.Resource, map[string]string{"deployment.environment": "test", "service.name": "crm-hooks"}) {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestASamplerTakesTheSameTracesEverywhere(t *testing.T) {
	for sampler, want := range map[string][2]int{"always_off": {0, 0}, "parentbased_always_on": {1000, 1000}, "parentbased_traceidratio": {200, 300}} {
		o, err := FromEnvironment(lookup(map[string]string{"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.25"}))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for i := range 1000 {
			if o.Sampled(emitter.TraceOf("evt_" + strings.Repeat("x", i))) {
				n++
			}
		}
		if n < want[0] || n > want[1] {
			t.Errorf("%s: %d of 1000", sampler, n)
		}
	}
}

// collector remembers what it is sent; its answers are scripted.
type collector struct {
	mu       sync.Mutex
	statuses []int
	bodies   [][]byte
	headers  []http.Header
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		if zip, err := gzip.NewReader(bytes.NewReader(body)); err == nil {
			body, _ = io.ReadAll(zip)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	status := http.StatusOK
	if len(c.statuses) > 0 {
		status, c.statuses = c.statuses[0], c.statuses[1:]
	}
	c.bodies, c.headers = append(c.bodies, body), append(c.headers, r.Header)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("{}"))
}

// exporting runs an exporter against a collector while do gives it spans.
func exporting(t *testing.T, c *collector, edit func(*Options), do func(e *Exporter)) (log string) {
	t.Helper()
	server := httptest.NewServer(c)
	defer server.Close()
	o := Options{Endpoint: server.URL + "/v1/traces", Timeout: 5 * time.Second, Ratio: 1, Resource: map[string]string{"service.name": "deltahook"}}
	if edit != nil {
		edit(&o)
	}
	var text strings.Builder
	e := Start(o, "1.0", slog.New(slog.NewTextHandler(&text, nil)))
	do(e)
	e.Stop()
	return text.String()
}

func TestSpansArriveAsOTLPWritesThem(t *testing.T) {
	at := time.Unix(1_764_000_000, 123)
	c := &collector{}
	log := exporting(t, c, func(o *Options) { o.Headers, o.Gzip = map[string]string{"x-tenant": "7"}, true }, func(e *Exporter) {
		r := poller.Result{Source: "crm", Poll: poller.Poll{At: at, Took: 1500 * time.Millisecond, Verdict: poller.Failed, Message: "HTTP 503", Records: 7}}
		r.Traffic.Answers = []outbound.Answers{{Status: 503, Count: 3}}
		e.Polled(r)
		e.Polled(poller.Result{Source: "crm", Paused: true})
		trace := emitter.Trace{ID: emitter.TraceOf("evt_1"), Span: emitter.SpanID{1, 2, 3, 4, 5, 6, 7, 8}, Sampled: true}
		d := emitter.Delivery{ID: "evt_1", Source: "crm", Type: "crm.created", Ref: emitter.Ref{Lane: emitter.Lane{Webhook: "app"}}, Attempts: 1}
		e.Attempted(d, emitter.Outcome{Class: emitter.Delivered, Status: 204, At: at, Took: time.Second, Trace: trace})
		e.Attempted(d, emitter.Outcome{Class: emitter.Failed, Reason: "timeout", Error: "no answer within 15s", At: at, Trace: trace})
		trace.Sampled = false
		e.Attempted(d, emitter.Outcome{Class: emitter.Delivered, Trace: trace})
	})
	if log != "" || len(c.bodies) != 1 {
		t.Fatalf("%d requests, log %q", len(c.bodies), log)
	}
	if h := c.headers[0]; h.Get("Content-Type") != "application/json" || h.Get("X-Tenant") != "7" || h.Get("User-Agent") != "deltahook/1.0" {
		t.Errorf("%v", h)
	}
	got := regexp.MustCompile(`"traceId":"([0-9a-f]{32})","spanId":"([0-9a-f]{16})","name":"poll`).ReplaceAll(c.bodies[0], []byte(`"traceId":"T","spanId":"S","name":"poll`))
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(wanted)); err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(compact.String(), "EVENT", emitter.TraceOf("evt_1").String()); string(got) != want {
		t.Errorf("sent\n%s\nwant\n%s", got, want)
	}
}

// wanted has the form of examples/trace.json of opentelemetry-proto.
const wanted = `{"resourceSpans":[{
  "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"deltahook"}},{"key":"service.version","value":{"stringValue":"1.0"}}]},
  "scopeSpans":[{"scope":{"name":"deltahook","version":"1.0"},"spans":[
    {"traceId":"T","spanId":"S","name":"poll crm","kind":1,"startTimeUnixNano":"1764000000000000123","endTimeUnixNano":"1764000001500000123","attributes":[
      {"key":"deltahook.source","value":{"stringValue":"crm"}},{"key":"deltahook.verdict","value":{"stringValue":"failed"}},
      {"key":"deltahook.pages","value":{"intValue":"0"}},{"key":"deltahook.requests","value":{"intValue":"3"}},{"key":"deltahook.records","value":{"intValue":"7"}},
      {"key":"deltahook.created","value":{"intValue":"0"}},{"key":"deltahook.updated","value":{"intValue":"0"}},{"key":"deltahook.deleted","value":{"intValue":"0"}},
      {"key":"deltahook.events","value":{"intValue":"0"}}],"status":{"code":2,"message":"HTTP 503"}},
    {"traceId":"EVENT","spanId":"0102030405060708","name":"deliver app","kind":3,"startTimeUnixNano":"1764000000000000123","endTimeUnixNano":"1764000001000000123","attributes":[
      {"key":"deltahook.webhook","value":{"stringValue":"app"}},{"key":"deltahook.event","value":{"stringValue":"evt_1"}},{"key":"deltahook.type","value":{"stringValue":"crm.created"}},
      {"key":"deltahook.source","value":{"stringValue":"crm"}},{"key":"deltahook.attempt","value":{"intValue":"2"}},{"key":"deltahook.result","value":{"stringValue":"delivered"}},
      {"key":"http.response.status_code","value":{"intValue":"204"}}],"status":{}},
    {"traceId":"EVENT","spanId":"0102030405060708","name":"deliver app","kind":3,"startTimeUnixNano":"1764000000000000123","endTimeUnixNano":"1764000000000000123","attributes":[
      {"key":"deltahook.webhook","value":{"stringValue":"app"}},{"key":"deltahook.event","value":{"stringValue":"evt_1"}},{"key":"deltahook.type","value":{"stringValue":"crm.created"}},
      {"key":"deltahook.source","value":{"stringValue":"crm"}},{"key":"deltahook.attempt","value":{"intValue":"2"}},{"key":"deltahook.result","value":{"stringValue":"failed"}},
      {"key":"error.type","value":{"stringValue":"timeout"}}],"status":{"code":2,"message":"no answer within 15s"}}
  ]}]}]}`

func TestACollectorThatIsDownCostsSpansAndOneLine(t *testing.T) {
	c := &collector{statuses: []int{400, 400, 400}}
	log := exporting(t, c, nil, func(e *Exporter) {
		for range 3*mostAtOnce + 1 { // at the fourth batch it works again
			e.export(t.Context(), []span{{}})
			if e.failing {
				continue
			}
			return
		}
	})
	if strings.Count(log, "cannot be exported") != 1 || strings.Count(log, "exported again") != 1 || !strings.Contains(log, "lost=3") {
		t.Errorf("log:\n%s", log)
	}
}

// OTLP: 429, 502, 503 and 504 are worth another try, after as long as Retry-After says.
func TestABusyCollectorIsAskedOnceMore(t *testing.T) {
	for status, want := range map[int]time.Duration{429: 7 * time.Second, 503: 7 * time.Second, 400: 0, 500: 0, 301: 0} {
		if got := repeat(&http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"7"}}}); got != want {
			t.Errorf("%d: again after %s, want %s", status, got, want)
		}
	}
	if got := repeat(&http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"86400"}}}); got > time.Minute {
		t.Errorf("a day is too long: %s", got)
	}
}

// Whoever works is never held up: what does not fit is dropped.
func TestSpansThatDoNotFitAreDropped(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		e := &Exporter{opts: Options{Ratio: 1}, spans: make(chan span, mostWaiting)}
		for range mostWaiting + 5 {
			e.Polled(poller.Result{Source: "crm"})
		}
		if e.lost.Load() != 5 || len(e.spans) != mostWaiting {
			t.Errorf("%d lost, %d wait", e.lost.Load(), len(e.spans))
		}
	})
}

func TestWithoutAnEndpointNothingIsExported(t *testing.T) {
	e := Start(Options{}, "1.0", nil)
	e.Polled(poller.Result{})
	e.Attempted(emitter.Delivery{}, emitter.Outcome{})
	e.Stop()
	if e != nil {
		t.Error("it runs")
	}
}
