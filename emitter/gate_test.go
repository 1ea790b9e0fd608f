package emitter

import (
	"strings"
	"testing"
	"time"
)

func gateAt(t *testing.T) (*Gate, time.Time) {
	t.Helper()
	return NewGate(GateState{}, Limits{InFlight: 8, PauseAfter: 5 * 24 * time.Hour}), time.Unix(1_000_000, 0)
}

// opens says whether a success opened the gate.
func opens(g *Gate, now time.Time, probe bool) bool {
	opened, _ := g.Succeeded(now, probe)
	return opened
}

func TestAShutGateDoublesItsPauseUpToFiveMinutesAndOneSuccessOpensIt(t *testing.T) {
	g, now := gateAt(t)
	if shut, changed := g.Failed(now, Failure{Endpoint: true, Reason: "503"}); !shut || !changed {
		t.Fatal("a failure of the endpoint did not shut the gate")
	}
	since := now
	for i, seconds := range []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		want := time.Duration(seconds) * time.Second
		if got := g.ProbeAt(true).Sub(now); got != want {
			t.Fatalf("pause %d is %s, want %s", i+1, got, want)
		}
		if s := g.State(); s.State != GateShut || s.Failures != i+1 || !s.Since.Equal(since) || s.Reason != "503" {
			t.Fatalf("state %+v", s)
		}
		now = now.Add(want)
		g.Failed(now, Failure{Endpoint: true, Probe: true, Reason: "503"})
	}
	if !opens(g, now, true) || g.State() != (GateState{State: GateOpen, Slow: true, At: now}) {
		t.Fatalf("a good probe left %+v", g.State())
	}
	g.Failed(now, Failure{Endpoint: true})
	if got := g.ProbeAt(true).Sub(now); got != time.Second {
		t.Errorf("after a recovery the first pause is %s", got)
	}
}

func TestAnOpenGateStartsSlowlyAndGrowsWithEachSuccess(t *testing.T) {
	g, now := gateAt(t)
	for want := 1; want <= 8; want++ {
		if g.Window() != want || g.Ramping(now) {
			t.Fatalf("window %d, ramping %v, want %d", g.Window(), g.Ramping(now), want)
		}
		g.Succeeded(now, false)
	}
	if g.Window() != 8 {
		t.Fatalf("the window grew to %d, beyond the limit", g.Window())
	}
	g.Failed(now, Failure{Endpoint: true})
	g.Succeeded(now, true)
	if g.Window() != 1 || !g.Ramping(now) {
		t.Errorf("after a recovery the window is %d, ramping %v", g.Window(), g.Ramping(now))
	}
}

// D1, T14: what the receiver asks for is a floor, jitter only adds to a pause.
func TestD1T14RetryAfterIsAFloorOfThePauseAndJitterOnlyAdds(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{RetryAfter: time.Hour, Jitter: 0.2})
	if got := g.ProbeAt(true).Sub(now); got != time.Hour {
		t.Errorf("asked for an hour, waits %s", got)
	}
	g, now = gateAt(t)
	g.Failed(now, Failure{Endpoint: true, Jitter: 0.2})
	if got := g.ProbeAt(true).Sub(now); got != 1200*time.Millisecond {
		t.Errorf("with 20%% jitter the first pause is %s", got)
	}
}

func TestAnAttemptThatWasUnderWayWhenTheGateShutDoesNotLengthenThePause(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{Endpoint: true})
	for range 7 {
		g.Failed(now, Failure{Endpoint: true})
	}
	if got := g.ProbeAt(true).Sub(now); got != time.Second || g.State().Failures != 1 {
		t.Errorf("pause %s after %d failures", got, g.State().Failures)
	}
	if _, changed := g.Failed(now, Failure{RetryAfter: time.Minute}); !changed || g.ProbeAt(true).Sub(now) != time.Minute {
		t.Error("what it heard from the receiver was lost")
	}
}

func TestASuccessThatWasUnderWayOpensTheGateUnlessTheReceiverAskedToWait(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{})
	if !opens(g, now, false) {
		t.Error("another delivery went through, and the gate stayed shut")
	}
	g.Failed(now, Failure{RetryAfter: time.Minute})
	if opens(g, now, false) || g.State().State != GateShut {
		t.Error("the receiver asked for a minute, and the gate opened")
	}
	if !opens(g, now, true) {
		t.Error("a good probe did not open the gate")
	}
}

