package emitter

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/deltahook/deltahook/internal/setting"
)

// Validate reports everything that is wrong with the section, warnings included. Secrets are resolved, to see that they are
// set and strong enough; nil skips that.
func (w *Webhook) Validate(secrets *setting.Secrets) setting.Problems {
	var p setting.Problems
	w.validateURL(&p)
	oneOf(&p, "method", w.Method, "POST", "PUT", "PATCH")
	w.validateHeaders(&p)
	oneOf(&p, "sign", w.Sign, slices.Sorted(maps.Keys(signStyles()))...)
	oneOf(&p, "format", w.Format, slices.Sorted(maps.Keys(formats()))...)
	oneOf(&p, "order", w.Order, orderKey, orderSource, orderNone)
	oneOf(&p, "on_full", w.OnFull, "pause")
	w.validateEvents(&p)
	w.validateSecret(&p, secrets)
	w.validateFlow(&p)
	return p
}

func oneOf(p *setting.Problems, key, value string, valid ...string) {
	if slices.Contains(valid, value) {
		return
	}
	hint := fmt.Sprintf("write %q", valid[0])
	if len(valid) > 1 {
		hint = `write one of "` + strings.Join(valid, `", "`) + `"`
	}
	p.Add(hint, fmt.Sprintf("unknown %s %q", key, value), key)
}

func (w *Webhook) validateURL(p *setting.Problems) {
	const example = `write url = "https://app.example.com/hooks"`
	if w.URL == "" {
		p.Add(example, "the url is missing", "url")
		return
	}
	u, err := url.Parse(w.URL)
	switch {
	case err != nil:
		p.Add(example, "the url cannot be parsed", "url")
	case u.Scheme != "http" && u.Scheme != "https":
		p.Add(example, fmt.Sprintf("the url has the scheme %q; webhooks go to http or https", u.Scheme), "url")
	case u.Hostname() == "":
		p.Add(example, "the url has no host", "url")
	case u.Fragment != "":
		p.Add("remove the part from # on", "the url has a fragment, which is never sent", "url")
	case u.User != nil:
		p.Add(`remove it; a signature tells the receiver who sends`, "the url has a user name or password in it", "url")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		p.Warn("use https://", "the url is plain http: records travel readable over the network", "url")
	}
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// ownHeaders are set by the sender or belong to the connection.
func ownHeaders() []string {
	return []string{
		headerID, headerTimestamp, headerSignature, headerAttempt,
		"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer",
	}
}

func (w *Webhook) validateHeaders(p *setting.Problems) {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(w.Headers)) {
		lower := strings.ToLower(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			p.Add("use letters, digits and -", fmt.Sprintf("%q is not a header name", name), "headers", name)
		case slices.Contains(ownHeaders(), lower):
			p.Add("remove it", fmt.Sprintf("the header %s is set by deltahook itself", name), "headers", name)
		case seen[lower] != "":
			p.Add("keep one of them", fmt.Sprintf("the header %s stands there twice, also as %s", name, seen[lower]), "headers", name)
		case !httpguts.ValidHeaderFieldValue(w.Headers[name]):
			p.Add("remove line breaks and control characters", fmt.Sprintf("the value of the header %s cannot be sent", name), "headers", name)
		}
		seen[lower] = name
	}
}

func (w *Webhook) validateEvents(p *setting.Problems) {
	for _, glob := range w.Events {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			p.Add(`write event types like "contacts.created" or "*.deleted"`, fmt.Sprintf("%q is not a pattern of event types", glob), "events")
		}
	}
}

func (w *Webhook) validateSecret(p *setting.Problems, secrets *setting.Secrets) {
	style, ok := signStyles()[w.Sign]
	if !ok {
		return
	}
	if style.secret == nil {
		if len(w.Secret) > 0 {
			p.Warn(`remove it, or write sign = "standard"`, fmt.Sprintf("the secret is not used: sign = %q", w.Sign), "secret")
		}
		return
	}
	if len(w.Secret) == 0 {
		p.Add(`write secret = "env:NAME", and make its value with "deltahook secret"`, "the secret is missing", "secret")
	}
	for _, ref := range w.Secret {
		if ref.IsLiteral() {
			p.Warn(`write "env:NAME", "file:/path" or "cred:NAME"`, "the secret itself stands in the configuration", "secret")
		}
		if secrets == nil {
			continue
		}
		value, err := secrets.Resolve(ref)
		if err == nil {
			_, err = style.secret(value)
		}
		if err != nil {
			p.Add(setting.Hint(err), secretProblem(ref, err), "secret")
		}
	}
}

// secretProblem names the reference, unless the message already does.
func secretProblem(ref setting.Secret, err error) string {
	if ref.IsLiteral() || strings.Contains(err.Error(), ref.String()) {
		return err.Error()
	}
	return ref.String() + ": " + err.Error()
}

func (w *Webhook) validateFlow(p *setting.Problems) {
	if w.MaxInFlight < 1 {
		p.Add("write max_in_flight = 8", fmt.Sprintf("max_in_flight = %d sends nothing", w.MaxInFlight), "max_in_flight")
	}
	if w.Timeout <= 0 {
		p.Add(`write timeout = "15s"`, "the timeout is zero", "timeout")
	}
	if w.MaxQueue < 1 {
		p.Add("write max_queue = 1000000", fmt.Sprintf("max_queue = %d holds nothing", w.MaxQueue), "max_queue")
	}
	w.Retry.validate(p)
}

func (r *Retry) validate(p *setting.Problems) {
	if len(r.Schedule) == 0 {
		p.Add(`write schedule = ["0s", "5s", "30s", "5m"]`, "the schedule is empty", "retry", "schedule")
	} else if last := r.Schedule[len(r.Schedule)-1].Std(); last < time.Second {
		p.Add(`end it with a longer wait, like "10h"`, fmt.Sprintf("the last wait of the schedule, %s, repeats for ever; it must be at least 1s", last), "retry", "schedule")
	}
	if r.Jitter < 0 || r.Jitter > 1 {
		p.Add("write jitter = 0.2", fmt.Sprintf("the jitter %v is not between 0 and 1", r.Jitter), "retry", "jitter")
	}
	if r.GiveUpAfter <= 0 {
		p.Add(`write give_up_after = "72h"`, "give_up_after is zero: the first failure would park the event", "retry", "give_up_after")
	}
}
