package poller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
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
	s.queue.Drop(t)
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
	return s.resume(name, func(p polls) error { return p.SetPaused(ctx, false) })
}

// Skip lets a source go on from now, see Poller.Skip. A poll that runs is interrupted: it would tell what is to be skipped.
func (s *Scheduler) Skip(ctx context.Context, name string) error {
	if err := s.interrupt(name); err != nil {
		return err
	}
	return s.resume(name, func(p polls) error { return p.Skip(ctx) })
}

// interrupt makes a poll that runs start anew.
func (s *Scheduler) interrupt(name string) error {
	t, err := s.find(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.running != nil {
		t.running(errReplaced)
	}
	return nil
}

func (s *Scheduler) resume(name string, do func(p polls) error) error {
	t, err := s.find(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	p := t.poller
	s.mu.Unlock()
	if err := do(p); err != nil {
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
	return s.pollAfter(name)
}

// pollAfter polls at once because somebody changed what is stored, unless the source is paused.
func (s *Scheduler) pollAfter(name string) error {
	if err := s.PollNow(name); err != nil && !errors.Is(err, ErrPaused) {
		return err
	}
	return nil
}

// Rekey keeps the records of a source under the keys of its present configuration, see Poller.Rekey, and polls at once. With
// plan it only says what it would do.
func (s *Scheduler) Rekey(ctx context.Context, name string, plan bool) (r Rekeying, err error) {
	err = s.surgery(ctx, name, plan, func(p polls) error {
		if plan {
			r, err = p.PlanRekey(ctx)
		} else {
			r, err = p.Rekey(ctx)
		}
		return err
	})
	return r, err
}

// Reset forgets a part of what is stored of a source, see Poller.Reset, and polls at once. It gives what was stored before;
// with plan it does nothing else.
func (s *Scheduler) Reset(ctx context.Context, name string, level ResetLevel, plan bool) (was State, err error) {
	err = s.surgery(ctx, name, plan, func(p polls) error {
		if plan {
			was, err = p.Stored(ctx)
		} else {
			was, err = p.Reset(ctx, level)
		}
		return err
	})
	return was, err
}

// surgery changes what is stored of a source. A poll that runs is interrupted: it would be of the past.
func (s *Scheduler) surgery(ctx context.Context, name string, plan bool, do func(p polls) error) error {
	t, err := s.find(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	p := t.poller
	if t.running != nil && !plan {
		t.running(errReplaced) // and starts anew once this is done
	}
	s.mu.Unlock()
	if err := do(p); err != nil || plan {
		return err
	}
	return s.pollAfter(name)
}

// Backfiller gives what tells of the current records of a source, as it is configured now.
func (s *Scheduler) Backfiller(name string) (Backfiller, error) {
	t, err := s.find(name)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.poller, nil
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

// Owed gives the scheduled time of the poll of a source whose time has come, which is under way, or was interrupted; zero when there is
// none. It does not matter whether the scheduler has been stopped since.
func (s *Scheduler) Owed(name string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tasks[name]
	switch {
	case t == nil || t.paused:
		return time.Time{}
	case !t.owed.IsZero():
		return t.owed
	case !t.scheduled.After(s.now()): // it may wait for its jitter, for a slot, or for a crowd
		return t.scheduled
	}
	return time.Time{}
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
