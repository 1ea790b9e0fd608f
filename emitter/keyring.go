package emitter

import (
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// resolveEvery is how long the secrets of a webhook are taken as they are before they are looked at again.
const resolveEvery = time.Second

// keyring resolves the secrets of a webhook now and then, so that a changed secret file counts within resolveEvery.
type keyring struct {
	style     string
	signature Signature
	refs      setting.SecretList
	secrets   *setting.Secrets

	mu     sync.Mutex
	values []string
	made   Signer    // of values
	at     time.Time // when they were resolved
}

// headers are those that each attempt has, whatever it is about.
func (k *keyring) headers() []string {
	names := []string{headerAttempt, headerID, headerTimestamp}
	if s, err := schemeOf(k.style, &k.signature); err == nil && s != nil {
		names = append(names, s.headers()...)
	}
	return names
}

func expired(ref setting.Secret, now time.Time) bool {
	return !ref.NotAfter().IsZero() && now.After(ref.NotAfter())
}

// signer gives the signer of the secrets as they are now. A secret that has expired may be gone from its place.
func (k *keyring) signer() (Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.made != nil && now.Sub(k.at) < resolveEvery {
		return k.made, nil
	}
	refs := slices.DeleteFunc(slices.Clone(k.refs), func(ref setting.Secret) bool { return expired(ref, now) })
	if len(refs) == 0 && len(k.refs) > 0 {
		return nil, ErrExpired
	}
	values := make([]string, len(refs))
	for i, ref := range refs {
		v, err := k.secrets.Resolve(ref)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	if k.made == nil || !slices.Equal(values, k.values) {
		made, err := NewSigner(SignOptions{Style: k.style, Signature: k.signature, Keys: keysOf(refs, values)})
		if err != nil {
			return nil, err
		}
		k.made, k.values = made, values
	}
	k.at = now
	return k.made, nil
}

func keysOf(refs setting.SecretList, values []string) []SigningKey {
	keys := make([]SigningKey, len(refs))
	for i, ref := range refs {
		keys[i] = SigningKey{Secret: values[i], ID: ref.ID(), NotAfter: ref.NotAfter()}
	}
	return keys
}
