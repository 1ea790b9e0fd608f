package auth

import (
	"io"
	"net/http"

	"github.com/deltahook/deltahook/internal/outbound"
)

// Prove gives the transport for requests to the origin of a: it puts the proof on each of them, tells what came back, and
// sends a request once more when that brought a new proof. A request with a body needs GetBody for that.
func Prove(a Authenticator, base http.RoundTripper) http.RoundTripper {
	return &prover{a: a, base: a.Transport(base)}
}

type prover struct {
	a    Authenticator
	base http.RoundTripper
}

// RoundTrip sends one request, or twice when the first proof had run out.
func (p *prover) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, again, err := p.try(req)
	if err != nil || !again {
		return resp, err
	}
	// Reading the answer to its end keeps the connection; it is a short refusal.
	_, _ = io.CopyN(io.Discard, resp.Body, MaxHead)
	_ = resp.Body.Close()
	second, err := rewound(req)
	if err != nil {
		return nil, err
	}
	resp, _, err = p.try(second)
	return resp, err
}

func (p *prover) try(req *http.Request) (resp *http.Response, again bool, err error) {
	out := req.Clone(req.Context())
	if p.a.Peeks(nil) {
		out.Header.Set("Accept-Encoding", "identity") // what is looked into must not be compressed
	}
	proof, err := p.a.Authorize(req.Context(), out)
	if err != nil {
		return nil, false, err
	}
	resp, err = p.base.RoundTrip(out)
	if err != nil {
		return nil, false, err
	}
	answer := Answer{Status: resp.StatusCode, Header: resp.Header, Limited: outbound.WasRefused(req.Context())}
	if p.a.Peeks(resp.Header) {
		head, all := Peek(resp.Body)
		answer.Head = head
		resp.Body = peeked{Reader: all, Closer: resp.Body}
	}
	again, err = p.a.Answered(req.Context(), proof, answer)
	if err != nil {
		_ = resp.Body.Close()
		return nil, false, err
	}
	return resp, again, nil
}

type peeked struct {
	io.Reader
	io.Closer
}

func rewound(req *http.Request) (*http.Request, error) {
	out := req.Clone(req.Context())
	if req.GetBody == nil {
		return out, nil
	}
	body, err := req.GetBody()
	out.Body = body
	return out, err
}
