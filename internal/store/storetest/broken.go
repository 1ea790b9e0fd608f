package storetest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// Mutant is a way in which a store could break a promise.
type Mutant struct {
	Name   string // what is wrong with it
	By     string // the test that must notice it
	breaks breakage
}

// of gives places whose stores are broken.
func (m Mutant) of(fresh Fresh) Fresh {
	return func(t T) Backend { return brokenBackend{fresh(t), m.breaks} }
}

type brokenBackend struct {
	Backend
	breaks breakage
}

func (b brokenBackend) Open(t T) store.Store {
	t.Helper()
	return &brokenStore{Store: b.Backend.Open(t), breaks: b.breaks, gates: map[string]emitter.GateState{}, heard: map[string]bool{}}
}

// breakage replaces methods of a store and of its members; nil leaves one as it is.
type breakage struct {
	join      func(ctx context.Context, s *brokenStore, name string, ttl time.Duration) (store.Member, error)
	housekeep func(ctx context.Context, s *brokenStore, r store.Retention) (store.Swept, error)

	acquire    func(ctx context.Context, m *brokenMember, shards []int) ([]store.Lease, error)
	heartbeat  func(ctx context.Context, m *brokenMember) error
	commit     func(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error)
	load       func(ctx context.Context, m *brokenMember, source string) (poller.State, error)
	known      func(k *poller.Known)
	body       func(body []byte) []byte
	lanes      func(lanes []emitter.Lane) []emitter.Lane
	pending    func(ctx context.Context, m *brokenMember, lane emitter.Lane, after int64, limit int) ([]emitter.Delivery, error)
	seal       func(ctx context.Context, m *brokenMember, parcels []emitter.Parcel) ([][]emitter.Delivery, error)
	batch      func(ctx context.Context, m *brokenMember, lane emitter.Lane, id string) ([]emitter.Delivery, error)
	failBatch  func(ctx context.Context, m *brokenMember, lane emitter.Lane, seqs []int64, a emitter.Attempt, next emitter.Next) error
	ack        func(ctx context.Context, m *brokenMember, receipts []emitter.Receipt) error
	retry      func(ctx context.Context, m *brokenMember, ref emitter.Ref, a emitter.Attempt, next time.Time) error
	park       func(ctx context.Context, m *brokenMember, ref emitter.Ref, reason string, a *emitter.Attempt) error
	drop       func(ctx context.Context, m *brokenMember, q store.DeliveryQuery, why string) (int, error)
	saveGate   func(ctx context.Context, m *brokenMember, webhook string, state emitter.GateState) (emitter.GateState, bool, error)
	newGates   func(ctx context.Context, m *brokenMember) (map[string]emitter.GateState, error)
	tokens     func(ctx context.Context, m *brokenMember, o budget.Order) (budget.Grant, error)
	places     func(ctx context.Context, m *brokenMember, key string, most, want int) (int, error)
	hold       func(ctx context.Context, m *brokenMember, key string, h budget.Hold) error
	kept       func(ctx context.Context, m *brokenMember, source, name string) ([]byte, error)
	keep       func(ctx context.Context, m *brokenMember, source, name string, old, value []byte) error
	setSources func(ctx context.Context, m *brokenMember, names []string, at time.Time) error
}

type brokenStore struct {
	store.Store
	breaks breakage

	mu      sync.Mutex
	members []*brokenMember
	gates   map[string]emitter.GateState // for one that forgets them
	vault   map[string][]byte            // for one that forgets it
	heard   map[string]bool              // gates, by member and webhook, for one that tells of each once
}

func (s *brokenStore) Join(ctx context.Context, name string, ttl time.Duration) (store.Member, error) {
	join := s.Store.Join
	if s.breaks.join != nil {
		join = func(ctx context.Context, name string, ttl time.Duration) (store.Member, error) {
			return s.breaks.join(ctx, s, name, ttl)
		}
	}
	inner, err := join(ctx, name, ttl)
	if err != nil {
		return nil, err
	}
	m := &brokenMember{Member: inner, st: s, breaks: s.breaks}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = append(s.members, m)
	return m, nil
}

func (s *brokenStore) Housekeep(ctx context.Context, r store.Retention) (store.Swept, error) {
	if s.breaks.housekeep != nil {
		return s.breaks.housekeep(ctx, s, r)
	}
	return s.Store.Housekeep(ctx, r)
}

// others gives the members that joined, the latest first.
func (s *brokenStore) others(than *brokenMember) []*brokenMember {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*brokenMember
	for _, m := range slices.Backward(s.members) {
		if m != than {
			list = append(list, m)
		}
	}
	return list
}

type brokenMember struct {
	store.Member
	st     *brokenStore
	breaks breakage
}

func (m *brokenMember) Acquire(ctx context.Context, shards []int) ([]store.Lease, error) {
	if m.breaks.acquire != nil {
		return m.breaks.acquire(ctx, m, shards)
	}
	return m.Member.Acquire(ctx, shards)
}

func (m *brokenMember) Heartbeat(ctx context.Context) error {
	if m.breaks.heartbeat != nil {
		return m.breaks.heartbeat(ctx, m)
	}
	return m.Member.Heartbeat(ctx)
}

func (m *brokenMember) Commit(ctx context.Context, c poller.Commit) (poller.Committed, error) {
	if m.breaks.commit != nil {
		return m.breaks.commit(ctx, m, c)
	}
	return m.Member.Commit(ctx, c)
}

