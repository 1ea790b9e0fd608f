package poller

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A server may say for how long its answer stays what it is. Polls meanwhile are left out, but never many.
const (
	mostLeftOut  = 3
	longestFresh = 6 * time.Hour
)

// freshFor gives how long an answer that came at now may be taken for fresh (RFC 9111, section 4.2); zero when the server
// does not say, or says not to.
func freshFor(h http.Header, now time.Time) time.Duration {
	directives := cacheControl(h)
	for _, never := range []string{"no-cache", "no-store"} {
		if _, ok := directives[never]; ok {
			return 0
		}
	}
	if strings.Contains(h.Get("Vary"), "*") {
		return 0
	}
	life, ok := lifetime(directives, h, now)
	if !ok {
		return 0
	}
	age, err := strconv.ParseUint(strings.TrimSpace(h.Get("Age")), 10, 31)
	if err != nil {
		age = 0
	}
	return max(life-time.Duration(age)*time.Second, 0)
}

func lifetime(directives map[string]string, h http.Header, now time.Time) (time.Duration, bool) {
	if text, ok := directives["max-age"]; ok {
		seconds, err := strconv.ParseUint(text, 10, 31)
		return time.Duration(seconds) * time.Second, err == nil
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil { // clocks differ; their difference does not
		now = date
	}
	return expires.Sub(now), true
}

// cacheControl gives the directives by name, in lower case; of a repeated one the first counts.
func cacheControl(h http.Header) map[string]string {
	directives := map[string]string{}
	for part := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		name = strings.ToLower(strings.TrimSpace(name))
		if _, ok := directives[name]; !ok {
			directives[name] = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return directives
}

// fresh notes until when an answer that is the whole listing may be taken for what a later one would be. A request with the
// time in it is another one each time.
func (w *walk) fresh(h http.Header) {
	p := w.p
	if p.source.Conditional != "auto" || p.cursor != nil || p.source.Pages.Kind != "" || p.requests.method != http.MethodGet || p.requests.uses("now") || p.requests.uses("scheduled_at") {
		return
	}
	now := p.opts.Now()
	if d := freshFor(h, now); d > 0 {
		w.result.Fresh = now.Add(d)
	}
}

// awaited says that the next poll has something to find out whatever the server says of its answer: a decision is due, or
// records are missing and have to be looked for again.
func (p *Poller) awaited(r *Result) bool {
	m := p.known
	return r.Verdict != Complete && r.Verdict != Unchanged || m.state.Held != nil || m.missing > 0 && p.source.Deletes.Detect == "scan"
}

// courteous gives the scheduled time from at on at which the server's last answer is not fresh any more, as far as that is
// near enough.
func (t *task) courteous(at, now time.Time, r *Result) time.Time {
	t.fresh = time.Time{}
	for range mostLeftOut {
		next := t.schedule.Next(at)
		if !at.Before(r.Fresh) || next.IsZero() || next.Sub(now) > longestFresh {
			break
		}
		at, t.fresh = next, r.Fresh
	}
	return at
}
