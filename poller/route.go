package poller

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/deltahook/deltahook/internal/auth"
	"github.com/deltahook/deltahook/internal/outbound"
)

// ways are the transports of a source: to its origin, with a proof of who asks, and to hosts that the server named.
type ways struct{ home, elsewhere http.RoundTripper }

func (p *Poller) connect(transports *outbound.Transports) (w ways, err error) {
	route := outbound.Route{TLS: p.source.TLS, Proxy: p.source.Proxy, HTTPVersion: p.source.HTTPVersion}
	home, err := transports.Of(route)
	if err != nil {
		return w, err
	}
	endpoint := route
	if !strings.EqualFold(p.source.authHost(), p.requests.target.URL.Hostname()) {
		endpoint.TLS.ServerName = "" // it is the name of the server of url
	}
	tokens, err := transports.Of(endpoint)
	if err != nil {
		return w, err
	}
	route.TLS = route.TLS.Elsewhere()
	if w.elsewhere, err = transports.Of(route); err != nil {
		return w, err
	}
	w.home, err = p.proving(home, tokens)
	return w, err
}

// authHost gives the host that gives tokens or sessions; empty when there is none.
func (s *Source) authHost() string {
	address := s.Auth.TokenURL
	if address == "" {
		address = s.Auth.URL
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// transport checks how the server is reached.
func (c *check) transport() {
	s := c.s
	c.problems.Under("tls", s.TLS.Validate(c.secrets))
	c.problems.Under("proxy", s.Proxy.Validate(c.secrets))
	if !s.TLS.IsZero() && !strings.HasPrefix(s.URL, "https:") && !strings.HasPrefix(s.Auth.TokenURL, "https:") && !strings.HasPrefix(s.Auth.URL, "https:") {
		c.problems.Warn(`write url = "https://…", or remove tls`, "tls is set, but nothing is asked over https", "tls")
	}
	if s.HTTPVersion == "" {
		return
	}
	c.choice(s.HTTPVersion, []string{"1.1"}, "http_version")
	if s.Auth.Kind == auth.KindNTLM {
		c.problems.Warn("remove it", "ntlm speaks HTTP/1.1 anyway", "http_version")
	}
}
