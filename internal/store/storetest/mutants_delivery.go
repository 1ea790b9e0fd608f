package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

func deliveryMutants() []Mutant {
	return []Mutant{
		{
			Name:   "an acknowledgement takes its neighbour along",
			By:     "an acknowledgement settles its own delivery only",
			breaks: breakage{ack: ackNeighbour},
		},
		{
			Name:   "what is acknowledged together gets one time",
			By:     "acknowledged together, each delivery keeps its own attempt",
			breaks: breakage{ack: ackBlurred},
		},
		{
			Name:   "a retry is not stored",
			By:     "a retry survives a restart and a take-over",
			breaks: breakage{retry: retryForgotten},
		},
		{
			Name:   "parking deletes",
			By:     "a parked delivery survives a restart and is listed until someone decides",
			breaks: breakage{park: parkSettles},
		},
		{
			Name:   "a late failure undoes an acknowledgement",
			By:     "a late retry or park does not undo an acknowledgement",
			breaks: breakage{park: parkRevives},
		},
		{
			Name:   "paging skips the first after a page",
			By:     "acknowledging is idempotent and paging skips nothing",
			breaks: breakage{pending: pendingSkips},
		},
		{
			Name:   "dropping what is queued for a webhook takes what is queued for others along",
			By:     "dropping what is pending leaves later events and other webhooks alone",
			breaks: breakage{drop: dropEverywhere},
		},
		{
			Name:   "a lane is not listed",
			By:     "every lane that has something pending is listed, and no other",
			breaks: breakage{lanes: func(l []emitter.Lane) []emitter.Lane { return l[:max(0, len(l)-1)] }},
		},
		{
			Name:   "gates are kept in memory",
			By:     "gates are durable",
			breaks: breakage{saveGate: gateInMemory},
		},
		{
			Name:   "housekeeping deletes what is pending",
			By:     "housekeeping deletes what is old and settled everywhere, and nothing else",
			breaks: breakage{housekeep: sweepPending},
		},
		{
			Name:   "housekeeping drops what is parked",
			By:     "housekeeping deletes what is old and settled everywhere, and nothing else",
			breaks: breakage{housekeep: sweepParked},
		},
		{
			Name: "a store that is too large loses all settled events",
			By:   "a store that is too large loses its oldest settled events, and nothing else",
			breaks: breakage{housekeep: func(ctx context.Context, s *brokenStore, r store.Retention) (store.Swept, error) {
				if r.MaxSize > 0 && r.MaxSize < 1<<40 {
					r.EventsBefore = time.Now()
				}
				return s.Store.Housekeep(ctx, r)
			}},
		},
		{
			Name:   "housekeeping drops what is parked",
			By:     "a parked delivery survives a restart and is listed until someone decides",
			breaks: breakage{housekeep: sweepParked},
		},
	}
}

func ackNeighbour(ctx context.Context, m *brokenMember, receipts []emitter.Receipt) error {
	for _, r := range receipts {
		r.Seq++
		receipts = append(receipts, r)
	}
	return m.Member.Ack(ctx, receipts)
}

func ackBlurred(ctx context.Context, m *brokenMember, receipts []emitter.Receipt) error {
	blurred := slices.Clone(receipts)
	for i := range blurred {
		blurred[i].Attempt.Took = receipts[0].Attempt.Took
	}
	return m.Member.Ack(ctx, blurred)
}

func retryForgotten(context.Context, *brokenMember, emitter.Ref, emitter.Attempt, time.Time) error {
	return nil
}

func parkSettles(ctx context.Context, m *brokenMember, ref emitter.Ref, _ string, _ *emitter.Attempt) error {
	return m.Member.Ack(ctx, []emitter.Receipt{{Ref: ref}})
}

func parkRevives(ctx context.Context, m *brokenMember, ref emitter.Ref, reason string, a *emitter.Attempt) error {
	_, err := m.Replay(ctx, store.DeliveryQuery{Before: ref.Seq + 1, Limit: 1}, 0)
	return errors.Join(err, m.Member.Park(ctx, ref, reason, a))
}

