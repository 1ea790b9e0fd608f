package outbound

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"
)

// PostOptions make the transport of one webhook.
type PostOptions struct {
	MaxInFlight int // attempts at the same time; so many connections are kept
	Egress      Egress
	// Proxy picks the proxy of a request, like http.ProxyFromEnvironment; nil: none. Behind a proxy Egress holds for the
	// address of the proxy only: it is the proxy that resolves and dials the receiver.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS is cloned; nil: the authorities of the system, TLS 1.2 and later.
	TLS *tls.Config
}

// NewPoster makes the connections over which one webhook gets its deliveries; they are shared with nobody. Used as a
// RoundTripper it follows no redirect. Answers are not decompressed, and there is no time limit: the context of a
// request bounds it, answer included.
func NewPoster(o PostOptions) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: o.Egress.control}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		config = o.TLS.Clone()
	}
	return &http.Transport{
		Proxy:                  o.Proxy,
		OnProxyConnectResponse: refusedTunnel,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    10 * time.Second,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConns:           max(o.MaxInFlight, 1),
		MaxIdleConnsPerHost:    max(o.MaxInFlight, 1),
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
