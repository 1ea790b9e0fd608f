package poller

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
)

// Change is what a scheduler is to poll otherwise than now. All is left as it is that is not named.
type Change struct {
	Put    []*Source // that are new, or take the place of one of the same name; valid, and not changed from now on
	Remove []string  // names; unknown ones do not matter
	Hosts  []Host    // all limits of hosts from now on; nil: as they are
	// Since is until when somebody else polled a source of Put, by name: what has been due since then is due now, and the source
	// goes on with its schedule. One that is not named begins as at a start.
	Since map[string]time.Time
}

// Prepared is a change that will not fail.
type Prepared struct {
	change Change
	tasks  []*task
}

// Prepare makes all that a change needs, without any effect.
func (s *Scheduler) Prepare(c Change) (*Prepared, error) {
	p := &Prepared{change: c}
	for i := range c.Put {
		t, err := s.build(c.Put[i])
		if err != nil {
			return nil, err
		}
		t.since = c.Since[t.source.Name]
		p.tasks = append(p.tasks, t)
	}
	return p, nil
}

// Apply carries a change out. A poll that runs of a source that is replaced is interrupted, and the source begins anew with all
// that is known of it; whether it is paused stays. Apply waits until no poll of a removed source runs any more, or ctx is
// done; the error says that one still does.
func (s *Scheduler) Apply(ctx context.Context, p *Prepared) error {
	var errs []error
	for _, stopped := range s.swap(p) {
		errs = append(errs, wait(ctx, stopped))
	}
	return errors.Join(errs...)
}

// swap gives what tells that the polls of removed sources have ended.
func (s *Scheduler) swap(p *Prepared) (stopped []<-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.change.Hosts != nil {
		s.network.setHosts(p.change.Hosts)
	}
	for _, name := range p.change.Remove {
		if t := s.tasks[name]; t != nil {
			stopped = append(stopped, s.remove(t))
		}
	}
	within := crowdOf(slices.Values(p.tasks), s.now())
	for _, next := range p.tasks {
		if t := s.tasks[next.source.Name]; t != nil {
			s.replace(t, next)
			continue
		}
		s.put(next, within)
	}
	s.closeUnused()
	return stopped
}

// replace gives a task the configuration of another one.
func (s *Scheduler) replace(t, next *task) {
	if former, ok := t.poller.(*Poller); ok {
		if p, ok := next.poller.(*Poller); ok {
			p.succeed(former)
		}
	}
	t.source, t.schedule, t.hours, t.poller = next.source, next.schedule, next.hours, next.poller
	if t.running != nil {
		t.running(errReplaced)
		t.replaced = true // it begins when the poll has ended
		return
	}
	t.begin(s.now(), 0)
	s.enqueue(t)
}

// closeUnused lets go of the connections that no source needs any more.
func (s *Scheduler) closeUnused() {
	if s.network == nil { // the pollers are not ours
		return
	}
	used := map[*http.Transport]struct{}{}
	for _, t := range s.tasks {
		if p, ok := t.poller.(*Poller); ok {
			for _, transport := range p.transports {
				used[transport] = struct{}{}
			}
		}
	}
	s.network.transports.Keep(used)
}
