package emitter_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
)

var traceparent = regexp.MustCompile(`^00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])$`)

// traced sends deliveries and gives the headers as they arrive, and the outcomes.
func traced(t *testing.T, edit func(*emitter.Webhook), sampled func(emitter.TraceID) bool, ids ...string) (seen []http.Header, outcomes []emitter.Outcome) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Clone())
		seen[len(seen)-1].Set("X-Test-Host", r.Host)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	w := emitter.DefaultWebhook()
	w.Name, w.URL, w.Secret = "app", server.URL, setting.SecretList{setting.NewSecret(traceSecret)}
	if edit != nil {
		edit(&w)
	}
	s, err := emitter.NewSender(emitter.SenderOptions{Webhook: w, Secrets: &setting.Secrets{}, Transport: http.DefaultTransport, Sampled: sampled})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		o := s.Send(t.Context(), emitter.Delivery{ID: id, Body: []byte(traceBody)})
		if o.Class != emitter.Delivered {
			t.Fatalf("%+v", o)
		}
		outcomes = append(outcomes, o)
	}
	for _, h := range seen {
		if w.Sign != "standard" {
			break
		}
		if err := emitter.Verify(h, []byte(traceBody), []string{traceSecret}, time.Now(), time.Minute); err != nil {
			t.Error(err)
		}
	}
	return seen, outcomes
}

const (
	traceSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	traceBody   = `{"type":"a.created","timestamp":"2026-11-23T12:00:00.123Z","data":{"source":"a","change":"created","key":"1","sequence":1,"record":{}}}`
)

// W3C Trace Context: version 00, a trace and a step of it, flags. The trace is the event's, the step the attempt's.
func TestAllAttemptsOfAnEventAreOneTrace(t *testing.T) {
	seen, outcomes := traced(t, nil, nil, "evt_1", "evt_1", "evt_2")
	traces, spans := map[string]int{}, map[string]bool{}
	for i, h := range seen {
		m := traceparent.FindStringSubmatch(h.Get("traceparent"))
		if m == nil || m[3] != "1" {
			t.Fatalf("traceparent: %q", h.Get("traceparent"))
		}
		if o := outcomes[i].Trace; o.ID.String() != m[1] || o.Span.String() != m[2] || !o.Sampled {
			t.Errorf("sent %q, told %+v", m[0], o)
		}
		traces[m[1]]++
		spans[m[2]] = true
	}
	if len(traces) != 2 || traces[emitter.TraceOf("evt_1").String()] != 2 || len(spans) != 3 {
		t.Errorf("%v, %v", traces, spans)
	}
}

func TestATraceThatIsNotRecordedSaysSo(t *testing.T) {
	seen, _ := traced(t, nil, func(id emitter.TraceID) bool { return id == emitter.TraceOf("evt_1") }, "evt_1", "evt_2")
	for i, want := range []string{"1", "0"} {
		if m := traceparent.FindStringSubmatch(seen[i].Get("traceparent")); m == nil || m[3] != want {
			t.Errorf("%q, want the flag %s", seen[i].Get("traceparent"), want)
		}
	}
}

// Strict receivers refuse headers that they do not know; others get their own from the configuration.
func TestTheConfigurationMayHaveItsOwnTraceparentOrNone(t *testing.T) {
	for value, want := range map[string]int{"": 0, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": 1} {
		seen, _ := traced(t, func(w *emitter.Webhook) { w.Headers = map[string]string{"Traceparent": value} }, nil, "evt_1")
		if got := seen[0].Values("traceparent"); len(got) != want || want == 1 && got[0] != value {
			t.Errorf("%q, want %q", got, value)
		}
	}
}

// A signature of the message covers the trace where it is asked to, as it is sent.
func TestASignatureMayCoverTheTrace(t *testing.T) {
	var signed emitter.Signature
	seen, _ := traced(t, func(w *emitter.Webhook) {
		w.Sign = "rfc9421"
		w.Signature.Components = append(w.Signature.Components, "traceparent")
		signed = w.Signature
	}, nil, "evt_1")
	r := &emitter.Received{Method: http.MethodPost, URL: "http://" + seen[0].Get("X-Test-Host") + "/", Header: seen[0], Body: []byte(traceBody)}
	o := emitter.VerifyOptions{Style: "rfc9421", Signature: signed, Secrets: []string{traceSecret}, Now: time.Now(), Tolerance: time.Minute}
	if err := emitter.VerifyRequest(r, o); err != nil {
		t.Error(err)
	}
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err := emitter.VerifyRequest(r, o); err == nil {
		t.Error("another trace passes under the same signature")
	}
}
