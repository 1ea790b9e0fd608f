package outbound

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"
)

// NewTransport makes the connections of all polling clients of a process. Hosts do not share connections, so sources of
// different hosts do not wait for each other; the proxy is that of the environment.
func NewTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if _, ok := socketPath(r.URL.Hostname()); ok {
				return nil, nil //nolint:nilnil // the contract of Proxy: no URL means no proxy
			}
			return http.ProxyFromEnvironment(r)
		},
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
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    15 * time.Second,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
}
