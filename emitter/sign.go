package emitter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Signer signs one attempt: it adds the headers by which the receiver knows id, time and sender. body is signed as it is
// sent.
type Signer interface {
	Sign(h http.Header, id string, at time.Time, body []byte) error
}

// signStyle is one value of the key sign.
type signStyle struct {
	secret func(secret string) ([]byte, error) // reads a secret; nil: the style has none
	signer func(keys [][]byte) Signer
}

// signStyles has the values of the key sign by their name.
func signStyles() map[string]signStyle {
	return map[string]signStyle{
		"standard": {secret: standardKey, signer: func(keys [][]byte) Signer { return standardSigner{keys: keys} }},
		"none":     {signer: func([][]byte) Signer { return standardSigner{} }},
	}
}

// NewSigner makes the signer of a style ("standard", "none") from the values of its secrets; all of them sign. The style
// "none" still sends id and time.
func NewSigner(style string, secrets ...string) (Signer, error) {
	s, ok := signStyles()[style]
	if !ok {
		return nil, fmt.Errorf("unknown signature style %q", style)
	}
	if s.secret == nil {
		return s.signer(nil), nil
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("signature style %q needs a secret", style)
	}
	keys := make([][]byte, len(secrets))
	for i, secret := range secrets {
		key, err := s.secret(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		keys[i] = key
	}
	return s.signer(keys), nil
}

// Header names of Standard Webhooks, spelled as they go out.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

// standardSigner signs as Standard Webhooks 1.0.0, version v1 (HMAC-SHA256). Without keys it sends no signature.
type standardSigner struct{ keys [][]byte }

// Sign sets webhook-id, webhook-timestamp and webhook-signature, which has one signature per key, in their order.
func (s standardSigner) Sign(h http.Header, id string, at time.Time, body []byte) error {
	ts := strconv.FormatInt(at.Unix(), 10)
	setExact(h, headerID, id)
	setExact(h, headerTimestamp, ts)
	if len(s.keys) == 0 {
		return nil
	}
	var list []byte
	for i, key := range s.keys {
		if i > 0 {
			list = append(list, ' ')
		}
		list = append(list, "v1,"...)
		list = base64.StdEncoding.AppendEncode(list, standardMAC(key, id, ts, body))
	}
	setExact(h, headerSignature, string(list))
	return nil
}

// standardMAC is the HMAC-SHA256 of "id.timestamp.body".
func standardMAC(key []byte, id, ts string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(id + "." + ts + "."))
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}

// setExact sets a header under exactly this spelling: there are receivers that care.
func setExact(h http.Header, name, value string) { h[name] = []string{value} }
