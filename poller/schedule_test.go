package poller

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func parsed(t *testing.T, spec string, z *time.Location) Schedule {
	t.Helper()
	s, err := ParseSchedule(spec, z)
	if err != nil {
		t.Fatalf("ParseSchedule(%q): %v", spec, err)
	}
	return s
}

// New York 2027: the clock goes from 02:00 to 03:00 on 14 March and from 02:00 back to 01:00 on 7 November.
func TestT19CronKeepsItsPromiseWhenTheClockIsChanged(t *testing.T) {
	ny := zone(t, "America/New_York")
	const layout = "01-02 15:04 MST"
	spring := time.Date(2027, 3, 13, 12, 0, 0, 0, ny)
	autumn := time.Date(2027, 11, 6, 12, 0, 0, 0, ny)
	for _, c := range []struct {
		name, spec string
		from       time.Time
		want       []string
	}{
		{"a fixed time in the gap moves behind it", "30 2 * * *", spring, []string{"03-14 03:30 EDT", "03-15 02:30 EDT"}},
		{"a fixed time that comes twice fires once", "30 1 * * *", autumn, []string{"11-07 01:30 EDT", "11-08 01:30 EST"}},
		{"both halves of a gap fire once each", "0,30 2 * * *", spring, []string{"03-14 03:00 EDT", "03-14 03:30 EDT", "03-15 02:00 EDT"}},
		{"times that fall together fire once", "30 2,3 * * *", spring, []string{"03-14 03:30 EDT", "03-15 02:30 EDT", "03-15 03:30 EDT"}},
		{"order is kept behind the gap", "0,30 2,3 * * *", spring, []string{"03-14 03:00 EDT", "03-14 03:30 EDT", "03-15 02:00 EDT"}},
		{"a range of hours fires once per clock time", "0 0-3 * * *", autumn, []string{"11-07 00:00 EDT", "11-07 01:00 EDT", "11-07 02:00 EST", "11-07 03:00 EST"}},
		{"every hour goes on through the gap", "15 * * * *", spring.Add(13 * time.Hour), []string{"03-14 01:15 EST", "03-14 03:15 EDT", "03-14 04:15 EDT"}},
		{"every hour goes on through the repeated one", "15 * * * *", autumn.Add(12*time.Hour + 30*time.Minute), []string{"11-07 01:15 EDT", "11-07 01:15 EST", "11-07 02:15 EST"}},
		{"each half hour through the gap", "*/30 * * * *", spring.Add(13*time.Hour + 10*time.Minute), []string{"03-14 01:30 EST", "03-14 03:00 EDT", "03-14 03:30 EDT"}},
		{"each half hour through the repeated hour", "*/30 * * * *", autumn.Add(13*time.Hour + 10*time.Minute), []string{"11-07 01:30 EDT", "11-07 01:00 EST", "11-07 01:30 EST", "11-07 02:00 EST"}},
		{"weekdays only", "0 9 * * mon-fri", autumn, []string{"11-08 09:00 EST", "11-09 09:00 EST"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, at := parsed(t, c.spec, ny), c.from
			for _, want := range c.want {
				at = s.Next(at)
				if got := at.Format(layout); got != want {
					t.Errorf("%s: got %s, want %s", c.spec, got, want)
				}
			}
		})
	}
}

// Lord Howe: from 02:00 to 02:30 on 3 October 2027, from 02:00 back to 01:30 on 4 April 2027. Sydney: the same days, by an
// hour. Santiago: from midnight to 01:00 on 5 September 2027.
func TestT19CronKeepsItsPromiseInOtherZones(t *testing.T) {
	const layout = "01-02 15:04 -0700"
	for _, c := range []struct {
		zone, spec string
		from       string
		want       []string
	}{
		{"Australia/Lord_Howe", "15 2 * * *", "2027-10-02T12:00", []string{"10-03 02:45 +1100", "10-04 02:15 +1100"}},
		{"Australia/Lord_Howe", "45 1 * * *", "2027-04-03T12:00", []string{"04-04 01:45 +1100", "04-05 01:45 +1030"}},
		{"Australia/Lord_Howe", "*/20 * * * *", "2027-10-03T01:30", []string{"10-03 01:40 +1030", "10-03 02:40 +1100", "10-03 03:00 +1100"}},
		{"Australia/Lord_Howe", "*/20 * * * *", "2027-04-04T01:20", []string{"04-04 01:40 +1100", "04-04 01:40 +1030", "04-04 02:00 +1030"}},
		{"Australia/Sydney", "30 2 * * *", "2027-10-02T12:00", []string{"10-03 03:30 +1100", "10-04 02:30 +1100"}},
		{"Australia/Sydney", "30 2 * * *", "2027-04-03T12:00", []string{"04-04 02:30 +1100", "04-05 02:30 +1000"}},
		{"America/Santiago", "0 0 * * *", "2027-09-04T12:00", []string{"09-05 01:00 -0300", "09-06 00:00 -0300"}},
		{"America/Santiago", "0 0 * * sun", "2027-09-01T12:00", []string{"09-05 01:00 -0300", "09-12 00:00 -0300"}},
		{"Europe/Berlin", "30 2 * * *", "2027-10-30T12:00", []string{"10-31 02:30 +0200", "11-01 02:30 +0100"}},
		{"Europe/Berlin", "0 */2 * * *", "2027-10-31T01:30", []string{"10-31 02:00 +0200", "10-31 04:00 +0100"}},
		{"UTC", "30 2 * * *", "2027-03-13T12:00", []string{"03-14 02:30 +0000", "03-15 02:30 +0000"}},
	} {
		z := zone(t, c.zone)
		at, err := time.ParseInLocation("2006-01-02T15:04", c.from, z)
		if err != nil {
			t.Fatal(err)
		}
		s := parsed(t, c.spec, z)
		for _, want := range c.want {
			at = s.Next(at)
			if got := at.Format(layout); got != want {
				t.Errorf("%s %s: got %s, want %s", c.zone, c.spec, got, want)
			}
		}
	}
}

