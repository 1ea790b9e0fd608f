package poller

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

// desk is a set of sources whose polls take as long, and end as, a test says.
type desk struct {
	mu      sync.Mutex
	polls   map[string][]time.Time // when they began
	running map[string]int
	overlap bool
	due     map[string][]time.Time

	// act is one poll; nil takes no time and finds nothing new.
	act   func(ctx context.Context, s Source) Result
	edits []string
	observed
}

// observed keeps what an observer is told.
type observed struct {
	polled int
	turns  []Transition
}

func newDesk() *desk {
	return &desk{polls: map[string][]time.Time{}, running: map[string]int{}, due: map[string][]time.Time{}}
}

func (d *desk) Polled(Result) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.polled++
}

func (d *desk) Transition(t Transition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.turns = append(d.turns, t)
}

func (d *desk) told() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, t := range d.turns {
		out = append(out, fmt.Sprint(t.Turn, " ", t.Failures))
	}
	d.turns = nil
	return out
}

// times gives when a source was polled, relative to start.
func (d *desk) times(name string, start time.Time) []time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []time.Duration
	for _, at := range d.polls[name] {
		out = append(out, at.Sub(start))
	}
	return out
}

type deskSource struct {
	Backfiller // nil: no test here backfills

	d *desk
	s Source
}

func (p deskSource) Poll(ctx context.Context, o Occasion) Result {
	d, name := p.d, p.s.Name
	d.mu.Lock()
	d.polls[name] = append(d.polls[name], time.Now())
	d.due[name] = append(d.due[name], o.Scheduled)
	d.running[name]++
	d.overlap = d.overlap || d.running[name] > 1
	act := d.act
	d.mu.Unlock()
	began := time.Now()
	r := Result{Poll: Poll{Verdict: Unchanged}}
	if act != nil {
		r = act(ctx, p.s)
	}
	r.Source, r.At, r.Took = name, began, time.Since(began)
	d.mu.Lock()
	d.running[name]--
	d.mu.Unlock()
	return r
}

func (p deskSource) Skip(ctx context.Context) error { return p.SetPaused(ctx, false) }

func (p deskSource) SetPaused(_ context.Context, paused bool) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.edits = append(p.d.edits, fmt.Sprint("paused ", paused))
	return nil
}

func (p deskSource) Decide(context.Context, Decision) error {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.edits = append(p.d.edits, "release")
	return nil
}

func (p deskSource) PlanRekey(context.Context) (Rekeying, error) { return Rekeying{Records: 7}, nil }

func (p deskSource) Rekey(context.Context) (Rekeying, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.edits = append(p.d.edits, "rekey")
	return Rekeying{Records: 7}, nil
}

func (p deskSource) Stored(context.Context) (State, error) { return State{Records: 7}, nil }

func (p deskSource) Reset(_ context.Context, level ResetLevel) (State, error) {
	p.d.mu.Lock()
	defer p.d.mu.Unlock()
	p.d.edits = append(p.d.edits, "reset "+string(level))
	return State{Records: 7}, nil
}

func (d *desk) scheduler(workers int) *Scheduler {
	return newScheduler(Options{Workers: workers, Observer: d}.withDefaults(), func(s *Source) (polls, error) { return deskSource{d: d, s: *s}, nil })
}

func plainSource(name string, every time.Duration) Source {
	s := validSource()
	s.Name, s.Every, s.Spread = name, setting.Duration(every), false
	return s
}

func add(t *testing.T, s *Scheduler, sources ...Source) {
	t.Helper()
	for _, source := range sources {
		if err := s.Add(&source); err != nil {
			t.Fatal(err)
		}
	}
}

