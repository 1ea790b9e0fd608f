package emitter

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// shownRequest bounds what is kept of a request for people.
const shownRequest = 2 << 10

// shownSignature is how much of a signature is kept: enough to compare, too little to send again.
const shownSignature = 16

// hiddenValue stands for the value of a header that carries a secret.
const hiddenValue = "(hidden)"

// sent adds to the outcome of a failed attempt what was sent, so that a person sees what the receiver refused.
func (s *Sender) sent(req *http.Request, o Outcome) Outcome {
	if o.Class != Delivered && o.Class != Aborted && o.Class != Withheld && req != nil {
		o.Request = s.secrets.Redact(s.show(req))
	}
	return o
}

// show writes the request line, without the query, and the headers as lines. Neither the body nor what authenticates is
// in it.
func (s *Sender) show(req *http.Request) string {
	proof, signatures := s.webhook.authHeaders(), s.signatureHeaders()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s://%s%s", req.Method, req.URL.Scheme, req.Host, req.URL.EscapedPath())
	for _, name := range slices.Sorted(maps.Keys(req.Header)) {
		for _, value := range req.Header[name] {
			if slices.Contains(proof, strings.ToLower(name)) {
				value = hiddenValue
			}
			if slices.Contains(signatures, strings.ToLower(name)) && len(value) > shownSignature {
				value = value[:shownSignature] + "…"
			}
			fmt.Fprintf(&b, "\n%s: %s", name, shownValue(name, value))
		}
	}
	text := strings.ToValidUTF8(b.String(), "\uFFFD")
	if len(text) > shownRequest {
		text = strings.ToValidUTF8(text[:shownRequest], "") + "…"
	}
	return text
}

// signatureHeaders are those that carry a signature whatever they are called, in lower case: a style can name its own.
func (s *Sender) signatureHeaders() []string {
	scheme, err := schemeOf(s.webhook.Sign, &s.webhook.Signature)
	l, ok := scheme.(*layout)
	if err != nil || !ok {
		return nil
	}
	return []string{strings.ToLower(l.header)}
}

func shownValue(name, value string) string {
	lower := strings.ToLower(name)
	switch {
	case lower == "signature-input":
		return value
	case strings.Contains(lower, "signature") || strings.Contains(lower, "hmac"):
		if len(value) > shownSignature {
			return value[:shownSignature] + "…"
		}
		return value
	case carriesSecret(name):
		return hiddenValue
	}
	return value
}
