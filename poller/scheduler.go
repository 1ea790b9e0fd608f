package poller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/internal/due"
	"github.com/deltahook/deltahook/internal/trust"
)

// Errors of a Scheduler.
var (
	// ErrUnknownSource says that no source of this name was added.
	ErrUnknownSource = errors.New("there is no such source")
	// ErrPaused says that a paused source was asked to poll.
	ErrPaused = errors.New("the source is paused")
	// ErrNotHeld says that there is nothing to decide.
	ErrNotHeld = errors.New("the source is not held")
)

// Scheduler polls any number of sources, each when it is due and never twice at the same time. Its methods may be called
// from any goroutine, before and after Start.
//
// One goroutine waits for the source that is due next; a goroutine exists only for a poll that runs. Options.Workers bounds
// how many polls begin at the same time; a poll that takes long does not count any more, so that slow sources, however many,
// delay no other.
type Scheduler struct {
	opts    Options
	make    func(*Source) (polls, error)
	network *network

	mu      sync.Mutex
	tasks   map[string]*task
	queue   due.Queue[*task, byDue]
	slots   int
	ctx     context.Context //nolint:containedctx // ends when the scheduler stops; polls that start later live in it
	cancel  context.CancelCauseFunc
	running sync.WaitGroup
	wake    chan struct{}
	looked  atomic.Pointer[time.Time]
}

// lingers is how long a poll occupies a worker's slot at most.
const lingers = 10 * time.Second

// NewScheduler makes a scheduler without sources.
func NewScheduler(o Options) *Scheduler {
	o = o.withDefaults()
	net := newNetwork(o)
	s := newScheduler(o, func(s *Source) (polls, error) { return newPoller(s, &o, net) })
	s.network = net
	return s
}

func newScheduler(o Options, build func(*Source) (polls, error)) *Scheduler {
	return &Scheduler{opts: o, make: build, tasks: map[string]*task{}, slots: o.Workers, wake: make(chan struct{}, 1)}
}

// Start begins to poll and returns at once. The scheduler stops when ctx ends or Stop is called; it is started once.
func (s *Scheduler) Start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	began := time.Now()
	s.looked.Store(&began)
	now := s.now()
	within := crowdOf(maps.Values(s.tasks), now)
	for _, t := range s.tasks {
		t.begin(now, within)
		s.enqueue(t)
	}
	s.running.Go(s.loop)
}

// Stop starts no more polls, interrupts those that still fetch and waits for those that commit until ctx ends.
func (s *Scheduler) Stop(ctx context.Context) error {
	s.mu.Lock()
	if s.cancel == nil {
		s.mu.Unlock()
		return nil
	}
	s.cancel(errStopping)
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("polls still run: %w", context.Cause(ctx))
	}
}

// Refresh divides anew what is shared with other members. With a Pool it is to be called about every second, after the Pool's own.
func (s *Scheduler) Refresh(ctx context.Context) { s.network.hosts.Refresh(ctx) }

func (s *Scheduler) now() time.Time { return s.opts.Now().Round(0) }

func (s *Scheduler) started() bool { return s.ctx != nil && s.ctx.Err() == nil }

// nudge lets the loop look again.
func (s *Scheduler) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// enqueue puts a task that may run into the queue.
func (s *Scheduler) enqueue(t *task) {
	if !s.started() || t.removed || t.paused || t.stopped != nil || t.due.IsZero() {
		s.queue.Drop(t)
		return
	}
	s.queue.Set(t)
	if first, _ := s.queue.First(); first == t { // the loop sleeps for the one that was first before
		s.nudge()
	}
}

// loop starts what is due, sleeps until the next is, and looks again when something changed.
func (s *Scheduler) loop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.wake:
		case <-s.ctx.Done():
			return
		}
		now := time.Now()
		s.looked.Store(&now)
		timer.Reset(s.startDue())
	}
}

