package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/store"
)

// sharedStore has one member.
type sharedStore struct {
	store.Store

	member mortal
}

// mortal is a member who lives for as long as it was told to.
type mortal struct {
	store.Member

	mu      sync.Mutex
	ttl     time.Duration
	expires time.Time
	cut     bool
	left    bool
}

func (s *mortal) setCut(cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = cut
}

func (s *mortal) lives() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.expires)
}

func (*sharedStore) Shared() bool { return true }

func (s *sharedStore) Join(_ context.Context, _ string, ttl time.Duration) (store.Member, error) {
	s.member.ttl, s.member.expires = ttl, time.Now().Add(ttl)
	return &s.member, nil
}

func (*mortal) Acquire(_ context.Context, shards []int) ([]store.Lease, error) {
	return make([]store.Lease, len(shards)), nil
}

func (s *mortal) Heartbeat(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.cut:
		return errors.New("the store does not answer")
	case !time.Now().Before(s.expires):
		return store.ErrMemberLost
	}
	s.expires = time.Now().Add(s.ttl)
	return nil
}

func (s *mortal) Leave(context.Context) error {
	s.left = true
	return nil
}

func TestWhoHoldsAStoreForLongAndIsKilledKeepsNobodyWaitingForLong(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := &sharedStore{}
		end, err := store.Hold(t.Context(), s, "copy")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = end() }()
		for range 60 {
			time.Sleep(time.Minute)
			synctest.Wait()
			if left := s.member.lives(); left <= 0 || left > time.Minute {
				t.Fatalf("it is taken for dead in %s", left)
			}
		}
		if err := end(); err != nil || !s.member.left {
			t.Errorf("at its end: %v", err)
		}
	})
}

func TestWhoLosesAStoreThatItHoldsSaysSo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := &sharedStore{}
		end, err := store.Hold(t.Context(), s, "copy")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = end() }()
		s.member.setCut(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		s.member.setCut(false)
		if err := end(); !errors.Is(err, store.ErrMemberLost) || !s.member.left {
			t.Errorf("at its end: %v", err)
		}
	})
}
