package simtest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/hooktest"
)

// receiver is the receiver of one webhook.
type receiver struct {
	w       *world
	name    string
	address string
	order   string // as the webhook is configured: key, source or none
	steady  bool   // it never fails: others must not be felt here

	hooktest.Receiver

	mu      sync.Mutex
	chance  *rand.Rand
	trouble int            // percent of the requests that meet a fault
	flying  map[string]int // requests under way by what they must be alone for
	life    int            // of the process that they come from
	applied map[string]bool
}

func newReceiver(w *world, n int) *receiver {
	r := &receiver{
		w: w, name: fmt.Sprintf("w%d", n), address: fmt.Sprintf("10.0.2.%d:80", n), order: "key",
		chance: rand.New(rand.NewPCG(w.seed, uint64(200+n))), flying: map[string]int{}, applied: map[string]bool{},
	}
	r.Secrets, r.Keep = []string{secretOf(n)}, -1
	r.Applied = func(e hooktest.Event, _ bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.applied[e.ID] = true
	}
	r.Set(r.before)
	r.SetLost(r.after)
	return r
}

// has says whether an event has arrived.
func (r *receiver) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied[id]
}

func (r *receiver) harm(percent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = percent
}

// ServeHTTP checks that the request may be at all, and receives it.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, life := r.w.incoming(r, q)
	if e, err := hooktest.ParseEvent(q.Header.Get("webhook-id"), body); err == nil {
		r.enter(e, life)
		defer r.leave(e, life)
	}
	r.Receiver.ServeHTTP(w, q)
}

// alone gives what a request must be alone for: its record, or its source.
func (r *receiver) alone(e hooktest.Event) string {
	switch r.order {
	case "key":
		return e.Source + " " + e.Key
	case "source":
		return e.Source
	}
	return e.ID
}

func (r *receiver) enter(e hooktest.Event, life int) {
	r.mu.Lock()
	if life != r.life { // those of the one before are cut
		r.life, r.flying = life, map[string]int{}
	}
	r.flying[r.alone(e)]++
	n := r.flying[r.alone(e)]
	r.mu.Unlock()
	if n > 1 {
		r.w.violated(4, "%s gets %d requests for %s at the same time", r.name, n, r.alone(e))
	}
	r.w.checkOrder(r, e)
}

func (r *receiver) leave(e hooktest.Event, life int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if life == r.life {
		r.flying[r.alone(e)]--
	}
}

// dice gives the fault that a request meets, if any.
func (r *receiver) dice(faults []hooktest.Fault) hooktest.Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.chance.IntN(100) >= r.trouble {
		return nil
	}
	r.w.step.Add(1)
	return faults[r.chance.IntN(len(faults))]
}

// before are the faults that an event meets without having arrived.
func (r *receiver) before(w http.ResponseWriter, q *http.Request, n int) bool {
	pause(q.Context().Done(), time.Duration(r.jitter())*time.Millisecond)
	faults := append(hooktest.Transient(), hooktest.Hang(), hooktest.Stall("HTTP/1.1 200 "), hooktest.DripHead(time.Second),
		hooktest.Drip(http.StatusInternalServerError, time.Second), hooktest.RetryAfter(http.StatusTooManyRequests, "30"),
		hooktest.RetryAfter(http.StatusServiceUnavailable, "1.5"), hooktest.Status(http.StatusBadRequest), hooktest.Status(http.StatusGone),
		hooktest.Status(http.StatusUnprocessableEntity), hooktest.Redirect(http.StatusTemporaryRedirect, "http://"+foreign+"/stolen"))
	f := r.dice(faults)
	return f != nil && f(w, q, n)
}

// after are those that it meets when it has: the sender does not hear, or does hear and trips over the rest of the answer.
func (r *receiver) after(w http.ResponseWriter, q *http.Request, n int) bool {
	f := r.dice([]hooktest.Fault{
		hooktest.Cut(http.StatusOK), hooktest.Drip(http.StatusOK, time.Second), hooktest.GzipBomb(http.StatusOK, 1<<20), hooktest.Close(),
		hooktest.Cut(http.StatusBadGateway), hooktest.Status(http.StatusServiceUnavailable), hooktest.Hang(), hooktest.HTTP10(http.StatusOK, "fine"),
		hooktest.Informational(2), hooktest.Status(http.StatusNoContent),
	})
	return f != nil && f(w, q, n)
}

func (r *receiver) jitter() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.chance.IntN(100)
}

func hash(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return h.Sum64()
}
