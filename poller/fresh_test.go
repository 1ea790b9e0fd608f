package poller

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

func TestHowLongAnAnswerIsFresh(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, c := range []struct {
		header string
		want   time.Duration
	}{
		{"", 0},
		{"Cache-Control: max-age=300", 5 * time.Minute},
		{"Cache-Control: public, Max-Age=\"300\"", 5 * time.Minute},
		{"Cache-Control: max-age=300|Age: 100", 200 * time.Second},
		{"Cache-Control: max-age=300|Age: 400", 0},
		{"Cache-Control: max-age=300|Age: old", 5 * time.Minute},
		{"Cache-Control: max-age=soon", 0},
		{"Cache-Control: max-age=-1", 0},
		{"Cache-Control: no-cache, max-age=300", 0},
		{"Cache-Control: max-age=300|Cache-Control: no-store", 0},
		{"Cache-Control: max-age=60, max-age=300", time.Minute},
		{"Cache-Control: s-maxage=300", 0},
		{"Cache-Control: max-age=300|Vary: *", 0},
		{"Cache-Control: max-age=60|Expires: " + at(time.Hour), time.Minute},
		{"Expires: " + at(time.Hour), time.Hour},
		{"Expires: " + at(time.Hour) + "|Date: " + at(50*time.Minute), 10 * time.Minute},
		{"Expires: " + at(-time.Hour), 0},
		{"Expires: 0", 0},
	} {
		h := http.Header{}
		for line := range strings.SplitSeq(c.header, "|") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				h.Add(name, value)
			}
		}
		if got := freshFor(h, now); got != c.want {
			t.Errorf("%q: %s, want %s", c.header, got, c.want)
		}
	}
}

func TestFreshnessCountsWhereAnotherAnswerWouldSayTheSame(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*Source)
		want bool
	}{
		{"as it comes", nil, true},
		{"validators only", func(s *Source) { s.Conditional = "validators" }, false},
		{"off", func(s *Source) { s.Conditional = "off" }, false},
		{"pages", func(s *Source) { s.Pages.Kind = "link" }, false},
		{"another question each time", func(s *Source) { s.Query = map[string]string{"until": "{now}"} }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf("1", "2")
			r := newRig(t, func(w http.ResponseWriter, q *http.Request) {
				w.Header().Set("Cache-Control", "max-age=600")
				w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprint(s.page(0, 9))))
				if q.Header.Get("If-None-Match") == w.Header().Get("ETag") {
					w.WriteHeader(http.StatusNotModified)
					return
				}
				s.ServeHTTP(w, q)
			}, c.edit)
			for _, verdict := range []Verdict{Complete, Unchanged} {
				if got := r.want(verdict); got.Fresh.Equal(r.now.Add(10*time.Minute)) != c.want || got.Fresh.IsZero() == c.want {
					t.Errorf("%s: fresh until %s", verdict, got.Fresh)
				}
			}
			s.remove("1")
			if got := r.want(Complete); !got.Fresh.IsZero() {
				t.Error("a record is missing, and nobody looks for it")
			}
		})
	}
}

func TestAtMostThreePollsAreLeftOutBecauseAnAnswerIsFresh(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(_ context.Context, s Source) Result {
			life := map[string]time.Duration{"short": 150 * time.Second, "long": 24 * time.Hour, "daily": 24 * time.Hour, "hourly": 24 * time.Hour}[s.Name]
			return Result{Poll: Poll{Verdict: Unchanged}, Fresh: time.Now().Add(life)}
		}
		s := d.scheduler(0)
		start := time.Now()
		add(t, s, plainSource("short", time.Minute), plainSource("long", time.Minute), plainSource("hourly", 150*time.Minute))
		daily := plainSource("daily", 0)
		daily.Cron = "0 3 * * *"
		add(t, s, daily)
		s.Start(t.Context())
		time.Sleep(time.Second)
		if st, _ := s.Status("long"); !strings.HasPrefix(st.Message, "the server calls its answer fresh until ") || !st.NextPoll.Equal(start.Add(4*time.Minute)) {
			t.Errorf("status %+v", st)
		}
		time.Sleep(75 * time.Hour)
		stop(t, s)
		if got := d.times("short", start)[:4]; !slices.Equal(got, minutes(0, 3, 6, 9)) {
			t.Errorf("short was polled at %v", got)
		}
		if got := d.times("long", start)[:4]; !slices.Equal(got, minutes(0, 4, 8, 12)) {
			t.Errorf("long was polled at %v", got)
		}
		if got := d.times("hourly", start)[:3]; !slices.Equal(got, minutes(0, 300, 600)) { // six hours at most
			t.Errorf("hourly was polled at %v", got)
		}
		if got := d.times("daily", start); !slices.Equal(got, minutes(0, 3*60, 27*60, 51*60, 75*60)) {
			t.Errorf("daily was polled at %v", got)
		}
	})
}

func TestScheduledTimesThatPassWhileAPollRunsAreCounted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(ctx context.Context, s Source) Result {
			if s.Name == "quick" {
				return Result{Poll: Poll{Verdict: Unchanged}}
			}
			return lasting(210*time.Second)(ctx, s)
		}
		s := d.scheduler(0)
		slow, quick := plainSource("slow", time.Minute), plainSource("quick", time.Minute)
		once, skip := plainSource("once", 0), plainSource("skip", 0)
		once.Cron, skip.Cron, skip.Missed = "* * * * *", "* * * * *", "skip"
		add(t, s, slow, quick, once, skip)
		s.Start(t.Context())
		time.Sleep(4 * time.Minute)
		stop(t, s)
		for name, want := range map[string]int64{"slow": 3, "quick": 0, "once": 2, "skip": 3} {
			if st, _ := s.Status(name); st.Skipped != want {
				t.Errorf("%s: %d skipped, want %d", name, st.Skipped, want)
			}
		}
		if st, _ := s.Status("slow"); d.overlap {
			t.Errorf("overlap; status %+v", st)
		}
	})
}
