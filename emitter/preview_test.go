package emitter

import (
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

func TestAPreviewShowsTheRequestAndNothingThatCouldBeSent(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	w := DefaultWebhook()
	w.Name, w.URL, w.Secret = "app", "https://app.example.com/hooks?token=planted-in-query", setting.SecretList{setting.NewSecret(secret)}
	w.Headers = map[string]string{"X-Api-Key": "planted-in-header", "X-Team": "crm"}
	d, err := New(Options{Outbox: newFakeOutbox(), Webhooks: []Webhook{w}, Secrets: &setting.Secrets{}, Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := d.Preview(t.Context(), "app", Delivery{ID: "evt_1", Type: "contacts.updated", At: time.Now(), Body: []byte(`{}`), Attempts: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"POST https://app.example.com/hooks\n", "webhook-id: evt_1", "webhook-signature: v1,", "deltahook-attempt: 3", "X-Team: crm", "X-Api-Key: (hidden)"} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "webhook-signature: "); ok && len(value) > 24 {
			t.Errorf("a whole signature is shown: %s", value)
		}
	}
	if strings.Contains(text, "planted") || strings.Contains(text, secret) {
		t.Errorf("a secret is shown:\n%s", text)
	}
	if _, err := d.Preview(t.Context(), "nobody", Delivery{}); err == nil {
		t.Error("a webhook that there is not has a request")
	}
}
