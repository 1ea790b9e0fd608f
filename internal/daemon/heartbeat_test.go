package daemon_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
)

// hearts is the address that heartbeats are sent to.
type hearts struct {
	mu   sync.Mutex
	from []string // versions of those who sent one, in their order
}

func (h *hearts) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.from = append(h.from, strings.TrimPrefix(r.UserAgent(), "deltahook/"))
}

// since gives who sent those after the first n.
func (h *hearts) since(n int) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.from[n:])
}

func TestOneOfTheReplicasSendsTheHeartbeatAndAnotherGoesOnWhenItDies(t *testing.T) {
	t.Parallel()
	p, heart := newGround(t, 2), &hearts{}
	server := httptest.NewServer(heart)
	t.Cleanup(server.Close)
	p.adjust = func(c *config.Config) {
		c.Alerts.HeartbeatEvery = setting.Duration(50 * time.Millisecond)
	}
	text := p.text(p.sources, "[alerts]\nheartbeat = \""+server.URL+"\"\n")
	for _, p.version = range []string{"one", "two"} {
		p.replicas = append(p.replicas, p.start(text))
	}
	p.sharedOut()
	seen := len(heart.since(0))
	until(t, "some heartbeats", func() bool { return len(heart.since(seen)) > 20 })
	sender := p.teller()
	names := []string{"one", "two"}
	if all := slices.Compact(heart.since(seen)); len(all) != 1 || all[0] != names[sender] {
		t.Fatalf("heartbeats of %v; %s tells alerts", all, names[sender])
	}

	p.replicas[sender].cutOff(t)
	died := len(heart.since(0))
	other := names[1-sender]
	until(t, "heartbeats of the other one", func() bool { return slices.Contains(heart.since(died), other) })
	until(t, "more of them", func() bool { return len(heart.since(died)) > 20 })
	late := heart.since(died)
	if i := slices.Index(late, other); i > 1 || len(slices.Compact(late[i:])) != 1 { // one may have been on its way
		t.Errorf("after the death of %s: %v", names[sender], late)
	}
}

// cutOff takes the database away from a replica, so that it is dead to the others.
func (r *replica) cutOff(t *testing.T) {
	t.Helper()
	r.closed = true
	_ = r.st.Close()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.daemon.Stop(ctx) // the database is away
	})
}

// teller is the replica that tells alerts.
func (p *pair) teller() (i int) {
	p.Helper()
	until(p.T, "somebody tells alerts", func() bool { // nobody does while the shard changes hands
		for i = range p.replicas {
			for _, m := range p.status(i).Members {
				if m.Self && slices.Contains(m.Keeps, "alerts") {
					return true
				}
			}
		}
		return false
	})
	return i
}
