package emitter

import (
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Signer signs one attempt: it adds the headers by which the receiver knows id, time and sender. The body is signed as it is
// sent.
type Signer interface {
	Sign(h http.Header, m *Message) error
}

// Message is one attempt as signatures speak of it.
type Message struct {
	ID     string
	At     time.Time // when it is signed
	Type   string    // of the event
	Method string
	URL    string
	Body   []byte
}

// SigningKey is one secret that signs.
type SigningKey struct {
	Secret   string
	ID       string    // keyid of rfc9421; may be empty
	NotAfter time.Time // it signs no attempt after this; zero: for ever
}

// SignOptions make a Signer.
type SignOptions struct {
	Style     string    // a value of the key sign
	Signature Signature // of the styles rfc9421 and template
	Keys      []SigningKey
}

// Header names of Standard Webhooks, spelled as they go out. The first two are sent with every style.
const (
	headerID        = "webhook-id"
	headerTimestamp = "webhook-timestamp"
	headerSignature = "webhook-signature"
)

// ErrExpired means that every secret of a webhook is past its not_after.
var ErrExpired = errors.New("all secrets have expired")

// NewSigner makes a signer. Keys that have not expired sign, all of them where the style has room for several signatures,
// else the first. The style "none" takes no keys.
func NewSigner(o SignOptions) (Signer, error) {
	s, err := schemeOf(o.Style, &o.Signature)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return &signer{}, nil
	}
	if len(o.Keys) == 0 {
		return nil, fmt.Errorf("signature style %q needs a secret", o.Style)
	}
	keys := make([]signingKey, len(o.Keys))
	for i, k := range o.Keys {
		material, err := s.key(k.Secret)
		if err == nil {
			err = material.canSign()
		}
		if err != nil {
			return nil, fmt.Errorf("secret %d: %w", i+1, err)
		}
		keys[i] = signingKey{keyMaterial: material, id: k.ID, notAfter: k.NotAfter, macs: &sync.Pool{}}
	}
	return &signer{scheme: s, keys: keys}, nil
}

// scheme is what the styles differ in.
type scheme interface {
	key(secret string) (keyMaterial, error) // reads a secret; the error does not show it
	sign(h http.Header, m *Message, keys []signingKey) error
	verify(r *Received, keys []keyMaterial, clock *clockCheck) error
	signed(r *Received) ([]string, error) // what the signatures of a request are made over
	headers() []string                    // that it sets
	single() bool                         // it has room for one signature
}

// signingKey is a secret that was read.
type signingKey struct {
	keyMaterial

	id       string
	notAfter time.Time
	macs     *sync.Pool // HMACs that were started with it: that takes as long as signing what is small
}

// mac gives an HMAC that has seen nothing; nil when the algorithm is none. It goes back to macs.
func (k *signingKey) mac(alg algorithm) hash.Hash {
	if mac, ok := k.macs.Get().(hash.Hash); ok {
		mac.Reset()
		return mac
	}
	return alg.mac(k.secret)
}

func (k *signingKey) expired(at time.Time) bool { return !k.notAfter.IsZero() && at.After(k.notAfter) }

// signer picks the keys that sign now.
type signer struct {
	scheme scheme // nil: none
	keys   []signingKey
}

// Sign sets webhook-id and webhook-timestamp and whatever else the style has.
func (s *signer) Sign(h http.Header, m *Message) error {
	setExact(h, headerID, m.ID)
	setExact(h, headerTimestamp, unixSeconds(m.At))
	if s.scheme == nil {
		return nil
	}
	keys := s.keys
	expired := func(k signingKey) bool { return k.expired(m.At) }
	if slices.ContainsFunc(keys, expired) {
		keys = slices.DeleteFunc(slices.Clone(keys), expired)
	}
	if len(keys) == 0 {
		return ErrExpired
	}
	if s.scheme.single() {
		keys = keys[:1]
	}
	return s.scheme.sign(h, m, keys)
}

// setExact sets a header under exactly this spelling, and under no other: there are receivers that care. One that is there in
// this spelling is there in no other.
func setExact(h http.Header, name string, values ...string) {
	if _, ok := h[name]; !ok {
		for old := range h {
			if len(old) == len(name) && strings.EqualFold(old, name) {
				delete(h, old)
			}
		}
	}
	h[name] = values
}
