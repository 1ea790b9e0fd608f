package hooktest

import (
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/deltahook/deltahook/emitter"
)

// Request is one request as it came.
type Request struct {
	At     time.Time
	Method string
	Path   string
	Header http.Header
	Body   []byte
	// Err says why the request was refused: a signature that does not verify, or an event that must not be; nil otherwise.
	Err error
}

// Receiver is an http.Handler that verifies and applies webhooks. Its zero value verifies nothing, applies what comes and
// answers 200. The fields are set before the first request.
type Receiver struct {
	// Secrets: any of them may have signed; empty: signatures are not checked.
	Secrets []string
	// Applied hears of each event that was applied, and whether it came for the first time.
	Applied func(e Event, fresh bool)
	// Keep is how many requests are remembered; 0: all, below 0: none.
	Keep int
	// NoReplica leaves bodies unread: what comes need not be an event.
	NoReplica bool

	Replica Replica

	mu       sync.Mutex
	fault    Fault
	lost     Fault
	requests []Request
	count    int
	problems []error
}

// Fault answers instead of the receiver, and says whether it did; n counts the requests from 1. A fault decides before the
// body is applied; what it passes on is received as usual.
type Fault func(w http.ResponseWriter, r *http.Request, n int) (handled bool)

// Set makes the receiver misbehave from now on; nil makes it behave.
func (r *Receiver) Set(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// SetLost makes the receiver take each webhook and then misbehave: the sender does not hear that it arrived. Nil ends it.
func (r *Receiver) SetLost(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = f
}

// Requests gives the requests that are remembered.
func (r *Receiver) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// Count gives how many requests came, those that met a fault included.
func (r *Receiver) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// Problems gives what must not happen and did: requests that did not verify, ids with two bodies.
func (r *Receiver) Problems() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.problems)
}

// ServeHTTP receives one webhook.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender has gone
	}
	in := Request{At: time.Now(), Method: req.Method, Path: req.URL.Path, Header: req.Header.Clone(), Body: body}
	n, fault, lost := r.enter()
	if fault != nil && fault(w, req, n) {
		r.remember(in)
		return
	}
	in.Err = r.receive(in)
	r.remember(in)
	if in.Err != nil {
		http.Error(w, in.Err.Error(), http.StatusUnauthorized)
		return
	}
	if lost != nil && lost(w, req, n) {
		return
	}
	_, _ = io.WriteString(w, "ok")
}

func (r *Receiver) enter() (n int, fault, lost Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	return r.count, r.fault, r.lost
}

func (r *Receiver) remember(in Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in.Err != nil {
		r.problems = append(r.problems, in.Err)
	}
	if r.Keep < 0 {
		return
	}
	r.requests = append(r.requests, in)
	if r.Keep > 0 && len(r.requests) > r.Keep {
		r.requests = slices.Delete(r.requests, 0, len(r.requests)-r.Keep)
	}
}

func (r *Receiver) receive(in Request) error {
	if len(r.Secrets) > 0 {
		if err := emitter.Verify(in.Header, in.Body, r.Secrets, in.At, emitter.DefaultTolerance); err != nil {
			return err
		}
	}
	if r.NoReplica {
		return nil
	}
	applied := r.Applied
	if applied == nil {
		applied = func(Event, bool) {}
	}
	id := in.Header.Get("webhook-id")
	if len(in.Body) > 0 && in.Body[0] == '[' {
		return r.Replica.ApplyBatch(id, in.Body, applied)
	}
	e, fresh, err := r.Replica.Apply(id, in.Body)
	if err == nil {
		applied(e, fresh)
	}
	return err
}
