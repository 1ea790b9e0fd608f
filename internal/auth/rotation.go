package auth

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// rotation keeps the refresh token of a server that replaces it with each use. A server may take the use of an old one for theft and
// revoke everything, so the new one is durable before anything is done with the answer it came in.
type rotation struct {
	keep    TokenKeeper
	name    string
	timeout time.Duration
	seed    string       // tells which configured token the kept one descends from
	was     []byte       // what was kept when it was read last
	unsaved *tokenAnswer // an answer whose refresh token could not be saved
}

// kept is what is stored.
type kept struct {
	Seed    string `json:"seed"`
	Refresh string `json:"refresh_token"`
}

// load gives the refresh token to use: the kept one, unless another one was configured since. It is read each time: another process
// may have worked with it meanwhile.
func (r *rotation) load(ctx context.Context, configured string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	print := fingerprint(r.name, configured)
	r.seed = hex.EncodeToString(print[:])
	data, err := r.keep.LoadToken(ctx)
	if err != nil {
		return "", r.failure("read", err)
	}
	r.was = data
	if len(data) == 0 {
		return configured, nil
	}
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return "", r.failure("read", err)
	}
	if k.Seed != r.seed || k.Refresh == "" {
		return configured, nil
	}
	return k.Refresh, nil
}

// save makes the refresh token of an answer durable. Until that has worked, nothing else is asked for.
func (r *rotation) save(ctx context.Context, a *tokenAnswer) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	data, err := json.Marshal(kept{Seed: r.seed, Refresh: a.refresh}) //nolint:gosec // the keeper is where it has to go
	if err != nil {
		return r.failure("saved", err)
	}
	r.unsaved = a
	if err := r.keep.SaveToken(ctx, r.was, data); err != nil && !r.landed(ctx, data) {
		if errors.Is(err, ErrMoved) { // what somebody else got is newer
			r.unsaved = nil
		}
		return r.failure("saved", err)
	}
	r.unsaved, r.was = nil, data
	return nil
}

// landed says whether data is there although saving it failed.
func (r *rotation) landed(ctx context.Context, data []byte) bool {
	found, err := r.keep.LoadToken(ctx)
	return err == nil && bytes.Equal(found, data)
}

// failure does not show the text of err, which comes from a store that was handed a secret.
func (r *rotation) failure(what string, err error) *Error {
	return &Error{
		Reason: ReasonKeeper, cause: err,
		Message: fmt.Sprintf("the refresh token of %s cannot be %s; the API was not asked", r.name, what),
		Hint:    "check the store; the refresh token that the server gave last is the only one that it takes",
	}
}
