package poller

import (
	"math/big"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
)

func zoneNamed(tb testing.TB, name string) *time.Location {
	tb.Helper()
	zone, err := loadZone(name)
	if err != nil {
		tb.Fatal(err)
	}
	return zone
}

func TestTimesAreReadInEachSpelling(t *testing.T) {
	for _, c := range []struct{ format, zone, text, want string }{
		{"rfc3339", "UTC", "2026-11-23T12:00:00Z", "2026-11-23T12:00:00Z"},
		{"rfc3339", "UTC", "2026-11-23T12:00:00.123456789+01:00", "2026-11-23T11:00:00.123456789Z"},
		{"rfc3339", "UTC", "2026-11-23T12:00:00.5+0100", "2026-11-23T11:00:00.5Z"},
		{"rfc3339", "Europe/Berlin", "2026-11-23 12:00:00", "2026-11-23T11:00:00Z"},
		{"rfc3339", "UTC", "2026-11-23", "2026-11-23T00:00:00Z"},
		{"rfc3339", "UTC", "0001-01-01T00:00:00Z", ""}, // .NET for none
		{"rfc3339", "UTC", "23.11.2026", ""},
		{"unix", "UTC", "1763899200", "2025-11-23T12:00:00Z"},
		{"unix", "UTC", "1763899200.25", "2025-11-23T12:00:00.25Z"},
		{"unix", "UTC", "-1", "1969-12-31T23:59:59Z"},
		{"unix", "UTC", "1e9", ""},
		{"unix", "UTC", "99999999999999999999", ""},
		{"unix_ms", "UTC", "1763899200123", "2025-11-23T12:00:00.123Z"},
		{"unix_ms", "UTC", "1763899200123.9", "2025-11-23T12:00:00.123Z"},
		{"dotnet", "UTC", "/Date(-62135596800000)/", ""},
		{"dotnet", "UTC", "/Date(1763899200123-0500)/", "2025-11-23T12:00:00.123Z"},
		{"dotnet", "UTC", "1763899200123", ""},
		{"date", "America/New_York", "2026-11-23", "2026-11-23T05:00:00Z"},
		{"datetime", "UTC", "2026-11-23 12:00:00.75", "2026-11-23T12:00:00.75Z"},
		{"http", "Europe/Berlin", "Mon, 23 Nov 2026 12:00:00 GMT", "2026-11-23T12:00:00Z"},
		{"%d.%m.%Y %H:%M:%S", "Europe/Berlin", "23.07.2026 12:00:00", "2026-07-23T10:00:00Z"},
		{"%m/%d/%y %I:%M %p", "UTC", "11/23/26 05:48 PM", "2026-11-23T17:48:00Z"},
		{"%Y-%m-%d %H:%M:%S.%f", "UTC", "2026-11-23 12:00:00.123456", "2026-11-23T12:00:00.123456Z"},
		{"20060102150405", "UTC", "20261123120000", "2026-11-23T12:00:00Z"},
	} {
		f, err := parseMarkFormat(c.format, zoneNamed(t, c.zone))
		if err != nil {
			t.Errorf("%s: %v", c.format, err)
			continue
		}
		if m, _ := f.parse(c.text); m.String() != c.want {
			t.Errorf("%s: %q is %s, want %s", c.format, c.text, m, c.want)
		}
	}
}

func TestAFormatKnowsWhatItCanTellApart(t *testing.T) {
	for format, want := range map[string]time.Duration{
		"rfc3339": time.Second, "date": 24 * time.Hour, "datetime": time.Second, "%Y-%m-%d %H:%M": time.Minute, "2006-01-02 15h": time.Hour, "unix_ms": time.Millisecond,
	} {
		if f, err := parseMarkFormat(format, time.UTC); err != nil || f.step != want {
			t.Errorf("%s: %s (%v), want %s", format, f.step, err, want)
		}
	}
}

// TestAnHourThatTheClockShowsTwiceIsAskedForFromItsFirstTime goes through the night in which Berlin's clock is set back. Whatever a
// time without a zone meant in that hour, what is asked for begins before it.
func TestAnHourThatTheClockShowsTwiceIsAskedForFromItsFirstTime(t *testing.T) {
	f, err := parseMarkFormat("datetime", zoneNamed(t, "Europe/Berlin"))
	if err != nil {
		t.Fatal(err)
	}
	back := time.Date(2026, 10, 25, 1, 0, 0, 0, time.UTC) // 03:00 becomes 02:00
	for off := -3 * time.Hour; off < 3*time.Hour; off += 7 * time.Minute {
		at := back.Add(off)
		stored, ok := f.parse(at.In(f.zone).Format(time.DateTime)) // what is made of the record's text
		if !ok {
			t.Fatal("not read")
		}
		asked := f.write(stored)
		if asked > at.In(f.zone).Format(time.DateTime) {
			t.Errorf("%s: asked from %s", at.In(f.zone), asked)
		}
		if off >= -time.Hour && off < time.Hour && asked >= "2026-10-25 02:00:00" {
			t.Errorf("%s: asked from %s, inside the hour", at.In(f.zone), asked)
		}
	}
}

func TestAWholeNumberHasOneSpelling(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "-0": "0", "007": "7", "-007": "-7", "9007199254740993": "9007199254740993", "": "", "-": "", "+1": "", "1.0": "", "1e3": "", "0x1": "", " 1": "",
	} {
		if got, ok := wholeNumber(text); got != want || ok != (want != "") {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func FuzzCursorFormats(f *testing.F) {
	for _, format := range []string{"rfc3339", "unix", "unix_ms", "date", "datetime", "http", "dotnet", "number", "text", "%d.%m.%Y %H:%M", "%j %Y", "02.01.06", "Jan _2 2006 3PM", "%"} {
		for _, value := range []string{`"2026-11-23T12:00:00Z"`, "1763899200.5", `"\/Date(1)\/"`, `"23.11.2026 12:00"`, `"-007"`, "null", `"01ARZ"`} {
			f.Add(format, value)
		}
	}
	zone := zoneNamed(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, format, value string) {
		m, err := parseMarkFormat(format, zone)
		if err != nil {
			return
		}
		got, ok := m.read(differ.Value{Raw: []byte(value)})
		if !ok {
			return
		}
		if back := m.kind.parse(got.String()); m.kind.compare(got, back) != 0 {
			t.Errorf("%q as %s is %s, and after it was stored %s", value, format, got, back)
		}
		if m.kind == numberMarks {
			n, valid := new(big.Int).SetString(got.text, 10)
			if !valid || n.String() != got.text || compareNumbers(got.text, "1") != n.Cmp(big.NewInt(1)) && (compareNumbers(got.text, "1") > 0) != (n.Cmp(big.NewInt(1)) > 0) {
				t.Errorf("%q is %q", value, got.text)
			}
		}
		if m.kind != timeMarks {
			return
		}
		// What is asked for is never later than what was read, nor by more than the format can say and a clock is set back.
		asked, ok := m.parse(m.write(got))
		switch {
		case !ok:
			t.Errorf("%s writes %s as %q and cannot read that", format, got, m.write(got))
		case asked.at.After(got.at) && (!m.local || asked.at.Sub(got.at) > 2*time.Hour):
			t.Errorf("%s asks for %s from %s", format, got, asked)
		}
	})
}
