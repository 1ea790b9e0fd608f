package emitter

import "time"

// States of a gate, as they are stored.
const (
	GateOpen   = "open"   // deliveries flow
	GateShut   = "shut"   // one probe at a time
	GatePaused = "paused" // a person or a 410 stopped it
)

// Waits of a shut gate between probes, before jitter.
const (
	probeMin = time.Second
	probeMax = 5 * time.Minute
)

// suspectLimit is how many failures of suspects in a row count as a failing endpoint.
const suspectLimit = 3

// Gate decides when a webhook may be tried, for all its deliveries together: a dead receiver gets one probe at a time, with
// growing pauses, and not each waiting delivery on a schedule of its own. It is a pure state machine without a clock; one
// goroutine uses it at a time.
//
// Open, it lets a window of deliveries through at the same time, which grows by one per success up to the limit. A failure
// of the endpoint shuts it. Shut, it admits one probe when its pause is over: success opens it with a window of one, failure
// doubles the pause.
type Gate struct {
	state  GateState
	limit  int // the window's
	window int
	pause  time.Duration // the present one, without jitter
	asked  bool          // the receiver itself asked for it
	// firsts counts the deliveries that failed for the first time since the gate shut. With one at most, the fault may lie
	// with deliveries that fail again and again, unless certain says otherwise. freely is when a fresh one may probe then.
	firsts   int
	certain  bool
	freely   time.Time
	suspects int // failures of repeated deliveries in a row
}

// NewGate makes a gate of a durable state (the zero value is open) that lets limit deliveries through at the same time. An
// open one starts with a window of one.
func NewGate(state GateState, limit int) *Gate {
	if state.State == "" {
		state.State = GateOpen
	}
	return &Gate{state: state, limit: limit, window: 1, pause: pauseOf(state), certain: state.State == GateShut}
}

// pauseOf guesses how long the last pause was, so that a restart does not start over.
func pauseOf(state GateState) time.Duration {
	pause := probeMin
	for range min(max(state.Failures-1, 0), 16) {
		pause *= 2
	}
	return min(pause, probeMax)
}

// State gives what is to be stored.
func (g *Gate) State() GateState { return g.state }

// Window gives how many deliveries may be in flight.
func (g *Gate) Window() int {
	switch g.state.State {
	case GateShut:
		return 1
	case GatePaused:
		return 0
	}
	return g.window
}

// Ramping says whether an open gate has not yet reached its limit.
func (g *Gate) Ramping() bool { return g.state.State == GateOpen && g.window < g.limit }

// ProbeAt gives when a shut gate admits a delivery as a probe. Fresh is one that never failed: it need not wait for the growing
// pauses of others, as long as the fault may be their own.
func (g *Gate) ProbeAt(fresh bool) time.Time {
	if fresh && g.firsts <= 1 && !g.certain && g.freely.Before(g.state.Until) {
		return g.freely
	}
	return g.state.Until
}

// Failure is what the gate has to know of a failed attempt.
type Failure struct {
	Reason     string
	RetryAfter time.Duration
	Endpoint   bool    // cannot be the event's fault: nobody listens there, or it is overloaded
	Repeated   bool    // the delivery had failed before
	Probe      bool    // the attempt was made as a probe
	Jitter     float64 // share that is added to the pause
}

// Succeeded hears of a 2xx, of a probe or another attempt, and says whether it opened the gate. One that was already under way when the gate shut opens it
// too, unless the receiver asked to be left alone.
func (g *Gate) Succeeded(probe bool) (opened bool) {
	g.suspects = 0
	switch g.state.State {
	case GateOpen:
		g.window = min(g.window+1, g.limit)
		return false
	case GateShut:
		if probe || !g.asked {
			g.open()
			return true
		}
	}
	return false
}

func (g *Gate) open() {
	*g = Gate{state: GateState{State: GateOpen}, limit: g.limit, window: 1, pause: probeMin}
}

// Failed hears of a failure; shut says that it shut the gate, changed that the state is to be stored. A delivery that
// failed before does not shut it at once: with the gate open others went through meanwhile, so the fault may be its own.
func (g *Gate) Failed(now time.Time, f Failure) (shut, changed bool) {
	switch g.state.State {
	case GateOpen:
		if f.Repeated && !f.Endpoint && f.RetryAfter == 0 {
			if g.suspects++; g.suspects < suspectLimit {
				return false, false
			}
		}
		g.shut(now, f)
		return true, true
	case GateShut:
		return false, g.stayShut(now, f)
	}
	return false, false
}

func (g *Gate) shut(now time.Time, f Failure) {
	g.state = GateState{State: GateShut, Since: now, Failures: 1, Reason: f.Reason}
	g.pause, g.asked, g.firsts, g.certain = probeMin, f.RetryAfter > 0, 0, false
	g.wait(now, f)
}

// stayShut hears of a failed probe, which doubles the pause, or of an attempt that was under way when the gate shut, which
// does not: it tells nothing new but what the receiver asks for.
func (g *Gate) stayShut(now time.Time, f Failure) (changed bool) {
	if f.Probe {
		g.pause = min(g.pause*2, probeMax)
		g.state.Failures++
		g.state.Reason = f.Reason
	}
	g.asked = f.RetryAfter > 0 || g.asked && !f.Probe
	return g.wait(now, f) || f.Probe
}

// wait sets until when, and says whether that became later.
func (g *Gate) wait(now time.Time, f Failure) bool {
	if !f.Repeated {
		g.firsts++
	}
	g.certain = g.certain || f.Endpoint || f.RetryAfter > 0
	longer := 1 + f.Jitter
	g.freely = now.Add(time.Duration(longer * float64(probeMin)))
	until := now.Add(max(time.Duration(longer*float64(g.pause)), f.RetryAfter))
	if !until.After(g.state.Until) {
		return false
	}
	g.state.Until = until
	return true
}

// Pause stops everything until Resume.
func (g *Gate) Pause(now time.Time, reason string) {
	g.state = GateState{State: GatePaused, Since: now, Reason: reason, Failures: g.state.Failures}
}

// Resume lets a paused gate open with a window of one, and a shut one probe at once. It says whether anything changed.
func (g *Gate) Resume(now time.Time) (changed bool) {
	switch g.state.State {
	case GatePaused:
		g.open()
		return true
	case GateShut:
		g.state.Until, g.asked = now, false
		return true
	}
	return false
}

// earliest gives when a shut gate may admit any probe at all.
func (g *Gate) earliest() time.Time { return g.ProbeAt(true) }
