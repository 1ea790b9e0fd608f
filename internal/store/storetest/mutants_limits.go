package storetest

import (
	"context"
	"errors"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/store"
)

func limitMutants() []Mutant {
	return []Mutant{
		{
			Name: "every member has a bucket of its own",
			By:   "tokens never over-admit, however many race for them",
			breaks: breakage{tokens: func(ctx context.Context, m *brokenMember, o budget.Order) (budget.Grant, error) {
				o.Key += m.ID()
				return m.Member.Tokens(ctx, o)
			}},
		},
		{
			Name: "a burst is saved up without end",
			By:   "a bucket fills at its rate, up to its burst",
			breaks: breakage{tokens: func(ctx context.Context, m *brokenMember, o budget.Order) (budget.Grant, error) {
				o.Burst *= 3
				return m.Member.Tokens(ctx, o)
			}},
		},
		{
			Name: "every member has places of its own",
			By:   "places are never more than there are, however many race for them",
			breaks: breakage{places: func(ctx context.Context, m *brokenMember, key string, most, want int) (int, error) {
				return m.Member.Places(ctx, key+m.ID(), most, want)
			}},
		},
		{
			Name: "a member that has expired goes on",
			By:   "the places of a member that has expired are free, and it gets none",
			breaks: breakage{places: func(ctx context.Context, m *brokenMember, key string, most, want int) (int, error) {
				n, err := m.Member.Places(ctx, key, most, want)
				if errors.Is(err, store.ErrMemberLost) {
					return want, nil
				}
				return n, err
			}},
		},
		{
			Name: "a hold stays with its member",
			By:   "a hold reaches every member, the longer one stays, and ends by itself",
			breaks: breakage{hold: func(ctx context.Context, m *brokenMember, key string, h budget.Hold) error {
				return m.Member.Hold(ctx, key+m.ID(), h)
			}},
		},
		{
			Name:   "whoever stores a gate last wins",
			By:     "of eight members that find the gate shut one probes",
			breaks: breakage{saveGate: saveGateBlindly},
		},
		{
			Name:   "the generation of a gate is not compared",
			By:     "a gate is not stored on top of what its writer has not seen",
			breaks: breakage{saveGate: saveGateBlindly},
		},
		{
			Name: "only the first change of a gate is heard",
			By:   "what a member stores of a gate, the others hear, each change anew",
			breaks: breakage{newGates: func(ctx context.Context, m *brokenMember) (map[string]emitter.GateState, error) {
				gates, err := m.Member.NewGates(ctx)
				for webhook := range gates {
					if m.st.heard[m.ID()+webhook] {
						delete(gates, webhook)
					}
					m.st.heard[m.ID()+webhook] = true
				}
				return gates, err
			}},
		},
	}
}

// saveGateBlindly stores a gate on top of whatever is there.
func saveGateBlindly(ctx context.Context, m *brokenMember, webhook string, state emitter.GateState) (emitter.GateState, bool, error) {
	for {
		now, saved, err := m.Member.SaveGate(ctx, webhook, state)
		if saved || err != nil {
			return now, saved, err
		}
		state.Gen = now.Gen
	}
}
