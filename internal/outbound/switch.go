package outbound

import "net/http"

// Unswitched gives a transport like base that no server can take a connection over with. Else the body of a 101 is the connection
// itself, where no time limit of the request counts any more: whoever reads it may wait for ever. We ask nobody to switch, so a 101 is
// an answer like another, and an empty one.
func Unswitched(base http.RoundTripper) http.RoundTripper { return unswitched{base} }

type unswitched struct{ base http.RoundTripper }

// RoundTrip sends the request.
func (u unswitched) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.base.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols {
		_ = resp.Body.Close()
		resp.Body, resp.ContentLength = http.NoBody, 0
	}
	return resp, err
}

// CloseIdleConnections closes those of base.
func (u unswitched) CloseIdleConnections() {
	if c, ok := u.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
