package poller

import (
	"context"
	"errors"
)

// Errors of a Scheduler.
var (
	// ErrUnknownSource says that no source of this name was added.
	ErrUnknownSource = errors.New("there is no such source")
	// ErrPaused says that a paused source was asked to poll.
	ErrPaused = errors.New("the source is paused")
	// ErrNotHeld says that there is nothing to release.
	ErrNotHeld = errors.New("the source is not held")
)

// Scheduler polls any number of sources, each when it is due and never twice at the same time. Its methods may be called
// from any goroutine, before and after Start.
type Scheduler struct{ opts Options }

// NewScheduler makes a scheduler without sources.
func NewScheduler(o Options) *Scheduler { return &Scheduler{opts: o.withDefaults()} }

// Start begins to poll and returns at once. The scheduler stops when ctx ends or Stop is called.
func (s *Scheduler) Start(ctx context.Context) {}

// Stop starts no more polls, interrupts those that still fetch and waits for those that commit until ctx ends.
func (s *Scheduler) Stop(ctx context.Context) error { return nil }

// Add takes a source on. Its configuration must be valid and its shard be held.
func (s *Scheduler) Add(source Source) error { return nil }

// Update replaces the configuration of a source, keeping what is known of it. A poll that runs is interrupted. The same
// configuration changes nothing.
func (s *Scheduler) Update(source Source) error { return nil }

// Remove forgets a source. When it returns without error, no poll of it runs any more.
func (s *Scheduler) Remove(ctx context.Context, name string) error { return nil }

// PollNow makes a source due at once; one that is being polled is polled once more afterwards.
func (s *Scheduler) PollNow(name string) error { return nil }

// Pause stops polling a source until Resume, durably. A poll that runs is interrupted.
func (s *Scheduler) Pause(ctx context.Context, name string) error { return nil }

// Resume lets a paused source poll again.
func (s *Scheduler) Resume(ctx context.Context, name string) error { return nil }

// Release lets the next complete poll of a held source be applied without the guard, durably, and polls at once.
func (s *Scheduler) Release(ctx context.Context, name string) error { return nil }

// Status gives a snapshot of one source; false when there is none of this name.
func (s *Scheduler) Status(name string) (Status, bool) { return Status{}, false }

// Statuses gives a snapshot of all sources, by name.
func (s *Scheduler) Statuses() []Status { return nil }
