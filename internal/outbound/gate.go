package outbound

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// GateOptions say how patient the requests through a gate are, and what they may bring.
type GateOptions struct {
	Timeout time.Duration    // of one request, from the connection to the last byte of the body; waits do not count; 0: none
	MaxBody int64            // bytes of one answer after decompression; 0: no limit
	Retry   Retry            // Base and Max of refusals that do not say how long to wait; MaxWait
	Now     func() time.Time // nil: time.Now
}

// Gate is a transport behind the limits of hosts. Each request waits for its turn, or fails with a *DeferredError at once when that
// would take longer than Retry.MaxWait or the deadline of its context; each answer is looked at for what it says of the limits,
// and is decompressed.
type Gate struct {
	hosts *Hosts
	opts  GateOptions
	base  http.RoundTripper
}

// Gate puts base behind the limits.
func (h *Hosts) Gate(base http.RoundTripper, o GateOptions) *Gate {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Gate{hosts: h, opts: o, base: base}
}

// With gives a gate like this one before another transport.
func (g *Gate) With(base http.RoundTripper) *Gate {
	return &Gate{hosts: g.hosts, opts: g.opts, base: base}
}

// Base gives the transport behind the gate.
func (g *Gate) Base() http.RoundTripper { return g.base }

// timeoutError says that one request took too long.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return "no answer within " + e.after.String() }

// RoundTrip waits for the turn, sends the request and takes in what the answer says.
func (g *Gate) RoundTrip(req *http.Request) (*http.Response, error) {
	h := g.hosts.of(req.URL)
	leave, err := g.admit(req.Context(), h)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	ctx, cancel := g.limit(req.Context())
	out := req.Clone(ctx)
	if out.Header.Get("Accept-Encoding") == "" {
		out.Header.Set("Accept-Encoding", acceptedCodings)
	}
	resp, err := Unswitched(g.base).RoundTrip(out)
	meterOf(ctx).answered(resp)
	if err != nil {
		err = causeOf(ctx, err)
		cancel()
		leave()
		return nil, err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		leave() // it is short, and a login at the same host may have to come before it is read
	}
	opened(ctx, cancel, resp, g.opts.MaxBody, leave)
	g.learn(req.Context(), h, resp)
	return resp, nil
}

func (g *Gate) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if after := g.opts.Timeout; after > 0 {
		return context.WithTimeoutCause(ctx, after, &timeoutError{after})
	}
	return context.WithCancel(ctx)
}

func (g *Gate) learn(ctx context.Context, h *host, resp *http.Response) {
	found := h.learn(resp, g.opts.Now(), g.opts.Retry, func() []byte {
		const enough = 64 << 10
		if b, ok := resp.Body.(*answerBody); ok {
			return b.head(enough)
		}
		return nil
	})
	if t := tripOf(ctx); t != nil {
		t.refusal = found
	}
}

// admit waits until the host may be asked. The function gives the turn back; it may be called more than once.
func (g *Gate) admit(ctx context.Context, h *host) (leave func(), err error) {
	v := &visit{gate: g, ctx: ctx, host: h, left: g.opts.Retry.MaxWait}
	for {
		if err := v.sitOut(); err != nil {
			return nil, err
		}
		if leave, err = v.enter(); err != nil {
			return nil, err
		}
		if _, held := v.held(); !held {
			break
		}
		leave() // another request was refused meanwhile
	}
	if err := v.draw(); err != nil {
		leave()
		return nil, err
	}
	return leave, nil
}

// visit is one request on its way in.
type visit struct {
	gate *Gate
	ctx  context.Context //nolint:containedctx // a visit lives for one request
	host *host
	left time.Duration // that may still be waited
	sat  time.Time     // the end of the hold that was waited for, whatever the clock says
}

// held gives the hold that is on now.
func (v *visit) held() (hold, bool) {
	h := v.host.hold()
	return h, h.until.After(v.gate.opts.Now()) && !h.until.Equal(v.sat)
}