func pendingSkips(ctx context.Context, m *brokenMember, lane emitter.Lane, after int64, limit int) ([]emitter.Delivery, error) {
	if after > 0 {
		after++
	}
	return m.Member.Pending(ctx, lane, after, limit)
}

func gateInMemory(_ context.Context, m *brokenMember, webhook string, state emitter.GateState) (emitter.GateState, bool, error) {
	state.Gen++
	m.st.gates[webhook] = state
	return state, true, nil
}

func (s *brokenStore) GateStates(ctx context.Context) (map[string]emitter.GateState, error) {
	if len(s.gates) > 0 {
		return s.gates, nil
	}
	return s.Store.GateStates(ctx)
}

func (m *brokenMember) Gates(ctx context.Context) (map[string]emitter.GateState, error) {
	return m.st.GateStates(ctx)
}

func sweepPending(ctx context.Context, s *brokenStore, r store.Retention) (store.Swept, error) {
	m := s.others(nil)[0]
	lanes, err := m.Lanes(ctx)
	for _, lane := range lanes {
		list, failed := m.Pending(ctx, lane, 0, 1000)
		err = errors.Join(err, failed)
		for _, d := range list {
			if d.At.Before(r.EventsBefore) {
				err = errors.Join(err, m.Ack(ctx, receipts([]emitter.Delivery{d})))
			}
		}
	}
	swept, failed := s.Store.Housekeep(ctx, r)
	return swept, errors.Join(err, failed)
}

func sweepParked(ctx context.Context, s *brokenStore, r store.Retention) (store.Swept, error) {
	_, err := s.others(nil)[0].Drop(ctx, store.DeliveryQuery{Until: r.EventsBefore}, "dropped by ann")
	swept, failed := s.Store.Housekeep(ctx, r)
	return swept, errors.Join(err, failed)
}

func identityMutants() []Mutant {
	return []Mutant{
		{
			Name:   "bodies are encoded anew when they are read",
			By:     "id and bytes of a delivery are the same on every read, retry, restart, take-over and replay",
			breaks: breakage{pending: onPending(func(d *emitter.Delivery) { d.Body = recode(d.Body) })},
		},
		{
			Name: "a replay gets a new id",
			By:   "id and bytes of a delivery are the same on every read, retry, restart, take-over and replay",
			breaks: breakage{pending: onPending(func(d *emitter.Delivery) {
				if d.Replay {
					d.ID += "r"
				}
			})},
		},
		{
			Name:   "every attempt gets a new id",
			By:     "id and bytes of a delivery are the same on every read, retry, restart, take-over and replay",
			breaks: breakage{pending: onPending(func(d *emitter.Delivery) { d.ID += strconv.Itoa(d.Attempts) })},
		},
		{
			Name:   "every webhook gets the same bytes",
			By:     "each webhook gets its own bytes",
			breaks: breakage{commit: commitSameBytes},
		},
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
		{
			Name: "a lane is read backwards",
			By:   "a lane is read in the order of the commits",
			breaks: breakage{pending: reordered(func(list []emitter.Delivery) []emitter.Delivery {
				slices.Reverse(list)
				return list
			})},
		},
		{
			Name: "a replayed delivery goes to the end",
			By:   "a replayed delivery stands at its old place, before the later ones of its record",
			breaks: breakage{pending: reordered(func(list []emitter.Delivery) []emitter.Delivery {
				return slices.Concat(filtered(list, func(d emitter.Delivery) bool { return !d.Replay }), filtered(list, func(d emitter.Delivery) bool { return d.Replay }))
			})},
		},
		{
			Name: "a delivery that waits is passed by the later ones",
			By:   "a delivery that waits for a retry still stands before the later ones",
			breaks: breakage{pending: reordered(func(list []emitter.Delivery) []emitter.Delivery {
				return filtered(list, func(d emitter.Delivery) bool { return d.NextAt.IsZero() })
			})},
		},
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

func dropEverywhere(ctx context.Context, m *brokenMember, q store.DeliveryQuery, why string) (int, error) {
	n, err := m.Member.Drop(ctx, q, why)
	if q.State == store.StatePending && err == nil {
		q.Webhook = ""
		_, err = m.Member.Drop(ctx, q, why)
	}
	return n, err
}
