package outbound

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Options make a Client. Target and Transport are required.
type Options struct {
	Target    Target
	Transport http.RoundTripper // a *Gate: it is what waits, and what bounds time and size
	Home      http.RoundTripper // for requests to the target's origin, with credentials; nil: Transport
	Retry     Retry
	// Final says of an answer whose status is worth a retry, by the beginning of its body, that it is not; nil: never.
	Final        func(status int, h http.Header, head []byte) bool
	NoRedirects  bool                // answer with the redirect itself instead of following it inside the origin
	AllowedHosts []string            // may be asked too, without credentials: "host" or "host:port"
	Redact       func(string) string // takes secrets out of messages; nil: nothing
	Now          func() time.Time    // nil: time.Now
}

// Client asks one target, politely: it retries what is worth it, waits as long as the server asks within bounds, follows
// redirects inside the origin only and shows credentials to nobody else.
type Client struct{ opts Options }

// NewClient makes a client.
func NewClient(o Options) *Client {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
	return &Client{opts: o}
}

// retrying gives what sends requests. It is made for each: there may be very many clients, and most of them wait.
func (c *Client) retrying() *retryablehttp.Client {
	retry := &c.opts.Retry
	return &retryablehttp.Client{
		HTTPClient:   &http.Client{Transport: hop{c}, CheckRedirect: c.checkRedirect},
		RetryMax:     max(retry.Attempts, 1) - 1,
		RetryWaitMin: retry.Base,
		RetryWaitMax: retry.Max,
		CheckRetry:   c.checkRetry,
		Backoff:      c.backoff,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
}

// Request is one question to the target, or to a page that the target named.
type Request struct {
	Method string // empty: GET
	URL    *url.URL
	Header http.Header
	Body   []byte // sent to the origin only
	// Credentials (a Host header too) and SecretQuery are added on the way, to requests to the target's origin only; SecretQuery where the
	// URL does not have the parameter.
	Credentials http.Header
	SecretQuery url.Values
}

// Response is an answer. The caller closes Body.
type Response struct {
	Status   int
	Header   http.Header
	URL      *url.URL  // that answered, after redirects: what relative links refer to
	Length   int64     // announced by the server, of the encoded body; -1: not announced
	Date     time.Time // of the server's clock; zero when it does not say
	Attempts int
	// Endless says that nothing but the end of the connection ends the answer, as in HTTP/1.0: one that is cut off looks whole.
	Endless bool
	// Body is decompressed. Its errors are for people: too large, cut, timed out.
	Body io.ReadCloser
}

// Type gives the media type in lower case without its parameters; empty when the server does not say.
func (r *Response) Type() string {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind, _, _ = strings.Cut(r.Header.Get("Content-Type"), ";")
	}
	return strings.ToLower(strings.TrimSpace(kind))
}

// Do asks until there is an answer that is not worth a retry. An answer with any status is no error. Errors are *Error,
// *DeferredError when the server wants to be left alone for longer than Retry.MaxWait, or those of ctx.
func (c *Client) Do(ctx context.Context, r Request) (*Response, error) {
	trip := &trip{request: r}
	req, err := c.newRequest(context.WithValue(ctx, tripKey{}, trip), r)
	if err != nil {
		return nil, err
	}
	resp, err := c.retrying().Do(req)
	if err != nil {
		if resp != nil {
			_ = resp.Body.Close()
		}
		return nil, c.failure(ctx, trip, err)
	}
	if r := trip.refusal; r != nil && r.told {
		_ = resp.Body.Close()
		return nil, c.deferred(resp.StatusCode, r.wait, trip.attempts)
	}
	return c.response(resp, trip), nil
}

