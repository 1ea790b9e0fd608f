package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// endpoint asks for tokens and sessions. One request is one try: repeating it is the business of the pace.
type endpoint struct {
	what    string // "the token endpoint"
	send    http.RoundTripper
	timeout time.Duration
	agent   string
	secrets *setting.Secrets
	now     func() time.Time
}

func newEndpoint(what string, o Options) endpoint {
	return endpoint{what: what, send: o.Transport, timeout: o.Timeout, agent: o.UserAgent, secrets: o.Secrets, now: o.Now}
}

// reply is an answer of an endpoint, read to its end.
type reply struct {
	status int
	header http.Header
	body   []byte
	resp   *http.Response // for its cookies
}

const maxReply = 1 << 20

// newRequest makes a request to an endpoint, which may be behind a Unix socket.
func (e *endpoint) newRequest(ctx context.Context, method, address, body string) (*http.Request, error) {
	target, err := outbound.ParseTarget(address)
	if err != nil {
		return nil, &Error{Reason: ReasonToken, Message: fmt.Sprintf("the address of %s is wrong: %s", e.what, err), cause: err, lasting: true}
	}
	req, err := http.NewRequestWithContext(ctx, method, target.URL.String(), strings.NewReader(body))
	if err != nil {
		return nil, &Error{Reason: ReasonToken, Message: "the request to " + e.what + " cannot be built", cause: err, lasting: true}
	}
	if target.Socket != "" {
		req.Host = "localhost"
	}
	req.Header.Set("User-Agent", e.agent)
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// ask sends a request as it is: no redirect is followed, because it would carry the secrets away. An answer with any status is no
// error, unless it says that the endpoint is busy or broken.
func (e *endpoint) ask(ctx context.Context, req *http.Request) (*reply, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.timeout, errSlow)
	defer cancel()
	resp, err := e.send.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, e.unreachable(ctx, req, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err == nil && len(body) > maxReply {
		err = errors.New("the answer is larger than 1 MiB")
	}
	if err != nil {
		return nil, e.unreachable(ctx, req, err)
	}
	if resp.Request == nil {
		resp.Request = req
	}
	r := &reply{status: resp.StatusCode, header: resp.Header, body: body, resp: resp}
	if passing(r.status) || outbound.Refused(r.status, r.header) || outbound.WasRefused(ctx) {
		return nil, e.busy(req, r)
	}
	return r, nil
}

var errSlow = errors.New("no answer in time")

// passing says whether an endpoint may do better a moment later.
func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= http.StatusInternalServerError
}

func (e *endpoint) unreachable(ctx context.Context, req *http.Request, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errSlow) {
		return cause
	}
	if deferred, ok := errors.AsType[*outbound.DeferredError](err); ok {
		return deferred // it was not asked at all
	}
	_, text := outbound.PostFault(err)
	if errors.Is(context.Cause(ctx), errSlow) {
		text = "no answer within " + e.timeout.String()
	}
	return &Error{
		Reason: ReasonToken, Message: e.secrets.Redact(fmt.Sprintf("%s at %s cannot be reached: %s", e.what, host(req.URL), text)), cause: err,
	}
}

func (e *endpoint) busy(req *http.Request, r *reply) error {
	wait, _ := outbound.RetryAfter(r.header, e.now())
	return &Error{
		Reason: ReasonToken, Status: r.status, wait: wait,
		Message: fmt.Sprintf("%s at %s answered %d", e.what, host(req.URL), r.status),
	}
}
