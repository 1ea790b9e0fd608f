package poller

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// markFormat reads the field of records that says how far a source was read, and writes what is sent in a request.
type markFormat struct {
	kind    markKind
	layouts []string // of times: the first one writes, all of them read
	zone    *time.Location
	local   bool          // what is written has no zone in it
	unit    time.Duration // of times that are counted since 1970
	dotnet  bool          // as in /Date(1700000000000)/
	step    time.Duration // what the format can tell apart
}

const formatHint = `formats are rfc3339, unix, unix_ms, date, datetime, http, dotnet, number, text, a strftime format like "%d.%m.%Y %H:%M" or a Go layout like "02.01.2006 15:04"`

// parseMarkFormat reads the name of a format, or a layout. The clock of a format without a zone stands in the given one.
func parseMarkFormat(text string, zone *time.Location) (markFormat, error) {
	f := markFormat{zone: zone, step: time.Second}
	switch text {
	case "rfc3339":
		// Much of what is called so lacks the T, the colon or the zone.
		f.layouts = []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly}
		f.zone = time.UTC
		if zone != nil {
			f.zone = zone
		}
		return f, nil
	case "unix":
		f.unit = time.Second
		return f, nil
	case "unix_ms":
		f.unit, f.step = time.Millisecond, time.Millisecond
		return f, nil
	case "dotnet":
		f.unit, f.step, f.dotnet = time.Millisecond, time.Millisecond, true
		return f, nil
	case "date":
		return f.withLayout(time.DateOnly, text)
	case "datetime":
		return f.withLayout(time.DateTime, text)
	case "http":
		f.layouts, f.zone = []string{http.TimeFormat, time.RFC1123Z, time.RFC850, time.ANSIC}, time.UTC
		return f, nil
	case "number":
		f.kind = numberMarks
		return f, nil
	case "text":
		f.kind = textMarks
		return f, nil
	}
	layout := text
	if strings.Contains(text, "%") {
		var err error
		if layout, err = strftimeLayout(text); err != nil {
			return f, err
		}
	}
	return f.withLayout(layout, text)
}

// withLayout takes a layout of Go that can be read back.
func (f markFormat) withLayout(layout, written string) (markFormat, error) {
	if strings.Contains(layout, "MST") {
		return f, &setting.HintedError{Message: fmt.Sprintf("the format %q has the name of a zone, which is not unique", written), Hint: "write the zone as timezone, and its name in the format as it stands in the field"}
	}
	f.layouts = []string{layout}
	f.local = !strings.Contains(layout, "Z07") && !strings.Contains(layout, "-07")
	off, same := readBack(layout)
	switch {
	case !same || off < 0 || off >= 24*time.Hour, off >= 12*time.Hour && off < 17*time.Hour: // the last: 12 hours without AM and PM
		return f, &setting.HintedError{Message: fmt.Sprintf("%q is not a format of times", written), Hint: formatHint}
	case off >= time.Hour:
		f.step = 24 * time.Hour
	case off >= time.Minute:
		f.step = time.Hour
	case off >= time.Second:
		f.step = time.Minute
	}
	return f, nil
}

// readBack gives by how much times are off when they are written in a layout and read again. It is not the same for all times
// when numbers of one and of two digits run together.
func readBack(layout string) (off time.Duration, same bool) {
	for i, day := range [][2]int{{11, 23}, {1, 2}, {1, 10}, {10, 1}, {11, 1}, {12, 31}} {
		sample := time.Date(2026, time.Month(day[0]), day[1], 17, 48, 59, 0, time.UTC)
		back, err := time.Parse(layout, sample.Format(layout))
		if err != nil || i > 0 && sample.Sub(back) != off {
			return 0, false
		}
		off = sample.Sub(back)
	}
	return off, true
}

