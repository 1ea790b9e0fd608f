package simtest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/hooktest"
)

// receiver is the receiver of one webhook.
type receiver struct {
	w       *world
	name    string
	address string
	steady  bool // it never fails: others must not be felt here

	hooktest.Receiver

	mu      sync.Mutex
	chance  *rand.Rand
	trouble int                          // percent of the requests that meet a fault
	flying  map[string][]context.Context // requests under way by what they must be alone for
	life    int                          // of the process that they come from
	order   string                       // that is promised: key, source or none
	next    string                       // that is promised instead
	from    time.Time                    // from then on
	applied map[place]bool
}

// place is where an event stands: the sequence of its source.
type place struct {
	source   string
	sequence int64
}

func newReceiver(w *world, n int) *receiver {
	r := &receiver{
		w: w, name: fmt.Sprintf("w%d", n), address: fmt.Sprintf("10.0.2.%d:80", n), order: "none",
		chance: rand.New(rand.NewPCG(w.seed, uint64(200+n))), flying: map[string][]context.Context{}, applied: map[place]bool{},
	}
	r.Secrets, r.Keep = []string{secretOf(n)}, -1
	r.Applied = func(e hooktest.Event, _ bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.applied[place{e.Source, e.Sequence}] = true
	}
	r.Set(r.before)
	r.SetLost(r.after)
	return r
}

// has says whether an event has arrived.
func (r *receiver) has(e *event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied[e.place()]
}

// ordered says which order is promised from now on, and which later.
func (r *receiver) ordered(now, next string, from time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.order, r.next, r.from = now, next, from
}

// promised gives the order that is promised now.
func (r *receiver) promised() string {
	if r.next != "" && time.Now().After(r.from) {
		r.order = r.next
	}
	return r.order
}

func (r *receiver) harm(percent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.trouble = percent
}

// ServeHTTP checks that the request may be at all, and receives it.
func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	events, life := r.w.incoming(r, q)
	alone := r.enter(q.Context(), events, life)
	defer r.leave(q.Context(), alone, life)
	r.Receiver.ServeHTTP(w, q)
}

// alone gives what a request must be alone for: its records, or its sources.
func (r *receiver) alone(events []*event) []string {
	var list []string
	for _, e := range events {
		switch r.promised() {
		case "key":
			list = append(list, e.source+" "+e.key)
		case "source":
			list = append(list, e.source)
		default:
			list = append(list, e.id)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (r *receiver) enter(ctx context.Context, events []*event, life int) []string {
	r.mu.Lock()
	if life != r.life { // those of the one before are cut
		r.life, r.flying = life, map[string][]context.Context{}
	}
	order, alone, met := r.promised(), r.alone(events), false
	patience := time.Millisecond
	if time.Now().Before(r.from) { // a webhook that was replaced has its successor try at once, and who drips notices with the next drop
		patience = 1100 * time.Millisecond
	}
	for _, name := range alone {
		r.flying[name] = append(r.flying[name], ctx)
		met = met || len(r.flying[name]) > 1
	}
	r.mu.Unlock()
	if met {
		r.checkAlone(alone, life, patience)
	}
	r.w.checkOrder(r, order, events)
	return alone
}

// checkAlone wants no two requests at the same time for what must go one after the other. One that the sender has given up does not
// count, and needs a moment to hear of it.
func (r *receiver) checkAlone(alone []string, life int, patience time.Duration) {
	time.Sleep(patience)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range alone {
		open := slices.DeleteFunc(slices.Clone(r.flying[name]), func(c context.Context) bool { return c.Err() != nil })
		if life == r.life && len(open) > 1 {
			r.w.violated(4, "%s gets two requests for %s at the same time", r.name, name)
		}
	}
}

func (r *receiver) leave(ctx context.Context, alone []string, life int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if life != r.life {
		return
	}
	for _, name := range alone {
		r.flying[name] = slices.DeleteFunc(r.flying[name], func(c context.Context) bool { return c == ctx })
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