func (c *Client) newRequest(ctx context.Context, r Request) (*retryablehttp.Request, error) {
	if !c.Allows(r.URL) {
		return nil, &Error{Reason: "origin", Message: "refused to ask " + Display(r.URL) + ": it is outside the origin of url and allowed_hosts"}
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	if !c.home(r.URL) && (len(r.Body) > 0 || method != http.MethodGet) {
		return nil, &Error{Reason: "origin", Message: "refused to send a " + method + " to " + Display(r.URL) + ": only the origin of url may get one"}
	}
	var body any
	if len(r.Body) > 0 {
		body = bytes.NewReader(r.Body)
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, method, r.URL.String(), body)
	if err != nil {
		return nil, &Error{Reason: "request", Message: "the request cannot be built: " + c.opts.Redact(innermost(err).Error())}
	}
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	return req, nil
}

// home says whether u belongs to the configured origin.
func (c *Client) home(u *url.URL) bool { return originOf(u) == originOf(c.opts.Target.URL) }

// Allows says whether u may be asked at all: it belongs to the origin or to an allowed host.
func (c *Client) Allows(u *url.URL) bool {
	if c.home(u) {
		return true
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	if _, socket := socketPath(u.Hostname()); socket {
		return false
	}
	for _, host := range c.opts.AllowedHosts {
		if strings.EqualFold(host, u.Host) || strings.EqualFold(host, u.Hostname()) && u.Port() == "" {
			return true
		}
	}
	return false
}

func (c *Client) response(resp *http.Response, t *trip) *Response {
	return &Response{
		Status: resp.StatusCode, Header: resp.Header, URL: resp.Request.URL, Length: resp.ContentLength, Date: dateOf(resp.Header, time.Time{}),
		Attempts: t.attempts, Endless: resp.ContentLength < 0 && resp.ProtoMajor == 1 && len(resp.TransferEncoding) == 0 && !resp.Uncompressed,
		Body: &explained{ReadCloser: resp.Body, explain: c.bodyFailure},
	}
}

// explained is a body whose errors are for people.
type explained struct {
	io.ReadCloser

	explain func(error) error
}

func (b *explained) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // the contract of io.Reader
		err = b.explain(err)
	}
	return n, err
}

func (c *Client) checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	const most = 10
	switch {
	case len(via) > most:
		return &Error{Reason: "redirect", Message: fmt.Sprintf("gave up after %d redirects", most)}
	case c.opts.NoRedirects || !c.Allows(next.URL), next.Method != first.Method, !c.home(next.URL) && first.Body != nil:
		// The redirect itself is the answer; whoever reads it can say where it led.
		return http.ErrUseLastResponse
	}
	return nil
}

// trip is what one Do learns on the way; it travels in the context of its requests.
type trip struct {
	request  Request
	attempts int
	refusal  *refusal // of the last answer; nil: it was none
}

type tripKey struct{}

// tripOf gives the trip that a request belongs to; nil for those of others.
func tripOf(ctx context.Context) *trip {
	t, ok := ctx.Value(tripKey{}).(*trip)
	if !ok {
		return nil
	}
	return t
}

// WasRefused says whether the last answer to a request with this context meant, by the limits of its host, that too much was asked.
func WasRefused(ctx context.Context) bool {
	t := tripOf(ctx)
	return t != nil && t.refusal != nil
}

// hop sends one request of a trip: one attempt, or one step of a redirect. It has no CloseIdleConnections, so that giving up
// on one request does not close the connections of other sources.
type hop struct{ client *Client }

// RoundTrip adds what only the origin may see.
func (h hop) RoundTrip(req *http.Request) (*http.Response, error) {
	t := tripOf(req.Context())
	if t == nil {
		return nil, errors.New("request without a trip")
	}
	if req.Response == nil { // not a step of a redirect
		t.attempts++
	}
	t.refusal = nil
	req = req.Clone(req.Context())
	req.URL.RawQuery = EscapeQuery(req.URL.RawQuery)
	if req.Response != nil {
		req.Header.Del("Referer") // the client fills it with the whole URL that redirected
	}
	transport := h.client.opts.Transport
	if h.client.home(req.URL) {
		if h.client.opts.Home != nil {
			transport = h.client.opts.Home
		}
		if h.client.opts.Target.Socket != "" {
			req.Host = "localhost"
		}
		t.authorize(req)
	}
	return transport.RoundTrip(req)
}

func (t *trip) authorize(req *http.Request) {
	for name, values := range t.request.Credentials {
		if req.Header[http.CanonicalHeaderKey(name)] = values; name == "Host" {
			req.Host = values[0]
			req.Header.Del(name)
		}
	}
	if len(t.request.SecretQuery) == 0 {
		return
	}
	present := req.URL.Query()
	missing := url.Values{}
	for name, values := range t.request.SecretQuery {
		if !present.Has(name) {
			missing[name] = values
		}
	}
	req.URL.RawQuery = strings.Trim(req.URL.RawQuery+"&"+missing.Encode(), "&")
}
