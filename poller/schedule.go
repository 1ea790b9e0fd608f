package poller

import (
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/deltahook/deltahook/internal/setting"
)

// Schedule says when a source is due.
type Schedule interface {
	// Next gives the first time after t.
	Next(t time.Time) time.Time
}

// every is a fixed period in absolute time: the times t with t = phase modulo period, counted from 1970.
type every struct{ period, phase time.Duration }

// Next gives the first time after t that has the phase.
func (e every) Next(t time.Time) time.Time {
	into := (time.Duration(t.UnixNano()) - e.phase) % e.period
	if into < 0 {
		into += e.period
	}
	return t.Add(e.period - into)
}

// newEvery makes the schedule of `every`. With spread the phase comes from the name, so that sources with the same period do
// not poll in the same second, and a restart does not change it; without, it is that of start.
func newEvery(name string, period time.Duration, spread bool, start time.Time) every {
	if !spread {
		return every{period: period, phase: time.Duration(start.UnixNano()) % period}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	// The last bits of FNV differ most; a multiplication by an odd constant brings them to the top.
	share := h.Sum64() * 0x9e3779b97f4a7c15 >> 11
	return every{period: period, phase: time.Duration(float64(share) / (1 << 53) * float64(period))}
}

// ParseSchedule reads a cron spec of five fields, or a descriptor such as "@hourly" or "@every 90s", and says when it fires
// in zone. Specs that never fire are refused.
//
// Where the clock is changed, a spec whose hour is free runs in absolute time, so it neither pauses nor repeats. One with
// fixed hours runs once for each time of the day it names: at the first of two equal ones, and later by the length of the
// gap when the time does not exist.
func ParseSchedule(spec string, zone *time.Location) (Schedule, error) {
	spec = strings.TrimSpace(spec)
	if strings.HasPrefix(spec, "TZ=") || strings.HasPrefix(spec, "CRON_TZ=") {
		return nil, &setting.HintedError{Message: "the cron spec names a time zone", Hint: `write the zone as timezone = "Europe/Berlin"`}
	}
	if rest, ok := strings.CutPrefix(spec, "@every"); ok {
		return parseCronEvery(strings.TrimSpace(rest))
	}
	parsed, err := parseCron(spec)
	if err != nil {
		return nil, err
	}
	s, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q is not a cron spec", spec)
	}
	s.Location = time.UTC
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, &setting.HintedError{Message: fmt.Sprintf("%q never fires", spec), Hint: "no such day comes; look at day of month (third field) and month (fourth)"}
	}
	return cronSchedule{spec: s, zone: zone, free: freeHour(s)}, nil
}

// parseCron keeps the parser's panics from leaving it.
func parseCron(spec string) (s cron.Schedule, err error) {
	defer func() {
		if recover() != nil {
			s, err = nil, &setting.HintedError{Message: fmt.Sprintf("%q is not a cron spec", spec), Hint: cronHint}
		}
	}()
	s, err = cron.ParseStandard(spec)
	if err != nil {
		return nil, &setting.HintedError{Message: err.Error(), Hint: cronHint}
	}
	return s, nil
}

const cronHint = `write minute, hour, day of month, month and day of week, like "*/15 6-20 * * mon-fri", or "@hourly"`

func parseCronEvery(text string) (Schedule, error) {
	d, err := setting.ParseDuration(text)
	if err != nil {
		return nil, err
	}
	if d < time.Second || d%time.Second != 0 {
		return nil, &setting.HintedError{Message: "@every " + text + " is not a whole number of seconds", Hint: "write whole seconds, at least 1s, like \"@every 90s\""}
	}
	return every{period: d}, nil
}

// freeHour says whether the spec fires in every hour of the day.
func freeHour(s *cron.SpecSchedule) bool {
	const allHours = 1<<24 - 1
	return s.Hour&allHours == allHours
}

