package emitter

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// NewTransport makes the connections of a webhook as its keys tls, proxy and egress say. A file that they need and that cannot be
// used is an error: nothing is sent with less proof or more trust than is configured.
func NewTransport(w *Webhook, secrets *setting.Secrets) (*http.Transport, error) {
	config, err := w.TLS.Config(secrets)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: tls: %w", w.Name, err)
	}
	egress, err := outbound.ParseEgress(w.Egress, w.EgressAllow)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", w.Name, err)
	}
	return outbound.NewPoster(outbound.PostOptions{
		MaxInFlight: w.MaxInFlight, Egress: egress, Proxy: w.Proxy.Func(secrets), TLS: config,
	}), nil
}

func (w *Webhook) validateTransport(p *setting.Problems, secrets *setting.Secrets) {
	p.Under("tls", w.TLS.Validate(secrets))
	p.Under("proxy", w.Proxy.Validate(secrets))
	if !w.TLS.IsZero() && strings.HasPrefix(w.URL, "http:") && !strings.HasPrefix(w.Auth.TokenURL, "https:") {
		p.Warn(`write url = "https://…", or remove tls`, "tls is set, but nothing is sent over https", "tls")
	}
	if _, err := outbound.ParseEgress(w.Egress, nil); err != nil {
		p.Add(setting.Hint(err), err.Error(), "egress")
		return
	}
	egress, err := outbound.ParseEgress(w.Egress, w.EgressAllow)
	if err != nil {
		p.Add(setting.Hint(err), err.Error(), "egress_allow")
		return
	}
	if u, err := url.Parse(w.URL); err == nil {
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && egress.Check(ip) != nil {
			p.Add(fmt.Sprintf("write egress_allow = [%q] if it is meant", ip), egress.Check(ip).Error(), "url")
		}
	}
	if len(w.EgressAllow) > 0 && w.Egress == outbound.AnyAddress {
		p.Warn("remove it", `egress_allow does nothing with egress = "any"`, "egress_allow")
	}
	if proxy := w.Proxy.String(); w.Egress == outbound.PublicOnly && proxy != "env" && proxy != "none" {
		p.Warn("let the proxy refuse private addresses, and allow its own address with egress_allow if it is private",
			"egress is checked for the address of the proxy only: it is the proxy that connects to the receiver", "egress")
	}
}
