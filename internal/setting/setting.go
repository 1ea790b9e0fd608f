// Package setting has the scalar types of the configuration and the way in which a section reports what is wrong with it.
//
// It knows no section: poller, emitter, outbound and the daemon own theirs and build them from these types.
package setting

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Problem is one thing that is wrong with a configuration. Key addresses the value inside the section that reports it;
// whoever holds the file turns it into file, line and column.
type Problem struct { //nolint:errname // it is reported in lists, not returned as an error
	Key     []string // key path below the section, for example {"pages", "kind"}; empty means the section itself
	Message string   // what is wrong, with the value; lower case, one sentence, no full stop
	Hint    string   // the literal next step; may be empty
	Warning bool     // worth saying, but the configuration can run
}

// Error renders the problem without its position.
func (p Problem) Error() string {
	if len(p.Key) == 0 {
		return p.Message
	}
	return strings.Join(p.Key, ".") + ": " + p.Message
}

// Problems collects all problems of a section.
type Problems []Problem

// Add reports a problem at key.
func (p *Problems) Add(hint, message string, key ...string) {
	*p = append(*p, Problem{Key: key, Message: message, Hint: hint})
}

// Addf reports a problem at key without a hint.
func (p *Problems) Addf(key, format string, args ...any) {
	*p = append(*p, Problem{Key: strings.Split(key, "."), Message: fmt.Sprintf(format, args...)})
}

// Warn reports something that can run but should be known.
func (p *Problems) Warn(hint, message string, key ...string) {
	*p = append(*p, Problem{Key: key, Message: message, Hint: hint, Warning: true})
}

// Under adds the problems of a part of the section that stands at key.
func (p *Problems) Under(key string, part Problems) {
	for _, q := range part {
		q.Key = append([]string{key}, q.Key...)
		*p = append(*p, q)
	}
}

// HintedError is an error of a value's UnmarshalText that knows the next step.
type HintedError struct{ Message, Hint string }

// Error gives the message alone.
func (e *HintedError) Error() string { return e.Message }

// Duration is a length of time written as "30s", "5m", "1h30m" or "7d" (d = 24 h). A bare number is an error.
type Duration time.Duration

// UnmarshalText parses a duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := ParseDuration(string(text))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration as ParseDuration reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String gives the shortest form: "5m", "7d", "1h30m".
func (d Duration) String() string {
	t := time.Duration(d)
	if t == 0 {
		return "0s"
	}
	if t%(24*time.Hour) == 0 {
		return strconv.FormatInt(int64(t/(24*time.Hour)), 10) + "d"
	}
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Std gives the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// ParseDuration reads "90s", "5m", "1h30m", "7d" and "1d12h". Negative values are refused.
func ParseDuration(s string) (time.Duration, error) {
	bad := &HintedError{
		Message: fmt.Sprintf("%q is not a duration", s),
		Hint:    "write a number with its unit, like \"5m\"; units are s, m, h, d (and ms)",
	}
	if words := strings.Fields(s); len(words) == 2 {
		if _, err := strconv.Atoi(words[0]); err == nil && unitOf(words[1]) != "" {
			bad.Hint = fmt.Sprintf("write %q; units are s, m, h, d", words[0]+unitOf(words[1]))
		}
	}
	var days time.Duration
	rest := s
	if head, tail, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(head, 10, 16)
		if errors.Is(err, strconv.ErrRange) {
			return 0, &HintedError{Message: fmt.Sprintf("%q is too long", s), Hint: `write at most "65535d", which is 179 years`}
		}
		if err != nil {
			return 0, bad
		}
		days, rest = time.Duration(n)*24*time.Hour, tail
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || days+d < 0 || strings.ContainsAny(rest, "+-") {
		return 0, bad
	}
	return days + d, nil
}

// unitOf gives the unit that a word like "minutes" stands for, or nothing.
func unitOf(word string) string {
	word = strings.ToLower(word)
	if word == "ms" {
		return word
	}
	switch strings.TrimSuffix(word, "s") {
	case "m", "min", "minute":
		return "m"
	case "", "sec", "second":
		return "s"
	case "h", "hr", "hour":
		return "h"
	case "d", "day":
		return "d"
	case "milli", "millisecond":
		return "ms"
	}
	return ""
}

// Size is a number of bytes written as "64KiB", "32MiB", "1GiB", "10kB" or "500B".
type Size int64

// UnmarshalText parses a size.
func (z *Size) UnmarshalText(text []byte) error {
	s := string(text)
	for _, u := range sizeUnits() {
		num, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(num), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.bytes {
			break
		}
		*z = Size(n * u.bytes)
		return nil
	}
	return &HintedError{
		Message: fmt.Sprintf("%q is not a size", s),
		Hint:    "write a number with its unit, like \"32MiB\"; units are B, KiB, MiB, GiB, kB, MB, GB",
	}
}

// MarshalText writes the size as UnmarshalText reads it.
func (z Size) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

// String gives the shortest exact form.
func (z Size) String() string {
	for _, u := range sizeUnits() {
		if len(u.name) != 2 && z != 0 && int64(z)%u.bytes == 0 {
			return strconv.FormatInt(int64(z)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(z), 10) + "B"
}

type sizeUnit struct {
	name  string
	bytes int64
}

func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"GiB", 1 << 30},
		{"MiB", 1 << 20},
		{"KiB", 1 << 10},
		{"GB", 1e9},
		{"MB", 1e6},
		{"kB", 1e3},
		{"B", 1},
	}
}

// Hint gives the next step that err carries, if any.
func Hint(err error) string {
	if h, ok := errors.AsType[*HintedError](err); ok {
		return h.Hint
	}
	return ""
}
