package emitter

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Reasons why a request does not verify; the error says more.
var (
	ErrMissingHeader = errors.New("a header is missing")
	ErrTimestamp     = errors.New("the timestamp is not acceptable")
	ErrSignature     = errors.New("no signature matches")
	ErrSecret        = errors.New("the secret cannot be used")
)

// DefaultTolerance is how far webhook-timestamp may be from the receiver's clock, as the verifiers in use have it.
const DefaultTolerance = 5 * time.Minute

// Received is a request as its receiver has it.
type Received struct {
	Method string // rfc9421 only, as URL is
	URL    string
	Header http.Header
	Body   []byte // the bytes as they came
}

// VerifyOptions say how a request was signed. Secrets are those of the receiver: for ed25519 the public keys (whpk_…), or the
// private ones.
type VerifyOptions struct {
	Style     string // a value of the key sign
	Signature Signature
	Secrets   []string
	Now       time.Time
	Tolerance time.Duration // bounds the age, and the lead, of the timestamp; 0 does not check it
}

// Verify checks a request that was signed as Standard Webhooks v1: any of the secrets may match any of the signatures.
// The tolerance bounds the age, and the lead, of the timestamp; 0 does not check it. The body has the bytes as they came. The error
// wraps one of the reasons above, and shows neither secret nor expected signature.
func Verify(h http.Header, body []byte, secrets []string, now time.Time, tolerance time.Duration) error {
	return VerifyRequest(&Received{Header: h, Body: body}, VerifyOptions{Style: "standard", Secrets: secrets, Now: now, Tolerance: tolerance})
}

// VerifyRequest is Verify for every style. A request of the style "none" needs an id and a time only.
func VerifyRequest(r *Received, o VerifyOptions) error {
	s, err := schemeOf(o.Style, &o.Signature)
	if err != nil {
		return err
	}
	clock := &clockCheck{now: o.Now, tolerance: o.Tolerance}
	if s == nil {
		return verifyNone(r, clock)
	}
	if len(o.Secrets) == 0 {
		return fmt.Errorf("%w: none was given", ErrSecret)
	}
	keys := make([]keyMaterial, len(o.Secrets))
	for i, secret := range o.Secrets {
		if keys[i], err = s.key(secret); err != nil {
			return fmt.Errorf("%w: secret %d: %w", ErrSecret, i+1, err)
		}
	}
	return s.verify(r, keys, clock)
}

// SignedContent gives what the signatures of a request are made over, as its receiver has to put it together: one text per
// signature that says for itself what it covers (rfc9421), else one for all. The style "none" has none.
func SignedContent(r *Received, style string, o Signature) ([]string, error) {
	s, err := schemeOf(style, &o)
	if err != nil || s == nil {
		return nil, err
	}
	return s.signed(r)
}

func verifyNone(r *Received, clock *clockCheck) error {
	for _, name := range []string{headerID, headerTimestamp} {
		if headerValue(r.Header, name) == "" {
			return fmt.Errorf("%w: %s", ErrMissingHeader, name)
		}
	}
	return clock.check(headerValue(r.Header, headerTimestamp), headerTimestamp)
}

// headerValue finds a header however it is spelled: captured requests keep their sender's spelling.
func headerValue(h http.Header, name string) string {
	if lines := headerLines(h, name); len(lines) > 0 {
		return lines[0]
	}
	return ""
}

// headerLines gives the lines of a header however it is spelled.
func headerLines(h http.Header, name string) []string {
	if lines := h.Values(name); len(lines) > 0 {
		return slices.Clone(lines)
	}
	for k, v := range h {
		if len(v) > 0 && strings.EqualFold(k, name) {
			return slices.Clone(v)
		}
	}
	return nil
}

// clockCheck says whether a request is of these minutes.
type clockCheck struct {
	now       time.Time
	tolerance time.Duration
}

func (c *clockCheck) check(ts, name string) error {
	sec, err := strconv.ParseInt(ts, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %s is not a number of Unix seconds", ErrTimestamp, name)
	}
	if c.tolerance <= 0 {
		return nil
	}
	signed := time.Unix(sec, 0)
	switch {
	case c.now.Sub(signed) > c.tolerance:
		return fmt.Errorf("%w: signed %s ago, allowed are %s; a replayed request, or a clock that is wrong",
			ErrTimestamp, c.now.Sub(signed).Round(time.Second), c.tolerance)
	case signed.Sub(c.now) > c.tolerance:
		return fmt.Errorf("%w: signed %s in the future, allowed are %s; one of the clocks is wrong",
			ErrTimestamp, signed.Sub(c.now).Round(time.Second), c.tolerance)
	}
	return nil
}
