package poller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/deltahook/deltahook/differ"
)

// Errors of edits of what is stored.
var (
	// ErrNothing says that there is nothing to change.
	ErrNothing = errors.New("there is nothing to change")
	// ErrRekey says that the stored records cannot be told apart by the new key.
	ErrRekey = errors.New("the stored records cannot be told apart by the new key")
)

// Rekeying is what a rekey does to the known records.
type Rekeying struct {
	Change    string // of the configuration, for people
	Records   int    // that are known
	Moved     int    // get another key
	Keyless   int    // their stored body has no usable new key
	Colliding int    // share the new key with another one
	Example   string // of a record that is keyless or collides; empty when there is none
}

// PlanRekey says what Rekey would do. It changes nothing, and a poll may run meanwhile.
func (p *Poller) PlanRekey(ctx context.Context) (Rekeying, error) {
	state, err := p.Stored(ctx)
	if err != nil {
		return Rekeying{}, err
	}
	return p.rekeyed(ctx, &state, func(*entry) error { return nil })
}

// Rekey keeps the known records although the configuration identifies them in another way: their keys are computed anew from
// their stored bodies. It makes no events, fingerprints stay, and so the next poll finds what changed upstream and nothing
// else. ErrRekey when a record has no usable key or two would share one: nothing is changed then.
func (p *Poller) Rekey(ctx context.Context) (Rekeying, error) {
	if err := p.take(ctx); err != nil {
		return Rekeying{}, err
	}
	defer p.giveBack()
	if err := p.load(ctx); err != nil {
		return Rekeying{}, err
	}
	spool := newSpool(p.opts.TempDir)
	defer spool.close()
	state, lists := p.known.state, map[string]int{}
	r, err := p.rekeyed(ctx, &state, func(e *entry) error {
		lists[p.partitionOf(string(e.key))] = 0
		return spool.add(e)
	})
	if err != nil {
		return r, err
	}
	held := state.Held != nil
	joining := state.Edits.rekeyed(&state, lists)
	if joining || !sameList(state.Identity, p.identity) {
		state.Cursor = restarted(state.Cursor) // it leads through another list, or past what waits
	}
	state.Identity, state.Held, state.Validators, state.Backfill, state.Untold = p.identity, nil, Validators{}, state.Backfill.anew(), state.untold()
	if err := p.commit(ctx, Commit{State: state, Forget: ForgetRecords, Writes: rewrites(spool)}); err != nil {
		return r, err
	}
	p.forget()
	p.backfill, p.released = nil, p.released || held
	return r, nil
}

// rekeyed has all lists read anew when records wait that only an edit let in: their former keys say nothing any more, and what stands in the
// lists is no news then if one of the edits alone may have brought it to light.
func (e *Edits) rekeyed(state *State, lists map[string]int) bool {
	if e == nil || len(e.Joining) == 0 {
		return false
	}
	for name := range e.Behind {
		lists[name] = 0
	}
	state.Edits = &Edits{Formers: e.Formers, Behind: lists}
	return true
}

