package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// Hold is Own for work that takes long. The membership is extended as long as it lasts, so that one who is killed at it keeps nobody
// waiting for more than some seconds. End gives all back, and says when others may have begun meanwhile.
func Hold(ctx context.Context, st Store, name string) (end func() error, err error) {
	ttl := 15 * time.Second
	if !st.Shared() { // the lock on the file keeps others out, and goes with the process
		ttl = 24 * time.Hour
	}
	m, err := Own(ctx, st, name, ttl)
	if err != nil {
		return nil, err
	}
	lasting := context.WithoutCancel(ctx)
	beating, stop := context.WithCancel(lasting)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		beat(beating, m, ttl/5)
	}()
	return sync.OnceValue(func() error {
		stop()
		<-ended
		err := m.Heartbeat(lasting)
		if errors.Is(err, ErrMemberLost) {
			err = fmt.Errorf("the right to the store has run out meanwhile, and another deltahook may have changed it: do it again: %w", err)
		}
		return errors.Join(err, m.Leave(lasting))
	}), nil
}

// beat extends a membership now and then until ctx ends. Whether it was lost shows at the end.
func beat(ctx context.Context, m Member, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = m.Heartbeat(ctx)
		}
	}
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
