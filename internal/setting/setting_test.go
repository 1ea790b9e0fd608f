package setting

import (
	"encoding"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDurationsHaveUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour,
		"500ms": 500 * time.Millisecond, "1.5h": 90 * time.Minute, "0s": 0, "0": 0, "0d": 0,
	} {
		if d, err := ParseDuration(text); err != nil || d != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "5", "-5m", "+5m", "1d-5m", "d", "5dd", "1h2d", "five", "5 m", "65535d2000000h", "99999999d", "1e3s"} {
		if d, err := ParseDuration(text); err == nil || Hint(err) == "" {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
}

func TestASpelledOutDurationGetsItsShortForm(t *testing.T) {
	for text, want := range map[string]string{
		"99999d": `at most "65535d"`, "5 minutes": `"5m"`, "1 day": `"1d"`, "10 sec": `"10s"`, "3 Hours": `"3h"`, "20 ms": `"20ms"`, "20 s": `"20s"`, "2 months": "a number", "x m": "a number",
	} {
		_, err := ParseDuration(text)
		if !strings.HasPrefix(Hint(err), "write "+want) {
			t.Errorf("%q: %s", text, Hint(err))
		}
	}
}

func TestScalarsReadBackWhatTheyWrite(t *testing.T) {
	for _, v := range []struct {
		into  encoding.TextUnmarshaler
		texts []string
	}{
		{new(Duration), []string{"0s", "30s", "5m", "1h30m", "7d", "36h", "1m10s", "500ms", "10h"}},
		{new(Size), []string{"0B", "500B", "64KiB", "32MiB", "1GiB", "1025B"}},
		{new(Share), []string{"0%", "7%", "12.5%", "20%", "100%", "0.1%", "33.333%"}},
		{new(Rate), []string{"50/s", "600/m", "1000/h", "5/d"}},
	} {
		for _, text := range v.texts {
			if err := v.into.UnmarshalText([]byte(text)); err != nil {
				t.Errorf("%T %q: %v", v.into, text, err)
				continue
			}
			m, _ := v.into.(encoding.TextMarshaler)
			if got, err := m.MarshalText(); err != nil || string(got) != text {
				t.Errorf("%T %q is written %q, %v", v.into, text, got, err)
			}
		}
	}
}

func TestScalarsRefuseWhatTheyAreNot(t *testing.T) {
	for _, v := range []struct {
		into  encoding.TextUnmarshaler
		texts []string
	}{
		{new(Size), []string{"", "5", "5 megs", "-5B", "1.5GiB", "5kb", "99999999999GiB", "KiB"}},
		{new(Share), []string{"", "20", "0.2", "-1%", "101%", "NaN%", "Inf%", "%", "x%"}},
		{new(Rate), []string{"", "50", "/s", "0/s", "-1/s", "50/x", "50/", "50 / s", "1.5/s"}},
	} {
		for _, text := range v.texts {
			if err := v.into.UnmarshalText([]byte(text)); err == nil || Hint(err) == "" || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
				t.Errorf("%T %q: %v (%s)", v.into, text, err, Hint(err))
			}
		}
	}
}

func TestDecimalSizesAreThousands(t *testing.T) {
	for text, want := range map[string]Size{"10kB": 10_000, "2MB": 2_000_000, "3GB": 3_000_000_000, "4 KiB": 4096} {
		var z Size
		if err := z.UnmarshalText([]byte(text)); err != nil || z != want {
			t.Errorf("%q: %d, %v", text, z, err)
		}
		var again Size
		if err := again.UnmarshalText([]byte(z.String())); err != nil || again != z {
			t.Errorf("%q is written %s", text, z)
		}
	}
}

func TestARateTellsEventsPerSecond(t *testing.T) {
	if r := (Rate{Count: 600, Per: time.Minute}); r.PerSecond() != 10 || r.IsZero() {
		t.Errorf("%v: %v", r, r.PerSecond())
	}
	if none := (Rate{}); none.PerSecond() != 0 {
		t.Errorf("no limit is %v a second", none.PerSecond())
	}
	if r := (Rate{}); !r.IsZero() || r.String() != "" {
		t.Errorf("the zero rate: %q", r)
	}
}

func TestProblemsOfAPartGetItsKey(t *testing.T) {
	var part, all Problems
	part.Addf("kind", "%q is not known", "x")
	part.Warn("a hint", "odd")
	all.Add("a step", "wrong", "url")
	all.Under("pages", part)
	if len(all) != 3 || all[1].Error() != `pages.kind: "x" is not known` || !slices.Equal(all[2].Key, []string{"pages"}) || !all[2].Warning || all[0].Warning {
		t.Errorf("%+v", all)
	}
	if p := (Problem{Message: "all of it"}); p.Error() != "all of it" {
		t.Error(p.Error())
	}
	if part[0].Key[0] != "kind" {
		t.Error("the part itself was changed")
	}
}

func TestAHintSurvivesWrapping(t *testing.T) {
	err := fmt.Errorf("reading: %w", &HintedError{Message: "bad", Hint: "do this"})
	if Hint(err) != "do this" || Hint(errors.New("other")) != "" || Hint(nil) != "" {
		t.Error("hints:", Hint(err))
	}
}
