package poller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// PollNow makes a source due at once, also outside its active hours; one that is being polled is polled once more afterwards.
func (s *Scheduler) PollNow(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tasks[name]
	switch {
	case !ok:
		return fmt.Errorf("source %s: %w", name, ErrUnknownSource)
	case t.paused:
		return fmt.Errorf("source %s: %w", name, ErrPaused)
	case t.stopped != nil:
		t.again = true
		return nil
	}
	t.ask(s.now())
	s.enqueue(t)
	return nil
}

// Pause stops polling a source until Resume, durably. A poll that runs is interrupted.
func (s *Scheduler) Pause(ctx context.Context, name string) error {
	t, err := s.find(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if t.running != nil {
		t.running(errPausing)
	}
	was := t.paused
	t.paused = true
	s.queue.drop(t)
	p := t.poller
	s.mu.Unlock()
	if err := p.SetPaused(ctx, true); err != nil {
		s.setPaused(t, was)
		return fmt.Errorf("source %s: %w", name, err)
	}
	s.setPaused(t, true)
	return nil
}

// Resume lets a paused source poll again, at once unless it waits for its schedule anyway (missed = "skip").
func (s *Scheduler) Resume(ctx context.Context, name string) error {
	t, err := s.find(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	p := t.poller
	s.mu.Unlock()
	if err := p.SetPaused(ctx, false); err != nil {
		return fmt.Errorf("source %s: %w", name, err)
	}
	s.setPaused(t, false)
	return nil
}

func (s *Scheduler) setPaused(t *task, paused bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.paused = paused; !paused {
		t.plan(s.now())
		if t.source.Missed == "skip" {
			t.plan(t.schedule.Next(s.now()))
		}
	}
	s.enqueue(t)
}

// Decide takes a person's decision about a held source, durably, and polls at once.
func (s *Scheduler) Decide(ctx context.Context, name string, d Decision) error {
	t, err := s.find(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	p := t.poller
	s.mu.Unlock()
	if err := p.Decide(ctx, d); err != nil {
		return fmt.Errorf("source %s: %w", name, err)
	}
	if err := s.PollNow(name); err != nil && !errors.Is(err, ErrPaused) {
		return err
	}
	return nil
}

func (s *Scheduler) find(name string) (*task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tasks[name]
	if !ok {
		return nil, fmt.Errorf("source %s: %w", name, ErrUnknownSource)
	}
	return t, nil
}

// Status gives a snapshot of one source; false when there is none of this name.
func (s *Scheduler) Status(name string) (Status, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tasks[name]
	if !ok {
		return Status{}, false
	}
	return t.status(name, s.now()), true
}

// Statuses gives a snapshot of all sources, by name.
func (s *Scheduler) Statuses() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, now := make([]Status, 0, len(s.tasks)), s.now()
	for name, t := range s.tasks {
		all = append(all, t.status(name, now))
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Source, b.Source) })
	return all
}
