// Package metrics counts what the daemon does and shows it to Prometheus. What happens is counted as it happens, at the price of some
// additions; how things are is read when somebody asks.
package metrics

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/poller"
)

// Metrics are the counters of a process. They go on through reloads. The methods may be called from any goroutine.
type Metrics struct {
	mu       sync.RWMutex
	sources  map[string]*source
	webhooks map[string]*webhook

	polls *distribution // how long they take
	lag   *distribution // of changes

	fenced atomic.Int64 // commits
	size   atomic.Int64 // of the last text, in bytes
}

// New makes counters that stand at zero.
func New() *Metrics {
	return &Metrics{
		sources: map[string]*source{}, webhooks: map[string]*webhook{},
		polls: newDistribution(times()), lag: newDistribution(lags()),
	}
}

// source is what was counted of one source.
type source struct {
	verdicts [6]atomic.Int64 // in the order of verdicts
	took     total
	lag      total
	skipped  atomic.Int64 // records without a usable key
	ignored  atomic.Int64 // records that changed only in what does not count
	waited   atomic.Int64 // nanoseconds, for the limits of a host

	mu       sync.Mutex
	requests map[int]int64    // by status, see codeOf; nil: none
	events   map[string]int64 // by type; nil: none, as of most of very many sources
}

// verdicts are those of polls.
func verdicts() [6]poller.Verdict {
	return [...]poller.Verdict{poller.Complete, poller.Partial, poller.Unchanged, poller.Deferred, poller.Failed, poller.Held}
}

// webhook is what was counted of one webhook.
type webhook struct {
	mu       sync.Mutex
	attempts map[result]int64
	took     *distribution
}

// result is what came of an attempt.
type result struct {
	codes string // "2xx"; "none" when no status line came
	class emitter.Class
}

func (m *Metrics) source(name string) *source {
	return get(&m.mu, m.sources, name, func() *source { return &source{} })
}

func (m *Metrics) webhook(name string) *webhook {
	return get(&m.mu, m.webhooks, name, func() *webhook { return &webhook{attempts: map[result]int64{}, took: newDistribution(times())} })
}

func get[T any](mu *sync.RWMutex, all map[string]*T, name string, blank func() *T) *T {
	mu.RLock()
	one, ok := all[name]
	mu.RUnlock()
	if ok {
		return one
	}
	mu.Lock()
	defer mu.Unlock()
	if one, ok = all[name]; !ok {
		one = blank()
		all[name] = one
	}
	return one
}

// keep forgets the sources and webhooks that are not there any more.
func (m *Metrics) keep(sources, webhooks map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.sources, func(name string, _ *source) bool { return !sources[name] })
	maps.DeleteFunc(m.webhooks, func(name string, _ *webhook) bool { return !webhooks[name] })
}

// Polled counts a poll.
func (m *Metrics) Polled(r *poller.Result) {
	s := m.source(r.Source)
	for i, v := range verdicts() {
		if v == r.Verdict {
			s.verdicts[i].Add(1)
		}
	}
	if r.Traffic.Requests() > 0 {
		s.took.observe(r.Took)
		m.polls.observe(r.Took)
	}
	s.skipped.Add(int64(r.Skipped))
	s.ignored.Add(int64(r.Ignored))
	s.waited.Add(int64(r.Traffic.Waited))
	for _, lag := range r.Lags {
		s.lag.observe(lag)
		m.lag.observe(lag)
	}
	s.answered(r)
}

// answered counts the answers of a poll.
func (s *source) answered(r *poller.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range r.Traffic.Answers {
		if s.requests == nil {
			s.requests = map[int]int64{}
		}
		s.requests[codeOf(a.Status)] += int64(a.Count)
	}
}

// Statuses that are none.
const (
	noStatus  = 0
	oddStatus = -1
)

// codeOf bounds what a server can make of the label code.
func codeOf(status int) int {
	if status != noStatus && http.StatusText(status) == "" {
		return oddStatus
	}
	return status
}

func codeText(code int) string {
	switch code {
	case noStatus:
		return "none"
	case oddStatus:
		return "other"
	}
	return strconv.Itoa(code)
}

// Fenced counts a commit that the store has refused because another replica owns the source.
func (m *Metrics) Fenced() { m.fenced.Add(1) }

// Committed counts events that were committed.
func (m *Metrics) Committed(source, eventType string, n int) {
	s := m.source(source)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.events == nil {
		s.events = map[string]int64{}
	}
	s.events[eventType] += int64(n)
}

// Attempted counts an attempt to deliver.
func (m *Metrics) Attempted(name string, o *emitter.Outcome) {
	w := m.webhook(name)
	w.took.observe(o.Took)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attempts[result{codes: codesOf(o.Status), class: o.Class}]++
}

func codesOf(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}[status/100-1]
}

func since(at, now time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return max(now.Sub(at).Seconds(), 0)
}

func unix(at time.Time) float64 { return float64(at.UnixMilli()) / 1000 }
