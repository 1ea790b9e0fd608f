package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/poller"
)

// Mutants lists the broken stores.
func Mutants() []Mutant {
	return slices.Concat(atomicMutants(), deliveryMutants(), identityMutants(), orderMutants(), memoryMutants(), vaultMutants(), forgetMutants(), ownershipMutants(), mergeMutants(), batchMutants(), limitMutants())
}

func atomicMutants() []Mutant {
	return []Mutant{
		{
			Name:   "what came before a failure is committed",
			By:     "a commit whose writes fail midway leaves nothing",
			breaks: breakage{commit: commitSalvaged(false)},
		},
		{
			Name:   "records and state are committed without their events",
			By:     "a commit whose writes fail midway leaves nothing",
			breaks: breakage{commit: commitSalvaged(true)},
		},
		{
			Name:   "a cancelled commit is committed",
			By:     "a commit that is cancelled midway leaves nothing",
			breaks: breakage{commit: commitAnyway},
		},
		{
			Name:   "the version is not compared",
			By:     "of sixteen commits from one version one wins",
			breaks: breakage{commit: commitOnTop},
		},
		{
			Name:   "a gap in the sequence is papered over",
			By:     "a commit that would leave a gap in the sequence is refused",
			breaks: breakage{commit: commitRenumbered},
		},
		{
			Name:   "validators are not committed with the rest",
			By:     "a commit is there as a whole and survives a restart",
			breaks: breakage{commit: commitWithoutValidators},
		},
		{
			Name:   "the cursor is encoded anew",
			By:     "a commit is there as a whole and survives a restart",
			breaks: breakage{load: loadRecoded},
		},
	}
}

// collected reads the writes before the transaction begins.
func collected(c poller.Commit) (writes []poller.Write, failure error) {
	if c.Writes == nil {
		return nil, nil
	}
	for one, err := range c.Writes {
		if err != nil {
			return writes, err
		}
		writes = append(writes, one)
	}
	return writes, nil
}

// commitSalvaged commits what it has when the writes fail, with or without the events.
func commitSalvaged(silent bool) func(context.Context, *brokenMember, poller.Commit) (poller.Committed, error) {
	return func(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
		writes, failure := collected(c)
		if failure != nil {
			old, err := m.Member.Load(ctx, c.Source)
			if err != nil {
				return poller.Committed{}, err
			}
			for i := range writes {
				if silent {
					writes[i].Event = nil
				}
			}
			part := poll(c.Source, old, writes...)
			if _, err := m.Member.Commit(ctx, part); err != nil {
				return poller.Committed{}, err
			}
			return poller.Committed{}, failure
		}
		c.Writes = yield(writes)
		return m.Member.Commit(ctx, c)
	}
}

func commitAnyway(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
	return m.Member.Commit(context.WithoutCancel(ctx), c)
}

// commitOnTop commits a poll on top of whatever is there.
func commitOnTop(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
	for {
		st, err := m.Member.Load(ctx, c.Source)
		if err != nil {
			return poller.Committed{}, err
		}
		c.Expect = st.Version
		done, err := commitFrom(ctx, m, c, st.Sequence)
		if !errors.Is(err, poller.ErrConflict) {
			return done, err
		}
	}
}

func commitRenumbered(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
	st, err := m.Member.Load(ctx, c.Source)
	if err != nil {
		return poller.Committed{}, err
	}
	return commitFrom(ctx, m, c, st.Sequence)
}

// commitFrom gives the events of a commit the sequences after last.
func commitFrom(ctx context.Context, m *brokenMember, c poller.Commit, last int64) (poller.Committed, error) {
	writes, err := collected(c)
	if err != nil {
		return poller.Committed{}, err
	}
	for i := range writes {
		if e := writes[i].Event; e != nil {
			last++
			e.Sequence, e.Source = last, c.Source
		}
	}
	c.State.Sequence, c.Writes = last, yield(writes)
	return m.Member.Commit(ctx, c)
}

func commitWithoutValidators(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
	c.State.Validators = poller.Validators{}
	return m.Member.Commit(ctx, c)
}

func loadRecoded(ctx context.Context, m *brokenMember, source string) (poller.State, error) {
	st, err := m.Member.Load(ctx, source)
	st.Cursor = recode(st.Cursor)
	return st, err
}

// recode does what a decoder and an encoder do to JSON.
func recode(body []byte) []byte {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return []byte(strings.ToValidUTF8(string(body), "\uFFFD"))
	}
	again, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return again
}
