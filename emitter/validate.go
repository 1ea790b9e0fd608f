package emitter

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// Validate reports everything that is wrong with the section, warnings included. Secrets are resolved, to see that they are
// set and strong enough; nil skips that.
func (w *Webhook) Validate(secrets *setting.Secrets) setting.Problems {
	var p setting.Problems
	w.validateURL(&p)
	oneOf(&p, "method", w.Method, "POST", "PUT", "PATCH")
	w.validateHeaders(&p)
	w.warnOfLiterals(&p, secrets)
	oneOf(&p, "sign", w.Sign, SignStyles()...)
	oneOf(&p, "format", w.Format, Formats()...)
	oneOf(&p, "order", w.Order, orderKey, orderSource, orderNone)
	oneOf(&p, "on_full", w.OnFull, "pause")
	w.validateFormat(&p)
	w.validateFilter(&p)
	w.Signature.validate(&p, w.Sign)
	w.validateSecret(&p, secrets)
	w.validateTransport(&p, secrets)
	w.Auth.validate(&p, secrets)
	w.Handshake.validate(&p)
	w.validateFlow(&p)
	w.validateCoalesce(&p)
	w.validateBatch(&p)
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
	if err := outbound.Misprint(w.URL); err != nil {
		p.Add(setting.Hint(err), err.Error(), "url")
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
	case u.User != nil:
		p.Add(`remove it; a signature tells the receiver who sends`, "the url has a user name or password in it", "url")
	case !outbound.ValidPort(u):
		p.Add("write one from 1 to 65535, or none", fmt.Sprintf("the port %s is none", u.Port()), "url")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		p.Warn("use https://", "the url is plain http: records travel readable over the network", "url")
	}
}

// warnOfLiterals warns of secrets that stand in the configuration itself: the url and the headers are sent as they stand, without
// placeholders.
func (w *Webhook) warnOfLiterals(p *setting.Problems, secrets *setting.Secrets) {
	l := setting.Literals{Problems: p, Secrets: secrets, Hint: `write auth = { kind = "bearer", token = "env:NAME" }, or kind = "header" or "basic"`}
	l.OfQuery(w.URL, "url")
	headers := maps.Clone(w.Headers)
	maps.DeleteFunc(headers, func(name, _ string) bool { // what is wrong has to go anyway
		return slices.ContainsFunc(*p, func(one setting.Problem) bool { return slices.Equal(one.Key, []string{"headers", name}) })
	})
	l.Of("headers", headers)
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
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
	if math.IsNaN(r.Jitter) || r.Jitter < 0 || r.Jitter > 1 {
		p.Add("write jitter = 0.2", fmt.Sprintf("the jitter %v is not between 0 and 1", r.Jitter), "retry", "jitter")
	}
	if r.GiveUpAfter <= 0 {
		p.Add(`write give_up_after = "72h"`, "give_up_after is zero: the first failure would park the event", "retry", "give_up_after")
	}
}
