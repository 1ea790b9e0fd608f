package outbound

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Traffic is what some requests came to.
type Traffic struct {
	Answers []Answers     // by status, in the order of the first ones
	Waited  time.Duration // for the limits of hosts, theirs and ours
}

// Answers are how many there were with a status; status 0: no status line came.
type Answers struct{ Status, Count int }

// Requests is how many there were.
func (t *Traffic) Requests() int {
	n := 0
	for _, a := range t.Answers {
		n += a.Count
	}
	return n
}

// Meter counts the requests that pass a Gate with its context. The nil Meter counts nothing.
type Meter struct {
	mu      sync.Mutex
	traffic Traffic
}

type meterKey struct{}

// WithMeter makes m count the requests with the context.
func WithMeter(ctx context.Context, m *Meter) context.Context {
	return context.WithValue(ctx, meterKey{}, m)
}

func meterOf(ctx context.Context) *Meter {
	m, _ := ctx.Value(meterKey{}).(*Meter)
	return m
}

// Traffic gives what was counted so far.
func (m *Meter) Traffic() Traffic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Traffic{Answers: slices.Clone(m.traffic.Answers), Waited: m.traffic.Waited}
}

func (m *Meter) answered(resp *http.Response) {
	if m == nil {
		return
	}
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.traffic.Answers, func(a Answers) bool { return a.Status == status })
	if i < 0 {
		i = len(m.traffic.Answers)
		m.traffic.Answers = append(m.traffic.Answers, Answers{Status: status})
	}
	m.traffic.Answers[i].Count++
}

func (m *Meter) waited(d time.Duration) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.traffic.Waited += d
}
