package emitter_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// T13: some receivers answer 200 to everything and say in the body whether it worked.
func TestT13TheAnswerOfAReceiverMayHaveToSayThatItSucceeded(t *testing.T) {
	when, err := differ.ParseCondition("ok == true")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		status int
		body   string
		class  emitter.Class
		says   string
	}{
		"it did":        {200, `{"ok":true}`, emitter.Delivered, ""},
		"it did not":    {200, `{"ok":false}`, emitter.Failed, "does not hold"},
		"not JSON":      {200, `ok`, emitter.Failed, "not JSON"},
		"nothing":       {204, ``, emitter.Failed, "not JSON"},
		"endless":       {200, `{"ok":true,"x":"` + strings.Repeat("x", 1<<20) + `"}`, emitter.Failed, "too long"},
		"another error": {500, `{"ok":true}`, emitter.Failed, "500"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer server.Close()
			webhook := emitter.DefaultWebhook()
			webhook.Name, webhook.URL, webhook.SuccessWhen = "app", server.URL, when
			webhook.Secret = setting.SecretList{setting.NewSecret(secret)}
			transport := outbound.NewPoster(outbound.PostOptions{MaxInFlight: 1})
			defer transport.CloseIdleConnections()
			s, err := emitter.NewSender(emitter.SenderOptions{Webhook: webhook, Secrets: &setting.Secrets{}, Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			o := s.Send(t.Context(), delivery(1, "a"))
			if o.Class != tt.class || !strings.Contains(o.Error, tt.says) || (o.Class == emitter.Delivered) != (o.Error == "") {
				t.Errorf("%+v", o)
			}
			if o.Status == 200 && o.Class == emitter.Failed && o.Reason != emitter.ReasonAnswer {
				t.Errorf("reason %q", o.Reason)
			}
		})
	}
}