// Looked says when the scheduler last looked for what is due; it does so once a minute at least. It is zero before Start.
func (s *Scheduler) Looked() time.Time {
	if at := s.looked.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

// startDue starts all polls that are due, as far as there are slots, and says how long nothing more is.
func (s *Scheduler) startDue() time.Duration {
	const (
		// A clock that was set, or a machine that slept, is noticed after this time.
		longestSleep = time.Minute
		// What is due within so short a time begins together: waking up costs more than beginning.
		shortestSleep = 5 * time.Millisecond
	)
	if !s.opts.Trust.Open(time.Now()) {
		return trust.Pause
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, ok := s.queue.First(); ok && s.slots > 0 && s.started(); t, ok = s.queue.First() {
		now := s.now()
		if wait := t.due.Sub(now); wait > 0 {
			return min(max(wait, shortestSleep), longestSleep)
		}
		if t.overslept(now) || t.closed(now) {
			t.plan(t.schedule.Next(now))
			s.enqueue(t)
			continue
		}
		s.queue.Drop(t)
		s.start(t)
	}
	return longestSleep
}

// start runs one poll in its own goroutine.
func (s *Scheduler) start(t *task) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	t.running, t.stopped, t.asked = cancel, make(chan struct{}), false
	t.progress.set(Progress{})
	p, slot := t.poller, s.takeSlot()
	occasion := Occasion{Scheduled: t.scheduled, Progress: t.progress.set, Waiting: slot}
	s.running.Go(func() {
		defer slot()
		r := p.Poll(ctx, occasion)
		s.finish(t, &r)
		cancel(nil)
	})
}

// takeSlot occupies a slot until the function that it returns is called, or for as long as a poll may linger. A poll that waits for
// its host needs none.
func (s *Scheduler) takeSlot() func() {
	s.slots--
	give := sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.slots++; s.slots == 1 { // the loop waits for a slot, or may
			s.nudge()
		}
	})
	timer := time.AfterFunc(lingers, give)
	return func() {
		timer.Stop()
		give()
	}
}

// finish takes the result of a poll in, tells the observer and plans the next poll.
func (s *Scheduler) finish(t *task, r *Result) {
	if !interrupted(r) {
		s.tell(t, r)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if interrupted(r) {
		if t.owed.IsZero() {
			t.owed = t.scheduled
		}
		t.plan(s.now())
	} else {
		t.owed = time.Time{}
	}
	if t.replaced {
		t.replaced = false
		t.begin(s.now(), 0)
	}
	if t.again {
		t.again = false
		t.ask(s.now())
	}
	close(t.stopped)
	t.running, t.stopped = nil, nil
	s.enqueue(t)
}

func (s *Scheduler) tell(t *task, r *Result) {
	s.mu.Lock()
	turns := t.track.after(*r)
	t.paused = t.paused || r.Paused
	t.follow(s.now(), r)
	next := t.due
	s.mu.Unlock()
	s.opts.Observer.Polled(*r)
	for _, turn := range turns {
		turn.NextPoll = next
		s.opts.Observer.Transition(turn)
	}
}

// Add takes a source on. Its configuration must be valid, and not be changed from now on, and its shard be held. A source of the same
// name is an error.
func (s *Scheduler) Add(source *Source) error {
	t, err := s.build(source)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.tasks[source.Name]; ok {
		return fmt.Errorf("source %s is polled already", source.Name)
	}
	s.put(t, 0)
	return nil
}

// build makes what is needed to poll a source.
func (s *Scheduler) build(source *Source) (*task, error) {
	schedule, hours, err := source.schedule(s.now())
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", source.Name, err)
	}
	p, err := s.make(source)
	if err != nil {
		return nil, err
	}
	return &task{source: source, schedule: schedule, hours: hours, poller: p}, nil
}

// put begins to poll a source, or will at the start.
func (s *Scheduler) put(t *task, within time.Duration) {
	s.tasks[t.source.Name] = t
	if s.started() {
		t.begin(s.now(), within)
		s.enqueue(t)
	}
}

// Remove forgets a source. When it returns without error, no poll of it runs any more.
func (s *Scheduler) Remove(ctx context.Context, name string) error {
	s.mu.Lock()
	t, ok := s.tasks[name]
	if !ok {
		s.mu.Unlock()
		return fmt.Errorf("source %s: %w", name, ErrUnknownSource)
	}
	stopped := s.remove(t)
	s.mu.Unlock()
	return wait(ctx, stopped)
}

func (s *Scheduler) remove(t *task) (stopped <-chan struct{}) {
	t.removed = true
	delete(s.tasks, t.source.Name)
	s.queue.Drop(t)
	if t.running != nil {
		t.running(errRemoved)
	}
	return t.stopped
}

func wait(ctx context.Context, stopped <-chan struct{}) error {
	if stopped == nil {
		return nil
	}
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
