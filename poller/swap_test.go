package poller

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

// apply changes what a scheduler polls.
func apply(t *testing.T, s *Scheduler, c Change) {
	t.Helper()
	p, err := s.Prepare(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func TestAChangedSourceReplacesItsRunningPollAndOthersDoNotNotice(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = lasting(time.Minute)
		s := d.scheduler(0)
		start := time.Now()
		a, b := plainSource("a", time.Hour), plainSource("b", time.Hour)
		add(t, s, a, b)
		s.Start(t.Context())
		time.Sleep(20 * time.Second)
		a.Every = setting.Duration(2 * time.Hour)
		apply(t, s, Change{Put: []*Source{&a}})
		time.Sleep(3 * time.Hour)
		stop(t, s)
		if got := d.times("a", start); len(got) != 3 || got[1] != 20*time.Second || d.overlap {
			t.Errorf("a was polled at %v, overlap %t", got, d.overlap)
		}
		if got := d.times("b", start); len(got) != 4 || got[1] != time.Hour && got[1] < 30*time.Minute {
			t.Errorf("b was polled at %v", got)
		}
	})
}

func TestAPollThatCouldNotBeInterruptedIsFollowedByOneOfTheNewConfiguration(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(context.Context, Source) Result { // it commits
			time.Sleep(10 * time.Second)
			return Result{Poll: Poll{Verdict: Complete}}
		}
		s := d.scheduler(0)
		start := time.Now()
		a := plainSource("a", time.Hour)
		add(t, s, a)
		s.Start(t.Context())
		time.Sleep(time.Second)
		a.Every = setting.Duration(24 * time.Hour)
		apply(t, s, Change{Put: []*Source{&a}})
		time.Sleep(time.Minute)
		stop(t, s)
		if got := d.times("a", start); !slices.Equal(got, []time.Duration{0, 10 * time.Second}) || d.overlap {
			t.Errorf("polled at %v, overlap %t", got, d.overlap)
		}
	})
}

func TestSourcesComeAndGoWhileOthersArePolled(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = lasting(30 * time.Second)
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", time.Minute), plainSource("b", time.Hour))
		s.Start(t.Context())
		time.Sleep(10 * time.Second)
		apply(t, s, Change{Put: []*Source{new(plainSource("c", time.Hour))}, Remove: []string{"a", "never"}})
		time.Sleep(50 * time.Minute)
		apply(t, s, Change{Put: []*Source{new(plainSource("a", time.Hour))}})
		time.Sleep(time.Minute)
		stop(t, s)
		if got := d.times("a", start); !slices.Equal(got, []time.Duration{0, 50*time.Minute + 10*time.Second}) {
			t.Errorf("a was polled at %v", got)
		}
		for _, name := range []string{"b", "c"} {
			if n := len(d.times(name, start)); n != 1 {
				t.Errorf("%s was polled %d times", name, n)
			}
		}
	})
}

func TestAPausedSourceStaysPausedWhenItIsReplaced(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		a := plainSource("a", time.Minute)
		add(t, s, a)
		s.Start(t.Context())
		time.Sleep(time.Second)
		if err := s.Pause(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		a.Every = setting.Duration(time.Second)
		apply(t, s, Change{Put: []*Source{&a}})
		time.Sleep(time.Hour)
		stop(t, s)
		if n := len(d.times("a", time.Now())); n != 1 {
			t.Errorf("polled %d times", n)
		}
		if st, _ := s.Status("a"); st.State != Paused {
			t.Errorf("it is %s", st.State)
		}
	})
}

func TestAChangeOfWhichOnePartCannotBeMadeHasNoEffect(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", time.Hour))
		s.Start(t.Context())
		time.Sleep(time.Second)
		bad := plainSource("b", time.Hour)
		bad.Every, bad.Cron = 0, "never"
		if _, err := s.Prepare(Change{Put: []*Source{new(plainSource("c", time.Hour)), &bad}, Remove: []string{"a"}}); err == nil {
			t.Error("no error")
		}
		time.Sleep(2 * time.Hour)
		stop(t, s)
		if len(d.times("a", start)) < 2 || len(d.times("c", start)) != 0 {
			t.Errorf("a was polled at %v, c at %v", d.times("a", start), d.times("c", start))
		}
	})
}
