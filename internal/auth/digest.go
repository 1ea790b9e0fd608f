package auth

import (
	"crypto/md5" //nolint:gosec // the algorithm of RFC 2617
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/icholy/digest"
)

// digester answers the challenges of Digest (RFC 7616). It keeps a challenge for later requests, which then need no second try.
type digester struct {
	*fixed
	base     http.RoundTripper
	username string

	mu    sync.Mutex
	last  *digest.Challenge
	count int // uses of last
}

func digestTransport(username string) func(*fixed, http.RoundTripper) http.RoundTripper {
	return func(f *fixed, base http.RoundTripper) http.RoundTripper {
		return &digester{fixed: f, base: base, username: username}
	}
}

// RoundTrip sends the request, and once more when the server asks for a proof or its nonce has become stale.
func (d *digester) RoundTrip(req *http.Request) (*http.Response, error) {
	if !d.owns(req) {
		return d.base.RoundTrip(req)
	}
	body, err := d.open(req)
	if err != nil {
		return nil, err
	}
	known, authorization, err := d.answer(req, body)
	if err != nil {
		return nil, err
	}
	resp, err := attempt(d.base, req, body, authorization)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	fresh := findDigest(resp.Header)
	d.replace(known, fresh)
	if fresh == nil || known != nil && fresh.Nonce == known.Nonce && !fresh.Stale {
		d.replace(fresh, nil)
		return resp, nil // it is not the nonce that is wrong
	}
	return d.second(req, resp, body)
}

// second answers the challenge of a first try.
func (d *digester) second(req *http.Request, first *http.Response, body func() (io.ReadCloser, error)) (*http.Response, error) {
	drain(first)
	known, authorization, err := d.answer(req, body)
	if err != nil {
		return nil, err
	}
	resp, err := attempt(d.base, req, body, authorization)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		// The next request begins without a proof: a wrong password is tried once per request, because accounts get locked.
		d.replace(known, nil)
	}
	return resp, err
}

// open takes the body of req over: what is sent are copies.
func (f *fixed) open(req *http.Request) (func() (io.ReadCloser, error), error) {
	body, err := rewindable(req)
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return body, err
}

// replace exchanges the kept challenge, unless somebody else did.
func (d *digester) replace(old, new *digest.Challenge) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == old {
		d.last, d.count = new, 0
	}
}

// answer gives the header that answers the kept challenge; nothing when there is none.
func (d *digester) answer(req *http.Request, body func() (io.ReadCloser, error)) (*digest.Challenge, string, error) {
	d.mu.Lock()
	d.count++
	c, count := d.last, d.count
	d.mu.Unlock()
	if c == nil {
		return nil, "", nil
	}
	values, err := d.values(d.secrets.Resolve)
	if err != nil {
		return nil, "", secretError(err)
	}
	o := digest.Options{
		Method: req.Method, URI: req.URL.RequestURI(), GetBody: body, Count: count, Username: d.username, Password: values[0],
	}
	authorization, err := digestCredentials(c, o)
	if err != nil {
		return nil, "", &Error{Reason: ReasonRefused, Message: d.host + " asks for a digest that cannot be made: " + err.Error(), cause: err}
	}
	return c, authorization, nil
}

// digestCredentials adds the session variants of the algorithms to what the library knows: A1 covers the nonces (RFC 7616, section 3.4.2).
func digestCredentials(c *digest.Challenge, o digest.Options) (string, error) {
	plain, session := cutSession(c.Algorithm)
	used := *c
	if session {
		used.Algorithm = plain
		o.Cnonce = rand.Text()
		h := hashOf(plain)
		o.A1 = hexHash(h, hexHash(h, o.Username, c.Realm, o.Password), c.Nonce, o.Cnonce)
	}
	cred, err := digest.Digest(&used, o)
	if err != nil {
		return "", err
	}
	cred.Algorithm = c.Algorithm
	return cred.String(), nil
}

func cutSession(algorithm string) (plain string, session bool) {
	const suffix = "-sess"
	if n := len(algorithm) - len(suffix); n > 0 && strings.EqualFold(algorithm[n:], suffix) {
		return algorithm[:n], true
	}
	return algorithm, false
}

func hashOf(algorithm string) hash.Hash {
	switch strings.ToUpper(algorithm) {
	case "SHA-256":
		return sha256.New()
	case "SHA-512":
		return sha512.New()
	case "SHA-512-256":
		return sha512.New512_256()
	}
	return md5.New() //nolint:gosec // the algorithm of RFC 2617
}

func hexHash(h hash.Hash, parts ...string) string {
	h.Reset()
	_, _ = io.WriteString(h, strings.Join(parts, ":"))
	return hex.EncodeToString(h.Sum(nil))
}

// findDigest gives the first challenge that can be answered; the server puts its favourite first.
func findDigest(h http.Header) *digest.Challenge {
	for _, c := range challenges(h) {
		if c.scheme != "digest" || c.params["nonce"] == "" {
			continue
		}
		found := &digest.Challenge{
			Realm: c.params["realm"], Nonce: c.params["nonce"], Opaque: c.params["opaque"], Algorithm: c.params["algorithm"],
			Stale: strings.EqualFold(c.params["stale"], "true"), Userhash: strings.EqualFold(c.params["userhash"], "true"),
		}
		for qop := range strings.SplitSeq(c.params["qop"], ",") {
			if qop = strings.ToLower(strings.TrimSpace(qop)); qop != "" {
				found.QOP = append(found.QOP, qop)
			}
		}
		checked := *found
		checked.Algorithm, _ = cutSession(found.Algorithm)
		if digest.CanDigest(&checked) {
			return found
		}
	}
	return nil
}
