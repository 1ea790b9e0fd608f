package poller

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"
)

// task is one source in a Scheduler. Its fields are guarded by the scheduler's mutex.
type task struct {
	source   *Source
	poller   polls
	schedule Schedule // inside the hours
	hours    Hours

	since time.Time // until then somebody else polled it; zero: nobody did
	due   time.Time // when it is to be polled; what the schedule, a server or a person said
	place int       // in the queue; 0: not in it

	scheduled time.Time // the scheduled time that due stands for
	owed      time.Time // that of a poll that was interrupted, and not made since; zero: there is none
	running   context.CancelCauseFunc
	stopped   chan struct{} // closed when the running poll has ended; nil: none runs
	again     bool          // poll once more when the running poll has ended
	replaced  bool          // since the running poll began: it is due anew when that has ended
	fresh     time.Time     // until then polls are left out because the server calls its answer fresh; zero: none are
	skipped   int64         // scheduled times that passed while a poll ran
	overrun   int64         // those of the last poll
	asked     bool          // a person wants the poll that is due, at any hour
	paused    bool
	removed   bool

	track    tracker
	progress progress
}

// Backfiller tells of the current records of a source.
type Backfiller interface {
	PlanBackfill(ctx context.Context, b Backfill) (Backfilling, error)
	StartBackfill(ctx context.Context, b Backfill) (Backfill, error)
	StepBackfill(ctx context.Context, limit int) (Backfill, error)
	StopBackfill(ctx context.Context) (Backfill, error)
	Stored(ctx context.Context) (State, error)
}

// polls is what a scheduler needs of a Poller.
type polls interface {
	Backfiller
	Poll(ctx context.Context, o Occasion) Result
	SetPaused(ctx context.Context, paused bool) error
	Skip(ctx context.Context) error
	Decide(ctx context.Context, d Decision) error
	PlanRekey(ctx context.Context) (Rekeying, error)
	Rekey(ctx context.Context) (Rekeying, error)
	Reset(ctx context.Context, level ResetLevel) (State, error)
}

// progress is how far a running poll is; it is written while the poll runs.
type progress struct {
	mu  sync.Mutex
	now Progress
}

func (p *progress) set(now Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = now
}

func (p *progress) get() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// Why a poll that ran was interrupted. Such a poll had no effect and says nothing about the source.
var (
	errReplaced = errors.New("the configuration of the source was replaced")
	errRemoved  = errors.New("the source was removed")
	errPausing  = errors.New("the source was paused")
	errStopping = errors.New("the daemon stops")
)

func interrupted(r *Result) bool {
	for _, cause := range []error{errReplaced, errRemoved, errPausing, errStopping, context.Canceled} {
		if errors.Is(r.Err, cause) {
			return true
		}
	}
	return false
}

// longestBackOff caps how long a failing source is left alone; one whose schedule is slower keeps its schedule.
const longestBackOff = time.Hour

// Sources that are due all at once, because nobody looked after them for a while, are spread over a time for each of them, and over
// a crowd at most.
const (
	crowd    = time.Second
	elbowing = 5 * time.Millisecond
)

// crowdOf gives the time over which those of the tasks are spread that are overdue.
func crowdOf(tasks iter.Seq[*task], now time.Time) time.Duration {
	n := 0
	for t := range tasks {
		if !t.since.IsZero() && !t.schedule.Next(t.since).After(now) {
			n++
		}
	}
	return min(time.Duration(n)*elbowing, crowd)
}

// begin says when the source is due first. What is overdue begins within a time.
func (t *task) begin(now time.Time, within time.Duration) {
	if !t.since.IsZero() {
		t.plan(t.schedule.Next(t.since))
		if t.since = (time.Time{}); !t.due.IsZero() && !t.due.After(now) {
			t.due = now.Add(rand.N(max(within, 1)))
		}
		return
	}
	if t.source.OnStart == "schedule" {
		t.plan(t.schedule.Next(now))
		return
	}
	t.plan(now)
}

// follow says when the source is due after a poll that ended now.
func (t *task) follow(now time.Time, r *Result) {
	t.overrun, t.fresh = t.lapsed(now), time.Time{}
	switch {
	case r.Until.After(now):
		t.plan(r.Until)
	case r.again > 0 && now.Add(r.again).Before(t.next(now)):
		t.plan(now.Add(r.again))
	case r.Verdict == Failed:
		t.plan(t.schedule.Next(now.Add(t.idle(now))))
	case r.More:
		t.plan(now.Add(t.source.Pages.Delay.Std()))
	default:
		next := t.next(now)
		if !next.IsZero() && !next.After(now) {
			t.overrun-- // it is made up for
		}
		t.plan(t.courteous(next, now, r))
	}
	t.skipped += t.overrun
}

