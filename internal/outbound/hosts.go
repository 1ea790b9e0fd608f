package outbound

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/setting"
)

// Limits are what all requests to one host share. The zero value of everything but Name is no limit of our own.
type Limits struct {
	Name        string         // "erp.example.com", "erp.example.com:8443" or "unix:/path.sock", in lower case
	Rate        setting.Rate   // requests; zero: no limit
	Burst       int            // requests that may come at once within Rate; 0: 1
	Concurrency int            // requests under way at the same time; 0: no limit
	Reserve     setting.Amount // of the quota that the server tells of: so much is left for others
	Statuses    []int          // that mean "too much", besides 429
	// Quota says of the beginning of a body under one of Statuses whether it is about the quota; nil: always.
	Quota func(head []byte) bool
	// The headers that tell of the quota where they are not the known ones.
	LimitHeader, RemainingHeader, ResetHeader string
}

// Hosts knows how each host wants to be asked: by configuration, and by what it answered last. All sources of a process share it, and
// with a pool those of all members. It is safe for concurrent use.
type Hosts struct {
	pool   *budget.Pool
	mu     sync.Mutex
	tables map[string]Limits
	hosts  map[string]*host
}

// NewHosts makes the hosts; those without limits of their own are added when they are asked.
func NewHosts(tables []Limits) *Hosts { return SharedHosts(tables, nil) }

// SharedHosts makes hosts that other members ask, too: pool is what is known of them.
func SharedHosts(tables []Limits, pool *budget.Pool) *Hosts {
	h := &Hosts{pool: pool, hosts: map[string]*host{}}
	h.Set(tables)
	return h
}

// Set replaces the limits. Who waits goes on waiting as before, and what the servers said last still counts.
func (h *Hosts) Set(tables []Limits) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tables = make(map[string]Limits, len(tables))
	for _, t := range tables {
		h.tables[t.Name] = t
	}
	for key, old := range h.hosts {
		renewed := newHost(key, h.tables[key], h.pool)
		renewed.held = old.hold()
		h.hosts[key] = renewed
	}
}

// of gives the host of a URL: the one with a table for host and port, or for the host on all ports; else each port is a host.
func (h *Hosts) of(u *url.URL) *host {
	key, name := namesOf(u)
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.tables[key]; !ok {
		if _, ok := h.tables[name]; ok {
			key = name
		}
	}
	if h.hosts[key] == nil {
		h.hosts[key] = newHost(key, h.tables[key], h.pool)
	}
	return h.hosts[key]
}

// namesOf gives host and port, and the host alone; for a socket both are its path.
func namesOf(u *url.URL) (withPort, name string) {
	name = strings.ToLower(u.Hostname())
	if socket, ok := socketPath(name); ok {
		return "unix:" + socket, "unix:" + socket
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
	}
	return net.JoinHostPort(name, port), name
}

// At says whether the target is behind the name of a host, as Limits has it.
func (t Target) At(host string) bool {
	withPort, name := namesOf(t.URL)
	return host == withPort || host == name
}

// host is one server to which requests go.
type host struct {
	name   string
	key    string // of what members share
	limits Limits
	slots  chan struct{} // nil: any number at the same time
	pool   *budget.Pool
	buying chan struct{} // one visit at a time buys tokens for all

	mu       sync.Mutex
	held     hold
	refusals int // in a row that did not say how long to wait
	rate     budget.Rate
	places   budget.Places
	busy     int           // requests that have a place
	freed    chan struct{} // closed when there may be one
}

// hold is a time in which a host is not asked.
type hold struct {
	until  time.Time
	status int    // of the answer that caused it
	why    string // for people
}

func newHost(name string, l Limits, pool *budget.Pool) *host {
	h := &host{name: name, key: "host " + name, limits: l, pool: pool, buying: make(chan struct{}, 1), freed: make(chan struct{})}
	h.rate = budget.NewRate(h.key, pool.Shared())
	h.rate.Set(time.Time{}, l.Rate.PerSecond(), l.Burst)
	if l.Concurrency > 0 {
		h.slots = make(chan struct{}, l.Concurrency)
		h.places = budget.NewPlaces(h.key, l.Concurrency, pool.Shared())
	}
	return h
}

