package emitter

import (
	"context"
	"sync"
)

// sealer seals parcels before their first attempt. Whoever finds no transaction under way makes one for all that have come
// meanwhile; the others wait for it.
type sealer struct {
	outbox Outbox

	mu      sync.Mutex
	busy    bool
	waiting []*sealing
}

// sealing is a parcel on its way into the store.
type sealing struct {
	parcel Parcel
	sealed []Delivery
	err    error
	done   chan struct{}
	lead   bool // wakes up to make the next transaction
}

// seal gives the deliveries of a parcel as they are fixed.
func (s *sealer) seal(ctx context.Context, p Parcel) ([]Delivery, error) {
	one := &sealing{parcel: p, done: make(chan struct{}, 1)}
	s.mu.Lock()
	s.waiting = append(s.waiting, one)
	first := !s.busy
	one.lead = first
	s.busy = true
	s.mu.Unlock()
	if !first { // whoever wakes it has said whether it leads
		<-one.done
	}
	if one.lead {
		s.write(ctx)
	}
	return one.sealed, one.err
}

// write seals all parcels that wait, the caller's among them, and lets one that came meanwhile make the next transaction.
func (s *sealer) write(ctx context.Context) {
	s.mu.Lock()
	all := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	parcels := make([]Parcel, len(all))
	for i, one := range all {
		parcels[i] = one.parcel
	}
	sealed, err := s.outbox.Seal(ctx, parcels)
	for i, one := range all {
		if one.err = err; err == nil {
			one.sealed = sealed[i]
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range all {
		if !one.lead {
			one.done <- struct{}{}
		}
	}
	if s.busy = len(s.waiting) > 0; s.busy {
		s.waiting[0].lead = true
		s.waiting[0].done <- struct{}{}
	}
}
