package outbound

import (
	"context"
	"sync"
	"time"
)

// take takes a token that may be used after wait; see budget.Rate.
func (h *host) take(now time.Time, patience time.Duration) (wait time.Duration, ok, ask bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rate.Take(now, patience)
}

// untake gives back what take gave.
func (h *host) untake() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rate.Untake()
}

// buy orders tokens of the rate that all members share. One visit does it for all that wait; what went wrong is known by how long there
// are none.
func (v *visit) buy() error {
	h := v.host
	select {
	case h.buying <- struct{}{}:
		defer func() { <-h.buying }()
	case <-v.ctx.Done():
		return context.Cause(v.ctx)
	}
	h.mu.Lock()
	dry, order := h.rate.Dry(v.gate.opts.Now()), h.rate.Order(v.patience())
	h.mu.Unlock()
	if !dry {
		return nil
	}
	grant, err := h.pool.Bank().Tokens(v.ctx, order)
	if v.ctx.Err() != nil {
		return context.Cause(v.ctx)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rate.Bought(v.gate.opts.Now(), order, grant, err)
	return nil
}

// andPlace takes one of the places that members share, too. The local one is given back where that fails, or together with it.
func (v *visit) andPlace(leave func()) (func(), error) {
	h := v.host
	if !h.pool.Shared() {
		return leave, nil
	}
	if err := v.place(); err != nil {
		leave()
		return nil, err
	}
	return sync.OnceFunc(func() {
		h.vacate()
		leave()
	}), nil
}

func (v *visit) place() error {
	began := time.Now()
	timer := time.NewTimer(v.left)
	defer timer.Stop()
	for {
		freed, wait := v.host.occupy(v.ctx, true)
		if freed == nil {
			v.waited(time.Since(began))
			return nil
		}
		yield(v.ctx)
		again := time.NewTimer(wait)
		select {
		case <-freed:
		case <-again.C:
		case <-timer.C:
			again.Stop()
			return v.crowded()
		case <-v.ctx.Done():
			again.Stop()
			return context.Cause(v.ctx)
		}
		again.Stop()
	}
}

// lookAgain is how long a visit waits for a place at most before it looks whether there are more.
const lookAgain = time.Second

// occupy takes a place. Without one it asks for more, where that is the time, and says what to wait for.
func (h *host) occupy(ctx context.Context, enter bool) (freed <-chan struct{}, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		now := time.Now()
		view := h.pool.View(now)
		if enter && h.busy < h.places.Limit(now, view) {
			h.busy++
			return nil, 0
		}
		want, ask, wait := h.places.Want(now, view, h.busy, enter)
		if !ask {
			if wait <= 0 || wait > lookAgain {
				wait = lookAgain
			}
			return h.freed, wait
		}
		h.mu.Unlock()
		held, err := h.pool.Bank().Places(ctx, h.key, h.limits.Concurrency, want)
		h.mu.Lock()
		h.places.Got(time.Now(), want, held, err)
		h.tellFreed()
	}
}

func (h *host) vacate() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy--
	h.tellFreed()
}

// tellFreed wakes all who wait for a place. It is called with the lock held.
func (h *host) tellFreed() {
	close(h.freed)
	h.freed = make(chan struct{})
}

// Refresh divides anew what members share. With a pool it is to be called about every second, after the pool's own.
func (h *Hosts) Refresh(ctx context.Context) {
	h.mu.Lock()
	all := make([]*host, 0, len(h.hosts))
	for _, one := range h.hosts {
		if one.slots != nil {
			all = append(all, one)
		}
	}
	h.mu.Unlock()
	for _, one := range all {
		one.occupy(ctx, false)
	}
}
