package emitter

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// Lower bound of a signing key of Standard Webhooks 1.0.0, in bytes, and the prefixes of keys.
const (
	minKeyBytes = 24
	secretMark  = "whsec_"
	privateMark = "whsk_"
	publicMark  = "whpk_"
)

// GenerateSecret makes a signing secret of Standard Webhooks: "whsec_" and 32 random bytes in base64.
func GenerateSecret() string { return secretMark + base64.StdEncoding.EncodeToString(random()) }

// GenerateSecretFor makes a secret of 32 random bytes, spelled as receivers of this style have them. The public key is what to
// give to the receiver where that is another one; else it is empty and both sides have the secret.
func GenerateSecretFor(style string) (secret, public string, err error) {
	switch {
	case style == signNone || !slices.Contains(SignStyles(), style):
		return "", "", fmt.Errorf("signature style %q has no secret", style)
	case style == signEd25519:
		key := ed25519.NewKeyFromSeed(random())
		return privateMark + base64.StdEncoding.EncodeToString(key),
			publicMark + base64.StdEncoding.EncodeToString(key[ed25519.SeedSize:]), nil
	case slices.Contains([]string{"standard", "svix", "stripe"}, style):
		return GenerateSecret(), "", nil
	}
	return hex.EncodeToString(random()), "", nil
}

func random() []byte {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	return key[:]
}

// standardKey reads a secret as the verifiers of Standard Webhooks do: base64, padded or not, with or without "whsec_". The
// error does not show the value.
func standardKey(secret string) (keyMaterial, error) {
	const hint = `make one with "deltahook secret"`
	key, err := base64Key(strings.TrimPrefix(secret, secretMark))
	if err != nil {
		return keyMaterial{}, &setting.HintedError{Message: "the secret is not base64 (a Standard Webhooks secret is whsec_ and base64)", Hint: hint}
	}
	if len(key) < minKeyBytes {
		return keyMaterial{}, &setting.HintedError{
			Message: fmt.Sprintf("the secret is too weak: %d bytes, Standard Webhooks asks for at least %d", len(key), minKeyBytes), Hint: hint,
		}
	}
	return keyMaterial{secret: key}, nil
}
