package poller

import (
	"net/http"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/auth"
	"github.com/deltahook/deltahook/internal/setting"
)

// proving gives the transport for the origin: the one that proves who asks. Tokens and sessions are asked for over endpoint.
func (p *Poller) proving(base, endpoint http.RoundTripper) (http.RoundTripper, error) {
	if p.source.Auth.Kind == auth.KindNone {
		return base, nil
	}
	if p.source.Auth.Grant == auth.GrantRefresh && p.opts.Vault == nil {
		return unkept{}, nil
	}
	a, err := auth.New(&p.source.Auth, auth.Options{
		Origin: p.requests.target.URL, Secrets: p.opts.Secrets, Transport: endpoint, Timeout: p.source.Timeout.Std() + p.source.Retry.MaxWait.Std(),
		UserAgent: p.requests.agent, Keep: tokenKeeper{p.opts.Vault, p.source.Name}, Name: p.source.Name, Now: p.opts.Now, Expand: p.expandLogin,
	})
	if err != nil {
		return nil, err
	}
	return auth.Prove(a, base), nil
}

// unkept asks nothing: the server may replace a refresh token when it is used, and nobody would keep the new one.
type unkept struct{}

// RoundTrip fails.
func (unkept) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, &auth.Error{
		Reason: auth.ReasonKeeper, Message: "the refresh token is not used for a trial: the server may replace it, and only the daemon keeps the new one",
		Hint: "start deltahook run, and look with deltahook poll and deltahook events",
	}
}

// expandLogin fills the placeholders in a text of a login.
func (p *Poller) expandLogin(text string, e auth.Escape) (string, error) {
	t, err := loginText(text, e)
	if err != nil {
		return "", err
	}
	now := p.opts.Now()
	return t.render(values{now: now, scheduled: now, secrets: p.opts.Secrets})
}

// loginText reads a text of a login; its values are escaped for where it stands.
func loginText(text string, e auth.Escape) (template, error) {
	where := always(inPlain)
	switch e {
	case auth.EscapeNone:
	case auth.EscapeURL:
		query := strings.IndexByte(text, '?')
		where = func(offset int) place {
			if query >= 0 && offset > query {
				return inQuery
			}
			return inPath
		}
	case auth.EscapeHeader:
		where = always(inHeader)
	case auth.EscapeForm:
		where = always(inQuery)
	case auth.EscapeJSON:
		where = placesOfBody(text, "application/json")
	case auth.EscapeXML:
		where = always(inXML)
	}
	return parseTemplate(text, where)
}

// auth checks the table auth. Its own package knows what is valid; here is what depends on the rest of the source.
func (c *check) auth() {
	a := &c.s.Auth
	c.problems.Under("auth", a.Validate(c.secrets))
	for _, text := range a.Texts() {
		key := append([]string{"auth"}, text.Key...)
		t, err := loginText(text.Text, text.Escape)
		switch {
		case err != nil:
			c.add(setting.Hint(err), err.Error(), key...)
		case t.uses("page"):
			c.add("remove {page}", "a login has no pages", key...)
		case t.uses("key"), t.uses("record"), t.uses("partition"):
			c.add("remove it", "a login is for no record and no partition", key...)
		case t.uses("cursor"), t.uses("until"):
			c.add("remove it", "a login is for no part of a listing", key...)
		}
	}
	for header := range c.s.Headers {
		if slices.ContainsFunc(a.SetsHeaders(), func(name string) bool { return strings.EqualFold(name, header) }) {
			c.add("remove one of them", "auth and headers both set "+header, "headers", header)
		}
	}
}