// hold gives the longest one that this member or another one knows.
func (h *host) hold() hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pool.Shared() {
		if other := h.pool.Held(h.key); other.Until.After(h.held.until) {
			return hold{until: other.Until, status: other.Status, why: other.Why}
		}
	}
	return h.held
}

// leaveAlone holds all requests back; a longer hold that there is stays.
func (h *host) leaveAlone(until time.Time, status int, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !until.After(h.held.until) {
		return
	}
	h.held = hold{until: until, status: status, why: why}
	if h.pool.Shared() {
		h.pool.Hold(h.key, budget.Hold{Until: until, Status: status, Why: why})
	}
}

// refusal is what the gate found in an answer: the host has had enough.
type refusal struct {
	wait time.Duration
	told bool // the server said how long
}

// learn takes an answer in: that the host has had enough, or that its quota is used up to the reserve. The beginning of the body is
// what head gives.
func (h *host) learn(resp *http.Response, now time.Time, r Retry, head func() []byte) *refusal {
	quotas := h.limits.quotas(resp.Header, now)
	if !h.limits.refuses(resp, quotas, head) {
		h.mu.Lock()
		h.refusals = 0
		h.mu.Unlock()
		if wait, why := h.limits.spent(quotas); wait > 0 {
			h.leaveAlone(now.Add(wait), resp.StatusCode, why)
		}
		return nil
	}
	wait, told := RetryAfter(resp.Header, now)
	if wait <= 0 {
		wait, told = longestReset(quotas)
	}
	if !told {
		wait = h.guess(r)
	}
	h.leaveAlone(now.Add(wait), resp.StatusCode, fmt.Sprintf("it answered %d", resp.StatusCode))
	return &refusal{wait: wait, told: told}
}

// guess gives a wait that doubles with each refusal that does not say how long.
func (h *host) guess(r Retry) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait := doubled(r.Base, r.Max, h.refusals)
	h.refusals++
	return wait
}

// refuses says whether an answer means that too much was asked.
func (l *Limits) refuses(resp *http.Response, quotas []quota, head func() []byte) bool {
	status := resp.StatusCode
	switch {
	case status == http.StatusTooManyRequests:
		return true
	case slices.Contains(l.Statuses, status) && (l.Quota == nil || l.Quota(head())):
		return true
	}
	return Refused(status, resp.Header) || status == http.StatusForbidden && exhausted(quotas)
}

// Refused says whether an answer means that too much was asked, to judge by what all servers have in common.
func Refused(status int, h http.Header) bool {
	switch status {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden:
		return h.Get("Retry-After") != "" || exhausted((&Limits{}).quotas(h, time.Time{}))
	case http.StatusRequestTimeout, http.StatusTooEarly:
		return h.Get("Retry-After") != ""
	}
	return status >= http.StatusInternalServerError && h.Get("Retry-After") != ""
}

func exhausted(quotas []quota) bool {
	return slices.ContainsFunc(quotas, func(q quota) bool { return q.remaining == 0 })
}

// spent gives how long to leave the host alone because a quota is used up to the reserve.
func (l *Limits) spent(quotas []quota) (wait time.Duration, why string) {
	for _, q := range quotas {
		if q.remaining < 0 || q.reset <= wait || q.remaining > l.Reserve.Of(q.limit) {
			continue
		}
		wait, why = q.reset, fmt.Sprintf("%d requests are left of its quota", q.remaining)
		if q.limit > 0 {
			why = fmt.Sprintf("%d of %d requests are left of its quota", q.remaining, q.limit)
		}
		if q.remaining == 0 {
			why = "its quota is used up"
		}
	}
	return wait, why
}

// longestReset gives the wait that a refusal without Retry-After means: until the quotas that are used up are whole again.
func longestReset(quotas []quota) (wait time.Duration, told bool) {
	for _, q := range quotas {
		if q.remaining <= 0 && q.reset > 0 {
			wait, told = max(wait, q.reset), true
		}
	}
	return wait, told
}

// RetryAfter reads Retry-After (RFC 9110, section 10.2.3). A date is taken relative to the server's own Date, so that a wrong clock
// on either side does not matter. It is never negative, and never longer than a day.
func RetryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0, false
	}
	return waitOf(text, dateOf(h, now))
}