func stop(t *testing.T, s *Scheduler) {
	t.Helper()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// wait blocks a poll for d or until it is interrupted.
func lasting(d time.Duration) func(context.Context, Source) Result {
	return func(ctx context.Context, _ Source) Result {
		select {
		case <-time.After(d):
			return Result{Poll: Poll{Verdict: Unchanged}}
		case <-ctx.Done():
			return Result{Poll: Poll{Verdict: Failed}, Err: context.Cause(ctx)}
		}
	}
}

func minutes(n ...float64) []time.Duration {
	var out []time.Duration
	for _, m := range n {
		out = append(out, time.Duration(m*float64(time.Minute)))
	}
	return out
}

func TestASourceIsPolledAtStartAndThenByItsPeriod(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", 5*time.Minute))
		later := plainSource("b", 5*time.Minute)
		later.OnStart = "schedule"
		add(t, s, later)
		s.Start(t.Context())
		time.Sleep(16 * time.Minute)
		stop(t, s)
		if got := d.times("a", start); !slices.Equal(got, minutes(0, 5, 10, 15)) {
			t.Errorf("a was polled at %v", got)
		}
		if got := d.times("b", start); !slices.Equal(got, minutes(5, 10, 15)) {
			t.Errorf("b was polled at %v", got)
		}
		if got := d.due["b"][0]; !got.Equal(start.Add(5 * time.Minute)) {
			t.Errorf("b was due at %v", got)
		}
	})
}

func TestASpreadSourceIsNotPolledAgainRightAfterTheStart(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		start := time.Now()
		for i := range 50 {
			source := plainSource(fmt.Sprint("s", i), 10*time.Minute)
			source.Spread = true
			add(t, s, source)
		}
		s.Start(t.Context())
		time.Sleep(time.Hour)
		stop(t, s)
		for i := range 50 {
			got := d.times(fmt.Sprint("s", i), start)
			if got[0] != 0 || got[1] < 5*time.Minute || got[1] > 15*time.Minute || got[3]-got[2] != 10*time.Minute {
				t.Errorf("s%d was polled at %v", i, got)
			}
		}
	})
}

func TestASlowSourceNeitherOverlapsItselfNorDelaysOthers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(ctx context.Context, s Source) Result {
			if s.Name == "quick" {
				return Result{Poll: Poll{Verdict: Unchanged}}
			}
			return lasting(150*time.Second)(ctx, s)
		}
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("slow", time.Minute), plainSource("quick", time.Minute))
		s.Start(t.Context())
		time.Sleep(10*time.Minute + time.Second)
		stop(t, s)
		if d.overlap {
			t.Error("a source overlapped itself")
		}
		if got := d.times("slow", start); !slices.Equal(got, minutes(0, 3, 6, 9)) {
			t.Errorf("slow was polled at %v", got)
		}
		if got := d.times("quick", start); len(got) != 11 || got[10] != 10*time.Minute {
			t.Errorf("quick was polled at %v", got)
		}
	})
}

func TestManySlowSourcesDoNotStarveTheOthers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(ctx context.Context, s Source) Result {
			if s.Name == "quick" {
				return Result{Poll: Poll{Verdict: Unchanged}}
			}
			return lasting(24*time.Hour)(ctx, s)
		}
		s := d.scheduler(2)
		start := time.Now()
		for i := range 20 {
			add(t, s, plainSource(fmt.Sprint("hangs", i), time.Minute))
		}
		s.Start(t.Context())
		time.Sleep(5 * time.Minute)
		add(t, s, plainSource("quick", time.Minute))
		time.Sleep(5*time.Minute + time.Second)
		stop(t, s)
		if got := d.times("quick", start); len(got) != 6 || got[0] != 5*time.Minute || got[5] != 10*time.Minute {
			t.Errorf("quick was polled at %v", got)
		}
	})
}

func TestNoMorePollsBeginAtOnceThanThereAreWorkers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = lasting(time.Second)
		s := d.scheduler(3)
		start := time.Now()
		for i := range 9 {
			add(t, s, plainSource(strconv.Itoa(i), time.Hour))
		}
		s.Start(t.Context())
		time.Sleep(time.Minute)
		stop(t, s)
		began := map[time.Duration]int{}
		for i := range 9 {
			began[d.times(strconv.Itoa(i), start)[0]]++
		}
		if len(began) != 3 || began[0] != 3 || began[2*time.Second] != 3 {
			t.Errorf("polls began %v", began)
		}
	})
}

