package emitter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/deltahook/deltahook/internal/setting"
)

// ownHeaders are set by the sender or belong to the connection.
func (w *Webhook) ownHeaders() []string {
	own := []string{
		headerID, headerTimestamp, headerSignature, headerAttempt, headerEvent, headerSequence,
		"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer",
	}
	if s, err := schemeOf(w.Sign, &w.Signature); err == nil && s != nil {
		for _, name := range s.headers() {
			own = append(own, strings.ToLower(name))
		}
	}
	return own
}

func (w *Webhook) validateHeaders(p *setting.Problems) {
	seen := map[string]string{}
	own, proofs := w.ownHeaders(), w.authHeaders()
	for _, name := range slices.Sorted(maps.Keys(w.Headers)) {
		lower := strings.ToLower(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			p.Add("use letters, digits and -", fmt.Sprintf("%q is not a header name", name), "headers", name)
		case slices.Contains(own, lower) || strings.HasPrefix(lower, "ce-") && w.Format == formatBinary:
			p.Add("remove it", fmt.Sprintf("the header %s is set by deltahook itself", name), "headers", name)
		case slices.Contains(proofs, lower):
			p.Add("remove one of them", "auth and headers both set "+name, "headers", name)
		case seen[lower] != "":
			p.Add("keep one of them", fmt.Sprintf("the header %s stands there twice, also as %s", name, seen[lower]), "headers", name)
		case strings.Contains(w.Headers[name], "{secret:"):
			p.Add(fmt.Sprintf(`write auth = { kind = "header", header = %q, token = "env:NAME" } instead`, name),
				fmt.Sprintf("headers of a webhook are sent as they stand: {secret:…} in %s is not replaced", name), "headers", name)
		case !httpguts.ValidHeaderFieldValue(w.Headers[name]):
			p.Add("remove line breaks and control characters", fmt.Sprintf("the value of the header %s cannot be sent", name), "headers", name)
		}
		seen[lower] = name
	}
}

func (w *Webhook) validateSecret(p *setting.Problems, secrets *setting.Secrets) {
	if !slices.Contains(SignStyles(), w.Sign) {
		return
	}
	s, err := schemeOf(w.Sign, &w.Signature)
	switch {
	case err != nil:
		return // the options were reported
	case s == nil:
		if len(w.Secret) > 0 {
			p.Warn(`remove it, or write sign = "standard"`, fmt.Sprintf("the secret is not used: sign = %q", w.Sign), "secret")
		}
		return
	case len(w.Secret) == 0:
		p.Add(`write secret = "env:NAME", and make its value with "deltahook secret`+styleFlag(w.Sign)+`"`, "the secret is missing", "secret")
	}
	w.warnOfStyle(p, s)
	now := time.Now()
	gone := 0
	for _, ref := range w.Secret {
		if expired(ref, now) {
			gone++
			p.Warn("remove it", fmt.Sprintf("the secret %s has expired: not_after = %q", ref, ref.NotAfter().Format(time.RFC3339)), "secret")
			continue
		}
		w.validateReference(p, secrets, s, ref)
	}
	if gone > 0 && gone == len(w.Secret) {
		p.Add("add the secret that follows it", "no secret is left that has not expired: nothing can be signed", "secret")
	}
}

func styleFlag(style string) string {
	if style == "standard" {
		return ""
	}
	return " --style " + style
}

// warnOfStyle says what a style cannot do.
func (w *Webhook) warnOfStyle(p *setting.Problems, s scheme) {
	if w.Sign == "github" || w.Sign == "shopify" {
		p.Warn(`write sign = "standard", if the receiver is your own`, fmt.Sprintf("sign = %q has no timestamp: a request can be replayed for ever", w.Sign), "sign")
	}
	if s.single() && len(w.Secret) > 1 {
		p.Warn("give the first one a not_after, after which the next one signs",
			fmt.Sprintf("sign = %q has room for one signature: the first secret that has not expired signs alone", w.Sign), "secret")
	}
}

func (w *Webhook) validateReference(p *setting.Problems, secrets *setting.Secrets, s scheme, ref setting.Secret) {
	if ref.IsLiteral() {
		p.Warn(`write "env:NAME", "file:/path" or "cred:NAME"`, "the secret itself stands in the configuration", "secret")
	}
	if !isPlain(ref.ID()) {
		p.Add(`write id = "2026-11"`, fmt.Sprintf("the id %q of a secret is not plain ASCII", ref.ID()), "secret")
	}
	if secrets == nil {
		return
	}
	value, err := secrets.Resolve(ref)
	if err == nil {
		var key keyMaterial
		if key, err = s.key(value); err == nil {
			err = key.canSign()
		}
		if err == nil && len(key.secret) > 0 && len(key.secret) < minKeyBytes {
			p.Warn(`make one with "deltahook secret`+styleFlag(w.Sign)+`"`, secretProblem(ref, fmt.Errorf("the secret is short: %d bytes", len(key.secret))), "secret")
		}
	}
	if err != nil {
		p.Add(setting.Hint(err), secretProblem(ref, err), "secret")
	}
}

// secretProblem names the reference, unless the message already does.
func secretProblem(ref setting.Secret, err error) string {
	if ref.IsLiteral() || strings.Contains(err.Error(), ref.String()) {
		return err.Error()
	}
	return ref.String() + ": " + err.Error()
}
