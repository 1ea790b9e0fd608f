package poller

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/trust"
)

// takeOver lets a scheduler go on with sources that somebody else polled until so long ago.
func takeOver(t *testing.T, s *Scheduler, ago time.Duration, sources ...Source) {
	t.Helper()
	c := Change{Since: map[string]time.Time{}}
	for i := range sources {
		c.Put = append(c.Put, &sources[i])
		c.Since[sources[i].Name] = time.Now().Add(-ago)
	}
	p, err := s.Prepare(c)
	if err == nil {
		err = s.Apply(t.Context(), p)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestASourceThatIsTakenOverGoesOnWithItsScheduleAndMakesUpForWhatWasDue(t *testing.T) {
	for _, before := range []bool{true, false} { // the start
		bubble.Test(t, func(t *testing.T) {
			d := newDesk()
			s := d.scheduler(0)
			start := time.Now()
			var sources []Source
			for i := range 200 {
				source := plainSource(fmt.Sprint("s", i), 10*time.Minute)
				source.Spread = true
				sources = append(sources, source)
			}
			if !before {
				s.Start(t.Context())
			}
			takeOver(t, s, 2*time.Minute, sources...)
			if before {
				s.Start(t.Context())
			}
			time.Sleep(25 * time.Minute)
			stop(t, s)
			overdue := 0
			for i := range sources {
				schedule, _, err := sources[i].schedule(start)
				if err != nil {
					t.Fatal(err)
				}
				first, got := schedule.Next(start.Add(-2*time.Minute)).Sub(start), d.times(sources[i].Name, start)
				if first <= 0 {
					overdue++
					if got[0] > crowd {
						t.Errorf("%s was due, and is polled after %s", sources[i].Name, got[0])
					}
					first += 10 * time.Minute
					got = got[1:]
				}
				if want := []time.Duration{first, first + 10*time.Minute}; !slices.Equal(got[:2], want) {
					t.Errorf("%s was polled at %v, not at %v", sources[i].Name, got, want)
				}
			}
			if overdue < 20 || overdue > 60 {
				t.Errorf("%d of 200 sources were due within two of ten minutes", overdue)
			}
		})
	}
}

func TestNoPollBeginsWhileSomebodyElseMayOwnTheSources(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		s.opts.Trust = &trust.Window{}
		s.opts.Trust.Extend(time.Now().Add(12 * time.Minute))
		start := time.Now()
		add(t, s, plainSource("a", 5*time.Minute))
		s.Start(t.Context())
		time.Sleep(28 * time.Minute)
		s.opts.Trust.Extend(time.Now().Add(time.Hour))
		time.Sleep(3 * time.Minute)
		stop(t, s)
		got := d.times("a", start)
		if len(got) != 5 || !slices.Equal(got[:3], minutes(0, 5, 10)) || got[3] > 28*time.Minute+time.Second || got[4] != 30*time.Minute {
			t.Errorf("it was polled at %v", got)
		}
	})
}

func TestAPollThatIsDueOrUnderWayIsOwed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = lasting(time.Minute)
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", 5*time.Minute))
		owed := func(when string, want time.Time) {
			t.Helper()
			if got := s.Owed("a"); !got.Equal(want) {
				t.Errorf("%s, the poll of %s is owed, not that of %s", when, got, want)
			}
		}
		owed("before the start", time.Time{})
		s.Start(t.Context())
		time.Sleep(30 * time.Second)
		owed("in the first poll", start)
		time.Sleep(time.Minute)
		owed("after it", time.Time{})
		time.Sleep(4 * time.Minute)
		owed("in the second", start.Add(5*time.Minute))
		stop(t, s)
		owed("when that was interrupted", start.Add(5*time.Minute))
		if got := s.Owed("b"); !got.IsZero() {
			t.Errorf("of an unknown source, the poll of %s is owed", got)
		}
	})
}

func TestAPollThatWaitsForItsJitterOrForACrowdIsOwed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		start := time.Now()
		var sources []Source
		for i := range 200 {
			sources = append(sources, plainSource(fmt.Sprint("s", i), 10*time.Minute))
		}
		jittery := plainSource("jittery", 10*time.Minute)
		jittery.Jitter = setting.Duration(5 * time.Minute)
		sources = append(sources, jittery)
		s.Start(t.Context())
		takeOver(t, s, 15*time.Minute, sources...)
		waiting := 0
		for i := range sources {
			if owed := s.Owed(sources[i].Name); owed.After(start) || owed.Before(start.Add(-15*time.Minute)) {
				t.Errorf("of %s the poll of %s is owed", sources[i].Name, owed)
			}
			if len(d.times(sources[i].Name, start)) == 0 {
				waiting++
			}
		}
		if waiting == 0 {
			t.Error("none of them waited")
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if owed := s.Owed("s1"); !owed.IsZero() {
			t.Errorf("after it was polled, the poll of %s is owed", owed)
		}
		time.Sleep(time.Until(s.tasks["jittery"].scheduled) + time.Nanosecond)
		if due := s.tasks["jittery"].due; due.After(time.Now()) {
			if owed := s.Owed("jittery"); !owed.Equal(s.tasks["jittery"].scheduled) {
				t.Errorf("the poll of %s is owed, that of %s waits for its jitter", owed, s.tasks["jittery"].scheduled)
			}
		}
		stop(t, s)
	})
}

func TestAPollWhoseTimeComesAfterTheStopIsOwed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(context.Context, Source) Result { // it commits, and is not interrupted any more
			time.Sleep(time.Second)
			return Result{Poll: Poll{Verdict: Unchanged}}
		}
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("a", 5*time.Minute))
		s.Start(t.Context())
		time.Sleep(time.Millisecond)
		stop(t, s)
		if got := s.Owed("a"); !got.IsZero() {
			t.Errorf("the poll of %s is owed, which was made", got)
		}
		time.Sleep(5 * time.Minute)
		if got, want := s.Owed("a"), start.Add(5*time.Minute); !got.Equal(want) {
			t.Errorf("the poll of %s is owed, not that of %s", got, want)
		}
	})
}

func TestFewSourcesThatAreOverdueDoNotWaitForACrowd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		s := d.scheduler(0)
		s.Start(t.Context())
		start := time.Now()
		sources := []Source{plainSource("a", time.Minute), plainSource("b", time.Minute), plainSource("c", time.Minute)}
		takeOver(t, s, time.Minute, sources...)
		time.Sleep(10 * time.Second)
		stop(t, s)
		for i := range sources {
			if got := d.times(sources[i].Name, start); len(got) != 1 || got[0] > 4*elbowing {
				t.Errorf("%s was polled after %v", sources[i].Name, got)
			}
		}
	})
}