func TestAFailingSourceBacksOffUpToAnHourAndGoesOnForEver(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		var failing atomic.Bool
		failing.Store(true)
		d.act = func(context.Context, Source) Result {
			if failing.Load() {
				return Result{Poll: Poll{Verdict: Failed, Message: "HTTP 503"}, Err: errors.New("HTTP 503")}
			}
			return Result{Poll: Poll{Verdict: Unchanged}}
		}
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", 5*time.Minute))
		s.Start(t.Context())
		time.Sleep(9*time.Hour + time.Minute)
		if got := d.times("a", start)[:8]; !slices.Equal(got, minutes(0, 5, 15, 35, 75, 135, 195, 255)) {
			t.Errorf("polled at %v", got)
		}
		if got := d.told(); !slices.Equal(got, []string{"failing 1", "failing 10"}) {
			t.Errorf("told %q", got)
		}
		if st, _ := s.Status("a"); st.State != Unwell || st.Failures < 10 || st.Message != "HTTP 503" || !st.NextPoll.After(time.Now()) || !st.Since.Equal(start) {
			t.Errorf("status %+v", st)
		}
		failing.Store(false)
		time.Sleep(time.Hour)
		if got := d.told(); len(got) != 1 || got[0] != "recovered 13" && got[0] != "recovered 12" {
			t.Errorf("told %q", got)
		}
		n := len(d.times("a", start))
		time.Sleep(10 * time.Minute)
		if got := len(d.times("a", start)); got != n+2 {
			t.Errorf("%d polls in 10 minutes after recovery", got-n)
		}
		stop(t, s)
	})
}

func TestASlowScheduleIsKeptWhileFailing(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(context.Context, Source) Result { return Result{Poll: Poll{Verdict: Failed}, Err: errors.New("x")} }
		s := d.scheduler(0)
		start := time.Now()
		daily := plainSource("a", 0)
		daily.Cron, daily.OnStart = "0 3 * * *", "schedule"
		add(t, s, daily)
		s.Start(t.Context())
		time.Sleep(5 * 24 * time.Hour)
		stop(t, s)
		got := d.times("a", start)
		if len(got) != 5 || got[4]-got[3] != 24*time.Hour {
			t.Errorf("polled at %v", got)
		}
	})
}

func TestADeferredPollWaitsAsLongAsTheServerAsks(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		first := true
		d.act = func(context.Context, Source) Result {
			if first {
				first = false
				return Result{Poll: Poll{Verdict: Deferred}, Until: time.Now().Add(7*time.Minute + 30*time.Second)}
			}
			return Result{Poll: Poll{Verdict: Unchanged}}
		}
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", time.Minute))
		s.Start(t.Context())
		time.Sleep(time.Second)
		if st, _ := s.Status("a"); st.State != Waiting || !st.NextPoll.Equal(start.Add(7*time.Minute+30*time.Second)) || st.Failures != 0 {
			t.Errorf("status %+v", st)
		}
		time.Sleep(9 * time.Minute)
		stop(t, s)
		if got := d.times("a", start); !slices.Equal(got, minutes(0, 7.5, 8, 9)) {
			t.Errorf("polled at %v", got)
		}
	})
}

func TestSomebodyIsToldWhenAServerOnlyDefers(t *testing.T) {
	var k tracker
	at := time.Unix(0, 0)
	var told []Turn
	for i := range 6 {
		r := Result{Poll: Poll{Verdict: Deferred, At: at.Add(time.Duration(i) * time.Hour)}, Until: at.Add(time.Duration(i+1) * time.Hour)}
		for _, turn := range k.after(r) {
			told = append(told, turn.Turn)
		}
	}
	for _, turn := range k.after(Result{Poll: Poll{Verdict: Unchanged, At: at.Add(9 * time.Hour)}}) {
		told = append(told, turn.Turn)
	}
	if !slices.Equal(told, []Turn{Failing, Recovered}) {
		t.Errorf("told %q", told)
	}
}

