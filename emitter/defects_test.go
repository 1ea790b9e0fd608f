package emitter_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// D9, D3, T13: whatever happens to the answer, one attempt is one request, and nothing but a 2xx status line is a success.
func TestD9D3T13NoFaultLooksLikeASuccessOrIsTriedAgainInTheSameAttempt(t *testing.T) {
	for i, fault := range hooktest.Transient() {
		r := newRig(t)
		r.Set(fault)
		o := r.send(t)
		if o.Class != emitter.Failed || o.Reason == "" || o.Error == "" {
			t.Errorf("fault %d: %+v", i, o)
		}
		if r.Count() != 1 || r.Replica.Report().Events != 0 {
			t.Errorf("fault %d: %d requests", i, r.Count())
		}
	}
}

// D2, T15: an answer that does not come to its status line ends with the time of the attempt, whatever keeps it busy.
func TestD2T15AnAnswerWithoutAStatusLineEndsWithTheTimeOfTheAttempt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  hooktest.Fault
		reason string
	}{
		{"hangs", hooktest.Hang(), outbound.FaultTimeout},
		{"half a status line", hooktest.Stall("HTTP/1.1 20"), outbound.FaultTimeout},
		{"headers that do not end", hooktest.Stall("HTTP/1.1 200 OK\r\nX-A: 1\r\n"), outbound.FaultTimeout},
		{"headers one byte at a time", hooktest.DripHead(10 * time.Millisecond), outbound.FaultTimeout},
		{"headers without bounds", hooktest.EndlessHead(), outbound.FaultProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if tt.reason == outbound.FaultTimeout {
				r.webhook.Timeout = setting.Duration(500 * time.Millisecond)
			}
			r.Set(tt.fault)
			if o := r.send(t); o.Class != emitter.Failed || o.Status != 0 || o.Reason != tt.reason {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

func TestD2AnAnswerThatTakesTheConnectionOverDoesNotHoldTheAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.webhook.Timeout = setting.Duration(3 * time.Second)
	r.Set(hooktest.Stall("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
	outcome := make(chan emitter.Outcome, 1)
	go func() { outcome <- r.send(t) }()
	select {
	case o := <-outcome:
		if o.Class != emitter.Failed || o.Status != http.StatusSwitchingProtocols {
			t.Errorf("outcome %+v", o)
		}
	case <-time.After(time.Minute):
		t.Fatal("the attempt does not end")
	}
}

func TestABlankInTheQueryOfTheURLIsSentEscaped(t *testing.T) {
	r := newRig(t)
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { asked = req.RequestURI }))
	defer s.Close()
	r.webhook.URL = s.URL + "/hooks?room=first floor&who=Jörg"
	if o := r.send(t); o.Class != emitter.Delivered {
		t.Errorf("outcome %+v", o)
	}
	if asked != "/hooks?room=first%20floor&who=J%C3%B6rg" {
		t.Errorf("asked %q", asked)
	}
}

func TestAnswersOfOtherTimesAreUnderstood(t *testing.T) {
	tests := []struct {
		name   string
		fault  hooktest.Fault
		class  emitter.Class
		reason string
	}{
		{"HTTP/1.0", hooktest.HTTP10(200, "fine"), emitter.Delivered, ""},
		{"HTTP/1.0 that fails", hooktest.HTTP10(503, "down"), emitter.Failed, emitter.ReasonStatus5xx},
		{"interim answers first", hooktest.Informational(4), emitter.Delivered, ""},
		{"no reason phrase", hooktest.Raw("HTTP/1.1 204\r\n\r\n"), emitter.Delivered, ""},
		{"reset", hooktest.Reset(), emitter.Failed, outbound.FaultClosed},
		{"nothing", hooktest.Close(), emitter.Failed, outbound.FaultClosed},
	}
	for _, line := range hooktest.MalformedStatusLines() {
		reason := outbound.FaultProtocol
		if !strings.HasSuffix(line, "\r\n") {
			reason = outbound.FaultClosed
		}
		tests = append(tests, struct {
			name   string
			fault  hooktest.Fault
			class  emitter.Class
			reason string
		}{line, hooktest.Raw(line), emitter.Failed, reason})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			r.Set(tt.fault)
			if o := r.send(t); o.Class != tt.class || o.Reason != tt.reason {
				t.Errorf("outcome %+v", o)
			}
		})
	}
}

