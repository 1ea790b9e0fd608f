package emitter

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/deltahook/deltahook/internal/setting"
)

// Bounds of a signing key of Standard Webhooks 1.0.0, in bytes.
const (
	minKeyBytes = 24
	maxKeyBytes = 64
	secretMark  = "whsec_"
)

// GenerateSecret makes a signing secret of Standard Webhooks: "whsec_" and 32 random bytes in base64.
func GenerateSecret() string {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	return secretMark + base64.StdEncoding.EncodeToString(key[:])
}

// standardKey reads a secret as the verifiers of Standard Webhooks do: base64, padded or not, with or without "whsec_". The
// error does not show the value.
func standardKey(secret string) ([]byte, error) {
	const hint = `make one with "deltahook secret"`
	text := strings.TrimRight(strings.TrimPrefix(secret, secretMark), "=")
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return nil, &setting.HintedError{Message: "the secret is not base64 (a Standard Webhooks secret is whsec_ and base64)", Hint: hint}
	}
	if len(key) < minKeyBytes {
		return nil, &setting.HintedError{
			Message: fmt.Sprintf("the secret is too weak: %d bytes, Standard Webhooks asks for at least %d", len(key), minKeyBytes), Hint: hint,
		}
	}
	return key, nil
}