// strftimeLayout gives the layout of Go for a format of C and Python.
func strftimeLayout(format string) (string, error) {
	codes := map[byte]string{
		'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'f': "000000", 'L': "000",
		'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'j': "002", 'z': "-0700", 'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04", '%': "%",
	}
	var layout strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		if c != '%' {
			if c >= '0' && c <= '9' || c == '_' {
				return "", &setting.HintedError{Message: fmt.Sprintf("%q has a digit or _ between its codes, which a format cannot have", format), Hint: formatHint}
			}
			layout.WriteByte(c)
			continue
		}
		i++
		if i < len(format) && (format[i] == 'f' || format[i] == 'L') && (i < 2 || format[i-2] != '.' && format[i-2] != ',') {
			return "", &setting.HintedError{Message: fmt.Sprintf("%q has a fraction that does not follow a point", format), Hint: `write it as "%S.%f"`}
		}
		if i == len(format) || codes[format[i]] == "" {
			return "", &setting.HintedError{Message: fmt.Sprintf("%q has a code that is not known here", format), Hint: "codes are %Y %y %m %d %e %H %I %M %S %p %f %L %b %B %a %A %j %z %F %T %D %R %%"}
		}
		layout.WriteString(codes[format[i]])
	}
	return layout.String(), nil
}

// read gives the mark that a value is; false when it is none.
func (f *markFormat) read(v differ.Value) (mark, bool) {
	if kind := v.Kind(); kind != differ.String && kind != differ.Number {
		return mark{}, false
	}
	return f.parse(v.Text())
}

func (f *markFormat) parse(text string) (mark, bool) {
	text = strings.TrimSpace(text)
	switch {
	case f.kind == textMarks:
		return mark{text: text}, text != ""
	case f.kind == numberMarks:
		number, ok := wholeNumber(text)
		return mark{text: number}, ok
	case f.unit > 0:
		return f.parseCount(text)
	}
	for _, layout := range f.layouts {
		if at, err := time.ParseInLocation(layout, text, f.zone); err == nil {
			return inTime(at)
		}
	}
	return mark{}, false
}

// inTime refuses times that no calendar of people has: they could not be written again. The first of all times is what
// some systems write for none.
func inTime(at time.Time) (mark, bool) {
	at = at.UTC()
	if at.Year() < 1 || at.Year() > 9998 || at.IsZero() {
		return mark{}, false
	}
	return mark{at: at}, true
}

// parseCount reads seconds or milliseconds since 1970, with decimals or without.
func (f *markFormat) parseCount(text string) (mark, bool) {
	if f.dotnet {
		inner, isDate := strings.CutPrefix(text, "/Date(")
		inner, closed := strings.CutSuffix(inner, ")/")
		if !isDate || !closed {
			return mark{}, false
		}
		if zone := strings.LastIndexAny(inner, "+-"); zone > 0 { // says where it was written; the count is in UTC all the same
			inner = inner[:zone]
		}
		text = inner
	}
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	const most = 1 << 48
	if err != nil || n > most || n < -most || strings.Trim(fraction, "0123456789") != "" {
		return mark{}, false
	}
	if f.unit == time.Millisecond {
		return inTime(time.UnixMilli(n))
	}
	nanos, err := strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	if err != nil || strings.HasPrefix(whole, "-") {
		nanos = 0
	}
	return inTime(time.Unix(n, nanos))
}

// write gives a mark as a request has it: never later than the mark.
func (f *markFormat) write(m mark) string {
	switch {
	case f.kind != timeMarks:
		return m.text
	case f.dotnet:
		return "/Date(" + strconv.FormatInt(m.at.UnixMilli(), 10) + ")/"
	case f.unit == time.Millisecond:
		return strconv.FormatInt(m.at.UnixMilli(), 10)
	case f.unit == time.Second:
		return strconv.FormatInt(m.at.Unix(), 10)
	case f.local:
		return f.wall(m.at).Format(f.layouts[0])
	case len(f.layouts) > 1:
		return m.at.UTC().Format(f.layouts[0])
	}
	return m.at.In(f.zone).Format(f.layouts[0])
}

// wall gives what the clock of the zone shows, moved back while its hour may be the one that the clock shows twice: nobody can
// tell which of the two a time without a zone means.
func (f *markFormat) wall(at time.Time) time.Time {
	local := at.In(f.zone)
	_, ahead := local.Zone()
	begin, end := local.ZoneBounds()
	clock := at.UTC().Add(time.Duration(ahead) * time.Second)
	if fold := setBack(begin); fold > 0 && at.Sub(begin) < fold {
		return clock.Add(-fold)
	}
	if fold := setBack(end); fold > 0 && end.Sub(at) <= fold {
		return clock.Add(-fold)
	}
	return clock
}

// setBack gives by how much a clock is set back at a time; zero when it is not.
func setBack(at time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	_, before := at.Add(-time.Second).Zone()
	_, after := at.Zone()
	return time.Duration(max(before-after, 0)) * time.Second
}