// D7: Stripe joins time and body with a dot. Convoy's signature looks the same and joins them with a comma, so what is sent as
// one must not verify as the other.
func TestD7ASignatureThatLooksLikeStripesIsStripes(t *testing.T) {
	r := newRig(t)
	r.Secrets, r.NoReplica = nil, true
	convoy := emitter.DefaultSignature()
	convoy.Header, convoy.Content, convoy.Value = "Stripe-Signature", "{ts},{body}", "t={ts},v1={sig}"
	for style, join := range map[string]string{"stripe": ".", "template": ","} {
		r.webhook.Sign, r.webhook.Signature = style, emitter.DefaultSignature()
		if style == "template" {
			r.webhook.Signature = convoy
		}
		if o := r.send(t); o.Class != emitter.Delivered {
			t.Fatalf("outcome %+v", o)
		}
		all := r.Requests()
		got := all[len(all)-1]
		ts, sig, _ := strings.Cut(strings.TrimPrefix(got.Header.Get("Stripe-Signature"), "t="), ",v1=")
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(ts + join))
		mac.Write(got.Body)
		if sig != hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("%s: %s is not over %q", style, got.Header.Get("Stripe-Signature"), ts+join+"{body}")
		}
		stripe := emitter.VerifyOptions{Style: "stripe", Secrets: []string{secret}, Now: time.Now(), Tolerance: emitter.DefaultTolerance}
		if err := emitter.VerifyRequest(&emitter.Received{Header: got.Header, Body: got.Body}, stripe); (err == nil) != (style == "stripe") {
			t.Errorf("%s: verified as Stripe: %v", style, err)
		}
	}
}

// D10: an event that its template cannot make is parked, one whose answer is endless is tried again; neither stops the worker.
func TestD10NeitherABadTemplateNorAHugeAnswerStopsTheWorker(t *testing.T) {
	r := newRig(t)
	r.NoReplica = true
	r.webhook.Format, r.webhook.MaxInFlight = "template", 1
	if err := r.webhook.Template.UnmarshalText([]byte(`{"n": {{index .Changed 0}}}`)); err != nil {
		t.Fatal(err)
	}
	r.webhook.Retry.Schedule = []setting.Duration{0, setting.Duration(time.Second)}
	r.Set(hooktest.First(1, hooktest.Endless(500)))
	outbox := emitter.NewFakeOutbox()
	d := dispatcher(t, outbox, r.webhook)
	bad := delivery(1, "bad")
	bad.Body = r.webhook.Encode(bad.ID, emitter.Notice("x", time.Now(), nil))
	d.Dispatch(1, outbox.Commit(bad, delivery(2, "a"), delivery(3, "b")), true)
	until(t, "the others were not delivered", func() bool { return outbox.States("app")["delivered"] == 2 && outbox.States("app")["parked"] == 1 })
	if err := d.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// D16, T16: what fails costs its neighbour nothing: its connections stay, and what the failing one answered is kept.
func TestD16T16AFailingNeighbourCostsAHealthyReceiverNoConnection(t *testing.T) {
	sick, well := newRig(t), newRig(t)
	var conns atomic.Int64
	server := httptest.NewUnstartedServer(well.Receiver)
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	well.webhook.URL = server.URL
	sick.Set(hooktest.Answer(http.StatusServiceUnavailable, "why it is down"))
	failing, fine := sick.sender(t), well.sender(t)
	for n := range int64(50) {
		if o := failing.Send(t.Context(), delivery(n+1, "k")); o.Class != emitter.Failed || o.Excerpt != "why it is down" {
			t.Fatalf("outcome %+v", o)
		}
		if o := fine.Send(t.Context(), delivery(n+1, "k")); o.Class != emitter.Delivered {
			t.Fatalf("outcome %+v", o)
		}
	}
	if conns.Load() != 1 {
		t.Errorf("50 deliveries, one at a time, took %d connections", conns.Load())
	}
	stamps := map[string]int{}
	for _, req := range sick.Requests() {
		stamps[fmt.Sprint(req.Header["Webhook-Id"], req.Header["Webhook-Timestamp"], req.Header["Webhook-Signature"])]++
	}
	if len(stamps) != 50 {
		t.Errorf("50 attempts had %d different signatures", len(stamps))
	}
}
