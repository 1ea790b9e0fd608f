package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// alertArchive is what a store has.
type alertArchive struct {
	sources []store.SourceRow
	parked  []store.DeliveryRow // newest first
	asked   int
	err     error
}

func (r *alertArchive) Sources(context.Context) ([]store.SourceRow, error) {
	r.asked++
	return r.sources, r.err
}

func (r *alertArchive) Deliveries(_ context.Context, q store.DeliveryQuery) (list []store.DeliveryRow, err error) {
	r.asked++
	for _, d := range r.parked {
		if d.Settled.After(q.SettledAfter) && (q.Before == 0 || d.Seq < q.Before) && len(list) < q.Limit {
			list = append(list, d)
		}
	}
	return list, r.err
}

// baseline adds a source with its baseline.
func (r *alertArchive) baseline(name string, at time.Time) {
	r.sources = append(r.sources, store.SourceRow{Name: name, State: poller.State{Baselined: at, Records: 3}})
}

// park adds a parked event.
func (r *alertArchive) park(source string, at time.Time) {
	seq := int64(len(r.parked) + 1)
	r.parked = slices.Insert(r.parked, 0, store.DeliveryRow{
		Ref: emitter.Ref{Lane: emitter.Lane{Webhook: "crm"}, Seq: seq}, EventID: fmt.Sprint("e", seq), Source: source, Settled: at, Reason: fmt.Sprint("no ", seq),
	})
}

// newKeptAlerts tells ops of what the archive has of the sources contacts and orders, and of the webhook crm.
func newKeptAlerts(t *testing.T) (*alerts, *alertLedger, *alertArchive) {
	t.Helper()
	a, l := newToldAlerts(t)
	ops := emitter.DefaultWebhook()
	ops.Name = "ops"
	c := a.config()
	c.Webhooks, c.Alerts.To = append(c.Webhooks, &ops), []string{"ops"}
	for _, name := range []string{"contacts", "orders"} {
		c.Sources = append(c.Sources, &poller.Source{Name: name})
	}
	archive, ok := a.archive.(*alertArchive)
	if !ok {
		t.Fatal("another archive")
	}
	return a, l, archive
}

// dies leaves what is stored, and what the archive has, to another process.
func dies(t *testing.T, a *alerts) *alerts {
	t.Helper()
	next := newAlerts(a.log, a.config)
	next.hooks, next.ledger, next.archive = a.hooks, a.ledger, a.archive
	if err := errors.Join(next.restore(t.Context()), next.catchUp(t.Context())); err != nil {
		t.Fatal(err)
	}
	return next
}

func tells(t *testing.T, a *alerts, at time.Time) {
	t.Helper()
	if _, err := a.tell(t.Context(), at); err != nil {
		t.Fatal(err)
	}
}

