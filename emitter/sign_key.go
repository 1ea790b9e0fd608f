package emitter

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // receivers of old ask for HMAC-SHA1, which is not broken
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// algorithm is a value of the key alg.
type algorithm string

const (
	hmacSHA1   algorithm = "hmac-sha1"
	hmacSHA256 algorithm = "hmac-sha256"
	hmacSHA512 algorithm = "hmac-sha512"
	algEd25519 algorithm = "ed25519"
)

// mac starts an HMAC; nil when the algorithm is none.
func (a algorithm) mac(key []byte) hash.Hash {
	switch a {
	case hmacSHA1:
		return hmac.New(sha1.New, key)
	case hmacSHA256:
		return hmac.New(sha256.New, key)
	case hmacSHA512:
		return hmac.New(sha512.New, key)
	case algEd25519:
	}
	return nil
}

func equalBytes(a, b []byte) bool { return hmac.Equal(a, b) }

// keyMaterial is a secret that was read: that of an HMAC, or a key of ed25519, of which a receiver has the public part only.
type keyMaterial struct {
	secret  []byte
	private ed25519.PrivateKey
	public  ed25519.PublicKey
}

func (k *keyMaterial) canSign() error {
	if k.secret == nil && k.private == nil {
		return &setting.HintedError{Message: "this is a public key, which only verifies", Hint: "give the private key (whsk_…)"}
	}
	return nil
}

func (k *keyMaterial) signEd25519(text []byte) ([]byte, error) {
	if k.private == nil {
		return nil, errors.New("there is no private key")
	}
	return ed25519.Sign(k.private, text), nil
}

func (k *keyMaterial) verifyEd25519(text, sig []byte) bool {
	return len(k.public) == ed25519.PublicKeySize && ed25519.Verify(k.public, text, sig)
}

// textKey takes the whole secret as it stands, also one that begins with whsec_.
func textKey(secret string) (keyMaterial, error) {
	if strings.TrimSpace(secret) == "" {
		return keyMaterial{}, &setting.HintedError{Message: "the secret is empty", Hint: `make one with "deltahook secret"`}
	}
	return keyMaterial{secret: []byte(secret)}, nil
}

// decodedKey reads a secret by the key key_encoding.
func decodedKey(encoding string) func(secret string) (keyMaterial, error) {
	return func(secret string) (keyMaterial, error) {
		if encoding == "raw" {
			return textKey(secret)
		}
		decode := hex.DecodeString
		if encoding == "base64" {
			decode = base64Key
		}
		key, err := decode(secret)
		if err != nil || len(key) == 0 {
			return keyMaterial{}, &setting.HintedError{Message: "the secret is not " + encoding, Hint: `write key_encoding = "raw" if it is the key as it stands`}
		}
		return keyMaterial{secret: key}, nil
	}
}

// base64Key reads base64, padded or not.
func base64Key(text string) ([]byte, error) {
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
}

// ed25519Key reads a private key (whsk_ and base64 of the seed or of seed and public key), a public one (whpk_ and base64), or
// either as PKCS #8 or PKIX, in PEM or base64. 32 bytes without a prefix are a private key.
func ed25519Key(secret string) (keyMaterial, error) {
	bad := &setting.HintedError{
		Message: "the secret is not an ed25519 key (whsk_ and base64 of 32 or 64 bytes)", Hint: `make one with "deltahook secret --style standard-ed25519"`,
	}
	private, isPrivate := strings.CutPrefix(secret, privateMark)
	public, isPublic := strings.CutPrefix(private, publicMark)
	raw, err := base64Key(public)
	if block, _ := pem.Decode([]byte(secret)); block != nil {
		raw, err = block.Bytes, nil
	}
	switch {
	case err != nil:
		return keyMaterial{}, bad
	case len(raw) == ed25519.PublicKeySize && isPublic && !isPrivate:
		return keyMaterial{public: raw}, nil
	case len(raw) == ed25519.SeedSize && !isPublic:
		return privateKey(ed25519.NewKeyFromSeed(raw)), nil
	case len(raw) == ed25519.PrivateKeySize && !isPublic:
		key := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if !equalBytes(key, raw) {
			return keyMaterial{}, fmt.Errorf("%w", &setting.HintedError{Message: "the two halves of the ed25519 key do not belong together", Hint: bad.Hint})
		}
		return privateKey(key), nil
	}
	return derKey(raw, bad)
}

func derKey(raw []byte, bad error) (keyMaterial, error) {
	if parsed, err := x509.ParsePKCS8PrivateKey(raw); err == nil {
		if key, ok := parsed.(ed25519.PrivateKey); ok {
			return privateKey(key), nil
		}
	}
	if parsed, err := x509.ParsePKIXPublicKey(raw); err == nil {
		if key, ok := parsed.(ed25519.PublicKey); ok {
			return keyMaterial{public: key}, nil
		}
	}
	return keyMaterial{}, bad
}

func privateKey(key ed25519.PrivateKey) keyMaterial {
	return keyMaterial{private: key, public: ed25519.PublicKey(key[ed25519.SeedSize:])}
}