func TestDeliveriesThatFailAgainAndAgainDoNotKeepAFreshOneFromProbing(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{})
	for range 5 {
		now = g.ProbeAt(false)
		g.Failed(now, Failure{Repeated: true, Probe: true})
	}
	if old, fresh := g.ProbeAt(false).Sub(now), g.ProbeAt(true).Sub(now); old != 32*time.Second || fresh != time.Second {
		t.Errorf("those that failed wait %s, a fresh one %s", old, fresh)
	}
	g.Failed(now, Failure{Probe: true})
	if got := g.ProbeAt(true).Sub(now); got != 64*time.Second {
		t.Errorf("a second one failed for the first time, and a third waits %s", got)
	}
}

func TestADeliveryThatFailedBeforeShutsTheGateOnlyTogetherWithOthers(t *testing.T) {
	g, now := gateAt(t)
	again := Failure{Repeated: true}
	for range 2 {
		if shut, _ := g.Failed(now, again); shut {
			t.Fatal("one bad event shut the gate")
		}
	}
	g.Succeeded(now, false)
	for i := range 3 {
		if shut, _ := g.Failed(now, again); shut != (i == 2) {
			t.Fatalf("failure %d in a row: shut %v", i+1, shut)
		}
	}
	g.Succeeded(now, true)
	if shut, _ := g.Failed(now, Failure{Repeated: true, Endpoint: true}); !shut {
		t.Error("a refused connection did not shut the gate")
	}
}

// T17: a restart neither forgets that the gate is shut nor starts its pauses over.
func TestT17AGateGoesOnWhereItsStateWasStored(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{Endpoint: true})
	for range 6 {
		now = g.ProbeAt(true)
		g.Failed(now, Failure{Endpoint: true, Probe: true})
	}
	next := NewGate(g.State(), Limits{InFlight: 8})
	if next.ProbeAt(true) != g.ProbeAt(true) || next.Window() != 1 {
		t.Fatalf("stored %+v, restored to probe at %s", g.State(), next.ProbeAt(true))
	}
	now = next.ProbeAt(true)
	next.Failed(now, Failure{Endpoint: true, Probe: true})
	if got := next.ProbeAt(true).Sub(now); got != 128*time.Second {
		t.Errorf("the pause after the restart is %s, want 128s", got)
	}
}

func TestAPausedGateIgnoresOutcomesUntilResumed(t *testing.T) {
	g, now := gateAt(t)
	g.Pause(now, "410 Gone")
	g.Succeeded(now, false)
	g.Failed(now, Failure{Endpoint: true})
	if s := g.State(); s.State != GatePaused || s.Reason != "410 Gone" || g.Window() != 0 {
		t.Fatalf("state %+v, window %d", s, g.Window())
	}
	if !g.Resume(now) || g.State().State != GateOpen || g.Window() != 1 {
		t.Fatalf("resumed to %+v, window %d", g.State(), g.Window())
	}
	g.Failed(now, Failure{RetryAfter: time.Hour})
	if !g.Resume(now) || g.ProbeAt(true).After(now) {
		t.Error("a person asked for a probe now, and it has to wait")
	}
	if NewGate(GateState{}, Limits{InFlight: 8}).Resume(now) {
		t.Error("resuming an open gate changed something")
	}
}

// T1: after an outage the rate grows by 15 % for each success, from one a second up to the limit and never beyond.
func TestT1AfterAnOutageTheRateGrowsWithEachSuccessUpToTheLimit(t *testing.T) {
	for limit, successes := range map[float64]int{50: 28, 0: 50, 0.5: 1} {
		g, now := NewGate(GateState{}, Limits{InFlight: 8, Rate: limit}), time.Unix(1_000_000, 0)
		if g.Rate() != limit {
			t.Errorf("limit %v: a gate that never shut lets %v a second through", limit, g.Rate())
		}
		g.Failed(now, Failure{Endpoint: true})
		g.Succeeded(now, true)
		n, done := 0, false
		for want := 1.0; !done && n < 100; n++ {
			if got := g.Rate(); limit == 0 && got != want || limit > 0 && got != min(want, limit) {
				t.Fatalf("limit %v: after %d successes the rate is %v", limit, n, got)
			}
			_, done = g.Succeeded(now, false)
			want *= 1.15
		}
		if n < successes || n > successes+1 || g.Rate() != limit || g.State().Slow {
			t.Errorf("limit %v: the rate was free after %d successes, then %v", limit, n, g.Rate())
		}
	}
}

