package emitter

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
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

// Verify checks a request that was signed as Standard Webhooks v1: any of the secrets may match any of the signatures.
// tolerance bounds the age, and the lead, of the timestamp; 0 does not check it. body has the bytes as they came. The error
// wraps one of the reasons above, and shows neither secret nor expected signature.
func Verify(h http.Header, body []byte, secrets []string, now time.Time, tolerance time.Duration) error {
	id, ts, list, err := signedHeaders(h)
	if err != nil {
		return err
	}
	if err := checkTimestamp(ts, now, tolerance); err != nil {
		return err
	}
	if len(secrets) == 0 {
		return fmt.Errorf("%w: none was given", ErrSecret)
	}
	given, err := standardSignatures(list)
	if err != nil {
		return err
	}
	for i, secret := range secrets {
		key, err := standardKey(secret)
		if err != nil {
			return fmt.Errorf("%w: secret %d: %w", ErrSecret, i+1, err)
		}
		want := standardMAC(key, id, ts, body)
		for _, sig := range given {
			if hmac.Equal(sig, want) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: tried %d secret(s) on %d signature(s); another secret signed this, or the body is not byte for byte the one that was sent",
		ErrSignature, len(secrets), len(given))
}

func signedHeaders(h http.Header) (id, ts, list string, err error) {
	var missing []string
	get := func(name string) string {
		v := headerValue(h, name)
		if v == "" {
			missing = append(missing, name)
		}
		return v
	}
	id, ts, list = get(headerID), get(headerTimestamp), get(headerSignature)
	if len(missing) > 0 {
		return "", "", "", fmt.Errorf("%w: %s", ErrMissingHeader, strings.Join(missing, ", "))
	}
	return id, ts, list, nil
}

// headerValue finds a header however it is spelled: captured requests keep their sender's spelling.
func headerValue(h http.Header, name string) string {
	if v := h.Get(name); v != "" {
		return v
	}
	for k, v := range h {
		if len(v) > 0 && strings.EqualFold(k, name) {
			return v[0]
		}
	}
	return ""
}

func checkTimestamp(ts string, now time.Time, tolerance time.Duration) error {
	sec, err := strconv.ParseInt(ts, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %s is not a number of Unix seconds", ErrTimestamp, headerTimestamp)
	}
	if tolerance <= 0 {
		return nil
	}
	signed := time.Unix(sec, 0)
	switch {
	case now.Sub(signed) > tolerance:
		return fmt.Errorf("%w: signed %s ago, allowed are %s; a replayed request, or a clock that is wrong",
			ErrTimestamp, now.Sub(signed).Round(time.Second), tolerance)
	case signed.Sub(now) > tolerance:
		return fmt.Errorf("%w: signed %s in the future, allowed are %s; one of the clocks is wrong",
			ErrTimestamp, signed.Sub(now).Round(time.Second), tolerance)
	}
	return nil
}

// standardSignatures gives the v1 signatures of a header; those of other versions are for other verifiers.
func standardSignatures(list string) ([][]byte, error) {
	var sigs [][]byte
	for _, part := range strings.Fields(list) {
		text, ok := strings.CutPrefix(part, "v1,")
		if !ok {
			continue
		}
		if sig, err := base64.StdEncoding.Strict().DecodeString(text); err == nil {
			sigs = append(sigs, sig)
		}
	}
	if len(sigs) == 0 {
		return nil, fmt.Errorf("%w: %s has no v1 signature", ErrSignature, headerSignature)
	}
	return sigs, nil
}
