package emitter_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
)

// T29: what is kept of a request has no secret in it, nor a whole signature.
func TestT29AFailedAttemptShowsWhatWasSentWithoutSecrets(t *testing.T) {
	r := newRig(t)
	r.webhook.URL += "/in?token=planted-in-query"
	r.webhook.Headers = map[string]string{"X-Api-Key": "planted-in-header", "X-Tenant": "acme"}
	r.Set(hooktest.Status(http.StatusBadGateway))
	o := r.send(t)
	for _, want := range []string{"POST http://127.0.0.1:", "/hooks/in\n", "\nX-Tenant: acme\n", "\nwebhook-id: evt_", "\nwebhook-signature: v1,", "\ndeltahook-attempt: 1", "\nX-Api-Key: (hidden)"} {
		if !strings.Contains(o.Request, want) {
			t.Errorf("%q is missing in\n%s", want, o.Request)
		}
	}
	signature := r.Requests()[0].Header.Get("webhook-signature")
	for _, planted := range []string{"planted", signature} {
		if strings.Contains(o.Request, planted) {
			t.Errorf("%q is in\n%s", planted, o.Request)
		}
	}
	r.webhook.Headers["X-Long"] = strings.Repeat("é", 4000)
	if o = r.send(t); len(o.Request) > 2100 {
		t.Errorf("%d bytes are kept", len(o.Request))
	}
	r.Set(nil)
	if o = r.send(t); o.Class != emitter.Delivered || o.Request != "" {
		t.Errorf("of a success %q is kept", o.Request)
	}
}

// T29: nor does it under names that only the configuration knows.
func TestT29WhatProvesIsHiddenUnderWhateverNameItGoes(t *testing.T) {
	r := newRig(t)
	r.webhook.Headers = map[string]string{"X-Auth": "planted-auth", "X-Credential": "planted-credential", "X-JWT": "planted-jwt"}
	r.webhook.Sign = "template"
	r.webhook.Signature.Header, r.webhook.Signature.Content, r.webhook.Signature.Value = "X-Check", "{ts},{body}", "{sig}"
	r.Set(hooktest.Status(http.StatusBadGateway))
	o := r.send(t)
	sent := r.Requests()[0].Header.Get("X-Check")
	if len(sent) < 40 || strings.Contains(o.Request, sent) || !strings.Contains(o.Request, "\nX-Check: "+sent[:16]+"…") {
		t.Errorf("the signature %q went out; shown is\n%s", sent, o.Request)
	}
	if strings.Contains(o.Request, "planted") {
		t.Errorf("shown is\n%s", o.Request)
	}
}

// T29: receivers that fail like to repeat the request.
func TestT29ASecretInTheQueryIsNotInWhatIsKeptOfAnAnswer(t *testing.T) {
	r := newRig(t)
	r.webhook.URL += "?sig=plain&access_token=planted%2Fin+query"
	r.Set(func(w http.ResponseWriter, req *http.Request, _ int) bool {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("cannot POST " + req.URL.RequestURI() + " with token " + req.URL.Query().Get("access_token")))
		return true
	})
	o := r.send(t)
	if !strings.Contains(o.Excerpt, "cannot POST /hooks?sig=plain") || strings.Contains(o.Excerpt, "planted") {
		t.Errorf("kept is %q", o.Excerpt)
	}
}
