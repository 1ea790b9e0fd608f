package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Retry says what is tried again inside one Do, and how.
type Retry struct {
	Attempts int           // all together; below 1: 1
	Base     time.Duration // wait before the second attempt; doubles
	Max      time.Duration // cap of the waits that the server did not ask for
	MaxWait  time.Duration // the longest wait that the server may ask for; longer ones defer
	On       []int         // statuses; nil: 408, 425, 429 and 5xx except 501
}

// longestWait caps what a server may ask for: a date in 2100 must not silence a source.
const longestWait = 24 * time.Hour

func (c *Client) retries(status int) bool {
	if c.opts.Retry.On != nil {
		return slices.Contains(c.opts.Retry.On, status)
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented:
		return false
	}
	return status >= 500
}

// checkRetry decides for the engine. It ends the retries with a DeferredError when the server asks for a longer wait than
// the poll may spend; a shorter one is waited at the gate, as all requests to the host do.
func (c *Client) checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		return passing(err), nil
	}
	t := tripOf(ctx)
	if t == nil || t.refusal == nil {
		return c.retries(resp.StatusCode) && !c.final(resp), nil
	}
	wait := t.refusal.wait
	if t.refusal.told && (wait > c.opts.Retry.MaxWait || beyond(ctx, c.opts.Now().Add(wait))) {
		return false, c.deferred(resp.StatusCode, wait, t.attempts)
	}
	return true, nil
}

// final looks into an answer that would be asked for once more.
func (c *Client) final(resp *http.Response) bool {
	if c.opts.Final == nil {
		return false
	}
	const enough = 64 << 10
	head, err := io.ReadAll(io.LimitReader(resp.Body, enough))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = failing{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), rest), resp.Body}
	return c.opts.Final(resp.StatusCode, resp.Header, head)
}

func (c *Client) deferred(status int, wait time.Duration, attempts int) *DeferredError {
	return deferral(c.opts.Now(), wait, DeferredError{Status: status, Attempts: attempts})
}

// passing says whether the same request may succeed a moment later.
func passing(err error) bool {
	if _, ours := errors.AsType[*Error](err); ours {
		return false
	}
	if _, deferred := errors.AsType[*DeferredError](err); deferred {
		return false
	}
	if refusal, ok := errors.AsType[*proxyError](err); ok {
		return refusal.status >= http.StatusInternalServerError
	}
	for _, match := range []func(error) bool{
		func(err error) bool { _, ok := errors.AsType[*tls.CertificateVerificationError](err); return ok },
		func(err error) bool { _, ok := errors.AsType[x509.UnknownAuthorityError](err); return ok },
		func(err error) bool { _, ok := errors.AsType[x509.HostnameError](err); return ok },
		func(err error) bool { _, ok := errors.AsType[x509.CertificateInvalidError](err); return ok },
		func(err error) bool { return strings.Contains(err.Error(), "invalid header field") },
		func(err error) bool { return strings.Contains(err.Error(), "unsupported protocol scheme") },
	} {
		if match(err) {
			return false
		}
	}
	return true
}

// backoff gives the wait before the next attempt, with jitter, so that many clients that failed together do not come back
// together. After a refusal it is none: the gate knows how long the host is left alone.
func (c *Client) backoff(base, most time.Duration, attempt int, resp *http.Response) time.Duration {
	if resp != nil && resp.Request != nil {
		if t := tripOf(resp.Request.Context()); t != nil && t.refusal != nil {
			return 0
		}
	}
	return doubled(base, most, attempt)
}

// doubled gives a wait that doubles each time, and is up to a half shorter by chance.
func doubled(base, most time.Duration, times int) time.Duration {
	wait := min(base, most)
	for range times {
		wait = min(2*wait, most)
	}
	return wait/2 + jitter(wait/2)
}

func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most + 1)
}
