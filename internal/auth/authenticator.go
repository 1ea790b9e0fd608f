package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// Authenticator proves to one origin who asks. It is safe for concurrent use.
type Authenticator interface {
	// Authorize puts the proof on a request that is about to be sent, getting or renewing a token if need be. Call it for each
	// try, on a request that nobody else holds, once the body is set. The error is an *Error or that of ctx.
	Authorize(ctx context.Context, req *http.Request) (Proof, error)
	// Answered is told what a request that carried the proof brought. When the server did not accept it, a token or session is dropped and
	// renewed, and a secret is read again; again says that there is a new proof, so the request should be sent once more, and
	// once only. Otherwise the error, an *Error, says what to do; nil when it was no refusal.
	Answered(ctx context.Context, p Proof, a Answer) (again bool, err error)
	// Peeks says whether Answered wants to see Answer.Head of an answer with these header fields; nil when there is none yet, and of any.
	Peeks(h http.Header) bool
	// Transport wraps the transport over which the requests are sent. For the kinds digest and ntlm it answers the challenges of the
	// origin; for all others it is base itself. For ntlm, base has to be an *http.Transport or an *outbound.Gate before one, which is
	// cloned: each handshake has a connection of its own, in HTTP/1.1.
	Transport(base http.RoundTripper) http.RoundTripper
}

// Proof tells apart the credentials that an Authenticator had over time. The zero value is none of them.
type Proof struct{ serial uint64 }

// Answer is what Answered looks at.
type Answer struct {
	Status int
	Header http.Header
	// Limited says that it is about how much was asked and not about who asks, by the rules of the host.
	Limited bool
	Head    []byte // the whole body, as it was sent; nil when it is longer than MaxHead or not known. See Peek.
}

// TokenKeeper keeps what must survive a restart: a refresh token that replaced the configured one.
type TokenKeeper interface {
	// LoadToken gives what was saved last; nil when nothing was.
	LoadToken(ctx context.Context) ([]byte, error)
	// SaveToken replaces old, which LoadToken gave, and returns when the data is durable. ErrMoved says that something else is there;
	// after another error the data may be there.
	SaveToken(ctx context.Context, old, data []byte) error
}

// ErrMoved says that somebody else has saved a token meanwhile.
var ErrMoved = errors.New("another token was saved meanwhile")

// Escape says where a text stands and so how the values of its placeholders are escaped.
type Escape uint8

// The places of a text with placeholders.
const (
	EscapeNone   Escape = iota
	EscapeURL           // path segments, and query values after the ?
	EscapeHeader        // control characters are an error
	EscapeForm
	EscapeJSON // inside and outside of strings
	EscapeXML
)

// Options make an Authenticator. Origin and Secrets are required.
type Options struct {
	Origin  *url.URL // whose scheme, host and port may see the credentials
	Secrets *setting.Secrets
	// Transport sends the requests for tokens and logins; required for oauth2 and login.
	Transport http.RoundTripper
	Timeout   time.Duration // of one such request, answer included; 0: 30 s
	UserAgent string        // of such requests; empty: "deltahook"
	// Keep keeps the rotated refresh token of the one who is called Name; both are required for the grant refresh_token.
	Keep TokenKeeper
	Name string
	// Expand fills the placeholders in the texts of a login; required for it.
	Expand func(text string, e Escape) (string, error)
	Now    func() time.Time // nil: time.Now
}

// New makes an Authenticator of a valid table. The error says which option is missing or which value is wrong.
func New(c *Config, o Options) (Authenticator, error) {
	if o.Origin == nil || o.Secrets == nil {
		return nil, errors.New("auth: Origin and Secrets are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	o.UserAgent = or(o.UserAgent, "deltahook")
	switch c.Kind {
	case KindNone, "":
		return nobody{}, nil
	case KindOAuth2:
		return newOAuth2(c, o)
	case KindLogin:
		return newLogin(c, o)
	}
	return newFixed(c, o)
}

// nobody proves nothing.
type nobody struct{}

// Authorize does nothing.
func (nobody) Authorize(context.Context, *http.Request) (Proof, error) { return Proof{}, nil }

// Answered never has anything to say.
func (nobody) Answered(context.Context, Proof, Answer) (bool, error) { return false, nil }

// Peeks says no.
func (nobody) Peeks(http.Header) bool { return false }

// Transport gives base.
func (nobody) Transport(base http.RoundTripper) http.RoundTripper { return base }

// bound keeps credentials at their origin.
type bound struct {
	origin string
	host   string // for people
}

func bind(origin *url.URL) bound {
	return bound{origin: outbound.Target{URL: origin}.Origin(), host: host(origin)}
}

// owns says whether the request goes to the origin.
func (b bound) owns(req *http.Request) bool {
	return outbound.Target{URL: req.URL}.Origin() == b.origin
}

func (b bound) check(req *http.Request) error {
	if b.owns(req) {
		return nil
	}
	return &Error{
		Reason:  ReasonOrigin,
		Message: fmt.Sprintf("refused to show the credentials of %s to %s", b.host, host(req.URL)),
	}
}

// host gives host and port for people; of a socket, its path.
func host(u *url.URL) string {
	shown := outbound.Display(&url.URL{Scheme: u.Scheme, Host: u.Host})
	if u.Scheme != "" && len(shown) > len(u.Scheme)+3 && shown[:len(u.Scheme)] == u.Scheme {
		return shown[len(u.Scheme)+3:]
	}
	return shown
}
