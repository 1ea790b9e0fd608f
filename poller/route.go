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

func (p *Poller) connect(net *network) (w ways, err error) {
	route := outbound.Route{TLS: p.source.TLS, Proxy: p.source.Proxy, HTTPVersion: p.source.HTTPVersion}
	endpoint, elsewhere := route, route
	if !strings.EqualFold(p.source.authHost(), p.requests.target.URL.Hostname()) {
		endpoint.TLS.ServerName = "" // it is the name of the server of url
	}
	elsewhere.TLS = route.TLS.Elsewhere()
	var gates [3]*outbound.Gate
	var gate *outbound.Gate
	for i, r := range [...]outbound.Route{route, endpoint, elsewhere} {
		transport, err := net.transports.Of(r)
		if err != nil {
			return w, err
		}
		if gate == nil || transport != p.transports[len(p.transports)-1] { // mostly they are the same
			p.transports = append(p.transports, transport)
			gate = net.hosts.Gate(transport, outbound.GateOptions{
				Timeout: p.source.Timeout.Std(), MaxBody: int64(p.source.Response.MaxBody), Retry: p.source.patience(), Now: p.opts.Now,
			})
		}
		gates[i] = gate
	}
	w.elsewhere = gates[2]
	w.home, err = p.proving(gates[0], gates[1])
	return w, err
}

// patience gives the table retry as the client needs it.
func (s *Source) patience() outbound.Retry {
	return outbound.Retry{
		Attempts: s.Retry.Attempts, Base: s.Retry.Base.Std(), Max: s.Retry.Max.Std(), MaxWait: s.Retry.MaxWait.Std(), On: s.Retry.On,
	}
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
