package admin

import (
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

func TestADeliveryThatWaitsIsNotTriedBeforeItsGateLetsSomethingThrough(t *testing.T) {
	own := time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)
	gate := own.Add(14 * time.Hour)
	for name, c := range map[string]struct {
		state string
		gate  emitter.GateState
		want  time.Time
	}{
		"open":              {store.StatePending, emitter.GateState{State: emitter.GateOpen}, own},
		"never heard of":    {store.StatePending, emitter.GateState{}, own},
		"shut":              {store.StatePending, emitter.GateState{State: emitter.GateShut, Until: gate}, gate},
		"shut, for less":    {store.StatePending, emitter.GateState{State: emitter.GateShut, Until: own.Add(-time.Second)}, own},
		"probed daily":      {store.StatePending, emitter.GateState{State: emitter.GatePaused, Until: gate}, gate},
		"paused by hand":    {store.StatePending, emitter.GateState{State: emitter.GatePaused}, time.Time{}},
		"settled meanwhile": {store.StateParked, emitter.GateState{State: emitter.GateShut, Until: gate}, own},
	} {
		d := Delivery{State: c.state, Next: own}
		if d.waitFor(c.gate); !d.Next.Equal(c.want) {
			t.Errorf("%s: not before %s, want %s", name, d.Next, c.want)
		}
	}
}
