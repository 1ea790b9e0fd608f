package emitter

import (
	"bytes"
	"net/http"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// acceptor is a receiver without a network.
type acceptor struct{ answer http.Response }

// RoundTrip answers with success.
func (a *acceptor) RoundTrip(*http.Request) (*http.Response, error) { return &a.answer, nil }

// BenchmarkAttempt is what an attempt at a signed event of 1 KiB costs beside its request.
func BenchmarkAttempt(b *testing.B) {
	w := DefaultWebhook()
	w.Name, w.URL, w.Secret = "app", "https://example.com/hook", setting.SecretList{setting.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
	receiver := &acceptor{http.Response{
		StatusCode: http.StatusNoContent, Body: http.NoBody, Header: http.Header{"Date": {time.Now().UTC().Format(http.TimeFormat)}},
	}}
	s, err := NewSender(SenderOptions{Webhook: w, Secrets: &setting.Secrets{}, Transport: receiver, Version: "1.0"})
	if err != nil {
		b.Fatal(err)
	}
	d := Delivery{ID: "evt_2gN4kYqVZbKXbT4Q", Type: "thing.updated", Body: bytes.Repeat([]byte("x"), 1<<10)}
	within := &span{parent: b.Context()}
	defer within.close()
	b.ReportAllocs()
	for b.Loop() {
		if o := s.send(within, d); o.Class != Delivered {
			b.Fatal(o.Error)
		}
	}
}
