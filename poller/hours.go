package poller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// Hours are the windows in which a source is polled, the key active; none means always.
type Hours []Window

// SetStrings takes a list of windows.
func (h *Hours) SetStrings(texts []string) error {
	list := make(Hours, len(texts))
	for i, text := range texts {
		w, err := ParseWindow(text)
		if err != nil {
			return err
		}
		list[i] = w
	}
	*h = list
	return nil
}

// UnmarshalText takes one window.
func (h *Hours) UnmarshalText(text []byte) error { return h.SetStrings([]string{string(text)}) }

// Window is a recurring part of the week on the clock of a zone: "mon-fri 06:00-20:00 Europe/Berlin". Days, times or the
// zone may be left out: every day, all day, the timezone of the source. A window that ends at or before the time at which
// it begins goes on past midnight, into the day after those that it names.
type Window struct {
	text  string
	days  [7]bool // by time.Weekday
	spans []daySpan
	zone  *time.Location // nil: that of the source
}

// daySpan is a part of a day in minutes from midnight, without its end.
type daySpan struct{ from, to int }

const fullDay = 24 * 60

// MarshalText gives the window as it was written.
func (w Window) MarshalText() ([]byte, error) { return []byte(w.text), nil }

// ParseWindow reads a window.
func ParseWindow(text string) (Window, error) {
	w := Window{text: text, days: [7]bool{true, true, true, true, true, true, true}, spans: []daySpan{{0, fullDay}}}
	words := strings.Fields(strings.ReplaceAll(strings.ToLower(text), ", ", ","))
	if len(words) == 0 {
		return w, &setting.HintedError{Message: "it names no hours", Hint: windowHint}
	}
	exact := strings.Fields(text)
	if days, ok := parseDays(words[0]); ok {
		w.days, words = days, words[1:]
	}
	if len(words) > 0 && words[0][0] >= '0' && words[0][0] <= '9' {
		spans, err := parseSpans(words[0])
		if err != nil {
			return w, err
		}
		w.spans, words = spans, words[1:]
	}
	if len(words) == 0 {
		return w, nil
	}
	name := exact[len(exact)-1]
	zone, err := loadZone(name)
	if err != nil || len(words) > 1 {
		return w, &setting.HintedError{Message: fmt.Sprintf("%q: %q is neither a day, a time nor a time zone", text, exact[len(exact)-len(words)]), Hint: windowHint}
	}
	w.zone = zone
	return w, nil
}

const windowHint = `write days, times and a zone, like "mon-fri 06:00-20:00 Europe/Berlin"`

// parseDays reads "mon-fri", "sat,sun", "fri-mon"; ok is false when it is something else.
func parseDays(word string) (days [7]bool, ok bool) {
	for part := range strings.SplitSeq(word, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, ok1 := parseDay(first)
		to, ok2 := parseDay(last)
		if !ok1 || !ok2 {
			return days, false
		}
		for d := from; ; d = (d + 1) % 7 {
			days[d] = true
			if d == to {
				break
			}
		}
	}
	return days, true
}

func parseDay(name string) (int, bool) {
	for d := range 7 {
		full := strings.ToLower(time.Weekday(d).String())
		if name == full || name == full[:3] {
			return d, true
		}
	}
	return 0, false
}

// parseSpans reads "06:00-20:00" or several of them: "06:00-12:00,13:00-18:00".
func parseSpans(word string) ([]daySpan, error) {
	var spans []daySpan
	for part := range strings.SplitSeq(word, ",") {
		first, last, _ := strings.Cut(part, "-")
		from, ok1 := parseClock(first)
		to, ok2 := parseClock(last)
		switch {
		case !ok1 || !ok2 || from == fullDay:
			return nil, &setting.HintedError{Message: fmt.Sprintf("%q is not a span of time", part), Hint: `write "06:00-20:00"; the end of the day is 24:00`}
		case from == to:
			return nil, &setting.HintedError{Message: fmt.Sprintf("%q has no length", part), Hint: `the whole day is "00:00-24:00", or no times at all`}
		}
		spans = append(spans, daySpan{from, to})
	}
	return spans, nil
}

