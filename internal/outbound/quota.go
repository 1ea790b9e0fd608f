package outbound

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// quota is what a server says of how much may still be asked of it. What it does not say is negative.
type quota struct {
	limit     int64
	remaining int64
	reset     time.Duration // until the quota is whole again
}

// quotas reads all headers about quotas. Times are relative to the server's own clock.
func (l *Limits) quotas(h http.Header, now time.Time) []quota {
	if !l.counts(h) {
		return nil
	}
	date := dateOf(h, now)
	var all []quota
	for _, names := range append([][3]string{{l.LimitHeader, l.RemainingHeader, l.ResetHeader}}, knownQuotas()...) {
		q := quota{limit: number(h, names[0]), remaining: number(h, names[1]), reset: -1}
		if text := first(h, names[2]); text != "" {
			if reset, ok := waitOf(text, date); ok {
				q.reset = reset
			}
		}
		all = append(all, q)
	}
	return slices.DeleteFunc(append(all, structured(h)...), func(q quota) bool {
		return q.remaining < 0 && q.reset < 0 || q.limit == 0 // none of nothing is how some say that there is no limit
	})
}

// counts says quickly whether there may be a header about quotas: most servers send none.
func (l *Limits) counts(h http.Header) bool {
	for name := range h {
		if strings.HasPrefix(name, "Ratelimit") || strings.HasPrefix(name, "X-Rate") {
			return true
		}
	}
	return l.LimitHeader != "" || l.RemainingHeader != "" || l.ResetHeader != ""
}

// knownQuotas lists the names of the headers with limit, remaining and reset.
func knownQuotas() [][3]string {
	return [][3]string{
		{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}, // early drafts of the IETF
		{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
		{"X-Rate-Limit-Limit", "X-Rate-Limit-Remaining", "X-Rate-Limit-Reset"},
		{"X-RateLimit-Limit-Requests", "X-RateLimit-Remaining-Requests", "X-RateLimit-Reset-Requests"},
		{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset-After"},
	}
}

// first gives the first of the values that stand in a header. Of several windows, that is the one which matters.
func first(h http.Header, name string) string {
	if name == "" {
		return ""
	}
	text := h.Get(name)
	if _, isDate := waitOf(strings.TrimSpace(text), time.Time{}); isDate {
		return strings.TrimSpace(text)
	}
	text, _, _ = strings.Cut(text, ",")
	text, _, _ = strings.Cut(text, ";")
	return strings.TrimSpace(text)
}

func number(h http.Header, name string) int64 {
	n, err := strconv.ParseFloat(first(h, name), 64)
	if err != nil || n < 0 || n > math.MaxInt32 {
		return -1
	}
	return int64(n)
}

// structured reads RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers): `"day";r=0;t=3600` with the policy
// `"day";q=1000;w=86400`, and the form that a draft before had: limit=100, remaining=0, reset=5.
func structured(h http.Header) []quota {
	policies := map[string]quota{}
	for _, item := range items(h.Values("RateLimit-Policy")) {
		policies[item.name] = quota{limit: item.number("q", -1), reset: seconds(item.number("w", -1))}
	}
	var all []quota
	flat := item{params: map[string]string{}}
	for _, i := range items(h.Values("RateLimit")) {
		if name, value, ok := strings.Cut(i.name, "="); ok {
			flat.params[name] = value
			continue
		}
		policy, ok := policies[i.name]
		if !ok {
			policy = quota{limit: -1, reset: -1}
		}
		q := quota{limit: policy.limit, remaining: i.number("r", -1), reset: policy.reset}
		if t := i.number("t", -1); t >= 0 {
			q.reset = seconds(t)
		}
		all = append(all, q)
	}
	if len(flat.params) > 0 {
		all = append(all, quota{limit: flat.number("limit", -1), remaining: flat.number("remaining", -1), reset: seconds(flat.number("reset", -1))})
	}
	return all
}

// item is a member of a list (RFC 9651, section 3.1) with its parameters.
type item struct {
	name   string
	params map[string]string
}

func (i item) number(name string, fallback int64) int64 {
	n, err := strconv.ParseInt(i.params[name], 10, 64)
	if err != nil || n < 0 {
		return fallback
	}
	return n
}

func seconds(n int64) time.Duration {
	if n < 0 {
		return -1
	}
	return time.Duration(min(n, int64(longestWait/time.Second))) * time.Second
}

func items(lines []string) []item {
	var list []item
	for _, line := range lines {
		for _, member := range split(line, ',') {
			parts := split(member, ';')
			i := item{name: strings.Trim(parts[0], `"`), params: map[string]string{}}
			for _, p := range parts[1:] {
				name, value, _ := strings.Cut(p, "=")
				i.params[strings.ToLower(strings.TrimSpace(name))] = strings.Trim(strings.TrimSpace(value), `"`)
			}
			if i.name != "" {
				list = append(list, i)
			}
		}
	}
	return list
}

// split splits outside of quotes and takes off white space.
func split(text string, at byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := range len(text) {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case text[i] == at && !quoted:
			parts = append(parts, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(text[start:]))
}

// dateOf gives the server's time, or now when it does not say.
func dateOf(h http.Header, now time.Time) time.Time {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		return at
	}
	return now
}

// waitOf reads how long to wait: a number of seconds, a length of time ("6m0s"), or the time when it is over, in seconds or milliseconds
// since 1970 or as text. It is never negative and never longer than a day: a date in 2100 must not silence a source.
func waitOf(text string, date time.Time) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	const (
		mostSeconds = 1e9  // as a length of time; as a time it would be in 2001
		mostEpoch   = 1e11 // as seconds
	)
	at, ok := timeIn(text)
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		switch {
		case math.IsNaN(n) || n < 0:
			return 0, false
		case n < mostSeconds:
			return min(time.Duration(n*float64(time.Second)), longestWait), true
		case n > mostEpoch*1e3:
			return longestWait, true
		case n > mostEpoch:
			n /= 1e3
		}
		at, ok = time.UnixMilli(int64(n*1e3)), true
	} else if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return min(d, longestWait), true
	}
	return min(max(at.Sub(date), 0), longestWait), ok
}

func timeIn(text string) (time.Time, bool) {
	if at, err := http.ParseTime(text); err == nil {
		return at, true
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}
