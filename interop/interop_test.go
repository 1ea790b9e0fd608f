// Package interop checks what a Sender really sends with the libraries that receivers use. It is a module of its own, so that
// deltahook does not depend on any of them: run it with "make interop".
package interop

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// sent is one request as it arrived, and what is needed to check it.
type sent struct {
	Name      string            `json:"name"`
	Libraries []string          `json:"libraries"`
	Method    string            `json:"method"`
	URL       string            `json:"url"`
	Headers   map[string]string `json:"headers"`
	Body      string            `json:"body"`
	Secret    string            `json:"secret"`
	Public    string            `json:"public,omitempty"`
	KeyID     string            `json:"keyid,omitempty"`
	Event     map[string]string `json:"event,omitempty"`

	refused map[string]string // by library: part of what it says when it is known not to take it
}

// record has what naive receivers get wrong.
const record = `{"id":9007199254740993,"p":1.10,"h":"<>&","u":"\u2028 ü €"}`

// oddKey has what the headers of CloudEvents must encode.
const oddKey = `4"7% ü`

func event(key string) *emitter.Event {
	return &emitter.Event{
		Source: "contacts", Type: "contacts", Sequence: 18233, At: time.Now(),
		Change: differ.Change{Kind: differ.Created, Key: key, Record: []byte(record)},
	}
}

// send sends one event to a receiver on a real socket, and gives what arrived there.
func send(t *testing.T, key string, edit func(*emitter.Webhook)) sent {
	t.Helper()
	var got sent
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = sent{Method: r.Method, URL: "http://" + r.Host + r.RequestURI, Headers: map[string]string{}, Body: string(body)}
		for name, values := range r.Header {
			got.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	w := emitter.DefaultWebhook()
	w.Name, w.URL = "app", server.URL+"/hooks?a=b"
	edit(&w)
	transport := outbound.NewPoster(outbound.PostOptions{MaxInFlight: 1})
	defer transport.CloseIdleConnections()
	s, err := emitter.NewSender(emitter.SenderOptions{Webhook: w, Secrets: &setting.Secrets{}, Transport: transport, Version: "1.0"})
	if err != nil {
		t.Fatal(err)
	}
	e := event(key)
	d := emitter.Delivery{
		ID: "evt_01K9ZB3V6ZJ8Q0X5R6T2M4N7PC", Source: e.Source, Key: e.Change.Key, Type: e.EventType(), Sequence: e.Sequence, At: e.At,
	}
	if d.Body = w.Encode(d.ID, e); d.Body == nil {
		d.Body = emitter.EncodeStandard(nil, e)
	}
	if o := s.Send(t.Context(), w.Alone(d)); o.Class != emitter.Delivered {
		t.Fatalf("not delivered: %+v", o)
	}
	got.Event = map[string]string{
		"id": d.ID, "source": "/sources/contacts", "type": "contacts.created", "subject": d.Key, "partitionkey": d.Key,
		"sequence": "00000000000000018233", "time": e.At.UTC().Format("2006-01-02T15:04:05.000Z"),
	}
	return got
}

// signed sends with a style and the secrets of a rotation: the receiver knows the second where the style has room for it.
func signed(t *testing.T, style string, several bool, edit func(*emitter.Webhook)) sent {
	t.Helper()
	return signedOf(t, oddKey, style, several, edit)
}

func signedOf(t *testing.T, key, style string, several bool, edit func(*emitter.Webhook)) sent {
	t.Helper()
	secret, public := generate(t, style)
	got := send(t, key, func(w *emitter.Webhook) {
		w.Sign = style
		if several {
			old, _ := generate(t, style)
			w.Secret = append(w.Secret, setting.NewSecret(old).With("old", time.Now().Add(time.Hour)))
		}
		w.Secret = append(w.Secret, setting.NewSecret(secret).With("new", time.Time{}))
		edit(w)
	})
	got.Name, got.Secret, got.Public, got.KeyID = style, secret, public, "new"
	return got
}

func generate(t *testing.T, style string) (secret, public string) {
	t.Helper()
	secret, public, err := emitter.GenerateSecretFor(style)
	if err != nil {
		t.Fatal(err)
	}
	return secret, public
}

func asIs(*emitter.Webhook) {}

func formatOf(format string) func(*emitter.Webhook) {
	return func(w *emitter.Webhook) { w.Format = format }
}

func requests(t *testing.T) []sent {
	t.Helper()
	with := func(s sent, libraries ...string) sent {
		s.Libraries = libraries
		return s
	}
	cloudEvent := func(format, key string) sent {
		s := signedOf(t, key, "standard", false, formatOf(format))
		s.Name = format + " of " + key
		return with(s, "cloudevents", "standardwebhooks")
	}
	batch := cloudEvent("cloudevents-batch", oddKey)
	// The protocol binding has receivers decode the headers (section 3.1.3.2), which this library does not.
	encoded := cloudEvent("cloudevents-binary", oddKey)
	encoded.refused = map[string]string{"cloudevents": `subject is "4%227%25%20%C3%BC"`}
	v1a := with(signed(t, "standard-ed25519", true, asIs), "ed25519 (documented)", "standardwebhooks", "svix")
	v1a.refused = map[string]string{"standardwebhooks": "", "svix": ""}
	svixOnly := with(signed(t, "svix", true, asIs), "svix", "standardwebhooks")
	svixOnly.refused = map[string]string{"standardwebhooks": "Missing required headers"}
	// Shopify's own library also wants to know the shop and the version of its API, which is what headers are for.
	shop := with(signed(t, "shopify", false, asIs), "shopify (documented)", "@shopify/shopify-api")
	shop.refused = map[string]string{"@shopify/shopify-api": "missing_headers: X-Shopify-Shop-Domain,X-Shopify-API-Version"}
	like := with(signed(t, "shopify", false, func(w *emitter.Webhook) {
		w.Headers = map[string]string{"X-Shopify-Shop-Domain": "acme.example.com", "X-Shopify-API-Version": "2026-10"}
	}), "@shopify/shopify-api")
	like.Name = "shopify with the headers of a shop"
	crypto, public := generate(t, "standard-ed25519")
	edwards := signed(t, "rfc9421", false, func(w *emitter.Webhook) {
		w.Signature.Alg, w.Secret = "ed25519", setting.SecretList{setting.NewSecret(crypto).With("new", time.Time{})}
	})
	edwards.Public, edwards.Name = public, "rfc9421 with ed25519"
	message := []string{"http-message-signatures", "http-message-sig", "structured-headers"}
	single := with(signed(t, "rfc9421", false, asIs), message...)
	several := with(signed(t, "rfc9421", true, asIs), message...)
	several.Name = "rfc9421, two labels"
	return []sent{
		with(signed(t, "standard", true, asIs), "standardwebhooks", "svix"), v1a, svixOnly,
		with(signed(t, "github", false, asIs), "@octokit/webhooks-methods"),
		with(signed(t, "stripe", true, asIs), "stripe"),
		with(signed(t, "slack", false, asIs), "slack (documented)", "@slack/events-api"), shop, like,
		single, several, with(edwards, message...),
		cloudEvent("cloudevents", oddKey), cloudEvent("cloudevents-binary", "4711"), encoded, batch,
	}
}

func TestTheLibrariesOfNodeAcceptWhatIsSent(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	if _, err := os.Stat("node/node_modules"); err != nil {
		t.Skip(`the libraries are not installed: run "npm ci" in interop/node, which needs the network`)
	}
	all := requests(t)
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "verify.mjs")
	cmd.Dir, cmd.Stdin = "node", bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	said := map[string]string{}
	for line := range bytes.Lines(out) {
		var r struct{ Name, Library, Error string }
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		said[r.Name+" / "+r.Library] = r.Error
	}
	for _, s := range all {
		for _, library := range s.Libraries {
			check(t, s, library, said)
		}
	}
}

