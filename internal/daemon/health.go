package daemon

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// pulse knows when each loop last went round.
type pulse struct {
	mu    sync.Mutex
	beats map[string]beat
}

type beat struct {
	at     time.Time
	period time.Duration
}

// beat says that a loop goes round, and will again within the period.
func (p *pulse) beat(loop string, period time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.beats == nil {
		p.beats = map[string]beat{}
	}
	p.beats[loop] = beat{at: time.Now(), period: period}
}

// stopped gives an error when a loop has not gone round for three times its period.
func (p *pulse) stopped() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, loop := range slices.Sorted(maps.Keys(p.beats)) {
		b := p.beats[loop]
		if late := time.Since(b.at); late > 3*b.period {
			return fmt.Errorf("the loop of the %s has not gone round for %s, it should every %s", loop, late.Round(time.Second), b.period)
		}
	}
	return nil
}

// every calls do at once and then every period until ctx ends.
func (p *pulse) every(ctx context.Context, loop string, period time.Duration, do func(ctx context.Context)) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		p.beat(loop, period)
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// How old the answer to a write check may be, and how long a write may wait for others: a large baseline is one transaction.
const (
	probeEvery = 10 * time.Second
	probeLimit = 2 * time.Minute
)

// probe finds out whether the store takes writes. Nobody waits for it: a check gives what the last one found, and lets the next one
// begin when that is old.
type probe struct {
	write func(ctx context.Context) error

	mu      sync.Mutex
	began   time.Time
	running bool
	err     error
}

// check gives what is known. Who asks first is told nothing bad.
func (p *probe) check(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := time.Since(p.began)
	switch {
	case p.running && age > probeLimit:
		return fmt.Errorf("the store has not taken a write for %s", age.Round(time.Second))
	case !p.running && (p.began.IsZero() || age > probeEvery):
		p.running, p.began = true, time.Now()
		go p.run(context.WithoutCancel(ctx))
	}
	return p.err
}

func (p *probe) run(ctx context.Context) {
	err := p.write(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running, p.err = false, nil; err != nil {
		p.err = fmt.Errorf("the store does not take writes: %w", err)
	}
}

// Health says why the daemon makes no progress: a loop has stopped, or the store does not take writes. It depends on the daemon
// alone, asks nobody outside, and does not wait. A daemon that has not started yet is healthy.
func (d *Daemon) Health(ctx context.Context) error {
	select {
	case <-d.ready:
	default:
		return nil
	}
	const longestSleep = time.Minute // of the scheduler
	if late := time.Since(d.scheduler.Looked()); late > 3*longestSleep {
		return fmt.Errorf("the scheduler has not looked for what is due for %s", late.Round(time.Second))
	}
	if err := d.pulse.stopped(); err != nil {
		return err
	}
	return d.probe.check(ctx)
}