func TestAFixedTimeFiresOnEachDayOfEachYear(t *testing.T) {
	first, last := 2010, 2030
	if testing.Short() {
		first, last = 2016, 2020
	}
	for _, name := range []string{"America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Tehran", "Africa/Cairo"} {
		z := zone(t, name)
		for _, spec := range []string{"30 2 * * *", "15 0 * * *", "45 1 * * *", "0 3 * * *", "59 23 * * *"} {
			s := parsed(t, spec, z)
			at := time.Date(first, 1, 1, 0, 0, 0, 0, z)
			end := time.Date(last, 1, 1, 0, 0, 0, 0, z)
			fires := 0
			for at = s.Next(at); at.Before(end); at = s.Next(at) {
				fires++
			}
			if days := int(time.Date(last, 1, 1, 0, 0, 0, 0, time.UTC).Sub(time.Date(first, 1, 1, 0, 0, 0, 0, time.UTC)) / (24 * time.Hour)); fires != days {
				t.Errorf("%s %q fired %d times in %d days", name, spec, fires, days)
			}
		}
	}
}

func TestSchedulesThatCannotWorkAreRefused(t *testing.T) {
	for spec, want := range map[string]string{
		"CRON_TZ=UTC":                        "time zone",
		"TZ=0":                               "time zone",
		"CRON_TZ=America/New_York * * * * *": "time zone",
		"0 0 31 2 *":                         "never fires",
		"0 0 30 feb *":                       "never fires",
		"@every 500ms":                       "whole number of seconds",
		"@every 1500ms":                      "whole number of seconds",
		"@every -1s":                         "not a duration",
		"@every 0s":                          "whole number of seconds",
		"@every":                             "not a duration",
		"* * * *":                            "5 fields",
		"* * * * * *":                        "5 fields",
		"61 * * * *":                         "above maximum",
		"":                                   "empty",
		"@reboot":                            "unrecognized",
		"5 minutes":                          "5 fields",
	} {
		if s, err := ParseSchedule(spec, time.UTC); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseSchedule(%q) = %v, %v; want an error about %q", spec, s, err, want)
		}
	}
}

func TestDescriptorsAndWholeSecondsAreAccepted(t *testing.T) {
	from := time.Date(2026, 11, 23, 12, 34, 56, 7, time.UTC)
	for spec, want := range map[string]time.Time{
		"@hourly":         time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC),
		"@daily":          time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		"@every 90s":      time.Date(2026, 11, 23, 12, 36, 0, 0, time.UTC),
		"*/15 6-20 * * *": time.Date(2026, 11, 23, 12, 45, 0, 0, time.UTC),
		"0 0 29 2 *":      time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC),
	} {
		if got := parsed(t, spec, time.UTC).Next(from); !got.Equal(want) {
			t.Errorf("%q: next is %s, want %s", spec, got, want)
		}
	}
}

func TestSpreadGivesEachSourceItsOwnFixedPhase(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	period := 5 * time.Minute
	seconds := map[int64]int{}
	const sources = 300
	for i := range sources {
		name := "source" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26))
		a := newEvery(name, period, true, now)
		b := newEvery(name, period, true, now.Add(17*time.Second))
		if a != b {
			t.Fatalf("%s has another phase after a restart", name)
		}
		next := a.Next(now)
		if d := next.Sub(now); d <= 0 || d > period {
			t.Fatalf("%s is due in %s", name, d)
		}
		if again := a.Next(next); again.Sub(next) != period {
			t.Fatalf("%s: %s after %s", name, again, next)
		}
		seconds[next.Unix()/10]++
	}
	for slot, n := range seconds {
		if n > sources/5 {
			t.Errorf("%d of %d sources poll in the same ten seconds (%d)", n, sources, slot)
		}
	}
}

func TestWithoutSpreadThePeriodCountsFromTheStart(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 3, 500, time.UTC)
	e := newEvery("a", time.Minute, false, start)
	if got := e.Next(start); !got.Equal(start.Add(time.Minute)) {
		t.Errorf("first is %s", got)
	}
}

func FuzzSchedule(f *testing.F) {
	for _, spec := range []string{"*/5 * * * *", "TZ=0", "CRON_TZ=UTC", "@every 1h", "@daily", "0 0 31 2 *", "1-5/2 , * * *", "@every 9999999999h", "0 0 1 1 0"} {
		f.Add(spec, int64(1763899200))
	}
	ny, err := time.LoadLocation("America/New_York")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, spec string, unix int64) {
		s, err := ParseSchedule(spec, ny)
		if err != nil {
			return
		}
		at := time.Unix(unix%4e9, 0)
		if next := s.Next(at); !next.IsZero() && !next.After(at) {
			t.Errorf("%q: %s is not after %s", spec, next, at)
		}
	})
}