func TestPollNow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = lasting(10 * time.Second)
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", time.Hour))
		s.Start(t.Context())
		time.Sleep(30 * time.Minute)
		for range 3 { // while it runs, once more is enough
			if err := s.PollNow("a"); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(20 * time.Minute)
		stop(t, s)
		if got := d.times("a", start); !slices.Equal(got, []time.Duration{0, 30 * time.Minute, 30*time.Minute + 10*time.Second}) {
			t.Errorf("polled at %v", got)
		}
		if err := s.PollNow("b"); !errors.Is(err, ErrUnknownSource) {
			t.Errorf("error %v", err)
		}
	})
}

func TestPauseInterruptsAndResumeGoesOn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = lasting(10 * time.Second)
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", time.Minute))
		s.Start(t.Context())
		time.Sleep(5 * time.Second)
		if err := s.Pause(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if err := s.PollNow("a"); !errors.Is(err, ErrPaused) {
			t.Errorf("error %v", err)
		}
		if st, _ := s.Status("a"); st.State != Paused || !st.NextPoll.IsZero() {
			t.Errorf("status %+v", st)
		}
		if err := s.Resume(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		stop(t, s)
		if got := d.times("a", start); !slices.Equal(got, []time.Duration{0, time.Hour + 5*time.Second}) {
			t.Errorf("polled at %v", got)
		}
		if !slices.Equal(d.edits, []string{"paused true", "paused false"}) || d.polled != 1 {
			t.Errorf("edits %q, %d polls observed: an interrupted one says nothing", d.edits, d.polled)
		}
	})
}

func TestASourceThatWasPausedBeforeIsFoundPaused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(context.Context, Source) Result { return Result{Poll: Poll{Verdict: Deferred}, Paused: true} }
		s := d.scheduler(0)
		add(t, s, plainSource("a", time.Minute))
		s.Start(t.Context())
		time.Sleep(time.Hour)
		if got := len(d.times("a", time.Now())); got != 1 {
			t.Errorf("polled %d times", got)
		}
		if st, _ := s.Status("a"); st.State != Paused {
			t.Errorf("status %+v", st)
		}
		stop(t, s)
	})
}

func TestAReleasePollsAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		add(t, s, plainSource("a", time.Hour))
		s.Start(t.Context())
		time.Sleep(time.Minute)
		if err := s.Decide(t.Context(), "a", Release); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := d.times("a", time.Now()); len(got) != 2 || !slices.Equal(d.edits, []string{"release"}) {
			t.Errorf("polled %d times, edits %q", len(got), d.edits)
		}
		stop(t, s)
	})
}

func TestSurgeryInterruptsThePollAndPollsAtOnceAndAPlanDoesNeither(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = lasting(10 * time.Second)
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", time.Hour))
		s.Start(t.Context())
		time.Sleep(time.Second)
		if r, err := s.Rekey(t.Context(), "a", true); err != nil || r.Records != 7 {
			t.Error(r, err)
		}
		if st, err := s.Reset(t.Context(), "a", ResetAll, true); err != nil || st.Records != 7 {
			t.Error(st, err)
		}
		time.Sleep(time.Second)
		if got := d.times("a", start); len(got) != 1 || len(d.edits) != 0 {
			t.Errorf("after the plans: polled at %v, edits %q", got, d.edits)
		}
		if _, err := s.Rekey(t.Context(), "a", false); err != nil {
			t.Error(err)
		}
		time.Sleep(18 * time.Second)
		if _, err := s.Reset(t.Context(), "a", ResetRecords, false); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if got := d.times("a", start); !slices.Equal(got, []time.Duration{0, 2 * time.Second, 20 * time.Second}) {
			t.Errorf("polled at %v", got)
		}
		if !slices.Equal(d.edits, []string{"rekey", "reset records"}) || d.overlap {
			t.Errorf("edits %q, overlap %t", d.edits, d.overlap)
		}
		if _, err := s.Rekey(t.Context(), "b", true); !errors.Is(err, ErrUnknownSource) {
			t.Errorf("error %v", err)
		}
		stop(t, s)
	})
}

