package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/deltahook/deltahook/internal/setting"
)

// claims are those of an assertion (RFC 7523, section 3).
type claims struct {
	issuer, subject, audience string
	scopes                    []string // some servers read them here, others in the request
}

// assertionLife is short enough for the strictest servers.
const assertionLife = 3 * time.Minute

// assertion signs claims with the configured key.
func (m *oauth2) assertion(c claims) (string, error) {
	text, err := m.secrets.Resolve(m.c.Key)
	if err != nil {
		return "", secretError(err)
	}
	key, err := parseKey(text, m.c.Algorithm)
	if err != nil {
		return "", secretError(err)
	}
	now := m.now()
	all := jwt.MapClaims{
		"iss": c.issuer, "sub": c.subject, "aud": c.audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	}
	if len(c.scopes) > 0 {
		all["scope"] = strings.Join(c.scopes, " ")
	}
	t := jwt.NewWithClaims(key.method, all)
	if m.c.KeyID != "" {
		t.Header["kid"] = m.c.KeyID
	}
	signed, err := t.SignedString(key.key)
	if err != nil {
		return "", secretErrorf("check auth.key and auth.algorithm", "the assertion cannot be signed with %s", key.method.Alg())
	}
	return signed, nil
}

// signingKey is a key with the algorithm that it is used for (RFC 7518, section 3.1).
type signingKey struct {
	method jwt.SigningMethod
	key    any
}

// keyError says what is wrong with a key or an algorithm.
type keyError struct {
	setting.HintedError
	about string // the key of the configuration
}

// Unwrap gives the hint.
func (e *keyError) Unwrap() error { return &e.HintedError }

// keyOfSigner gives the configuration key that an error of parseKey is about.
func keyOfSigner(err error) string {
	if e, ok := errors.AsType[*keyError](err); ok {
		return e.about
	}
	return "key"
}

// parseKey reads a private key in PEM (PKCS #1, PKCS #8 or SEC 1), or a shared secret for HS256. Without an algorithm the key decides.
func parseKey(text, algorithm string) (signingKey, error) {
	if algorithm == "HS256" {
		const least = 32 // RFC 7518, section 3.2
		if len(text) < least {
			return signingKey{}, badKey("key", "HS256 needs a secret of 32 bytes at least", "the shared secret is too short")
		}
		return signingKey{method: jwt.SigningMethodHS256, key: []byte(text)}, nil
	}
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n") // as it stands in the JSON files of some providers
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return signingKey{}, badKey("key", `give a private key that begins with "-----BEGIN", or set algorithm = "HS256" for a shared secret`, "the key is not PEM")
	}
	key, err := privateKey(block)
	if err != nil {
		return signingKey{}, err
	}
	fitting := methodsFor(key)
	names := make([]string, len(fitting))
	for i, m := range fitting {
		names[i] = m.Alg()
		if algorithm == "" || algorithm == names[i] {
			return signingKey{method: m, key: key}, nil
		}
	}
	if len(names) == 0 {
		return signingKey{}, badKey("key", "use an RSA key, an EC key on P-256 or P-384, or an Ed25519 key", "the key is of a type that cannot sign assertions")
	}
	if !slices.Contains([]string{"RS256", "PS256", "ES256", "ES384", "EdDSA", "HS256"}, algorithm) {
		return signingKey{}, badKey("algorithm", "with this key write "+alternatives(names), fmt.Sprintf("algorithm = %q does not exist", algorithm))
	}
	return signingKey{}, badKey("algorithm", "with this key write "+alternatives(names), fmt.Sprintf("algorithm = %q does not fit the key", algorithm))
}

func badKey(about, hint, message string) error {
	return &keyError{HintedError: setting.HintedError{Message: message, Hint: hint}, about: about}
}

func privateKey(block *pem.Block) (crypto.PrivateKey, error) {
	if strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return nil, badKey("key", "decrypt it: openssl pkey -in KEY -out PLAIN", "the key is encrypted")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, badKey("key", "give the private key, not the certificate or the public key", "the key cannot be read: the PEM block is a "+clip(block.Type))
}

// methodsFor lists the algorithms that a key can be used for, the usual one first.
func methodsFor(key crypto.PrivateKey) []jwt.SigningMethod {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodPS256}
	case ed25519.PrivateKey:
		return []jwt.SigningMethod{jwt.SigningMethodEdDSA}
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256():
			return []jwt.SigningMethod{jwt.SigningMethodES256}
		case elliptic.P384():
			return []jwt.SigningMethod{jwt.SigningMethodES384}
		}
	}
	return nil
}
