//go:build unix

package poller

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/deltahook/deltahook/internal/setting"
)

// Ten thousand sources that are polled every ten seconds and take no time, in three designs, in the same run: what the
// scheduling costs, how late it is, and what it keeps in memory. Over six periods, so that what is done once, at the start,
// weighs little in what is said to be the cost of every period.
const (
	benchSources = 10_000
	benchPeriod  = 10 * time.Second
	benchWindow  = 62 * time.Second
)

func BenchmarkTenThousandSources(b *testing.B) {
	for _, design := range []struct {
		name  string
		start func(ctx context.Context, fired func(name string, at time.Time)) (stop func())
	}{
		{"deltahook", benchScheduler},
		{"goroutine-each", benchGoroutines},
		{"cron-loop", benchCron},
	} {
		b.Run(design.name, func(b *testing.B) {
			for b.Loop() {
				l := &lateness{last: map[string]time.Time{}}
				before, cpu, wall := heapInUse(), cpuTime(b), time.Now()
				stop := design.start(b.Context(), l.fired)
				time.Sleep(benchWindow)
				used := (cpuTime(b) - cpu).Seconds() / time.Since(wall).Seconds()
				b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
				b.ReportMetric(100*used, "%core")
				b.ReportMetric(float64(heapInUse()-before)/(1<<20), "MiB")
				stop()
				b.ReportMetric(float64(l.p99().Microseconds())/1000, "p99-late-ms")
				b.ReportMetric(float64(len(l.late)), "polls")
			}
		})
	}
}

// lateness collects how late polls began: against when they were due, which is given or one period after the one before.
type lateness struct {
	mu   sync.Mutex
	last map[string]time.Time
	late []time.Duration
}

func (l *lateness) fired(name string, due time.Time) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if due.IsZero() {
		before, ok := l.last[name]
		l.last[name] = now
		if !ok {
			l.late = append(l.late, 0)
			return
		}
		due = before.Add(benchPeriod)
	}
	l.late = append(l.late, max(now.Sub(due), 0))
}

func (l *lateness) p99() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.late) == 0 {
		return 0
	}
	slices.Sort(l.late)
	return l.late[len(l.late)*99/100]
}

// idlePoll is a source whose poll does nothing.
type idlePoll struct {
	polls

	name  string
	fired func(name string, due time.Time)
}

func (p idlePoll) Poll(_ context.Context, o Occasion) Result {
	p.fired(p.name, o.Scheduled)
	return Result{Source: p.name, Poll: Poll{At: time.Now(), Verdict: Unchanged}}
}

func benchScheduler(ctx context.Context, fired func(string, time.Time)) func() {
	s := newScheduler(Options{}.withDefaults(), func(s *Source) (polls, error) { return idlePoll{name: s.Name, fired: fired}, nil })
	for i := range benchSources {
		source := DefaultSource()
		source.Name, source.Every, source.OnStart = fmt.Sprint("s", i), setting.Duration(benchPeriod), "schedule"
		if err := s.Add(&source); err != nil {
			panic(err)
		}
	}
	s.Start(ctx)
	return func() { _ = s.Stop(ctx) }
}

func benchGoroutines(ctx context.Context, fired func(string, time.Time)) func() {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i := range benchSources {
		name := fmt.Sprint("s", i)
		schedule := newEvery(name, benchPeriod, true, time.Now())
		all.Go(func() {
			for due := schedule.Next(time.Now()); ; due = schedule.Next(due) {
				timer := time.NewTimer(time.Until(due))
				select {
				case <-timer.C:
					fired(name, due)
				case <-ctx.Done():
					timer.Stop()
					return
				}
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

func benchCron(_ context.Context, fired func(string, time.Time)) func() {
	c := cron.New()
	for i := range benchSources {
		name := fmt.Sprint("s", i)
		c.Schedule(newEvery(name, benchPeriod, true, time.Now()), cron.FuncJob(func() { fired(name, time.Time{}) }))
	}
	c.Start()
	return func() { <-c.Stop().Done() }
}

func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// TestTenThousandIdleSourcesFitIntoMemory makes real pollers, and none of them polls.
func TestTenThousandIdleSourcesFitIntoMemory(t *testing.T) {
	const mostEach = 8 << 10
	opts := Options{Ledger: newMemLedger(), Outlet: &memOutlet{}, Secrets: &setting.Secrets{}}
	s := NewScheduler(opts)
	goroutines, before := runtime.NumGoroutine(), heapInUse()
	for i := range benchSources {
		source := validSource()
		source.Name, source.OnStart, source.Every = fmt.Sprint("s", i), "schedule", setting.Duration(24*time.Hour)
		if err := s.Add(&source); err != nil {
			t.Fatal(err)
		}
	}
	s.Start(t.Context())
	each := (heapInUse() - before) / benchSources
	t.Logf("%d bytes each, %d goroutines for all", each, runtime.NumGoroutine()-goroutines)
	if each > mostEach || runtime.NumGoroutine()-goroutines > 10 {
		t.Errorf("an idle source costs %d bytes; all of them %d goroutines", each, runtime.NumGoroutine()-goroutines)
	}
	stop(t, s)
	runtime.KeepAlive(s)
}