func TestARemovedSourceIsNotPolledAnyMore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		ended := false
		d.act = func(ctx context.Context, _ Source) Result {
			<-ctx.Done()
			time.Sleep(3 * time.Second) // a commit is not interrupted
			ended = true
			return Result{Poll: Poll{Verdict: Failed}, Err: context.Cause(ctx)}
		}
		s := d.scheduler(0)
		add(t, s, plainSource("a", time.Minute))
		s.Start(t.Context())
		time.Sleep(time.Second)
		if err := s.Remove(t.Context(), "a"); err != nil || !ended {
			t.Errorf("%v, ended %t", err, ended)
		}
		time.Sleep(time.Hour)
		if n := len(d.times("a", time.Now())); n != 1 {
			t.Errorf("polled %d times", n)
		}
		if len(s.Statuses()) != 0 {
			t.Error("it still has a status")
		}
		add(t, s, plainSource("a", time.Minute)) // the name is free again
		stop(t, s)
	})
}

func TestStopWaitsForCommitsAsLongAsItMay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(ctx context.Context, _ Source) Result {
			time.Sleep(10 * time.Second)
			return Result{Poll: Poll{Verdict: Complete}}
		}
		s := d.scheduler(0)
		add(t, s, plainSource("a", time.Minute), plainSource("b", time.Minute))
		s.Start(t.Context())
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if err := s.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		stop(t, s)
		if d.polled != 2 {
			t.Errorf("%d polls ended", d.polled)
		}
		time.Sleep(time.Hour)
		if n := len(d.times("a", time.Now())); n != 1 {
			t.Errorf("polled %d times", n)
		}
	})
}

func TestASchedulerThatWasNotStartedCanBeStopped(t *testing.T) {
	stop(t, newDesk().scheduler(0))
}

func TestMissedTimesOfASpecAreMadeUpForOnceOrSkipped(t *testing.T) {
	for missed, want := range map[string][]time.Duration{
		"once": minutes(60, 150, 240),
		"skip": minutes(60, 180, 300),
	} {
		bubble.Test(t, func(t *testing.T) { // the bubble begins at midnight
			d := newDesk()
			d.act = lasting(90 * time.Minute)
			s := d.scheduler(0)
			start := time.Now()
			hourly := plainSource("a", 0)
			hourly.Cron, hourly.OnStart, hourly.Missed = "@hourly", "schedule", missed
			add(t, s, hourly)
			s.Start(t.Context())
			time.Sleep(5*time.Hour + time.Minute)
			stop(t, s)
			if got := d.times("a", start)[:3]; !slices.Equal(got, want) {
				t.Errorf("%s: polled at %v, want %v", missed, got, want)
			}
		})
	}
}

func TestJitterDelaysWithinItsBound(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		start := time.Now()
		source := plainSource("a", time.Minute)
		source.Jitter = setting.Duration(20 * time.Second)
		add(t, s, source)
		s.Start(t.Context())
		time.Sleep(30 * time.Minute)
		stop(t, s)
		moved := 0
		for i, at := range d.times("a", start) {
			late := at - time.Duration(i)*time.Minute
			if late < 0 || late >= 20*time.Second {
				t.Errorf("poll %d is %v late", i, late)
			}
			if late > time.Second {
				moved++
			}
		}
		if moved < 10 {
			t.Errorf("only %d polls were delayed", moved)
		}
	})
}

