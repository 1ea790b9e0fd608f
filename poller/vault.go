package poller

import (
	"context"
	"errors"

	"github.com/deltahook/deltahook/internal/auth"
)

// Vault keeps what a source must remember and nobody may see, like a refresh token that the server replaced. A store implements it under
// the lease of the source's shard, and fails with ErrFenced otherwise. What is in it is in no list and in no message.
type Vault interface {
	// Kept gives the value of a name; nil when there is none.
	Kept(ctx context.Context, source, name string) ([]byte, error)
	// Keep replaces the value old, nil for none, by another one, nil for none. ErrConflict says that the value is not old. When it
	// returns without an error, the new value is durable; after another error either may be there.
	Keep(ctx context.Context, source, name string, old, value []byte) error
}

// refreshToken is the name of the refresh token of a source in its vault.
const refreshToken = "oauth2.refresh_token" //nolint:gosec // a name, not a token

// tokenKeeper keeps the refresh token of one source.
type tokenKeeper struct {
	vault  Vault
	source string
}

var _ auth.TokenKeeper = tokenKeeper{}

// LoadToken gives what was saved last.
func (k tokenKeeper) LoadToken(ctx context.Context) ([]byte, error) {
	return k.vault.Kept(ctx, k.source, refreshToken)
}

// SaveToken replaces it.
func (k tokenKeeper) SaveToken(ctx context.Context, old, data []byte) error {
	err := k.vault.Keep(ctx, k.source, refreshToken, old, data)
	if errors.Is(err, ErrConflict) {
		return auth.ErrMoved
	}
	return err
}
