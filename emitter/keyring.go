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
	style   string
	refs    setting.SecretList
	secrets *setting.Secrets

	mu     sync.Mutex
	values []string
	made   Signer    // of values
	at     time.Time // when they were resolved
}

// signer gives the signer of the secrets as they are now.
func (k *keyring) signer() (Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.made != nil && now.Sub(k.at) < resolveEvery {
		return k.made, nil
	}
	values := make([]string, len(k.refs))
	for i, ref := range k.refs {
		v, err := k.secrets.Resolve(ref)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	if k.made == nil || !slices.Equal(values, k.values) {
		made, err := NewSigner(k.style, values...)
		if err != nil {
			return nil, err
		}
		k.made, k.values = made, values
	}
	k.at = now
	return k.made, nil
}
