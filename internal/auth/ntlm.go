package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	ntlmssp "github.com/Azure/go-ntlmssp"

	"github.com/deltahook/deltahook/internal/outbound"
)

// negotiator answers the challenges of NTLM. The proof belongs to a connection, not to a request, so each request has a connection
// for itself while it runs, and the steps of a handshake cannot be mixed with other requests.
type negotiator struct {
	*fixed
	username string
	base     http.RoundTripper // what strangers are asked over
	wire     *http.Transport
	gate     *outbound.Gate // before wire; nil: there is none

	mu   sync.Mutex
	idle []*lane
}

// lane is a transport that keeps one connection at most.
type lane struct {
	http.RoundTripper

	wire *http.Transport
}

func ntlmTransport(username string) func(*fixed, http.RoundTripper) http.RoundTripper {
	return func(f *fixed, base http.RoundTripper) http.RoundTripper {
		n := &negotiator{fixed: f, username: username, base: base}
		var ok bool
		if n.gate, ok = base.(*outbound.Gate); ok {
			base = n.gate.Base()
		}
		if n.wire, ok = base.(*http.Transport); !ok {
			return unable{fmt.Errorf("auth: ntlm needs an *http.Transport, not a %T", base)}
		}
		return n
	}
}

// unable fails each request.
type unable struct{ err error }

// RoundTrip fails.
func (u unable) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return nil, u.err
}

// RoundTrip sends the request over a connection that has proved who asks, or does so first.
func (n *negotiator) RoundTrip(req *http.Request) (*http.Response, error) {
	if !n.owns(req) {
		return n.base.RoundTrip(req)
	}
	body, err := n.open(req)
	if err != nil {
		return nil, err
	}
	l := n.lane()
	resp, err := n.exchange(l, req, body)
	if err != nil {
		n.release(l)
		return nil, err
	}
	resp.Body = &lanedBody{ReadCloser: resp.Body, release: sync.OnceFunc(func() { n.release(l) })}
	return resp, nil
}

// lanedBody gives the connection back when it is closed.
type lanedBody struct {
	io.ReadCloser

	release func()
}

func (b *lanedBody) Close() error {
	err := b.ReadCloser.Close()
	b.release()
	return err
}

func (n *negotiator) lane() *lane {
	n.mu.Lock()
	defer n.mu.Unlock()
	if last := len(n.idle) - 1; last >= 0 {
		l := n.idle[last]
		n.idle = n.idle[:last]
		return l
	}
	wire := n.wire.Clone()
	wire.Protocols = new(http.Protocols)
	wire.Protocols.SetHTTP1(true) // HTTP/2 shares connections, and servers refuse NTLM over it
	wire.ForceAttemptHTTP2, wire.TLSNextProto = false, nil
	if wire.TLSClientConfig != nil {
		wire.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	wire.DisableKeepAlives = false
	wire.MaxConnsPerHost = 1
	if n.gate != nil {
		return &lane{RoundTripper: n.gate.With(wire), wire: wire}
	}
	return &lane{RoundTripper: wire, wire: wire}
}

func (n *negotiator) release(l *lane) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.idle = append(n.idle, l)
}

// CloseIdleConnections closes the connections that no request uses.
func (n *negotiator) CloseIdleConnections() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.idle {
		l.wire.CloseIdleConnections()
	}
	n.idle = nil
}

// exchange sends the request as it is, because the connection may have been through the handshake, and takes it through when it has not.
func (n *negotiator) exchange(l *lane, req *http.Request, body func() (io.ReadCloser, error)) (*http.Response, error) {
	resp, err := attempt(l, req, body, "")
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	scheme := ""
	for _, c := range challenges(resp.Header) {
		if c.scheme == "ntlm" || c.scheme == "negotiate" && scheme == "" {
			scheme = map[string]string{"ntlm": "NTLM", "negotiate": "Negotiate"}[c.scheme]
		}
	}
	if scheme == "" {
		return resp, nil
	}
	drain(resp)
	values, err := n.values(n.secrets.Resolve)
	if err != nil {
		return nil, secretError(err)
	}
	return n.handshake(l, req, body, scheme, values[0])
}

// handshake has two steps: NEGOTIATE is answered with CHALLENGE, and AUTHENTICATE goes with the request itself, on the same connection.
func (n *negotiator) handshake(l *lane, req *http.Request, body func() (io.ReadCloser, error), scheme, password string) (*http.Response, error) {
	hello, err := ntlmssp.NewNegotiateMessage("", "")
	if err != nil {
		return nil, n.broken(err)
	}
	resp, err := attempt(l, req, nil, scheme+" "+base64.StdEncoding.EncodeToString(hello))
	if err != nil {
		return nil, err
	}
	question := ""
	for _, c := range challenges(resp.Header) {
		if c.token != "" && (c.scheme == "ntlm" || c.scheme == "negotiate") {
			question = c.token
		}
	}
	if resp.StatusCode != http.StatusUnauthorized || question == "" {
		drain(resp)
		return nil, n.broken(fmt.Errorf("its answer to the first step was %d without a challenge", resp.StatusCode))
	}
	if ended := drain(resp); !ended || resp.Close {
		return nil, n.broken(errors.New("it closed the connection after the first step"))
	}
	raw, err := base64.StdEncoding.DecodeString(question)
	if err != nil {
		return nil, n.broken(errors.New("its challenge is not base64"))
	}
	proof, err := ntlmssp.NewAuthenticateMessage(raw, n.username, password, nil)
	if err != nil {
		return nil, n.broken(err)
	}
	return attempt(l, req, body, scheme+" "+base64.StdEncoding.EncodeToString(proof))
}

func (n *negotiator) broken(err error) error {
	return &Error{
		Reason: ReasonRefused, cause: err,
		Message: n.secrets.Redact(fmt.Sprintf("the NTLM handshake with %s failed: %s", n.host, err)),
		Hint:    "a proxy or load balancer in between must keep the connection; NTLMv1 and NTLM over HTTP/2 are not supported",
	}
}