func check(t *testing.T, s sent, library string, said map[string]string) {
	t.Helper()
	answer, there := said[s.Name+" / "+library]
	part, refused := s.refused[library]
	switch {
	case !there:
		t.Errorf("%s: %s said nothing", s.Name, library)
	case refused && (answer == "" || !strings.Contains(answer, part)):
		t.Errorf("%s: %s is known to refuse it, and says %q", s.Name, library, answer)
	case refused:
		t.Logf("%s: %s refuses, as is known: %s", s.Name, library, answer)
	case answer != "":
		t.Errorf("%s: %s refuses: %s", s.Name, library, answer)
	default:
		t.Logf("%s: %s accepts", s.Name, library)
	}
}

func TestTheStandardWebhooksLibraryOfGoAcceptsWhatIsSent(t *testing.T) {
	for _, style := range []string{"standard", "svix"} {
		s := signed(t, style, true, asIs)
		header := http.Header{}
		for name, value := range s.Headers {
			header.Set(strings.Replace(name, "svix-", "webhook-", 1), value)
		}
		w, err := standardwebhooks.NewWebhook(s.Secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Verify([]byte(s.Body), header); err != nil {
			t.Errorf("%s: %v", style, err)
		}
		if err := w.Verify([]byte(s.Body+" "), header); err == nil {
			t.Errorf("%s: the library accepts everything", style)
		}
	}
}

func TestTheStripeLibraryOfGoAcceptsWhatIsSent(t *testing.T) {
	s := signed(t, "stripe", true, asIs)
	if err := webhook.ValidatePayload([]byte(s.Body), s.Headers["stripe-signature"], s.Secret); err != nil {
		t.Error(err)
	}
	if err := webhook.ValidatePayload([]byte(s.Body+" "), s.Headers["stripe-signature"], s.Secret); err == nil {
		t.Error("the library accepts everything")
	}
}
