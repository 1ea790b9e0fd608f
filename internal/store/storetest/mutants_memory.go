package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func memoryMutants() []Mutant {
	return []Mutant{
		{
			Name:   "a record that stays as it is is written",
			By:     "an event of a record that stays as it is leaves it so, and how far a backfill is goes with it",
			breaks: breakage{commit: commitTouching},
		},
		{
			Name:   "missing counts are forgotten",
			By:     "fingerprints and missing counts are what was written",
			breaks: breakage{known: func(k *poller.Known) { k.Missing = 0 }},
		},
		{
			Name:   "fingerprints lose their highest bit",
			By:     "fingerprints and missing counts are what was written",
			breaks: breakage{known: func(k *poller.Known) { k.Print.Raw &= 1<<63 - 1 }},
		},
		{
			Name:   "bodies are encoded anew",
			By:     "records keep their exact bytes",
			breaks: breakage{body: recode},
		},
		{
			Name:   "a removed record stays",
			By:     "a removed record is gone and can come back",
			breaks: breakage{commit: commitKeeping},
		},
		{
			Name: "a source loses its state at once",
			By:   "a source that left the configuration keeps its state for a while",
			breaks: breakage{setSources: func(ctx context.Context, m *brokenMember, names []string, at time.Time) error {
				return m.Member.SetSources(ctx, names, at.AddDate(-1, 0, 0))
			}},
		},
		{
			Name:   "leaving is not noticed",
			By:     "a source that left the configuration keeps its state for a while",
			breaks: breakage{setSources: func(context.Context, *brokenMember, []string, time.Time) error { return nil }},
		},
		{
			Name: "the sequence starts anew with the source",
			By:   "a source whose state was deleted starts anew, its sequence goes on",
			breaks: breakage{load: func(ctx context.Context, m *brokenMember, source string) (poller.State, error) {
				st, err := m.Member.Load(ctx, source)
				if st.Records == 0 && st.Baselined.IsZero() {
					st.Sequence = 0
				}
				return st, err
			}},
		},
	}
}

func commitKeeping(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
	writes, err := collected(c)
	if err != nil {
		return poller.Committed{}, err
	}
	c.Writes = yield(slices.DeleteFunc(writes, func(w poller.Write) bool { return w.Remove }))
	return m.Member.Commit(ctx, c)
}

func ownershipMutants() []Mutant {
	return []Mutant{
		{
			Name:   "the epoch is not compared",
			By:     "a stale owner is refused, its acknowledgements are not",
			breaks: breakage{commit: commitForwarded},
		},
		{
			Name:   "a stale owner may park",
			By:     "a stale owner is refused, its acknowledgements are not",
			breaks: breakage{park: parkForwarded},
		},
		{
			Name: "a heartbeat revives the dead",
			By:   "a member that has expired never revives",
			breaks: breakage{heartbeat: func(ctx context.Context, m *brokenMember) error {
				if err := m.Member.Heartbeat(ctx); !errors.Is(err, store.ErrMemberLost) {
					return err
				}
				return nil
			}},
		},
		{
			Name:   "acquiring steals from the living",
			By:     "nobody steals from the living",
			breaks: breakage{acquire: acquireStealing},
		},
		{
			Name:   "an old incarnation keeps its leases",
			By:     "a new incarnation voids the leases of the old one",
			breaks: breakage{join: joinAnother},
		},
		{
			Name: "a stale owner's acknowledgement is refused",
			By:   "a stale owner is refused, its acknowledgements are not",
			breaks: breakage{ack: func(ctx context.Context, m *brokenMember, receipts []emitter.Receipt) error {
				return errors.Join(m.Member.Heartbeat(ctx), m.Member.Ack(ctx, receipts))
			}},
		},
		{
			Name: "a commit of the former owner follows the take-over", breaks: breakage{commit: commitForwarded},
			By: "a take-over is complete: what was confirmed is there, and nothing follows",
		},
	}
}

// commitForwarded lets a stale owner commit all the same.
func commitForwarded(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
	done, err := m.Member.Commit(ctx, c)
	for _, other := range m.st.others(m) {
		if !errors.Is(err, poller.ErrFenced) {
			break
		}
		done, err = other.Member.Commit(ctx, c)
	}
	return done, err
}

func parkForwarded(ctx context.Context, m *brokenMember, ref emitter.Ref, reason string, a *emitter.Attempt) error {
	err := m.Member.Park(ctx, ref, reason, a)
	for _, other := range m.st.others(m) {
		if !errors.Is(err, poller.ErrFenced) {
			break
		}
		err = other.Member.Park(ctx, ref, reason, a)
	}
	return err
}

func acquireStealing(ctx context.Context, m *brokenMember, shards []int) ([]store.Lease, error) {
	for _, other := range m.st.others(m) {
		for _, shard := range shards {
			if err := other.Release(ctx, store.Freed{Shard: shard}); err != nil && !errors.Is(err, poller.ErrFenced) {
				return nil, err
			}
		}
	}
	return m.Member.Acquire(ctx, shards)
}

// joinAnother makes a second incarnation look like somebody else.
func joinAnother(ctx context.Context, s *brokenStore, name string, ttl time.Duration) (store.Member, error) {
	return s.Store.Join(ctx, fmt.Sprintf("%s~%d", name, len(s.others(nil))), ttl)
}

func commitTouching(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
	writes, failure := collected(c)
	if failure != nil {
		return poller.Committed{}, failure
	}
	for i := range writes {
		writes[i].Untouched = false
	}
	c.Writes = yield(writes)
	return m.Member.Commit(ctx, c)
}