// The first start after an update finds a store in which nothing says what was told.
func TestWhatIsOlderThanTheMemoryOfAlertsIsNotTold(t *testing.T) {
	for name, cursor := range map[string]string{
		"nothing was ever told":  "",
		"a trouble had lasted":   `[{"type":"source.failing","about":{"source":"orders"},"since":"2026-01-01T00:00:00Z","told":"2026-01-01T00:00:00Z","last":"2026-01-01T00:00:00Z","reminder":0,"failures":3}]`,
		"nobody was to be told ": `{"alarms":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			a, l, r := newKeptAlerts(t)
			a.config().Alerts.Repeat = 0
			now := time.Now()
			r.baseline("contacts", now.Add(-time.Hour))
			r.park("contacts", now.Add(-time.Hour))
			if cursor != "" {
				l.state.Cursor = json.RawMessage(cursor)
			}
			for range 2 {
				a = dies(t, a)
				tells(t, a, time.Now().Add(time.Hour))
				if strings.Contains(cursor, "source.failing") != a.has(alertSourceFailing, subject{Source: "orders"}) {
					t.Error("the trouble that lasts is forgotten, or made up")
				}
				a.baselined("contacts", r.sources[0].State.Baselined, 3) // as its next poll says
				tells(t, a, time.Now().Add(time.Hour))
				if len(l.told) > 0 {
					t.Fatalf("told %q", l.told)
				}
			}
		})
	}
	t.Run("nor is it read", func(t *testing.T) {
		a, _, r := newKeptAlerts(t)
		dies(t, a)
		if r.asked > 0 {
			t.Errorf("the store was asked %d times", r.asked)
		}
	})
}

// P12: whatever a process that dies has not told is told by the next one, and what it has told is not.
func TestWhatAProcessThatDiedHadToTellIsToldOnce(t *testing.T) {
	a, l, r := newKeptAlerts(t)
	now := time.Now()
	tells(t, a, now)
	r.baseline("contacts", now.Add(time.Second))
	r.baseline("left", now.Add(time.Second)) // the configuration
	for range 12 {
		r.park("contacts", now.Add(2*time.Second))
	}
	r.park(emitter.Own, now.Add(3*time.Second)) // alerts of alerts would never end
	a = dies(t, a)
	tells(t, a, now.Add(time.Second))
	a = dies(t, a)
	if p := a.parked["crm"]; p == nil || p.count != 12 || len(p.ids) != 12 || p.ids[0] != "e1" || p.ids[11] != "e12" || p.reason != "no 1" {
		t.Errorf("found %+v", p)
	}
	later := now.Add(2 * time.Minute)
	tells(t, a, later)
	want := []string{"1 deltahook.source.baselined source/contacts", "2 deltahook.event.parked webhook/crm"}
	for range 2 {
		a = dies(t, a)
		a.baselined("contacts", r.sources[0].State.Baselined, 3)
		tells(t, a, later.Add(time.Hour))
		if !slices.Equal(l.told, want) {
			t.Fatalf("told %q, want %q", l.told, want)
		}
	}
	r.sources[0].State.Baselined = later // after a reset
	r.park("orders", later)
	a = dies(t, a)
	tells(t, a, later.Add(time.Hour))
	want = append(want, "3 deltahook.source.baselined source/contacts", "4 deltahook.event.parked webhook/crm")
	if !slices.Equal(l.told, want) {
		t.Errorf("told %q, want %q", l.told, want)
	}
}

func TestMoreParkedEventsThanAPageAreAllCounted(t *testing.T) {
	a, _, r := newKeptAlerts(t)
	tells(t, a, time.Now())
	for range 2345 {
		r.park("contacts", time.Now())
	}
	a = dies(t, a)
	if p := a.parked["crm"]; p == nil || p.count != 2345 || p.ids[0] != "e1" || len(p.ids) != parkedKnown || len(p.alert("crm").Events) != parkedIDs {
		t.Errorf("found %+v", p)
	}
}

func TestWhatHappensWhileNobodyIsToldIsNotOwedToThoseWhoAreNamedLater(t *testing.T) {
	a, l, r := newKeptAlerts(t)
	c, now := a.config(), time.Now()
	tells(t, a, now)
	to := c.Alerts.To
	c.Alerts.To = nil
	l.before = func() error { return errors.New("database is locked") }
	if _, err := a.tell(t.Context(), now); err == nil {
		t.Error("it does not say that it failed")
	}
	tells(t, a, now)
	if len(l.state.Cursor) > 0 {
		t.Errorf("%s is kept", l.state.Cursor)
	}
	version := l.state.Version
	r.baseline("contacts", now.Add(time.Second))
	r.park("contacts", now.Add(time.Second))
	a.park(&emitter.Delivery{Ref: emitter.Ref{Lane: emitter.Lane{Webhook: "crm"}}, ID: "e1", Source: "contacts"}, "no")
	a = dies(t, a)
	tells(t, a, now.Add(time.Hour))
	if l.state.Version != version || r.asked > 0 {
		t.Errorf("version %d became %d, and the store was asked %d times", version, l.state.Version, r.asked)
	}
	c.Alerts.To = to
	a = dies(t, a)
	tells(t, a, time.Now().Add(time.Hour))
	if len(l.told) > 0 {
		t.Errorf("told %q", l.told)
	}
}

func TestTheMemoryOfAlertsIsBounded(t *testing.T) {
	a, l, r := newKeptAlerts(t)
	now := time.Now()
	tells(t, a, now)
	for i := range 5000 {
		a.baselined(fmt.Sprint("s", i), now.Add(time.Second), 1)
	}
	r.baseline("contacts", now.Add(time.Second))
	a.baselined("contacts", now.Add(time.Second), 3)
	a.parkedAlso("crm", &parked{count: 1, ids: []string{"e1"}, since: now, last: now})
	tells(t, a, now.Add(time.Hour))
	if n := len(l.told); n != 5002 {
		t.Fatalf("%d alerts", n)
	}
	tells(t, a, now.Add(tellingsKept+2*time.Hour))
	if len(l.state.Cursor) > 100 {
		t.Errorf("%d bytes are kept", len(l.state.Cursor))
	}
	version := l.state.Version
	a = dies(t, a)
	tells(t, a, now.Add(2*tellingsKept))
	if len(l.told) != 5002 || l.state.Version != version {
		t.Errorf("%d alerts, and version %d became %d", len(l.told), version, l.state.Version)
	}
}

func parkHere(a *alerts, id string) {
	a.park(&emitter.Delivery{Ref: emitter.Ref{Lane: emitter.Lane{Webhook: "crm"}}, ID: id, Source: "contacts"}, "no")
}

// The store knows a parked event by the end of its last attempt; that may be written, or reported by another replica, after later ones were
// told of.
func TestAnEventWhoseParkingIsHeardOfLateIsToldThroughACrash(t *testing.T) {
	for name, heard := range map[string]func(a *alerts, at time.Time){
		"it is written late": func(a *alerts, _ time.Time) { parkHere(a, "e2") },
		"another replica reports it": func(a *alerts, at time.Time) {
			a.parkedElsewhere(&parkedNews{webhook: "crm", reason: "no", count: 1, ids: []string{"e2"}, last: at})
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, l, r := newKeptAlerts(t)
			start := time.Now()
			tells(t, a, start)
			ended := start.Add(time.Millisecond)
			time.Sleep(2 * time.Millisecond)
			r.park("contacts", time.Now())
			parkHere(a, "e1")
			tells(t, a, start.Add(2*time.Minute))
			r.park("contacts", ended)
			heard(a, ended)
			tells(t, a, start.Add(3*time.Minute)) // not yet
			for range 2 {
				a = dies(t, a)
				tells(t, a, start.Add(time.Hour))
			}
			if want := []string{"1 deltahook.event.parked webhook/crm", "2 deltahook.event.parked webhook/crm"}; !slices.Equal(l.told, want) {
				t.Errorf("told %q, want %q", l.told, want)
			}
		})
	}
}

func TestSoManyParkedEventsThatTheirIdsAreNotKeptAreToldOnce(t *testing.T) {
	a, l, r := newKeptAlerts(t)
	start := time.Now()
	tells(t, a, start)
	for i := range 2 * parkedKnown {
		r.park("contacts", time.Now())
		parkHere(a, fmt.Sprint("e", i+1))
	}
	for range 2 {
		tells(t, a, start.Add(time.Hour))
		a = dies(t, a)
	}
	if len(l.told) != 1 || len(l.state.Cursor) > 500 {
		t.Errorf("told %q, and %d bytes are kept", l.told, len(l.state.Cursor))
	}
}

func TestAClockThatWasAheadForAMomentSilencesNothing(t *testing.T) {
	a, l, r := newKeptAlerts(t)
	now := time.Now()
	tells(t, a, now)
	a.baselined("contacts", now.Add(time.Second), 3)
	tells(t, a, now.Add(time.Minute))
	ahead := now.Add(10 * 365 * 24 * time.Hour)
	a.parkedAlso("crm", &parked{count: 1, ids: []string{"e0"}, since: ahead, last: ahead})
	tells(t, a, ahead.Add(2*time.Minute))
	a.baselined("orders", now.Add(time.Hour), 3)
	tells(t, a, now.Add(time.Hour))
	r.park("contacts", now.Add(2*time.Hour))
	a = dies(t, a)
	tells(t, a, now.Add(24*time.Hour))
	a = dies(t, a)
	a.baselined("orders", now.Add(90*24*time.Hour), 3) // after a reset
	tells(t, a, now.Add(91*24*time.Hour))
	if len(l.told) != 5 {
		t.Errorf("told %q", l.told)
	}
}

// A report from before a reset may be heard after the store was read.
func TestAnOldReportOfABaselineIsNoNews(t *testing.T) {
	a, l, r := newKeptAlerts(t)
	now := time.Now()
	tells(t, a, now)
	before, after := now.Add(time.Second), now.Add(time.Minute)
	a.baselined("contacts", before, 3)
	tells(t, a, now.Add(2*time.Second))
	r.baseline("contacts", after)
	a = dies(t, a)
	for _, at := range []time.Time{after, before, after} {
		a.baselined("contacts", at, 3)
		tells(t, a, now.Add(2*time.Minute))
	}
	if n := len(l.told); n != 2 {
		t.Errorf("%d alerts of two baselines: %q", n, l.told)
	}
}

// What another replica has parked is in the store when this one takes over, and in a report that comes later.
func TestAParkedEventThatIsHeardOfTwiceCountsOnce(t *testing.T) {
	a, _, r := newKeptAlerts(t)
	now := time.Now()
	tells(t, a, now)
	r.park("contacts", now.Add(time.Second))
	r.park("contacts", now.Add(time.Second))
	a = dies(t, a)
	last := now.Add(time.Minute)
	a.parkedElsewhere(&parkedNews{webhook: "crm", reason: "no", count: 2, ids: []string{"e2", "e3"}, last: last})
	if p := a.parked["crm"]; p.count != 3 || !slices.Equal(p.ids, []string{"e1", "e2", "e3"}) || !p.last.Equal(last) {
		t.Errorf("counted %+v", p)
	}
}

func TestSinceWhenSomebodyIsToldIsStoredByAStartAndTheStoreIsLookedThroughLater(t *testing.T) {
	a, l, r := newKeptAlerts(t)
	for range 2 {
		if err := a.restore(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.keep(a.config())
		a.first(t.Context())
		if len(l.state.Cursor) == 0 || r.asked > 0 {
			t.Errorf("%s is stored, and the store was asked %d times", l.state.Cursor, r.asked)
		}
	}
	tells(t, a, time.Now())
	if r.asked == 0 {
		t.Error("the store is not looked through")
	}
}

func TestAProcessThatCannotReadWhatIsOwedDoesNotTell(t *testing.T) {
	a, l, r := newKeptAlerts(t)
	tells(t, a, time.Now())
	if err := a.restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	a.notice(alert{kind: alertWebhookPaused, About: subject{Webhook: "crm"}})
	r.err = errors.New("database is locked")
	if _, err := a.tell(t.Context(), time.Now()); !errors.Is(err, r.err) || len(l.told) > 0 {
		t.Errorf("%v, and it tells %q", err, l.told)
	}
	r.err = nil
	tells(t, a, time.Now())
	if len(l.told) != 1 {
		t.Errorf("then it tells %q", l.told)
	}
}
