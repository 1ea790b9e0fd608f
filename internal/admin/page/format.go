package page

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	template "github.com/DataDog/datadog-agent/pkg/template/html"
)

// funcs are what templates can call: they call no methods, see docs/dependencies.md.
func (p *page) funcs() template.FuncMap {
	return template.FuncMap{
		"ago":       func(t time.Time) string { return ago(p.Now(), t) },
		"until":     func(t time.Time) string { return until(p.Now(), t) },
		"stamp":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"clock":     func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05.000") },
		"full":      func(t time.Time) string { return t.Local().Format("Mon 2 Jan 2006 15:04:05 MST") },
		"num":       num,
		"plural":    plural,
		"ms":        func(n int64) string { return short(time.Duration(n) * time.Millisecond) },
		"short":     short,
		"bytes":     bytesText,
		"join":      strings.Join,
		"multiline": func(s string) bool { return strings.Contains(s, "\n") },
		"state":     stateOf,
		"sign":      sign,
		"narrowed":  narrowed,
		"never":     time.Time.IsZero,
		"first":     url.Values.Get,
		"command":   commandOf,
		"path":      url.PathEscape,
		"args":      args,
	}
}

// args makes one value of several for a template that needs them: names and values in turn.
func args(list ...any) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(list); i += 2 {
		name, ok := list[i].(string)
		if !ok {
			return nil, fmt.Errorf("args: %v is no name", list[i])
		}
		m[name] = list[i+1]
	}
	return m, nil
}

// ago says how long ago something was: "12s ago".
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if d := now.Sub(t); d >= time.Second {
		return short(d.Truncate(time.Second)) + " ago"
	}
	return "just now"
}

// until says how long something is ahead: "in 4m 48s".
func until(now, t time.Time) string {
	switch d := t.Sub(now); {
	case t.IsZero():
		return "–"
	case d < time.Second:
		return "now"
	default:
		return "in " + short(d.Truncate(time.Second))
	}
}

// short writes a time in its two largest units; the script of the page writes it in the same way.
func short(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(large time.Duration, l string, small time.Duration, s string) string {
		text := strconv.FormatInt(int64(d/large), 10) + l
		if rest := d % large / small; rest > 0 {
			text += " " + strconv.FormatInt(int64(rest), 10) + s
		}
		return text
	}
	switch {
	case d < time.Second:
		return strconv.FormatInt(max(0, d.Milliseconds()), 10) + " ms"
	case d < 10*time.Second && d%time.Second >= 100*time.Millisecond:
		return strconv.FormatFloat(d.Truncate(100*time.Millisecond).Seconds(), 'f', 1, 64) + "s"
	case d < time.Minute:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d < time.Hour:
		return two(time.Minute, "m", time.Second, "s")
	case d < day:
		return two(time.Hour, "h", time.Minute, "m")
	}
	return two(day, "d", time.Hour, "h")
}

// num groups the digits of a count: 12,345.
func num(n any) string {
	var digits string
	switch n := n.(type) {
	case int:
		digits = strconv.Itoa(n)
	case int64:
		digits = strconv.FormatInt(n, 10)
	default:
		return fmt.Sprint(n)
	}
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// plural writes "1 delivery" or "12 deliveries".
func plural(n any, one string) string {
	text := num(n)
	switch {
	case text == "1":
	case strings.HasSuffix(one, "y"):
		one = one[:len(one)-1] + "ies"
	default:
		one += "s"
	}
	return text + " " + one
}

// bytesText writes a size for people: 312 B, 1.4 MiB.
func bytesText(n int64) string {
	const step = 1024
	if n < step {
		return strconv.FormatInt(n, 10) + " B"
	}
	value, units := float64(n)/step, []string{"KiB", "MiB", "GiB", "TiB"}
	for value >= step && len(units) > 1 {
		value, units = value/step, units[1:]
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + " " + units[0]
}

// look is how a state is shown: never by its colour alone.
type look struct{ Name, Tone, Mark string }

// stateOf gives the look of the state of a source, a webhook, a delivery or a poll.
func stateOf(name string) look {
	tone, mark := "idle", "circle"
	switch name {
	case "ok", "delivered", "complete", "unchanged", "recovered", "known":
		tone = "good"
	case "failing", "failed", "rejected", "deleted":
		tone, mark = "bad", "cross"
	case "held", "parked":
		tone, mark = "warn", "stop"
	case "paused", "stopped", "dropped", "merged", "silent":
		tone, mark = "idle", "pause"
	case "quiet", "deferred", "recovering", "partial", "missing":
		tone, mark = "note", "half"
	case "baselining", "waiting", "pending":
		tone, mark = "note", "ring"
	}
	return look{Name: name, Tone: tone, Mark: mark}
}
