package emitter

import (
	"testing"
	"time"
)

func gateAt(t *testing.T) (*Gate, time.Time) {
	t.Helper()
	return NewGate(GateState{}, 8), time.Unix(1_000_000, 0)
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
	if !g.Succeeded(true) || g.State() != (GateState{State: GateOpen}) {
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
		if g.Window() != want || g.Ramping() != (want < 8) {
			t.Fatalf("window %d, ramping %v, want %d", g.Window(), g.Ramping(), want)
		}
		g.Succeeded(false)
	}
	if g.Window() != 8 {
		t.Fatalf("the window grew to %d, beyond the limit", g.Window())
	}
	g.Failed(now, Failure{Endpoint: true})
	g.Succeeded(true)
	if g.Window() != 1 {
		t.Errorf("after a recovery the window is %d", g.Window())
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
	if !g.Succeeded(false) {
		t.Error("another delivery went through, and the gate stayed shut")
	}
	g.Failed(now, Failure{RetryAfter: time.Minute})
	if g.Succeeded(false) || g.State().State != GateShut {
		t.Error("the receiver asked for a minute, and the gate opened")
	}
	if !g.Succeeded(true) {
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
	g.Succeeded(false)
	for i := range 3 {
		if shut, _ := g.Failed(now, again); shut != (i == 2) {
			t.Fatalf("failure %d in a row: shut %v", i+1, shut)
		}
	}
	g.Succeeded(true)
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
	next := NewGate(g.State(), 8)
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
	g.Succeeded(false)
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
	if NewGate(GateState{}, 8).Resume(now) {
		t.Error("resuming an open gate changed something")
	}
}