func TestOneFailureThatMayBeAnEventsOwnDoesNotSlowTheRateDown(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{})
	if !opens(g, now, true) || g.Rate() != 0 || g.State().Slow {
		t.Errorf("after one 500 the rate is %v", g.Rate())
	}
	g.Failed(now, Failure{})
	g.Failed(now, Failure{Probe: true})
	if !opens(g, now, true) || g.Rate() != 1 {
		t.Errorf("after two failures the rate is %v", g.Rate())
	}
}

func TestAGateThatIsSeldomUsedDoesNotStaySlowForDays(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{Endpoint: true})
	g.Succeeded(now, true)
	now = now.Add(time.Hour)
	if _, changed := g.Succeeded(now, false); !changed || g.Rate() != 0 || g.Ramping(now) {
		t.Errorf("an hour later the rate is %v", g.Rate())
	}
}

// T17: a restart in the middle of a recovery does not let the herd loose.
func TestT17AGateThatStartsSlowlyDoesSoAfterARestartToo(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{Endpoint: true})
	g.Succeeded(now, true)
	g.Succeeded(now, false)
	if next := NewGate(g.State(), Limits{InFlight: 8}); next.Rate() != 1 || next.Window() != 1 {
		t.Errorf("stored %+v, restored to %v a second", g.State(), next.Rate())
	}
}

// T18: days of failure pause the gate once, and it goes on with a probe a day.
func TestT18AGateThatFailsForDaysIsPausedAndProbedOnceADay(t *testing.T) {
	g, now := gateAt(t)
	since := now
	g.Failed(now, Failure{Endpoint: true, Reason: "no such host"})
	for g.State().State == GateShut {
		now = g.ProbeAt(true)
		g.Failed(now, Failure{Endpoint: true, Probe: true, Reason: "no such host"})
	}
	s := g.State()
	if lasted := now.Sub(since); lasted < 5*24*time.Hour || lasted > 5*24*time.Hour+5*time.Minute || !s.Since.Equal(since) {
		t.Errorf("paused after %s: %+v", lasted, s)
	}
	if s.State != GatePaused || !strings.HasPrefix(s.Reason, "failing for 5d, ") || !strings.HasSuffix(s.Reason, " times: no such host") {
		t.Errorf("state %+v", s)
	}
	for range 3 {
		g = NewGate(g.State(), Limits{InFlight: 8}) // and over restarts
		if got := g.ProbeAt(true).Sub(now); got != 24*time.Hour || g.Window() != 1 {
			t.Fatalf("the next probe is after %s", got)
		}
		now = g.ProbeAt(true)
		if shut, changed := g.Failed(now, Failure{Endpoint: true, Probe: true}); shut || !changed || g.State().State != GatePaused {
			t.Fatalf("a failed daily probe left %+v", g.State())
		}
	}
	if !opens(g, now, true) || g.Rate() != 1 {
		t.Errorf("a good daily probe left %+v", g.State())
	}
}

func TestAFewFailuresOverManyDaysDoNotPauseAGate(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{Endpoint: true})
	for range 18 {
		now = now.Add(24 * time.Hour) // one event a day
		g.Failed(now, Failure{Endpoint: true, Probe: true})
	}
	if g.State().State != GateShut {
		t.Errorf("after 19 failures: %+v", g.State())
	}
	g.Failed(now, Failure{Endpoint: true, Probe: true})
	if g.State().State != GatePaused {
		t.Errorf("after 20 failures: %+v", g.State())
	}
}

// A clock that is set back by an hour while deltahook is down must not make a probe wait for an hour, one that is set forward
// must not let more than a probe through.
func TestAClockThatJumpsAnHourNeitherStallsNorFloodsAGate(t *testing.T) {
	g, now := gateAt(t)
	g.Failed(now, Failure{Endpoint: true})
	for range 4 {
		now = g.ProbeAt(true)
		g.Failed(now, Failure{Endpoint: true, Probe: true})
	}
	for jump, want := range map[time.Duration]time.Duration{-time.Hour: 16 * time.Second, 0: 16 * time.Second, time.Hour: -time.Hour + 16*time.Second} {
		later := now.Add(jump)
		next := NewGate(g.State().asOf(later), Limits{InFlight: 8})
		if got := next.ProbeAt(true).Sub(later); got != want || next.Window() != 1 {
			t.Errorf("the clock jumped by %s: the next probe is after %s", jump, got)
		}
	}
}
