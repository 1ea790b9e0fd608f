package auth

import (
	"crypto/hmac"
	"crypto/md5"  //nolint:gosec // Content-MD5 is what some APIs sign
	"crypto/sha1" //nolint:gosec // some APIs sign with HMAC-SHA1, which is not broken
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// signer signs requests: the HMAC of a text made of the request goes into headers or query parameters.
type signer struct {
	hash        func() hash.Hash
	base64      bool
	keyID       string
	keyEncoding string
	content     template
	headers     []signedValue
	params      []signedValue
	now         func() time.Time
}

type signedValue struct {
	name  string
	value template
}

// newSigner reads the templates and gives all that is wrong with them.
func newSigner(c *Config) (*signer, []*templateError) {
	s := &signer{hash: sha256.New, base64: c.Encoding == "base64", keyID: c.KeyID, keyEncoding: c.KeyEncoding, now: time.Now}
	switch c.Algorithm {
	case "sha1":
		s.hash = sha1.New
	case "sha512":
		s.hash = sha512.New
	}
	var problems []*templateError
	read := func(text string, sent bool, key ...string) template {
		t, err := parseTemplate(text, sent, key...)
		if err != nil {
			problems = append(problems, err)
		}
		return t
	}
	list := func(key string, texts map[string]string) (values []signedValue) {
		for _, name := range slices.Sorted(maps.Keys(texts)) {
			values = append(values, signedValue{name: name, value: read(texts[name], true, key, name)})
		}
		return values
	}
	s.content = read(c.Content, false, "content")
	s.headers, s.params = list("headers", c.Headers), list("params", c.Params)
	if len(problems) == 0 && !slices.ContainsFunc(slices.Concat(s.headers, s.params), signedValue.hasSignature) {
		problems = append(problems, &templateError{
			problem: "the signature is not sent", hint: `write headers = { "X-Signature" = "{signature}" }`, key: []string{"headers"},
		})
	}
	return s, problems
}

func (v signedValue) hasSignature() bool { return v.value.has("signature") }

// sign sets the headers and query parameters. Those without the signature come first, so that it can cover them.
func (s *signer) sign(req *http.Request, key string) error {
	raw, err := decodeKey(key, s.keyEncoding)
	if err != nil {
		return secretErrorf("check auth.key and auth.key_encoding", "%s", err)
	}
	body, err := bodyOf(req)
	if err != nil {
		return err
	}
	v := &signedRequest{req: req, body: body, keyID: s.keyID, at: s.now(), nonce: newNonce()}
	if err := s.set(v, false); err != nil {
		return err
	}
	mac := hmac.New(s.hash, raw)
	_, _ = io.WriteString(mac, s.content.render(v))
	v.signature = hex.EncodeToString(mac.Sum(nil))
	if s.base64 {
		v.signature = base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return s.set(v, true)
}

// set fills in those values that have the signature in them, or those that have not.
func (s *signer) set(v *signedRequest, signed bool) error {
	for _, p := range s.params {
		if p.hasSignature() == signed {
			setQuery(v.req.URL, p.name, p.value.render(v))
		}
	}
	for _, h := range s.headers {
		if h.hasSignature() != signed {
			continue
		}
		value := h.value.render(v)
		if strings.ContainsAny(value, "\r\n\x00") {
			return secretErrorf("check auth.headers", "the header %s would have a line break in it", h.name)
		}
		v.req.Header.Set(h.name, value)
	}
	return nil
}

// bodyOf reads the body of a request that is still to be sent, and puts it back.
func bodyOf(req *http.Request) ([]byte, error) {
	again, err := rewindable(req)
	if err != nil {
		return nil, err
	}
	body, err := again()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// digestOf gives a digest of data by its name, in hexadecimal or, with _base64 after the name, in base64; nothing for other names.
func digestOf(name string, data []byte) (string, bool) {
	plain, inBase64 := strings.CutSuffix(name, "_base64")
	var sum []byte
	switch plain {
	case "md5":
		d := md5.Sum(data) //nolint:gosec // Content-MD5
		sum = d[:]
	case "sha1":
		d := sha1.Sum(data) //nolint:gosec // what some APIs want
		sum = d[:]
	case "sha256":
		d := sha256.Sum256(data)
		sum = d[:]
	case "sha512":
		d := sha512.Sum512(data)
		sum = d[:]
	default:
		return "", false
	}
	if inBase64 {
		return base64.StdEncoding.EncodeToString(sum), true
	}
	return hex.EncodeToString(sum), true
}
