package storetest

import (
	"context"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

func mergeMutants() []Mutant {
	return []Mutant{
		{
			Name: "what waits keeps its body",
			By:   "what waits takes up the later events of its record, under its own id and at its own place",
			breaks: breakage{commit: onMerge(func(_ *poller.Event, merge mergeFunc) mergeFunc {
				return func(id string, waiting []byte, missed bool) (poller.Merging, []byte) {
					m, _ := merge(id, waiting, missed)
					return m, waiting
				}
			})},
		},
		{
			Name:   "what has absorbed is absorbed again",
			By:     "what waits takes up the later events of its record, under its own id and at its own place",
			breaks: breakage{commit: onMerge(mergeAgain())},
		},
		{
			Name: "what cancels is sent",
			By:   "two that cancel each other leave nothing to send",
			breaks: breakage{commit: onMerge(func(_ *poller.Event, merge mergeFunc) mergeFunc {
				return func(id string, waiting []byte, missed bool) (poller.Merging, []byte) {
					m, body := merge(id, waiting, missed)
					if m == poller.Cancelled {
						m = poller.Apart
					}
					return m, body
				}
			})},
		},
		{
			Name: "nothing is ever fixed for good",
			By:   "nothing merges across a delivery that is fixed",
			breaks: breakage{commit: onMerge(func(e *poller.Event, merge mergeFunc) mergeFunc {
				if merge != nil {
					return merge
				}
				return func(string, []byte, bool) (poller.Merging, []byte) { return poller.Absorbed, e.Body }
			})},
		},
		{
			Name:   "sealing is not durable",
			By:     "what was sealed is not changed any more",
			breaks: breakage{seal: sealNothing},
		},
		{
			Name:   "sealing tells of what is settled",
			By:     "sealing tells of what can still be sent, and of nothing else",
			breaks: breakage{seal: sealEverything},
		},
	}
}

type mergeFunc = func(id string, waiting []byte, missed bool) (poller.Merging, []byte)

// onMerge changes the merging of each copy of a commit.
func onMerge(change func(e *poller.Event, merge mergeFunc) mergeFunc) func(context.Context, *brokenMember, poller.Commit) (poller.Committed, error) {
	return func(ctx context.Context, m *brokenMember, c poller.Commit) (poller.Committed, error) {
		writes := c.Writes
		c.Writes = func(yield func(poller.Write, error) bool) {
			for one, err := range writes {
				if e := one.Event; e != nil {
					for i := range e.To {
						e.To[i].Merge = change(e, e.To[i].Merge)
					}
				}
				if !yield(one, err) {
					return
				}
			}
		}
		return m.Member.Commit(ctx, c)
	}
}

// mergeAgain merges with what the last merging made.
func mergeAgain() func(*poller.Event, mergeFunc) mergeFunc {
	made := map[string][]byte{}
	return func(_ *poller.Event, merge mergeFunc) mergeFunc {
		return func(id string, waiting []byte, missed bool) (poller.Merging, []byte) {
			if body := made[id]; body != nil {
				waiting = body
			}
			m, body := merge(id, waiting, missed)
			made[id] = body
			return m, body
		}
	}
}

// sealNothing reads what it should fix.
func sealNothing(ctx context.Context, m *brokenMember, parcels []emitter.Parcel) ([][]emitter.Delivery, error) {
	sealed := make([][]emitter.Delivery, len(parcels))
	for i, p := range parcels {
		for _, seq := range p.Seqs {
			list, err := m.Member.Pending(ctx, p.Lane, seq-1, 1)
			if err != nil {
				return nil, err
			}
			for k := range list {
				list[k].Loose = false
			}
			sealed[i] = append(sealed[i], list...)
		}
	}
	return sealed, nil
}

func sealEverything(ctx context.Context, m *brokenMember, parcels []emitter.Parcel) ([][]emitter.Delivery, error) {
	sealed, err := m.Member.Seal(ctx, parcels)
	for i, p := range parcels {
		if len(sealed[i]) == 0 && len(p.Seqs) > 0 {
			sealed[i] = []emitter.Delivery{{Ref: emitter.Ref{Lane: p.Lane, Seq: p.Seqs[0]}}}
		}
	}
	return sealed, err
}
