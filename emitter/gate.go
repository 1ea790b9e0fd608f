package emitter

import (
	"fmt"
	"math"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

// States of a gate, as they are stored.
const (
	GateOpen   = "open"   // deliveries flow
	GateShut   = "shut"   // one probe at a time
	GatePaused = "paused" // stopped: by a person or a 410 until a person resumes it, after days of failure with a probe a day
)

// Waits of a shut gate between probes, before jitter.
const (
	probeMin = time.Second
	probeMax = 5 * time.Minute
)

// suspectLimit is how many failures of suspects in a row count as a failing endpoint.
const suspectLimit = 3

// pausedProbe is the wait between the probes of a gate that was paused because it had failed for too long: a webhook is never
// given up in silence.
const pausedProbe = 24 * time.Hour

// pauseFailures is how many failures in a row it takes at least to pause a gate for failing too long.
const pauseFailures = 20

// After an outage the rate grows from slowest by a factor for each success, up to the limit. Without a limit it is free from
// fastest on, or when the gate has been open for as long as slowTime: then it was not the rate that held it back.
const (
	slowest   = 1.0
	fastest   = 1000.0
	quicker   = 1.15
	slowTime  = time.Minute
	unlimited = 0.0
)

// Limits bound what a gate lets through.
type Limits struct {
	InFlight   int           // deliveries at the same time
	Rate       float64       // attempts a second; 0: no limit
	PauseAfter time.Duration // of failing without a break; 0: never
}

// Gate decides when a webhook may be tried, for all its deliveries together: a dead receiver gets one probe at a time, with
// growing pauses, and not each waiting delivery on a schedule of its own. It is a pure state machine without a clock; one
// goroutine uses it at a time.
//
// Open, it lets a window of deliveries through at the same time, which grows by one per success up to the limit. A failure
// of the endpoint shuts it. Shut, it admits one probe when its pause is over: success opens it with a window of one, failure
// doubles the pause. After an outage, which is more than one failure that may have been the event's own, the rate starts
// slowly too. When it has failed for very long it is paused: that is said once more, and it goes on with a probe a day.
type Gate struct {
	state  GateState
	limits Limits
	allows float64 // attempts a second, by what the receiver said; 0: as many as one likes
	window int
	pace   float64       // attempts a second while the rate grows; 0: it does not
	pause  time.Duration // the present one, without jitter
	asked  bool          // the receiver itself asked for it
	// firsts counts the deliveries that failed for the first time since the gate shut. With one at most, the fault may lie
	// with deliveries that fail again and again, unless certain says otherwise. freely is when a fresh one may probe then.
	firsts   int
	certain  bool
	freely   time.Time
	suspects int // failures of repeated deliveries in a row
}

// NewGate makes a gate of a durable state (the zero value is open). An open one starts with a window of one.
func NewGate(state GateState, limits Limits) *Gate {
	if state.State == "" {
		state.State = GateOpen
	}
	g := &Gate{state: state, limits: limits, window: 1, pause: pauseOf(state), certain: state.State != GateOpen}
	if state.Slow {
		g.pace = slowest
	}
	return g
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
func (g *Gate) State() GateState {
	s := g.state
	s.Asked = g.asked && s.State != GateOpen
	s.Doubt = g.doubtful()
	return s
}

// doubtful says that a gate is shut by one delivery, whose own fault it may be.
func (g *Gate) doubtful() bool { return g.state.State == GateShut && g.firsts <= 1 && !g.certain }

// Window gives how many deliveries may be in flight.
func (g *Gate) Window() int {
	switch {
	case g.state.State == GateOpen:
		return g.window
	case g.Probes():
		return 1
	}
	return 0
}

// Rate gives how many attempts may be made in a second; 0: as many as one likes.
func (g *Gate) Rate() float64 {
	return slower(g.ceiling(), g.pace)
}

// ceiling is the rate when nothing is wrong: the configured one, or the one that the receiver allows.
func (g *Gate) ceiling() float64 { return slower(g.limits.Rate, g.allows) }

func slower(a, b float64) float64 {
	if a == unlimited || b != unlimited && b < a {
		return b
	}
	return a
}

// Allow hears how many attempts a second the receiver allows; Inf: as many as one likes.
func (g *Gate) Allow(rate float64) {
	g.allows = rate
	if math.IsInf(rate, 1) {
		g.allows = unlimited
	}
}

// Ramping says whether the gate opened a while ago, and does not let everything through yet.
func (g *Gate) Ramping(now time.Time) bool {
	return g.state.State == GateOpen && (g.pace != unlimited || g.window < g.limits.InFlight) && now.Sub(g.state.At) < slowTime
}

// Probes says whether the gate admits one delivery now and then: it is shut, or paused because it failed for long.
func (g *Gate) Probes() bool {
	return g.state.State == GateShut || g.state.State == GatePaused && !g.state.Until.IsZero()
}

// ProbeAt gives when a gate that is not open admits a delivery as a probe. Fresh is one that never failed: it need not wait for
// the growing pauses of others, as long as the fault may be their own.
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
	Unsent     bool    // there was no attempt: nothing could be sent
	Jitter     float64 // share that is added to the pause
}

// Succeeded hears of a 2xx, of a probe or another attempt; opened says that it opened the gate, changed that the state is to be
// stored. One that was already under way when the gate shut opens it too, unless the receiver asked to be left alone.
func (g *Gate) Succeeded(now time.Time, probe bool) (opened, changed bool) {
	g.suspects = 0
	switch {
	case g.state.State == GateOpen:
		g.window = min(g.window+1, g.limits.InFlight)
		return false, g.quicken(now)
	case g.Probes() && (probe || g.state.State == GateShut && !g.asked):
		g.open(now)
		return true, true
	}
	return false, false
}

// quicken raises the rate after an outage, and says whether it has reached its limit.
func (g *Gate) quicken(now time.Time) (done bool) {
	if g.pace == unlimited {
		return false
	}
	g.pace *= quicker
	limit := g.ceiling()
	if limit == unlimited {
		limit = fastest
	}
	if g.pace < limit && now.Sub(g.state.At) < slowTime {
		return false
	}
	g.pace, g.state.Slow = unlimited, false
	return true
}

// open lets deliveries flow again: slowly, unless it was one failure that may have been an event's own.
func (g *Gate) open(now time.Time) {
	slow := g.certain || g.asked || g.state.Failures > 1 || g.state.State == GatePaused
	*g = Gate{state: GateState{State: GateOpen, Slow: slow, At: now}, limits: g.limits, allows: g.allows, window: 1, pause: probeMin}
	if slow {
		g.pace = slowest
	}
}

// Failed hears of a failure; shut says that it shut the gate, changed that the state is to be stored. A delivery that
// failed before does not shut it at once: with the gate open others went through meanwhile, so the fault may be its own.
func (g *Gate) Failed(now time.Time, f Failure) (shut, changed bool) {
	switch {
	case g.state.State == GateOpen:
		if f.Repeated && !f.Endpoint && f.RetryAfter == 0 {
			if g.suspects++; g.suspects < suspectLimit {
				return false, false
			}
		}
		g.shut(now, f)
		return true, true
	case g.state.State == GateShut:
		return false, g.stayShut(now, f)
	case g.Probes() && f.Probe:
		g.state.Failures++
		g.state.Unsent = f.Unsent
		g.rest(now, f)
		return false, true
	}
	return false, false
}

func (g *Gate) shut(now time.Time, f Failure) {
	g.state = GateState{State: GateShut, Since: now, Failures: 1, Reason: f.Reason, At: now, Unsent: f.Unsent}
	g.pause, g.pace, g.asked, g.firsts, g.certain = probeMin, unlimited, f.RetryAfter > 0, 0, false
	g.wait(now, f)
}

// stayShut hears of a failed probe, which doubles the pause, or of an attempt that was under way when the gate shut, which
// does not: it tells nothing new but what the receiver asks for.
func (g *Gate) stayShut(now time.Time, f Failure) (changed bool) {
	if f.Probe {
		g.pause = min(g.pause*2, probeMax)
		g.state.Failures++
		g.state.Reason, g.state.Unsent = f.Reason, f.Unsent
	}
	g.asked = f.RetryAfter > 0 || g.asked && !f.Probe
	longer := g.wait(now, f)
	if f.Probe && g.hopeless(now) {
		lasted := now.Sub(g.state.Since).Round(time.Hour)
		g.state.State, g.certain = GatePaused, true
		g.state.Reason = fmt.Sprintf("failing for %s, %d times: %s", setting.Duration(lasted), g.state.Failures, f.Reason)
		g.rest(now, f)
	}
	return longer || f.Probe
}

// hopeless says that the gate has failed for so long that it is paused.
func (g *Gate) hopeless(now time.Time) bool {
	after := g.limits.PauseAfter
	return after > 0 && g.state.Failures >= pauseFailures && now.Sub(g.state.Since) >= after
}

// rest waits for the next daily probe.
func (g *Gate) rest(now time.Time, f Failure) {
	g.state.At = now
	g.state.Until = now.Add(max(stretched(pausedProbe, f.Jitter), f.RetryAfter))
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
	g.state.Until, g.state.At = until, now
	return true
}

// Pause stops everything until Resume.
func (g *Gate) Pause(now time.Time, reason string) {
	g.state = GateState{State: GatePaused, Since: now, Reason: reason, Failures: g.state.Failures, At: now}
}

// Resume lets a paused gate open, slowly, and a shut one probe at once. It says whether anything changed.
func (g *Gate) Resume(now time.Time) (changed bool) {
	switch g.state.State {
	case GatePaused:
		g.open(now)
		return true
	case GateShut:
		g.state.Until, g.state.At, g.asked = now, now, false
		return true
	}
	return false
}

// stopped says that the gate is paused and does not even probe.
func (g *Gate) stopped() bool { return g.state.State == GatePaused && !g.Probes() }

// earliest gives when a gate that is not open may admit any probe at all.
func (g *Gate) earliest() time.Time { return g.ProbeAt(true) }