// sitOut waits for the end of a hold, and a little more by chance: all who were held back would come back together.
func (v *visit) sitOut() error {
	for {
		h, held := v.held()
		if !held {
			return nil
		}
		if err := v.wait(h.until.Sub(v.gate.opts.Now()), h.status, h.why); err != nil {
			return err
		}
		v.sat = h.until
	}
}

// wait waits at least d and a little more, unless that is too long.
func (v *visit) wait(d time.Duration, status int, why string) error {
	if err := v.tooLong(d, status, why); err != nil {
		return err
	}
	v.left -= d
	return pause(v.ctx, d+shuffled(d))
}

func (v *visit) tooLong(d time.Duration, status int, why string) error {
	if d <= v.left && !beyond(v.ctx, v.gate.opts.Now().Add(d)) {
		return nil
	}
	return deferral(v.gate.opts.Now(), d, DeferredError{Status: status, Host: v.host.name, Why: why})
}

// enter takes one of the places of a host that bounds how many requests are under way.
func (v *visit) enter() (leave func(), err error) {
	slots := v.host.slots
	if slots == nil {
		return func() {}, nil
	}
	leave = sync.OnceFunc(func() { <-slots })
	select {
	case slots <- struct{}{}:
		return v.andPlace(leave)
	default:
	}
	yield(v.ctx)
	began := time.Now()
	timer := time.NewTimer(v.left)
	defer timer.Stop()
	select {
	case slots <- struct{}{}:
		v.waited(time.Since(began))
		return v.andPlace(leave)
	case <-timer.C:
		return nil, v.crowded()
	case <-v.ctx.Done():
		return nil, context.Cause(v.ctx)
	}
}

func (v *visit) waited(d time.Duration) {
	v.left -= d
	meterOf(v.ctx).waited(d)
}

// crowded says that no place became free in time.
func (v *visit) crowded() error {
	again := max(v.gate.opts.Retry.MaxWait, time.Second)
	return deferral(v.gate.opts.Now(), again, DeferredError{
		Host: v.host.name, Why: fmt.Sprintf("concurrency = %d, and so many requests are under way all the time", v.host.limits.Concurrency),
	})
}

// draw takes a token out of the bucket of a host that is asked at a rate.
func (v *visit) draw() error {
	for v.host.limits.Rate.PerSecond() > 0 {
		d, ok, ask := v.host.take(v.gate.opts.Now(), v.patience())
		if ask {
			if err := v.buy(); err != nil {
				return err
			}
			continue
		}
		if d <= 0 {
			return nil
		}
		err := v.tooLong(d, 0, fmt.Sprintf("rate = %q, and so many requests are waiting", v.host.limits.Rate))
		if err == nil {
			v.left -= d
			err = pause(v.ctx, d)
		}
		if err != nil && ok {
			v.host.untake()
		}
		if err != nil || ok {
			return err
		}
	}
	return nil
}

// patience is how long the visit may still wait.
func (v *visit) patience() time.Duration {
	patience := v.left
	if deadline, limited := v.ctx.Deadline(); limited {
		patience = min(patience, deadline.Sub(v.gate.opts.Now()))
	}
	return patience
}

// beyond says whether a time is later than a poll may take.
func beyond(ctx context.Context, at time.Time) bool {
	deadline, limited := ctx.Deadline()
	return limited && at.After(deadline)
}

// shuffled gives what is added to a wait that many may share.
func shuffled(d time.Duration) time.Duration {
	const most = 30 * time.Second
	return jitter(min(d/10, most))
}

// deferral says until when a poll is put off.
func deferral(now time.Time, wait time.Duration, e DeferredError) *DeferredError {
	e.Wait, e.Until = wait, now.Add(wait+shuffled(wait))
	return &e
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	yield(ctx)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		meterOf(ctx).waited(d)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type waitingKey struct{}

// WithWaiting makes f be called when a request has to wait for its host: whoever works with it may do something else meanwhile. It
// may be called more than once.
func WithWaiting(ctx context.Context, f func()) context.Context {
	return context.WithValue(ctx, waitingKey{}, f)
}

func yield(ctx context.Context) {
	if f, ok := ctx.Value(waitingKey{}).(func()); ok {
		f()
	}
}
