package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
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
// the poll may spend.
func (c *Client) checkRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		return passing(err), nil
	}
	if !c.retries(resp.StatusCode) {
		return false, nil
	}
	wait, ok := c.serverWait(resp)
	if !ok {
		return true, nil
	}
	deadline, limited := ctx.Deadline()
	if wait > c.opts.Retry.MaxWait || limited && c.opts.Now().Add(wait).After(deadline) {
		attempts := 0
		if t, ok := ctx.Value(tripKey{}).(*trip); ok {
			attempts = t.attempts
		}
		return false, c.deferral(resp.StatusCode, wait, attempts)
	}
	return true, nil
}

// passing says whether the same request may succeed a moment later.
func passing(err error) bool {
	if _, ours := errors.AsType[*Error](err); ours {
		return false
	}
	if refusal, ok := errors.AsType[*proxyRefusal](err); ok {
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

// backoff gives the wait before the next attempt: what the server asked for, or a doubling one; both with jitter, so that
// many clients that were refused together do not come back together.
func (c *Client) backoff(base, most time.Duration, attempt int, resp *http.Response) time.Duration {
	if wait, ok := c.serverWait(resp); ok {
		return wait + jitter(wait/10)
	}
	wait := base
	for range attempt {
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

// serverWait reads Retry-After (RFC 9110, section 10.2.3) in both forms. A date is taken relative to the server's own Date,
// so that a wrong clock on either side does not matter.
func (c *Client) serverWait(resp *http.Response) (time.Duration, bool) {
	if resp == nil {
		return 0, false
	}
	text := strings.TrimSpace(resp.Header.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	if strings.Trim(text, "0123456789") == "" {
		seconds, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seconds > int64(longestWait/time.Second) {
			return longestWait, true
		}
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		now = c.opts.Now()
	}
	return min(max(at.Sub(now), 0), longestWait), true
}

func (c *Client) deferral(status int, wait time.Duration, attempts int) *DeferredError {
	return &DeferredError{Status: status, Wait: wait, Until: c.opts.Now().Add(wait), Attempts: attempts}
}
