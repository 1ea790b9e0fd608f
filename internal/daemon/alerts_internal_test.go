package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/poller"
)

// alertLedger keeps what is told. Something may happen while it commits, before or instead of that, or behind it.
type alertLedger struct {
	poller.Ledger

	state         poller.State
	told          []string
	before, after func() error
}

func (l *alertLedger) Load(context.Context, string) (poller.State, error) { return l.state, nil }

func (l *alertLedger) Commit(_ context.Context, c poller.Commit) (poller.Committed, error) {
	before, after := l.before, l.after
	l.before, l.after = nil, nil
	if before != nil {
		if err := before(); err != nil {
			return poller.Committed{}, err
		}
	}
	if c.Expect != l.state.Version {
		return poller.Committed{}, poller.ErrConflict
	}
	for w, err := range c.Writes {
		if err != nil {
			return poller.Committed{}, err
		}
		l.told = append(l.told, fmt.Sprint(w.Event.Sequence, " ", w.Event.Type, " ", w.Event.Key))
	}
	l.state = c.State
	l.state.Version++
	if after != nil {
		return poller.Committed{}, after()
	}
	return poller.Committed{Version: l.state.Version}, nil
}

func newToldAlerts(t *testing.T) (*alerts, *alertLedger) {
	t.Helper()
	w := emitter.DefaultWebhook()
	w.Name = "crm"
	c := &config.Config{Webhooks: []*emitter.Webhook{&w}}
	c.Alerts.To = []string{"crm"}
	a, l := newAlerts(slog.New(slog.DiscardHandler), func() *config.Config { return c }), &alertLedger{}
	a.hooks, a.ledger, a.archive = func() []emitter.Stats { return nil }, l, &alertArchive{}
	a.ours.Store(true)
	return a, l
}

func baselines(a *alerts, n int) {
	for i := range n {
		a.notice(alert{kind: alertBaselined, About: subject{Source: fmt.Sprint("s", i)}})
	}
}

func TestWhatIsToldIsLeftToOthersAlsoWhileItIsBeingStored(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(*alerts)
		left      int // to be told in the next round
	}{
		"nothing happens":                      {func(*alerts) {}, 0},
		"another notice comes":                 {func(a *alerts) { baselines(a, 1) }, 1},
		"another replica takes over":           {func(a *alerts) { a.yield() }, 0},
		"and this one again, with others":      {func(a *alerts) { a.yield(); a.ours.Store(true); baselines(a, 2) }, 2},
		"and this one again, with as many":     {func(a *alerts) { a.yield(); a.ours.Store(true); baselines(a, 6) }, 6},
		"and this one again, with nothing":     {func(a *alerts) { a.yield(); a.ours.Store(true) }, 0},
		"and this one again, with many others": {func(a *alerts) { a.yield(); a.ours.Store(true); baselines(a, 9) }, 9},
	} {
		t.Run(name, func(t *testing.T) {
			a, l := newToldAlerts(t)
			l.before = func() error {
				test.meanwhile(a)
				return nil
			}
			baselines(a, 6)
			if _, err := a.tell(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			if len(a.notices) != test.left {
				t.Errorf("%d notices are still to be told, want %d", len(a.notices), test.left)
			}
		})
	}
}

// P12: each trouble is told once, also when something else is wrong at that moment.
func TestAnAlertIsToldOnceWhateverBecomesOfItsCommit(t *testing.T) {
	refused := func() error { return errors.New("database is locked") }
	for name, disturb := range map[string]func(*alerts, *alertLedger){
		"nothing":                              func(*alerts, *alertLedger) {},
		"the store refuses":                    func(_ *alerts, l *alertLedger) { l.before = refused },
		"the store takes it, and does not say": func(_ *alerts, l *alertLedger) { l.after = refused },
		"it says nothing, and more comes": func(a *alerts, l *alertLedger) {
			l.after = func() error {
				a.notice(alert{kind: alertBaselined, About: subject{Source: "late"}})
				return refused()
			}
		},
		"the shard goes and comes back": func(a *alerts, _ *alertLedger) {
			a.yield()
			_ = a.restore(t.Context())
		},
	} {
		for _, held := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, another trouble %t", name, held), func(t *testing.T) {
				a, l := newToldAlerts(t)
				now, want := time.Now(), []string{"1 deltahook.source.failing source/orders", "2 deltahook.source.baselined source/contacts"}
				a.raise(alertSourceFailing, subject{Source: "orders"}, now.Add(-time.Hour), 3, "down", "")
				if _, err := a.tell(t.Context(), now); err != nil {
					t.Fatal(err)
				}
				disturb(a, l)
				a.notice(alert{kind: alertBaselined, About: subject{Source: "contacts"}})
				if held {
					a.raise(alertSourceHeld, subject{Source: "tickets"}, now, 0, "held", "")
					want = append(want, "3 deltahook.source.held source/tickets")
				}
				for range 3 {
					_, _ = a.tell(t.Context(), now)
				}
				if name == "it says nothing, and more comes" {
					want = append(want, fmt.Sprint(len(want)+1, " deltahook.source.baselined source/late"))
				}
				if !slices.Equal(l.told, want) {
					t.Errorf("told %q, want %q", l.told, want)
				}
			})
		}
	}
}

func TestAlertsThatNobodyWantsForAWhileEndNothing(t *testing.T) {
	a, l := newToldAlerts(t)
	c, now := a.config(), time.Now()
	l.after = func() error { return errors.New("i/o timeout") }
	baselines(a, 3)
	if _, err := a.tell(t.Context(), now); err == nil {
		t.Fatal("it does not say that it failed")
	}
	to := c.Alerts.To
	for _, c.Alerts.To = range [][]string{nil, to} {
		if _, err := a.tell(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	baselines(a, 1)
	if _, err := a.tell(t.Context(), now); err != nil || len(l.told) != 4 {
		t.Errorf("told %q, %v", l.told, err)
	}
}
