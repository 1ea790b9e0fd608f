package interop

import (
	"io"
	"net/http"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/dunglas/httpsfv"
	"github.com/slack-go/slack"
	svix "github.com/svix/svix-webhooks/go"
)

// header gives the headers as a server of Go has them.
func (s *sent) header() http.Header {
	h := http.Header{}
	for name, value := range s.Headers {
		h.Set(name, value)
	}
	return h
}

func TestTheSvixLibraryOfGoAcceptsWhatIsSent(t *testing.T) {
	for _, style := range []string{"standard", "svix"} {
		s := signed(t, style, true, asIs)
		w, err := svix.NewWebhook(s.Secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Verify([]byte(s.Body), s.header()); err != nil {
			t.Errorf("%s: %v", style, err)
		}
		if err := w.Verify([]byte(s.Body+" "), s.header()); err == nil {
			t.Errorf("%s: the library accepts everything", style)
		}
	}
}

func TestTheSlackLibraryOfGoAcceptsWhatIsSent(t *testing.T) {
	s := signed(t, "slack", false, asIs)
	for body, good := range map[string]bool{s.Body: true, s.Body + " ": false} {
		v, err := slack.NewSecretsVerifier(s.header(), s.Secret)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(&v, body)
		if err := v.Ensure(); (err == nil) != good {
			t.Errorf("good %v: %v", good, err)
		}
	}
}

// received makes the request that a server of Go would have.
func (s *sent) received(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), s.Method, s.URL, strings.NewReader(s.Body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = s.header()
	return r
}

func TestTheCloudEventsLibraryOfGoReadsWhatIsSent(t *testing.T) {
	for format, subject := range map[string]string{
		"cloudevents":        oddKey,
		"cloudevents-binary": "4%227%25%20%C3%BC", // like the one of JavaScript it leaves the headers encoded, against section 3.1.3.2 of the binding
	} {
		s := signedOf(t, oddKey, "standard", false, formatOf(format))
		e, err := cloudevents.NewEventFromHTTPRequest(s.received(t))
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if err := e.Validate(); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if e.ID() != s.Event["id"] || e.Source() != s.Event["source"] || e.Type() != s.Event["type"] || e.Subject() != subject {
			t.Errorf("%s: %s", format, e)
		}
		if e.Extensions()["sequence"] != s.Event["sequence"] || !strings.Contains(string(e.Data()), record) {
			t.Errorf("%s: extensions %v, data %s", format, e.Extensions(), e.Data())
		}
	}
}

func TestTheCloudEventsLibraryOfGoReadsABatch(t *testing.T) {
	s := signedOf(t, oddKey, "standard", false, formatOf("cloudevents-batch"))
	list, err := cloudevents.NewEventsFromHTTPRequest(s.received(t))
	if err != nil || len(list) != 1 {
		t.Fatalf("%d events, %v", len(list), err)
	}
	e := list[0]
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if e.ID() != s.Event["id"] || e.Type() != s.Event["type"] || e.Subject() != oddKey || !strings.Contains(string(e.Data()), record) {
		t.Errorf("event %s", e)
	}
}

func TestTheHeadersOfMessageSignaturesAreStructuredFields(t *testing.T) {
	s := signed(t, "rfc9421", true, asIs)
	h := s.header()
	labels := map[string]int{}
	for _, name := range []string{"Content-Digest", "Signature-Input", "Signature"} {
		d, err := httpsfv.UnmarshalDictionary(h.Values(name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, label := range d.Names() {
			labels[label]++
		}
		if text, err := httpsfv.Marshal(d); err != nil || text != h.Get(name) {
			t.Errorf("%s is not in its canonical form: %s, %v", h.Get(name), text, err)
		}
	}
	if labels["sig"] != 2 || labels["sig2"] != 2 || labels["sha-256"] != 1 {
		t.Errorf("labels %v", labels)
	}
}
