package emitter_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/setting"
)

// agreeing answers handshakes with these headers, in pairs, and leaves deliveries to the receiver.
func agreeing(status int, headers ...string) hooktest.Fault {
	answer := hooktest.Answer(status, "", headers...)
	return func(w http.ResponseWriter, req *http.Request, n int) bool {
		return req.Method == http.MethodOptions && answer(w, req, n)
	}
}

func shakingRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	r.webhook.Handshake = emitter.Handshake{Kind: "cloudevents", Origin: "deltahook.example", Every: setting.Duration(24 * time.Hour)}
	return r
}

func TestTheHandshakeAsksAsCloudEventsSaysAndOnceOnly(t *testing.T) {
	r := shakingRig(t)
	r.webhook.Rate = setting.Rate{Count: 2, Per: time.Second}
	r.webhook.Headers = map[string]string{"X-Tenant": "acme"}
	r.Set(agreeing(200, "WebHook-Allowed-Origin", "DeltaHook.example", "WebHook-Allowed-Rate", "60"))
	s := r.sender(t)
	first, second := s.Send(t.Context(), delivery(1, "k")), s.Send(t.Context(), delivery(2, "k"))
	if first.Class != emitter.Delivered || second.Class != emitter.Delivered || first.Limit != 1 || second.Limit != 0 {
		t.Fatalf("outcomes %+v, %+v", first, second)
	}
	got := r.Requests()
	if len(got) != 3 || got[0].Method != http.MethodOptions || got[1].Method != http.MethodPost || got[2].Method != http.MethodPost {
		t.Fatalf("requests %+v", got)
	}
	for name, want := range map[string]string{
		"WebHook-Request-Origin": "deltahook.example", "WebHook-Request-Rate": "120", "X-Tenant": "acme", "User-Agent": "deltahook/1.0",
		"Content-Type": "", "WebHook-Request-Callback": "", "Webhook-Signature": "",
	} {
		if value := got[0].Header.Get(name); value != want {
			t.Errorf("%s: %q, want %q", name, value, want)
		}
	}
}

func TestAReceiverThatDoesNotAgreeGetsNothingAndTheReasonIsClear(t *testing.T) {
	tests := []struct {
		name  string
		fault hooktest.Fault
		says  string
	}{
		{"no header", agreeing(200), "it answered OPTIONS with 200 OK and without WebHook-Allowed-Origin"},
		{"method not allowed", agreeing(405, "Allow", "POST"), "405 Method Not Allowed"},
		{"another origin", agreeing(200, "WebHook-Allowed-Origin", "other.example"), `it allows the origin "other.example", and this is "deltahook.example"`},
		{"no rate", agreeing(200, "WebHook-Allowed-Origin", "*", "WebHook-Allowed-Rate", "0"), `its WebHook-Allowed-Rate is "0"`},
		{"a rate that is none", agreeing(200, "WebHook-Allowed-Origin", "*", "WebHook-Allowed-Rate", "-5"), `"-5"`},
		{"a redirect", agreeing(307, "Location", "https://other.example/"), "a redirect to other.example is not followed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := shakingRig(t)
			r.Set(tt.fault)
			o := r.send(t)
			if o.Class != emitter.Withheld || o.Reason != emitter.ReasonHandshake || !strings.Contains(o.Error, tt.says) || r.Count() != 1 {
				t.Errorf("%d requests, outcome %+v", r.Count(), o)
			}
		})
	}
}

// The specification leaves the status open, and receivers use many.
func TestTheHeadersOfAHandshakeDecideWhateverItsStatus(t *testing.T) {
	for _, status := range []int{200, 202, 204, 404, 405} {
		r := shakingRig(t)
		r.Set(agreeing(status, "WebHook-Allowed-Origin", "*"))
		if o := r.send(t); o.Class != emitter.Delivered || !math.IsInf(o.Limit, 1) {
			t.Errorf("%d: %+v", status, o)
		}
	}
}

func TestRetryAfterOfARefusedHandshakeIsKept(t *testing.T) {
	r := shakingRig(t)
	r.Set(agreeing(503, "Retry-After", "600"))
	if o := r.send(t); o.Class != emitter.Withheld || o.RetryAfter != 10*time.Minute {
		t.Errorf("outcome %+v", o)
	}
}
