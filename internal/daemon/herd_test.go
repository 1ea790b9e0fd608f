package daemon_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/budget"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/setting"
)

// narrow is a receiver that is down for a while, and then takes so many requests a second and no more.
type narrow struct {
	hooktest.Receiver

	capacity int
	back     time.Time

	mu      sync.Mutex
	arrived []time.Time // since it is back
	refused int         // in all
}

func (n *narrow) start(t *testing.T, outage time.Duration) string {
	t.Helper()
	n.back = time.Now().Add(outage)
	var limit budget.Bucket
	one := budget.Order{Rate: float64(n.capacity), Burst: n.capacity, Want: 1}
	n.Set(func(w http.ResponseWriter, r *http.Request, at int) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		now := time.Now()
		if now.Before(n.back) {
			n.refused++
			return hooktest.Close()(w, r, at)
		}
		n.arrived = append(n.arrived, now)
		if limit.Sell(now, one).Tokens > 0 {
			return false
		}
		n.refused++
		status := http.StatusTooManyRequests
		if n.refused%2 == 0 {
			status = http.StatusServiceUnavailable
		}
		return hooktest.Status(status)(w, r, at)
	})
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	return server.URL
}

// busiest gives the most requests of any second.
func (n *narrow) busiest() int {
	most, first := 0, 0
	for i, at := range n.arrived {
		for at.Sub(n.arrived[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// stream is a second webhook that gets an event now and then; it measures from the commit to the arrival.
type stream struct {
	mu     sync.Mutex
	sent   map[int64]time.Time
	waited []time.Duration
}

func (s *stream) arrived(e hooktest.Event, _ bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waited = append(s.waited, time.Since(s.sent[e.Sequence]))
}

// run emits an event every period until it is ended.
func (s *stream) run(ended <-chan struct{}, l *load, period time.Duration) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		l.events["quiet"]++
		s.mu.Lock()
		s.sent[l.events["quiet"]] = time.Now()
		s.mu.Unlock()
		l.emit("quiet", 1, 10, "quiet")
		select {
		case <-tick.C:
		case <-ended:
			return
		}
	}
}

func (s *stream) take() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.waited
	s.waited = nil
	return taken
}

// T1: a receiver that comes back to thousands of waiting events gets them at its pace and in order, and nobody else notices.
func TestT1AReceiverThatComesBackIsNotOverrunAndNobodyElseNotices(t *testing.T) {
	t.Parallel()
	events, outage, calm, capacity := 700, 2*time.Second, time.Second, 300
	if *long {
		events, outage, calm, capacity = 10_000, time.Minute, time.Minute, 50
	}
	l := newLoad(t)
	quiet := &stream{sent: map[int64]time.Time{}}
	other := httptest.NewServer(&hooktest.Receiver{Secrets: []string{secret}, Keep: -1, Applied: quiet.arrived})
	defer other.Close()
	l.fill("things", events, 300, "app")
	receiver := &narrow{Receiver: hooktest.Receiver{Secrets: []string{secret}, Keep: -1}, capacity: capacity}
	url := receiver.start(t, calm+outage)
	l.deliver(emitter.Observer{}, webhookTo("quiet", other.URL, nil), webhookTo("app", url, func(w *emitter.Webhook) {
		w.Rate = setting.Rate{Count: capacity, Per: time.Second}
		w.Timeout = setting.Duration(5 * time.Second)
	}))
	l.dispatcher.Pause("app", "until the other one is measured")

	ended := make(chan struct{})
	var streaming sync.WaitGroup
	streaming.Go(func() { quiet.run(ended, l, 20*time.Millisecond) })
	<-time.After(calm)
	before := quiet.take()
	l.dispatcher.Resume("app")
	within(t, 10*time.Minute, "all are delivered", func() bool { return l.pending("app") == 0 })
	during := quiet.take()
	took := time.Since(receiver.back)
	close(ended)
	streaming.Wait()
	l.stop()

	report := receiver.Replica.Report()
	if report.Events != events || report.Inversions != 0 || len(receiver.Replica.Missing("things")) != 0 || len(receiver.Problems()) != 0 {
		t.Errorf("report %+v, problems %v", report, receiver.Problems())
	}
	if receiver.refused >= 50 {
		t.Errorf("%d requests were wasted", receiver.refused)
	}
	if most := receiver.busiest(); most > capacity+capacity/10 {
		t.Errorf("%d requests in one second, the limit is %d", most, capacity)
	}
	calmTail, busyTail := share(before, 0.99), share(during, 0.99)
	t.Logf("%d events after %s: %d wasted requests, at most %d in a second, drained in %s; the other webhook's p99 %s before and %s meanwhile (p50 %s, %s; %d, %d events)",
		events, outage, receiver.refused, receiver.busiest(), took.Round(time.Second), calmTail, busyTail,
		share(before, 0.5), share(during, 0.5), len(before), len(during))
	if noise := 5 * time.Millisecond; *long && busyTail > calmTail+calmTail/10+noise {
		t.Errorf("the other webhook's p99 went from %s to %s", calmTail, busyTail)
	}
	if len(during) == 0 || share(during, 0.5) > outage {
		t.Errorf("the other webhook waited: p50 %s", share(during, 0.5))
	}
}
