package poller

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/setting"
)

func hoursOf(t *testing.T, zone *time.Location, texts ...string) Hours {
	t.Helper()
	var h Hours
	if err := h.SetStrings(texts); err != nil {
		t.Fatal(err)
	}
	return h.in(zone)
}

// The 23rd of November 2026 is a Monday. Berlin: the clock goes from 02:00 to 03:00 on 28 March 2027 and from 03:00 back to
// 02:00 on 31 October 2027. Lord Howe: from 02:00 to 02:30 on 3 October 2027.
func TestActiveHoursAreThoseOfTheClockInTheirZone(t *testing.T) {
	berlin, howe := zone(t, "Europe/Berlin"), zone(t, "Australia/Lord_Howe")
	const layout = "Mon 02 15:04 MST"
	day := func(z *time.Location, year int, month time.Month, d, hour, minute int) time.Time {
		return time.Date(year, month, d, hour, minute, 0, 0, z)
	}
	for _, c := range []struct {
		name    string
		windows []string
		from    time.Time
		changes []string
	}{
		{"weekdays", []string{"mon-fri 06:00-20:00"}, day(berlin, 2026, 11, 27, 12, 0), []string{"Fri 27 20:00 CET", "Mon 30 06:00 CET", "Mon 30 20:00 CET"}},
		{"past midnight", []string{"fri 22:00-06:00"}, day(berlin, 2026, 11, 23, 12, 0), []string{"Fri 27 22:00 CET", "Sat 28 06:00 CET", "Fri 04 22:00 CET"}},
		{"past midnight on every day", []string{"22:00-06:00"}, day(berlin, 2026, 11, 23, 5, 0), []string{"Mon 23 06:00 CET", "Mon 23 22:00 CET", "Tue 24 06:00 CET"}},
		{"a pause at noon", []string{"mon 08:00-12:00,13:00-17:00"}, day(berlin, 2026, 11, 23, 9, 0), []string{"Mon 23 12:00 CET", "Mon 23 13:00 CET", "Mon 23 17:00 CET", "Mon 30 08:00 CET"}},
		{"windows that touch are one", []string{"mon 08:00-24:00", "tue 00:00-06:00"}, day(berlin, 2026, 11, 23, 9, 0), []string{"Tue 24 06:00 CET", "Mon 30 08:00 CET"}},
		{"whole days around a week's end", []string{"fri-mon"}, day(berlin, 2026, 11, 23, 9, 0), []string{"Tue 24 00:00 CET", "Fri 27 00:00 CET", "Tue 01 00:00 CET"}},
		{"several windows", []string{"mon-fri 09:00-17:00", "sat, sun 10:00-11:00"}, day(berlin, 2026, 11, 27, 12, 0), []string{"Fri 27 17:00 CET", "Sat 28 10:00 CET", "Sat 28 11:00 CET", "Sun 29 10:00 CET"}},
		{"its own zone", []string{"mon-fri 06:00-20:00 Australia/Lord_Howe"}, day(time.UTC, 2026, 11, 23, 12, 0), []string{"Tue 24 06:00 +11", "Tue 24 20:00 +11"}},
		{"a beginning inside the gap", []string{"02:30-05:00"}, day(berlin, 2027, 3, 28, 0, 0), []string{"Sun 28 03:00 CEST", "Sun 28 05:00 CEST", "Mon 29 02:30 CEST"}},
		{"a window inside the gap", []string{"02:10-02:50"}, day(berlin, 2027, 3, 27, 12, 0), []string{"Mon 29 02:10 CEST", "Mon 29 02:50 CEST"}},
		{"times that come twice", []string{"01:00-02:30"}, day(berlin, 2027, 10, 31, 0, 0), []string{"Sun 31 01:00 CEST", "Sun 31 02:30 CEST", "Sun 31 02:00 CET", "Sun 31 02:30 CET", "Mon 01 01:00 CET"}},
		{"half an hour that is skipped", []string{"02:15-04:00"}, day(howe, 2027, 10, 2, 22, 0), []string{"Sun 03 02:30 +11", "Sun 03 04:00 +11"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, at := hoursOf(t, c.from.Location(), c.windows...), c.from
			for _, want := range c.changes {
				before := h.contains(at)
				at = h.change(at)
				if got := at.Format(layout); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				if h.contains(at) == before || h.contains(at.Add(-time.Nanosecond)) != before {
					t.Errorf("nothing changes at %s", at)
				}
			}
		})
	}
}

func TestAWeekIsNeverBegunTooLate(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	h := hoursOf(t, berlin, "mon,wed 06:10-20:20", "fri 22:00-03:30")
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, berlin)
	next := h.opening(at)
	for end := at.AddDate(1, 0, 0); at.Before(end); at = at.Add(10 * time.Minute) {
		if h.contains(at) && at.Before(next) {
			t.Fatalf("%s is inside, but the hours begin at %s", at, next)
		}
		if !at.Before(next) {
			next = h.opening(at)
		}
	}
}

