package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// OwnedError says that other members, who are alive, own what is wanted.
type OwnedError struct {
	Shards int      // that are theirs
	By     []string // who is alive
}

// Error names the others and the next step.
func (e *OwnedError) Error() string {
	return fmt.Sprintf("store: another deltahook works on this database (%s): let it do this, over its admin API, or stop it first; "+
		"one that crashed is taken for dead after some seconds", strings.Join(e.By, ", "))
}

// Temporary says that it may be otherwise soon.
func (*OwnedError) Temporary() bool { return true }

// Enter joins under a name that nobody else has: a second member of a name would void the leases of the first.
func Enter(ctx context.Context, st Store, name string, ttl time.Duration) (Member, error) {
	if st.Shared() {
		name += "-" + strings.ToLower(rand.Text()[:8])
	}
	m, err := st.Join(ctx, name, ttl)
	if err != nil {
		return nil, fmt.Errorf("join the store: %w", err)
	}
	return m, nil
}

// Own joins as the one member that owns every shard, or fails with an *OwnedError.
func Own(ctx context.Context, st Store, name string, ttl time.Duration) (Member, error) {
	m, err := Enter(ctx, st, name, ttl)
	if err != nil {
		return nil, err
	}
	if err := acquireAll(ctx, st, m); err != nil {
		return nil, errors.Join(err, m.Leave(context.WithoutCancel(ctx)))
	}
	return m, nil
}

// acquireAll takes every shard, or fails with an *OwnedError.
func acquireAll(ctx context.Context, st Store, m Member) error {
	leases, err := m.Acquire(ctx, AllShards())
	if err != nil {
		return fmt.Errorf("take over the sources: %w", err)
	}
	if len(leases) == Shards {
		return nil
	}
	sight, err := st.Sight(ctx)
	if err != nil {
		return fmt.Errorf("who owns the sources: %w", err)
	}
	owned := &OwnedError{Shards: Shards - len(leases)}
	for _, p := range sight.Peers {
		if slices.Contains(sight.Owners[:], p.ID) && p.ID != m.ID() {
			owned.By = append(owned.By, p.ID)
		}
	}
	return owned
}
