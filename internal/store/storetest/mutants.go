package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// Mutants lists the broken stores.
func Mutants() []Mutant {
	return slices.Concat(atomicMutants(), deliveryMutants(), identityMutants(), orderMutants(), memoryMutants(), ownershipMutants())
}

func atomicMutants() []Mutant {
	return []Mutant{
		{Promise: Atomic, Name: "what came before a failure is committed", breaks: breakage{commit: commitSalvaged(false)}},
		{Promise: Atomic, Name: "records and state are committed without their events", breaks: breakage{commit: commitSalvaged(true)}},
		{Promise: Atomic, Name: "a cancelled commit is committed", breaks: breakage{commit: commitAnyway}},
		{Promise: Atomic, Name: "the version is not compared", breaks: breakage{commit: commitOnTop}},
		{Promise: Atomic, Name: "a gap in the sequence is papered over", breaks: breakage{commit: commitRenumbered}},
		{Promise: Atomic, Name: "validators are not committed with the rest", breaks: breakage{commit: commitWithoutValidators}},
		{Promise: Atomic, Name: "the cursor is encoded anew", breaks: breakage{load: loadRecoded}},
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

func deliveryMutants() []Mutant {
	return []Mutant{
		{Promise: AtLeastOnce, Name: "an acknowledgement takes its neighbour along", breaks: breakage{ack: ackNeighbour}},
		{Promise: AtLeastOnce, Name: "a retry is not stored", breaks: breakage{retry: retryForgotten}},
		{Promise: AtLeastOnce, Name: "parking deletes", breaks: breakage{park: parkSettles}},
		{Promise: AtLeastOnce, Name: "a late failure undoes an acknowledgement", breaks: breakage{park: parkRevives}},
		{Promise: AtLeastOnce, Name: "paging skips the first after a page", breaks: breakage{pending: pendingSkips}},
		{Promise: AtLeastOnce, Name: "a lane is not listed", breaks: breakage{lanes: func(l []emitter.Lane) []emitter.Lane { return l[:max(0, len(l)-1)] }}},
		{Promise: AtLeastOnce, Name: "gates are kept in memory", breaks: breakage{saveGate: gateInMemory}},
		{Promise: Retention, Name: "housekeeping deletes what is pending", breaks: breakage{housekeep: sweepPending}},
		{Promise: Retention, Name: "housekeeping drops what is parked", breaks: breakage{housekeep: sweepParked}},
		{Promise: AtLeastOnce, Name: "housekeeping drops what is parked", breaks: breakage{housekeep: sweepParked}},
	}
}

func ackNeighbour(ctx context.Context, m *brokenMember, receipts []emitter.Receipt) error {
	for _, r := range receipts {
		r.Seq++
		receipts = append(receipts, r)
	}
	return m.Member.Ack(ctx, receipts)
}

func retryForgotten(context.Context, *brokenMember, emitter.Ref, emitter.Attempt, time.Time) error {
	return nil
}

func parkSettles(ctx context.Context, m *brokenMember, ref emitter.Ref, _ string, _ *emitter.Attempt) error {
	return m.Member.Ack(ctx, []emitter.Receipt{{Ref: ref}})
}

func parkRevives(ctx context.Context, m *brokenMember, ref emitter.Ref, reason string, a *emitter.Attempt) error {
	_, err := m.Replay(ctx, store.DeliveryQuery{Before: ref.Seq + 1, Limit: 1})
	return errors.Join(err, m.Member.Park(ctx, ref, reason, a))
}

func pendingSkips(ctx context.Context, m *brokenMember, lane emitter.Lane, after int64, limit int) ([]emitter.Delivery, error) {
	if after > 0 {
		after++
	}
	return m.Member.Pending(ctx, lane, after, limit)
}

func gateInMemory(_ context.Context, m *brokenMember, webhook string, state emitter.GateState) error {
	m.st.gates[webhook] = state
	return nil
}

func (s *brokenStore) GateStates(ctx context.Context) (map[string]emitter.GateState, error) {
	if s.breaks.saveGate != nil {
		return s.gates, nil
	}
	return s.Store.GateStates(ctx)
}

func (m *brokenMember) Gates(ctx context.Context) (map[string]emitter.GateState, error) {
	return m.st.GateStates(ctx)
}

func sweepPending(ctx context.Context, s *brokenStore, events, removed time.Time) (bool, error) {
	m := s.others(nil)[0]
	lanes, err := m.Lanes(ctx)
	for _, lane := range lanes {
		list, failed := m.Pending(ctx, lane, 0, 1000)
		err = errors.Join(err, failed)
		for _, d := range list {
			if d.At.Before(events) {
				err = errors.Join(err, m.Ack(ctx, receipts([]emitter.Delivery{d})))
			}
		}
	}
	more, failed := s.Store.Housekeep(ctx, events, removed)
	return more, errors.Join(err, failed)
}

func sweepParked(ctx context.Context, s *brokenStore, events, removed time.Time) (bool, error) {
	_, err := s.others(nil)[0].Drop(ctx, store.DeliveryQuery{Until: events})
	more, failed := s.Store.Housekeep(ctx, events, removed)
	return more, errors.Join(err, failed)
}

func identityMutants() []Mutant {
	return []Mutant{
		{Promise: Identity, Name: "bodies are encoded anew when they are read", breaks: breakage{pending: onPending(func(d *emitter.Delivery) { d.Body = recode(d.Body) })}},
		{Promise: Identity, Name: "a replay gets a new id", breaks: breakage{pending: onPending(func(d *emitter.Delivery) {
			if d.Replay {
				d.ID += "r"
			}
		})}},
		{Promise: Identity, Name: "every attempt gets a new id", breaks: breakage{pending: onPending(func(d *emitter.Delivery) { d.ID += strconv.Itoa(d.Attempts) })}},
		{Promise: Identity, Name: "every webhook gets the same bytes", breaks: breakage{commit: commitSameBytes}},
	}
}

func onPending(change func(d *emitter.Delivery)) func(context.Context, *brokenMember, emitter.Lane, int64, int) ([]emitter.Delivery, error) {
	return func(ctx context.Context, m *brokenMember, lane emitter.Lane, after int64, limit int) ([]emitter.Delivery, error) {
		list, err := m.Member.Pending(ctx, lane, after, limit)
		for i := range list {
			change(&list[i])
		}
		return list, err
	}
}

func commitSameBytes(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
	writes, err := collected(c)
	if err != nil {
		return poller.Committed{}, err
	}
	for i := range writes {
		if e := writes[i].Event; e != nil {
			for k := range e.To {
				e.To[k].Body = nil
			}
		}
	}
	c.Writes = yield(writes)
	return m.Member.Commit(ctx, c)
}

func orderMutants() []Mutant {
	return []Mutant{
		{Promise: Order, Name: "a lane is read backwards", breaks: breakage{pending: reordered(func(list []emitter.Delivery) []emitter.Delivery {
			slices.Reverse(list)
			return list
		})}},
		{Promise: Order, Name: "a replayed delivery goes to the end", breaks: breakage{pending: reordered(func(list []emitter.Delivery) []emitter.Delivery {
			return slices.Concat(filtered(list, func(d emitter.Delivery) bool { return !d.Replay }), filtered(list, func(d emitter.Delivery) bool { return d.Replay }))
		})}},
		{Promise: Order, Name: "a delivery that waits is passed by the later ones", breaks: breakage{pending: reordered(func(list []emitter.Delivery) []emitter.Delivery {
			return filtered(list, func(d emitter.Delivery) bool { return d.NextAt.IsZero() })
		})}},
	}
}

func filtered(list []emitter.Delivery, keep func(emitter.Delivery) bool) []emitter.Delivery {
	return slices.DeleteFunc(slices.Clone(list), func(d emitter.Delivery) bool { return !keep(d) })
}

func reordered(order func([]emitter.Delivery) []emitter.Delivery) func(context.Context, *brokenMember, emitter.Lane, int64, int) ([]emitter.Delivery, error) {
	return func(ctx context.Context, m *brokenMember, lane emitter.Lane, after int64, limit int) ([]emitter.Delivery, error) {
		list, err := m.Member.Pending(ctx, lane, after, limit)
		return order(list), err
	}
}

func memoryMutants() []Mutant {
	return []Mutant{
		{Promise: Memory, Name: "missing counts are forgotten", breaks: breakage{known: func(k *poller.Known) { k.Missing = 0 }}},
		{Promise: Memory, Name: "fingerprints lose their highest bit", breaks: breakage{known: func(k *poller.Known) { k.Print.Raw &= 1<<63 - 1 }}},
		{Promise: Memory, Name: "bodies are encoded anew", breaks: breakage{body: recode}},
		{Promise: Memory, Name: "a removed record stays", breaks: breakage{commit: commitKeeping}},
		{Promise: Retention, Name: "a source loses its state at once", breaks: breakage{setSources: func(ctx context.Context, m *brokenMember, names []string, at time.Time) error {
			return m.Member.SetSources(ctx, names, at.AddDate(-1, 0, 0))
		}}},
		{Promise: Retention, Name: "leaving is not noticed", breaks: breakage{setSources: func(context.Context, *brokenMember, []string, time.Time) error { return nil }}},
		{Promise: Retention, Name: "the sequence starts anew with the source", breaks: breakage{load: func(ctx context.Context, m *brokenMember, source string) (poller.State, error) {
			st, err := m.Member.Load(ctx, source)
			if st.Records == 0 && st.Baselined.IsZero() {
				st.Sequence = 0
			}
			return st, err
		}}},
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
		{Promise: Ownership, Name: "the epoch is not compared", breaks: breakage{commit: commitForwarded}},
		{Promise: Ownership, Name: "a stale owner may park", breaks: breakage{park: parkForwarded}},
		{Promise: Ownership, Name: "a heartbeat revives the dead", breaks: breakage{heartbeat: func(ctx context.Context, m *brokenMember) error {
			if err := m.Member.Heartbeat(ctx); !errors.Is(err, store.ErrMemberLost) {
				return err
			}
			return nil
		}}},
		{Promise: Ownership, Name: "acquiring steals from the living", breaks: breakage{acquire: acquireStealing}},
		{Promise: Ownership, Name: "an old incarnation keeps its leases", breaks: breakage{join: joinAnother}},
		{Promise: Ownership, Name: "a stale owner's acknowledgement is refused", breaks: breakage{ack: func(ctx context.Context, m *brokenMember, receipts []emitter.Receipt) error {
			return errors.Join(m.Member.Heartbeat(ctx), m.Member.Ack(ctx, receipts))
		}}},
		{
			Promise: Ownership, Name: "a commit of the former owner follows the take-over", breaks: breakage{commit: commitForwarded},
			by: "a take-over is complete: what was confirmed is there, and nothing follows",
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
			if err := other.Release(ctx, shard); err != nil && !errors.Is(err, poller.ErrFenced) {
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
