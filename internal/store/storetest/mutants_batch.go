package storetest

import (
	"context"
	"slices"

	"github.com/deltahook/deltahook/emitter"
)

func batchMutants() []Mutant {
	return []Mutant{
		{
			Name: "a batch is read backwards",
			By:   "a batch is what it was sealed as, after failures and restarts too",
			breaks: breakage{batch: func(ctx context.Context, m *brokenMember, lane emitter.Lane, id string) ([]emitter.Delivery, error) {
				list, err := m.Member.Batch(ctx, lane, id)
				slices.Reverse(list)
				return list, err
			}},
		},
		{
			Name:   "the members of a batch are not stored",
			By:     "a batch is what it was sealed as, after failures and restarts too",
			breaks: breakage{seal: sealLoosely(func(p *emitter.Parcel) { p.Batch = false })},
		},
		{
			Name:   "the size of a batch does not count",
			By:     "a batch leaves out what is settled and what is too much",
			breaks: breakage{seal: sealLoosely(func(p *emitter.Parcel) { p.MaxBytes = 1 << 30 })},
		},
		{
			Name:   "a batch is never split",
			By:     "a batch that is split is none, and its deliveries can be sealed anew",
			breaks: breakage{failBatch: failDifferently(func(n *emitter.Next) { n.Split = false })},
		},
		{
			Name:   "a batch that is given up is tried for ever",
			By:     "the deliveries of a batch are parked together, and replayed one by one",
			breaks: breakage{failBatch: failDifferently(func(n *emitter.Next) { n.Park = "" })},
		},
		{
			Name: "a failure counts for the first of a batch only",
			By:   "a failed attempt counts for each delivery of a batch, and its answer is kept once",
			breaks: breakage{failBatch: func(ctx context.Context, m *brokenMember, lane emitter.Lane, seqs []int64, a emitter.Attempt, next emitter.Next) error {
				return m.Member.FailBatch(ctx, lane, seqs[:1], a, next)
			}},
		},
		{
			Name: "what is parked of a batch without an attempt counts one",
			By:   "a batch is parked as a whole without another attempt",
			breaks: breakage{failBatch: func(ctx context.Context, m *brokenMember, lane emitter.Lane, seqs []int64, a emitter.Attempt, next emitter.Next) error {
				a.Number = max(a.Number, 1)
				return m.Member.FailBatch(ctx, lane, seqs, a, next)
			}},
		},
	}
}

// sealLoosely seals other parcels than it was told to.
func sealLoosely(change func(p *emitter.Parcel)) func(context.Context, *brokenMember, []emitter.Parcel) ([][]emitter.Delivery, error) {
	return func(ctx context.Context, m *brokenMember, parcels []emitter.Parcel) ([][]emitter.Delivery, error) {
		parcels = slices.Clone(parcels)
		for i := range parcels {
			change(&parcels[i])
		}
		return m.Member.Seal(ctx, parcels)
	}
}

func failDifferently(change func(n *emitter.Next)) func(context.Context, *brokenMember, emitter.Lane, []int64, emitter.Attempt, emitter.Next) error {
	return func(ctx context.Context, m *brokenMember, lane emitter.Lane, seqs []int64, a emitter.Attempt, next emitter.Next) error {
		change(&next)
		return m.Member.FailBatch(ctx, lane, seqs, a, next)
	}
}