func TestHoursThatMakeNoSenseAreRefusedWithTheNextStep(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "names no hours",
		"mo-fr 06:00-20:00":       `"mo-fr" is neither a day, a time nor a time zone`,
		"mon-fri 6-20":            `"6-20" is not a span of time`,
		"mon-fri 06:00":           `"06:00" is not a span of time`,
		"mon-fri 06:00-25:00":     `"06:00-25:00" is not a span of time`,
		"mon-fri 06:00-20:60":     `"06:00-20:60" is not a span of time`,
		"mon-fri 24:00-06:00":     `"24:00-06:00" is not a span of time`,
		"mon-fri 06:00-06:00":     `"06:00-06:00" has no length`,
		"06:00-20:00 mon-fri":     `"mon-fri" is neither a day, a time nor a time zone`,
		"mon 06:00-20:00 Berlin":  `"Berlin" is neither a day, a time nor a time zone`,
		"mon 06:00-20:00 Local":   `"Local" is neither a day, a time nor a time zone`,
		"mon 06:00-20:00 UTC UTC": `"UTC" is neither a day, a time nor a time zone`,
	} {
		var h Hours
		err := h.UnmarshalText([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(setting.Hint(err), "0:00") {
			t.Errorf("%q: %v (%s), want %s", text, err, setting.Hint(err), want)
		}
	}
}

func TestASpecThatNeverMeetsItsHoursIsRefused(t *testing.T) {
	s := validSource()
	s.Every, s.Cron, s.Active = 0, "0 3 * * *", hoursOf(t, nil, "06:00-20:00")
	if p := s.Validate(&setting.Secrets{}); len(p) != 1 || p[0].Key[0] != "active" {
		t.Errorf("problems %v", p)
	}
	s.Timezone = "Asia/Tokyo"
	if p := s.Validate(&setting.Secrets{}); len(p) != 1 {
		t.Errorf("both are in the zone of the source: %v", p)
	}
	s.Active = hoursOf(t, time.UTC, "06:00-20:00") // three in Tokyo is six in the evening in UTC
	if p := s.Validate(&setting.Secrets{}); len(p) != 0 {
		t.Errorf("problems %v", p)
	}
}

func TestASourceIsPolledInsideItsActiveHoursOnly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) { // the bubble begins on Saturday, 1 January 2000, at midnight
		d := newDesk()
		s := d.scheduler(0)
		start := time.Now()
		often := plainSource("often", 45*time.Minute)
		often.Active = hoursOf(t, nil, "sat 06:00-08:00", "sun")
		daily := plainSource("daily", 24*time.Hour)
		daily.Active = hoursOf(t, nil, "06:00-08:00")
		spec := plainSource("spec", 0)
		spec.Cron, spec.Active = "0 */3 * * *", hoursOf(t, nil, "06:00-12:30")
		add(t, s, often, daily, spec)
		s.Start(t.Context())
		time.Sleep(time.Hour)
		st, _ := s.Status("often")
		if st.State != Waiting || st.Message != "outside its active hours until Sat 06:00 UTC" || !st.NextPoll.Equal(start.Add(6*time.Hour)) {
			t.Errorf("status %+v", st)
		}
		if err := s.PollNow("often"); err != nil { // a person may
			t.Fatal(err)
		}
		time.Sleep(25 * time.Hour)
		stop(t, s)
		if got := d.times("often", start)[:6]; !slices.Equal(got, minutes(60, 360, 405, 450, 1440, 1485)) {
			t.Errorf("often was polled at %v", got)
		}
		if got := d.times("daily", start); !slices.Equal(got, minutes(360)) {
			t.Errorf("daily was polled at %v", got)
		}
		if got := d.times("spec", start); !slices.Equal(got, minutes(360, 540, 720)) {
			t.Errorf("spec was polled at %v", got)
		}
	})
}

func TestADelayedPollDoesNotSlipOutOfTheActiveHours(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		d := newDesk()
		d.act = func(_ context.Context, s Source) Result {
			if s.Name == "deferred" {
				return Result{Poll: Poll{Verdict: Deferred}, Until: time.Now().Add(150 * time.Minute)}
			}
			return Result{Poll: Poll{Verdict: Unchanged}}
		}
		s := d.scheduler(0)
		start := time.Now()
		jittery := plainSource("jittery", time.Hour)
		jittery.Active, jittery.Jitter = hoursOf(t, nil, "00:00-04:00"), setting.Duration(59*time.Minute)
		deferred := plainSource("deferred", time.Hour)
		deferred.Active = hoursOf(t, nil, "00:00-04:00")
		add(t, s, jittery, deferred)
		s.Start(t.Context())
		time.Sleep(72 * time.Hour)
		stop(t, s)
		for _, name := range []string{"jittery", "deferred"} {
			times := d.times(name, start)
			if len(times) < 6 {
				t.Errorf("%s was polled at %v", name, times)
			}
			for _, at := range times {
				if at%(24*time.Hour) >= 4*time.Hour {
					t.Errorf("%s was polled at %v", name, at)
				}
			}
		}
	})
}
