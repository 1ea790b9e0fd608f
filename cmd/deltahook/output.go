package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// colours says whether to colour what goes to stdout: --color, then NO_COLOR (https://no-color.org), then a terminal.
func (a *app) colours() bool {
	switch a.color {
	case "always":
		return true
	case "never":
		return false
	}
	if v, ok := a.lookupEnv("NO_COLOR"); ok && v != "" {
		return false
	}
	return a.terminal
}

func (a *app) checkColor() error {
	if !slices.Contains([]string{"auto", "always", "never"}, a.color) {
		return usage(fmt.Sprintf("--color %q is none of auto, always, never", a.color), "without the flag there are colours on a terminal, unless NO_COLOR is set")
	}
	return nil
}

// paint is an SGR colour.
type paint string

const (
	green  paint = "32"
	red    paint = "31"
	yellow paint = "33"
	grey   paint = "90"
	bold   paint = "1"
)

func (a *app) paint(c paint, s string) string {
	if !a.colours() {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// jsonLines writes one JSON object a line.
func jsonLines[T any](w io.Writer, rows []T) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, r := range rows {
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// ago gives a rough age: "12s", "4m", "3h", "2d"; "-" for the zero time.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return rough(now.Sub(t))
}

func rough(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// count writes a number with thousands separators: 22,118.
func count[T ~int | ~int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// clip shortens s to at most n runes.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:max(n-1, 0)]) + "…"
}

// plural counts things: "1 page", "25 pages".
func plural[T ~int | ~int64](n T, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "y"); ok {
		thing = stem + "ie"
	}
	return count(n) + " " + thing + "s"
}