func TestAMachineThatSleptIsNoticed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		var slept atomic.Int64 // timers did not run meanwhile
		s := newScheduler(Options{Observer: d, Now: func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }}.withDefaults(),
			func(s *Source) (polls, error) { return deskSource{d: d, s: *s}, nil })
		start := time.Now()
		once := plainSource("once", 0)
		once.Cron = "0 3 * * *"
		skip := once
		skip.Name, skip.Missed = "skip", "skip"
		add(t, s, once, skip)
		s.Start(t.Context())
		time.Sleep(time.Hour)
		slept.Store(int64(8 * time.Hour))
		time.Sleep(time.Hour)
		stop(t, s)
		if got := d.times("once", start); len(got) != 2 || got[1] > 61*time.Minute {
			t.Errorf("once was polled at %v", got)
		}
		if got := d.times("skip", start); len(got) != 1 {
			t.Errorf("skip was polled at %v", got)
		}
	})
}

func TestTenThousandSourcesCostNoGoroutineEach(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		before := runtime.NumGoroutine()
		for i := range 10_000 {
			source := plainSource(fmt.Sprint("s", i), 10*time.Second)
			source.Spread, source.OnStart = true, "schedule"
			add(t, s, source)
		}
		s.Start(t.Context())
		most := 0
		for range 30 {
			time.Sleep(time.Second)
			synctest.Wait()
			most = max(most, runtime.NumGoroutine()-before)
		}
		if d.polled < 29_000 || d.polled > 30_100 || most > 10 {
			t.Errorf("%d polls in 30 s, %d goroutines", d.polled, most)
		}
		stop(t, s)
	})
}

func TestAStoreThatFailsLeavesWhatIsKnownOfASource(t *testing.T) {
	var k tracker
	at := time.Unix(1e9, 0)
	hold := &Hold{Since: at, Message: "empty"}
	state := State{Version: 7, Records: 20, Sequence: 80, Baselined: at}
	k.after(Result{Poll: Poll{At: at, Verdict: Held}, State: state, Hold: hold})
	k.after(Result{Poll: Poll{At: at, Verdict: Failed, Message: "the store did not take the poll"}})
	s := Status{Polling: true}
	k.status(&s)
	if s.State != Unwell || s.Records != 20 || s.Sequence != 80 || s.Hold != hold || !s.Baselined.Equal(at) {
		t.Errorf("it is shown as %+v", s)
	}
	if turns := k.after(Result{Poll: Poll{At: at.Add(time.Minute), Verdict: Held}, State: state, Hold: hold}); len(turns) != 1 || turns[0].Turn != Recovered {
		t.Errorf("the hold from before is news: %+v", turns)
	}
}

func TestTransitionsAreToldOnce(t *testing.T) {
	var k tracker
	at := time.Unix(1e9, 0)
	hold := &Hold{Since: at, Message: "empty"}
	var told []Turn
	step := func(r Result) {
		at = at.Add(time.Minute)
		r.At = at
		for _, turn := range k.after(r) {
			told = append(told, turn.Turn)
		}
	}
	step(Result{Poll: Poll{Verdict: Failed}})
	step(Result{Poll: Poll{Verdict: Failed}})
	step(Result{Poll: Poll{Verdict: Complete}, baselined: true})
	step(Result{Poll: Poll{Verdict: Unchanged}})
	step(Result{Poll: Poll{Verdict: Held}, Hold: hold})
	step(Result{Poll: Poll{Verdict: Held}, Hold: hold})
	step(Result{Poll: Poll{Verdict: Failed}, Hold: hold})
	step(Result{Poll: Poll{Verdict: Held}, Hold: hold})
	step(Result{Poll: Poll{Verdict: Complete}, released: true})
	want := []Turn{Failing, Recovered, Baselined, Halted, Failing, Recovered, Released}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	k = tracker{} // after a restart the hold is old news
	told = nil
	step(Result{Poll: Poll{Verdict: Held}, Hold: hold})
	if len(told) != 0 {
		t.Errorf("told %q", told)
	}
}
