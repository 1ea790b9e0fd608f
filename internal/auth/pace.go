package auth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// pace keeps an endpoint that fails from being asked over and over. The holder of the turn uses it.
type pace struct {
	failures int
	until    time.Time
	last     *Error
	material [sha256.Size]byte // what the failed request was made of: with something else the endpoint may be asked at once
}

const (
	firstPause   = 5 * time.Second // after a failure that may pass; doubles
	mostPause    = 10 * time.Minute
	firstRefusal = time.Minute // after wrong credentials: an account may be locked after some tries
	mostRefusal  = time.Hour
)

// check gives the last error while the endpoint must not be asked.
func (p *pace) check(now time.Time, material [sha256.Size]byte) error {
	if p.last == nil || !now.Before(p.until) || p.last.lasting && material != p.material {
		return nil
	}
	again := *p.last
	again.Message += fmt.Sprintf("; it is asked again in %s", p.until.Sub(now).Round(time.Second))
	return &again
}

// failed notes a failure. Errors that are no *Error come from the caller's context and do not count.
func (p *pace) failed(now time.Time, material [sha256.Size]byte, err error) error {
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	first, most := firstPause, mostPause
	if failure.lasting {
		first, most = firstRefusal, mostRefusal
	}
	if p.last != nil && p.last.lasting != failure.lasting || material != p.material {
		p.failures = 0
	}
	pause := first
	for range p.failures {
		pause = min(2*pause, most)
	}
	failure.Until = now.Add(max(pause, failure.wait))
	*p = pace{failures: p.failures + 1, until: failure.Until, last: failure, material: material}
	return failure
}

// succeeded forgets the failures.
func (p *pace) succeeded() { *p = pace{} }
