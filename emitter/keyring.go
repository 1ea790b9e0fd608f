package emitter

import (
	"slices"
	"sync"

	"github.com/deltahook/deltahook/internal/setting"
)

// keyring resolves the secrets of a webhook at each attempt, so that a changed secret file counts from the next one on.
type keyring struct {
	style   string
	refs    setting.SecretList
	secrets *setting.Secrets

	mu     sync.Mutex
	values []string
	made   Signer // of values
}

// signer gives the signer of the secrets as they are now.
func (k *keyring) signer() (Signer, error) {
	values := make([]string, len(k.refs))
	for i, ref := range k.refs {
		v, err := k.secrets.Resolve(ref)
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.made != nil && slices.Equal(values, k.values) {
		return k.made, nil
	}
	made, err := NewSigner(k.style, values...)
	if err != nil {
		return nil, err
	}
	k.made, k.values = made, values
	return made, nil
}
