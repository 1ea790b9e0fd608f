package outbound

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// Route is what the connections to a server depend on. Sources with equal routes share a transport.
type Route struct {
	TLS         TLS
	Proxy       Proxy
	HTTPVersion string // "1.1"; empty: 2 where the server has it
}

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Transports makes the connections of all polling clients of a process: one transport for each route. Hosts do not share
// connections, so sources of different hosts do not wait for each other. It is safe for concurrent use.
type Transports struct {
	// Dial replaces the network for whoever embeds deltahook; nil: the network. It is set before the first use.
	Dial Dial

	secrets *setting.Secrets

	mu   sync.Mutex
	made map[transportKey]*http.Transport
}

// transportKey has the text of the authorities, too: after a reload it may be another one in the same file.
type transportKey struct {
	route Route
	ca    string
}

// NewTransports makes a place for transports. Nil secrets resolve files and literals only.
func NewTransports(secrets *setting.Secrets) *Transports {
	if secrets == nil {
		secrets = &setting.Secrets{}
	}
	return &Transports{secrets: secrets, made: map[transportKey]*http.Transport{}}
}

// Of gives the transport of a route. The error says which file cannot be used.
func (p *Transports) Of(r Route) (*http.Transport, error) {
	key := transportKey{route: r}
	if r.TLS.CA != "" {
		var err error
		if key.ca, err = p.secrets.Text(r.TLS.CA); err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t, ok := p.made[key]; ok {
		return t, nil
	}
	config, err := r.TLS.Config(p.secrets)
	if err != nil {
		return nil, err
	}
	t := newTransport(config, r.Proxy.Func(p.secrets), r.HTTPVersion)
	if p.Dial != nil {
		t.DialContext = p.Dial
	}
	p.made[key] = t
	return t, nil
}

// Keep forgets the transports that are not named; their connections are closed, or will be once they are idle.
func (p *Transports) Keep(used map[*http.Transport]struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, t := range p.made {
		if _, ok := used[t]; !ok {
			delete(p.made, key)
			t.CloseIdleConnections()
		}
	}
}

// CloseIdleConnections closes what no request uses.
func (p *Transports) CloseIdleConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.made {
		t.CloseIdleConnections()
	}
}

func newTransport(config *tls.Config, proxy func(*http.Request) (*url.URL, error), version string) *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy:                  proxy,
		OnProxyConnectResponse: refusedTunnel,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			if socket, ok := socketPath(host); ok {
				return dialer.DialContext(ctx, "unix", socket)
			}
			return dialer.DialContext(ctx, network, address)
		},
		TLSClientConfig:        config,
		DisableCompression:     true, // the gate asks for more codings than net/http knows
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    15 * time.Second,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
	if version == "1.1" {
		t.ForceAttemptHTTP2 = false
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
	}
	return t
}

// NewTransport gives a transport for the route of a source that says nothing: trust as the system does, the proxy of the
// environment.
func NewTransport() *http.Transport {
	return newTransport(&tls.Config{MinVersion: tls.VersionTLS12}, Proxy{}.Func(&setting.Secrets{}), "")
}