// lapsed counts the scheduled times that have passed since the one of the last poll.
func (t *task) lapsed(now time.Time) int64 {
	if e, ok := t.schedule.(every); ok {
		if first := e.Next(t.scheduled); !first.After(now) {
			return int64(now.Sub(first)/e.period) + 1
		}
		return 0
	}
	const most = 1000
	n := int64(0)
	for at := t.schedule.Next(t.scheduled); !at.IsZero() && !at.After(now) && n < most; at = t.schedule.Next(at) {
		n++
	}
	return n
}

// next gives the scheduled time to poll at after a poll. A period only counts on; of the times of a cron spec that passed
// meanwhile, one is made up for unless missed = "skip".
func (t *task) next(now time.Time) time.Time {
	if t.source.Every > 0 {
		from := now
		if first := t.scheduled.Add(t.source.Every.Std()/2 - 1); first.After(now) {
			from = first // this poll was out of phase: the next one is not right behind it
		}
		return t.schedule.Next(from)
	}
	if due := t.schedule.Next(t.scheduled); !due.After(now) && t.source.Missed != "skip" {
		return due
	}
	return t.schedule.Next(now)
}

// idle is how long a failing source is left alone beyond its schedule: the interval doubles with each failure in a row, up
// to the cap, and goes on for ever.
func (t *task) idle(now time.Time) time.Duration {
	interval := t.source.Every.Std()
	if interval == 0 {
		first := t.schedule.Next(now)
		interval = t.schedule.Next(first).Sub(first)
	}
	wait := interval
	for range t.track.failures - 1 {
		if wait >= longestBackOff {
			break
		}
		wait *= 2
	}
	return max(min(wait, longestBackOff)-interval, 0)
}

// plan sets the due time, with jitter; one outside the active hours moves into them. The zero time (a spec that does not
// fire any more) is never due.
func (t *task) plan(at time.Time) {
	if !at.IsZero() && !t.hours.contains(at) {
		at = t.schedule.Next(at)
	}
	t.asked = false
	t.scheduled = at.Round(0) // without the monotonic clock, which stands still while a machine sleeps
	t.due = t.scheduled
	if j := t.source.Jitter.Std(); j > 0 {
		t.due = t.due.Add(rand.N(j))
	}
}

// ask makes the source due because a person wants it.
func (t *task) ask(now time.Time) {
	t.due, t.scheduled, t.asked = now, now, true
}

// closed says that the source is not polled now because of its active hours.
func (t *task) closed(now time.Time) bool { return !t.asked && !t.hours.contains(now) }

// overslept says that the due time of a spec with missed = "skip" has passed long ago: the machine slept or all workers were
// busy.
func (t *task) overslept(now time.Time) bool {
	const grace = time.Minute
	return t.source.Cron != "" && t.source.Missed == "skip" && now.Sub(t.due) > grace
}

func (t *task) status(name string, now time.Time) Status {
	s := Status{Source: name, Polling: t.stopped != nil}
	if s.Polling {
		s.Progress = t.progress.get()
	}
	if t.place > 0 {
		s.NextPoll = t.due
	}
	t.track.status(&s)
	switch {
	case t.paused:
		s.State = Paused
	case !s.Polling && t.closed(now) && (s.State == Ok || s.State == TooQuiet || s.State == Waiting):
		opens := t.hours.opening(now)
		s.State, s.Since, s.Hint = Waiting, time.Time{}, ""
		s.Message = "outside its active hours until " + opens.Format("Mon 15:04 MST")
	case s.Message == "" && t.fresh.After(now):
		s.Message = "the server calls its answer fresh until " + t.fresh.UTC().Format("15:04:05 MST")
	case s.Message == "" && t.overrun > 0:
		s.Message = fmt.Sprintf("the last poll took %s and left out %d that were due meanwhile", t.track.recall().Took.Round(time.Second), t.overrun)
	}
	s.Skipped = t.skipped
	return s
}

// byDue orders sources by when they are due.
type byDue struct{}

// Due is when the next poll begins.
func (byDue) Due(t *task) time.Time { return t.due }

// Place is that in the queue of the scheduler.
func (byDue) Place(t *task) *int { return &t.place }
