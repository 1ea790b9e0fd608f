package daemon

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/poller"
)

// slowLedger is one in which something else happens while it reads.
type slowLedger struct {
	poller.Ledger

	meanwhile func()
}

func (l *slowLedger) Load(context.Context, string) (poller.State, error) {
	l.meanwhile()
	return poller.State{}, nil
}

func TestWhatIsToldIsLeftToOthersAlsoWhileItIsBeingStored(t *testing.T) {
	notices := func(a *alerts, n int) {
		for range n {
			a.notice(alert{kind: alertBaselined, About: subject{Source: "orders"}})
		}
	}
	for name, test := range map[string]struct {
		meanwhile func(*alerts)
		left      int // to be told in the next round
	}{
		"nothing happens":                   {func(*alerts) {}, 0},
		"another notice comes":              {func(a *alerts) { notices(a, 1) }, 1},
		"another replica takes over":        {func(a *alerts) { a.yield() }, 0},
		"and we again, with other notices":  {func(a *alerts) { a.yield(); a.ours.Store(true); notices(a, 2) }, 2},
		"and we again, with as many as now": {func(a *alerts) { a.yield(); a.ours.Store(true); notices(a, 6) }, 6},
	} {
		t.Run(name, func(t *testing.T) {
			c := &config.Config{}
			c.Alerts.To = []string{"crm"}
			a := newAlerts(slog.New(slog.DiscardHandler), func() *config.Config { return c })
			a.hooks = func() []emitter.Stats { return nil }
			a.ledger = &slowLedger{meanwhile: func() { test.meanwhile(a) }}
			a.ours.Store(true)
			notices(a, 6)
			if _, err := a.tell(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			if len(a.notices) != test.left {
				t.Errorf("%d notices are still to be told, want %d", len(a.notices), test.left)
			}
		})
	}
}