// rewrites yields the records on the spool as they stand there.
func rewrites(s *spool) iter.Seq2[Write, error] {
	return func(yield func(Write, error) bool) {
		err := s.each(func(e *entry) error {
			if !yield(Write{Known: e.known, Key: string(e.key), Body: e.body}, nil) {
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield(Write{}, err)
		}
	}
}

// rekeyed gives each known record with its new key to keep.
func (p *Poller) rekeyed(ctx context.Context, state *State, keep func(*entry) error) (Rekeying, error) {
	switch {
	case state.Identity == "":
		return Rekeying{}, fmt.Errorf("%w: no records of %s are stored", ErrNothing, p.source.Name)
	case state.Mixed:
		return Rekeying{}, fmt.Errorf("%w: what was decided about an earlier edit was not carried out, and some are known as they were before it: release or discard %s", ErrRekey, p.source.Name)
	case state.Identity == p.identity:
		return Rekeying{}, fmt.Errorf("%w: the records of %s are stored as the configuration says; an edited file counts after a reload", ErrNothing, p.source.Name)
	}
	if change := identityChange(state.Identity, p.identity); !samePartitions(state.Identity, p.identity) {
		return Rekeying{Change: change}, fmt.Errorf("%w: %s, and the stored records do not say what it is", ErrRekey, change)
	}
	var known []Known
	err := p.opts.Ledger.Prints(ctx, p.source.Name, func(k Known) bool {
		known = append(known, k)
		return true
	})
	if err != nil {
		return Rekeying{}, p.storeFault("the known records cannot be read", err)
	}
	k := &rekeyer{p: p, hasher: differ.NewHasher(p.opts.Seed), keep: keep, member: memberPart(state.Identity), taken: make(map[differ.Hash]bool, len(known))}
	k.Change, k.Records = identityChange(state.Identity, p.identity), len(known)
	const batch = 512
	for part := range slices.Chunk(known, batch) {
		if err := k.take(ctx, part); err != nil {
			return k.Rekeying, p.storeFault("the stored records cannot be read", err)
		}
	}
	if k.Keyless+k.Colliding > 0 {
		return k.Rekeying, fmt.Errorf("%w: %d of %d have no usable %s, %d share it with another one (%s)",
			ErrRekey, k.Keyless, k.Records, p.keyNames(), k.Colliding, k.Example)
	}
	return k.Rekeying, nil
}

// rekeyer computes keys anew.
type rekeyer struct {
	Rekeying

	p      *Poller
	hasher *differ.Hasher // its own: a poll may run meanwhile
	keep   func(*entry) error
	member func(key string) []byte
	taken  map[differ.Hash]bool // new keys; true once a second record has it
}

func (r *rekeyer) take(ctx context.Context, part []Known) error {
	byHash := make(map[differ.Hash]Known, len(part))
	hashes := make([]differ.Hash, len(part))
	for i, k := range part {
		byHash[k.Hash], hashes[i] = k, k.Hash
	}
	found := 0
	err := r.p.opts.Ledger.Bodies(ctx, r.p.source.Name, hashes, func(h differ.Hash, key string, body []byte) error {
		found++
		return r.record(byHash[h], key, body)
	})
	if err == nil && found != len(part) {
		err = errors.New("the store lacks bodies of known records")
	}
	return err
}

func (r *rekeyer) record(k Known, old string, body []byte) error {
	key, err := r.p.keyIn(nil, partitionOf(old), differ.Record{Raw: body, Member: r.member(old)})
	if err != nil {
		problem, ok := errors.AsType[*differ.KeyError](err)
		if !ok {
			return err
		}
		r.Keyless++
		r.bad("record %q: %s is %s", old, problem.Path, problem.Problem)
		return nil
	}
	hash := r.hasher.Key(key)
	if again, taken := r.taken[hash]; taken {
		r.Colliding++
		if !again {
			r.Colliding++ // the one that had it first
		}
		r.taken[hash] = true
		r.bad("record %q would be %q, and so would another one", old, key)
		return nil
	}
	r.taken[hash] = false
	if string(key) != old {
		r.Moved++
	}
	k.Hash = hash
	return r.keep(&entry{known: k, key: key, body: body})
}

func (r *rekeyer) bad(format string, args ...any) {
	if r.Example == "" {
		r.Example = fmt.Sprintf(format, args...)
	}
}

// memberPart gives what finds the name that a record had in an object of records, in its old key: it is not in its body.
func memberPart(stored string) func(key string) []byte {
	var was identity
	place := -1
	if json.Unmarshal([]byte(stored), &was) == nil {
		place = slices.Index(was.Key, "@key")
	}
	alone := len(was.Key) == 1 && was.Partitions == ""
	if was.Partitions != "" && place >= 0 {
		place++
	}
	return func(key string) []byte {
		var parts []string
		switch {
		case place < 0:
			return nil
		case alone:
			return []byte(key)
		case json.Unmarshal([]byte(key), &parts) != nil || place >= len(parts):
			return nil
		}
		return []byte(parts[place])
	}
}

// samePartitions says that the first part of the keys comes from the same place in both.
func samePartitions(stored, configured string) bool {
	var was, is identity
	return json.Unmarshal([]byte(stored), &was) == nil && json.Unmarshal([]byte(configured), &is) == nil && was.Partitions == is.Partitions
}

// sameList says that two identities differ in what identifies a record at most, not in where the records are.
func sameList(stored, configured string) bool {
	var was, is identity
	return json.Unmarshal([]byte(stored), &was) == nil && json.Unmarshal([]byte(configured), &is) == nil &&
		was.Origin == is.Origin && was.Records == is.Records && was.Single == is.Single
}