// cronSchedule is a cron spec in a time zone. The spec is evaluated on the clock of the zone as if it were UTC.
type cronSchedule struct {
	spec *cron.SpecSchedule // in UTC
	zone *time.Location
	free bool
}

// Next gives the first time after t; the zero time when there is none within five years.
func (c cronSchedule) Next(t time.Time) time.Time {
	if c.free {
		return c.nextFree(t)
	}
	return c.nextFixed(t)
}

// nextFree walks in absolute time, from one change of the clock to the next: each instant has one clock time, and the spec
// matches it or not.
func (c cronSchedule) nextFree(t time.Time) time.Time {
	after, at := t, t
	for {
		offset, until := c.offsetAt(at)
		wall := c.spec.Next(after.UTC().Add(offset))
		if wall.IsZero() {
			return wall
		}
		next := wall.Add(-offset)
		if until.IsZero() || next.Before(until) {
			return next.In(c.zone)
		}
		after, at = until.Add(-time.Nanosecond), until
	}
}

// offsetAt gives what the clock of the zone is ahead of UTC at t, and when that changes next (zero: never).
func (c cronSchedule) offsetAt(t time.Time) (time.Duration, time.Time) {
	local := t.In(c.zone)
	_, seconds := local.Zone()
	_, until := local.ZoneBounds()
	return time.Duration(seconds) * time.Second, until
}

// nextFixed looks at each clock time that the spec names and at when it is. Around a change of the clock the order of the
// two may differ, so it begins early enough to see the ones that are shifted.
func (c cronSchedule) nextFixed(t time.Time) time.Time {
	const longestGap = 25 * time.Hour // a country moved across the date line
	offset, _ := c.offsetAt(t)
	before, _ := c.offsetAt(t.Add(-longestGap))
	wall := t.UTC().Add(offset)
	if before != offset {
		wall = wall.Add(-longestGap)
	}
	var best time.Time
	for {
		wall = c.spec.Next(wall)
		if wall.IsZero() {
			return best
		}
		at := c.first(wall)
		if at.After(t) && (best.IsZero() || at.Before(best)) {
			best = at
		}
		if !best.IsZero() && wall.After(best.UTC().Add(c.offset(best))) {
			return best
		}
	}
}

func (c cronSchedule) offset(t time.Time) time.Duration {
	d, _ := c.offsetAt(t)
	return d
}

// first gives the first instant at which the clock of the zone shows wall, or, when it never does, the instant as long after
// the gap as wall is into it.
func (c cronSchedule) first(wall time.Time) time.Time {
	// Before the change the clock is ahead by one offset, after it by the other; both candidates are checked.
	early := wall.Add(-c.offset(wall.Add(-26 * time.Hour)))
	if c.offset(early) == wall.Sub(early) {
		return early.In(c.zone)
	}
	late := wall.Add(-c.offset(early))
	if c.offset(late) == wall.Sub(late) {
		return late.In(c.zone)
	}
	return early.In(c.zone)
}

// errNoSchedule says that neither every nor cron was given.
var errNoSchedule = errors.New("the source has neither every nor cron")

// schedule makes the schedule of a valid source that starts at start, and the hours that it keeps to.
func (s *Source) schedule(start time.Time) (Schedule, Hours, error) {
	zone, err := loadZone(s.Timezone)
	if err != nil {
		return nil, nil, err
	}
	var schedule Schedule
	switch {
	case s.Every > 0:
		schedule = newEvery(s.Name, s.Every.Std(), s.Spread, start)
	case s.Cron == "":
		return nil, nil, errNoSchedule
	default:
		if schedule, err = ParseSchedule(s.Cron, zone); err != nil {
			return nil, nil, err
		}
	}
	hours := s.Active.in(zone)
	if len(hours) > 0 {
		schedule = within{schedule, hours}
	}
	return schedule, hours, nil
}

// loadZone gives the time zone of this name, UTC when it is empty.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("%q is not a time zone", name)
	}
	return zone, nil
}