func (m *brokenMember) Load(ctx context.Context, source string) (poller.State, error) {
	if m.breaks.load != nil {
		return m.breaks.load(ctx, m, source)
	}
	return m.Member.Load(ctx, source)
}

func (m *brokenMember) Prints(ctx context.Context, source string, yield func(poller.Known) bool) error {
	return m.Member.Prints(ctx, source, func(k poller.Known) bool {
		if m.breaks.known != nil {
			m.breaks.known(&k)
		}
		return yield(k)
	})
}

func (m *brokenMember) Bodies(ctx context.Context, source string, hashes []differ.Hash, yield func(differ.Hash, string, []byte) error) error {
	return m.Member.Bodies(ctx, source, hashes, func(hash differ.Hash, key string, body []byte) error {
		if m.breaks.body != nil {
			body = m.breaks.body(body)
		}
		return yield(hash, key, body)
	})
}

func (m *brokenMember) Lanes(ctx context.Context) ([]emitter.Lane, error) {
	lanes, err := m.Member.Lanes(ctx)
	if m.breaks.lanes != nil {
		lanes = m.breaks.lanes(lanes)
	}
	return lanes, err
}

func (m *brokenMember) Pending(ctx context.Context, lane emitter.Lane, after int64, limit int) ([]emitter.Delivery, error) {
	if m.breaks.pending != nil {
		return m.breaks.pending(ctx, m, lane, after, limit)
	}
	return m.Member.Pending(ctx, lane, after, limit)
}

func (m *brokenMember) Seal(ctx context.Context, parcels []emitter.Parcel) ([][]emitter.Delivery, error) {
	if m.breaks.seal != nil {
		return m.breaks.seal(ctx, m, parcels)
	}
	return m.Member.Seal(ctx, parcels)
}

func (m *brokenMember) Batch(ctx context.Context, lane emitter.Lane, id string) ([]emitter.Delivery, error) {
	if m.breaks.batch != nil {
		return m.breaks.batch(ctx, m, lane, id)
	}
	return m.Member.Batch(ctx, lane, id)
}

func (m *brokenMember) FailBatch(ctx context.Context, lane emitter.Lane, seqs []int64, a emitter.Attempt, next emitter.Next) error {
	if m.breaks.failBatch != nil {
		return m.breaks.failBatch(ctx, m, lane, seqs, a, next)
	}
	return m.Member.FailBatch(ctx, lane, seqs, a, next)
}

func (m *brokenMember) Ack(ctx context.Context, receipts []emitter.Receipt) error {
	if m.breaks.ack != nil {
		return m.breaks.ack(ctx, m, receipts)
	}
	return m.Member.Ack(ctx, receipts)
}

func (m *brokenMember) Retry(ctx context.Context, ref emitter.Ref, a emitter.Attempt, next time.Time) error {
	if m.breaks.retry != nil {
		return m.breaks.retry(ctx, m, ref, a, next)
	}
	return m.Member.Retry(ctx, ref, a, next)
}

func (m *brokenMember) Park(ctx context.Context, ref emitter.Ref, reason string, a *emitter.Attempt) error {
	if m.breaks.park != nil {
		return m.breaks.park(ctx, m, ref, reason, a)
	}
	return m.Member.Park(ctx, ref, reason, a)
}

func (m *brokenMember) Drop(ctx context.Context, q store.DeliveryQuery, why string) (int, error) {
	if m.breaks.drop != nil {
		return m.breaks.drop(ctx, m, q, why)
	}
	return m.Member.Drop(ctx, q, why)
}

func (m *brokenMember) SaveGate(ctx context.Context, webhook string, state emitter.GateState) (emitter.GateState, bool, error) {
	if m.breaks.saveGate != nil {
		return m.breaks.saveGate(ctx, m, webhook, state)
	}
	return m.Member.SaveGate(ctx, webhook, state)
}

func (m *brokenMember) NewGates(ctx context.Context) (map[string]emitter.GateState, error) {
	if m.breaks.newGates != nil {
		return m.breaks.newGates(ctx, m)
	}
	return m.Member.NewGates(ctx)
}

func (m *brokenMember) Tokens(ctx context.Context, o budget.Order) (budget.Grant, error) {
	if m.breaks.tokens != nil {
		return m.breaks.tokens(ctx, m, o)
	}
	return m.Member.Tokens(ctx, o)
}

func (m *brokenMember) Places(ctx context.Context, key string, most, want int) (int, error) {
	if m.breaks.places != nil {
		return m.breaks.places(ctx, m, key, most, want)
	}
	return m.Member.Places(ctx, key, most, want)
}

func (m *brokenMember) Hold(ctx context.Context, key string, h budget.Hold) error {
	if m.breaks.hold != nil {
		return m.breaks.hold(ctx, m, key, h)
	}
	return m.Member.Hold(ctx, key, h)
}

func (m *brokenMember) Kept(ctx context.Context, source, name string) ([]byte, error) {
	if m.breaks.kept != nil {
		return m.breaks.kept(ctx, m, source, name)
	}
	return m.Member.Kept(ctx, source, name)
}

func (m *brokenMember) Keep(ctx context.Context, source, name string, old, value []byte) error {
	if m.breaks.keep != nil {
		return m.breaks.keep(ctx, m, source, name, old, value)
	}
	return m.Member.Keep(ctx, source, name, old, value)
}

func (m *brokenMember) SetSources(ctx context.Context, names []string, at time.Time) error {
	if m.breaks.setSources != nil {
		return m.breaks.setSources(ctx, m, names, at)
	}
	return m.Member.SetSources(ctx, names, at)
}