// parseClock reads a time of the day.
func parseClock(text string) (minutes int, ok bool) {
	h, m, found := strings.Cut(text, ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	minutes = int(hour)*60 + int(minute)
	return minutes, found && err1 == nil && err2 == nil && len(m) == 2 && minute < 60 && minutes <= fullDay
}

// in gives the hours with the zone of the source where a window has none.
func (h Hours) in(zone *time.Location) Hours {
	out := slices.Clone(h)
	for i := range out {
		if out[i].zone == nil {
			out[i].zone = zone
		}
	}
	return out
}

// contains says whether the source is polled at t: whether the clocks of the zones show a time that a window names.
func (h Hours) contains(t time.Time) bool {
	return len(h) == 0 || slices.ContainsFunc(h, func(w Window) bool { return w.contains(t) })
}

func (w *Window) contains(t time.Time) bool {
	local := t.In(w.zone)
	minute, today := local.Hour()*60+local.Minute(), local.Weekday()
	for _, s := range w.spans {
		switch {
		case s.from < s.to && w.days[today] && minute >= s.from && minute < s.to,
			s.from > s.to && w.days[today] && minute >= s.from,
			s.from > s.to && w.days[(today+6)%7] && minute < s.to:
			return true
		}
	}
	return false
}

// opening gives the first time from t on at which the source may be polled.
func (h Hours) opening(t time.Time) time.Time {
	if h.contains(t) {
		return t
	}
	return h.change(t)
}

// change gives the first time after t at which the hours begin or end; the zero time when they never do.
func (h Hours) change(t time.Time) time.Time {
	now := h.contains(t)
	var at []time.Time
	for i := range h {
		at = h[i].edges(at, t)
	}
	slices.SortFunc(at, time.Time.Compare)
	for _, c := range at {
		if c.After(t) && h.contains(c) != now {
			return c
		}
	}
	return time.Time{}
}

// edges appends the times of the week after t at which the window may begin or end. A clock that is changed may do that,
// too, and show a time twice or never.
func (w *Window) edges(at []time.Time, t time.Time) []time.Time {
	const week, longestGap = 8, 26 * time.Hour
	local := t.In(w.zone)
	for day := -1; day <= week; day++ {
		midnight := time.Date(local.Year(), local.Month(), local.Day()+day, 0, 0, 0, 0, time.UTC)
		for _, s := range w.spans {
			for _, minutes := range []int{s.from, s.to} {
				wall := midnight.Add(time.Duration(minutes) * time.Minute)
				for _, beside := range []time.Duration{-longestGap, longestGap} {
					_, offset := wall.Add(beside).In(w.zone).Zone()
					at = append(at, wall.Add(-time.Duration(offset)*time.Second).In(w.zone))
				}
			}
		}
	}
	for next, end := local, local.AddDate(0, 0, week); ; {
		_, next = next.ZoneBounds()
		if next.IsZero() || next.After(end) {
			return at
		}
		at = append(at, next)
	}
}

// spent gives how much of the time between two moments the source was polled; it stops counting once that is enough.
func (h Hours) spent(from, to time.Time, enough time.Duration) time.Duration {
	if len(h) == 0 {
		return to.Sub(from)
	}
	var sum time.Duration
	for at := h.opening(from); !at.IsZero() && at.Before(to) && sum < enough; {
		end := h.change(at)
		if end.IsZero() || end.After(to) {
			end = to
		}
		sum += end.Sub(at)
		at = h.opening(end)
	}
	return sum
}

// within keeps a schedule inside the hours.
type within struct {
	schedule Schedule
	hours    Hours
}

// Next gives the first time of the schedule after t inside the hours. A period that is so long that it misses them gives
// the time at which they begin; a cron spec none but its own times.
func (w within) Next(t time.Time) time.Time {
	const mostWindows = 4000 // ten years of days
	from := t
	period, periodic := w.schedule.(every)
	if periodic {
		from = t.Add(-period.period) // a time that has passed may have been moved to one that has not
	}
	at := w.schedule.Next(from)
	for range mostWindows {
		switch {
		case at.IsZero():
			return at
		case w.hours.contains(at):
			if at.After(t) {
				return at
			}
			at = w.schedule.Next(at)
			continue
		}
		open := w.hours.change(at)
		if open.IsZero() {
			return open
		}
		at = w.schedule.Next(open.Add(-time.Nanosecond))
		if periodic && open.After(t) && !at.Before(w.hours.change(open)) {
			return open
		}
	}
	return time.Time{}
}
