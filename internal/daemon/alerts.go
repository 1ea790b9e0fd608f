package daemon

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/poller"
)

// alarmKey names an alarm: there is one of a type for each subject.
type alarmKey struct {
	kind  string
	about subject
}

// alerts knows what is wrong, and tells the webhooks of [alerts] of it: once when it begins, now and then while it lasts, once when it
// is over. Those who observe only note what happened; one goroutine tells. What was told is stored with the events that told it, so
// that a restart in between neither repeats it nor forgets the end.
type alerts struct {
	log *slog.Logger

	mu      sync.Mutex
	alarms  map[alarmKey]*alarm
	over    []*alarm // that were told and have ended since
	notices []alert  // to be told once
	parked  map[string]*parked
	told    tellings
	term    int // how often the telling was left to others
	wake    chan struct{}

	sums map[string]parkedSum // what was ever parked here, by webhook, for the other replicas

	ledger  poller.Ledger
	archive archive
	seed    differ.Seed
	config  func() *config.Config
	hooks   func() []emitter.Stats // of the webhooks, now
	ours    atomic.Bool            // they are ours to tell: the shard of our own source is
	anew    atomic.Bool            // what is stored has to be read again
	owed    atomic.Bool            // the store has to be looked through for what was not told
	// What is stored. One goroutine uses it.
	state *poller.State // of our own source; nil: to be read
	tried *round        // the last one that was to be stored, as long as its outcome is unknown
}

// Parked events are told of together.
const (
	parkedFirst = time.Minute      // after the first of them
	parkedPause = 10 * time.Minute // after others were told of
	parkedIDs   = 10               // that are named, at most
)

// parked counts the events of a webhook that were parked and not told of yet.
type parked struct {
	count  int
	ids    []string // of the first ones
	reason string
	since  time.Time
	last   time.Time // when the last one was parked, at the latest
	toldAt time.Time
}

func newAlerts(log *slog.Logger, c func() *config.Config) *alerts {
	return &alerts{
		log: log, config: c, alarms: map[alarmKey]*alarm{}, parked: map[string]*parked{}, wake: make(chan struct{}, 1),
		sums: map[string]parkedSum{},
	}
}

func (a *alerts) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// raise notes a trouble, or how it goes on.
func (a *alerts) raise(kind string, about subject, since time.Time, failures int, message, hint string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := alarmKey{kind, about}
	one := a.alarms[key]
	if one == nil {
		one = &alarm{Type: kind, About: about, Since: since}
		a.alarms[key] = one
		a.nudge()
	}
	one.Failures, one.Message, one.Hint = failures, message, hint
}

// clear notes that troubles are over.
func (a *alerts) clear(at time.Time, about subject, kinds ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, kind := range kinds {
		one := a.alarms[alarmKey{kind, about}]
		if one == nil {
			continue
		}
		delete(a.alarms, alarmKey{kind, about})
		if one.ended = at; !one.Told.IsZero() && a.ours.Load() {
			a.over = append(a.over, one)
			a.nudge()
		}
	}
}

// notice tells something once, if it is ours to tell: else whoever tells hears of it by our reports.
func (a *alerts) notice(one alert) {
	if !a.ours.Load() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notices = append(a.notices, one)
	a.nudge()
}

// polled hears of a poll.
func (a *alerts) polled(r *poller.Result) {
	about, end := subject{Source: r.Source}, r.At.Add(r.Took)
	switch r.Verdict {
	case poller.Failed:
		a.raise(alertSourceFailing, about, r.At, a.failures(about)+1, r.Message, r.Hint)
		return
	case poller.Deferred:
		return
	case poller.Complete, poller.Partial, poller.Unchanged, poller.Held:
	}
	a.clear(end, about, alertSourceFailing)
	if r.Hold != nil {
		a.raise(alertSourceHeld, about, r.Hold.Since, 0, r.Hold.Message, "deltahook try "+r.Source)
	} else {
		a.clear(end, about, alertSourceHeld)
	}
	if quiet := r.State.Quiet; !quiet.IsZero() {
		a.raise(alertSourceQuiet, about, quiet, 0, r.Message, r.Hint)
	} else {
		a.clear(end, about, alertSourceQuiet)
	}
	a.baselined(r.Source, r.State.Baselined, r.State.Records)
}

func (a *alerts) failures(about subject) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if one := a.alarms[alarmKey{alertSourceFailing, about}]; one != nil {
		return one.Failures
	}
	return 0
}

// turned hears what a poll alone does not say.
func (a *alerts) turned(t *poller.Transition) {
	switch t.Turn {
	case poller.Failing: // also when the server puts polls off again and again
		about := subject{Source: t.Source} // which may have failed before a restart, too
		a.raise(alertSourceFailing, about, t.Since, max(t.Failures, a.failures(about)), t.Message, t.Hint)
	case poller.Baselined, poller.Recovered, poller.Halted, poller.Released, poller.Quiet, poller.Stirred:
	}
}

// gateShut hears that a webhook fails.
func (a *alerts) gateShut(webhook string, state *emitter.GateState) {
	a.raise(alertWebhookFailing, subject{Webhook: webhook}, state.Since, state.Failures, state.Reason, "deltahook status")
}

// gatePaused hears that a webhook is paused. Who did it by hand knows; that is told once to the others.
func (a *alerts) gatePaused(webhook string, state *emitter.GateState) {
	about := subject{Webhook: webhook}
	hint := "deltahook resume " + webhook
	if state.Reason == pausedByHand && !a.has(alertWebhookFailing, about) {
		a.notice(alert{kind: alertWebhookPaused, About: about, State: "paused", Since: state.Since.UTC(), Message: state.Reason, Hint: hint})
		return
	}
	a.replace(alertWebhookFailing, about)
	a.raise(alertWebhookPaused, about, state.Since, state.Failures, state.Reason, hint)
}

func (a *alerts) has(kind string, about subject) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.alarms[alarmKey{kind, about}] != nil
}

// replace forgets an alarm because another one says more.
func (a *alerts) replace(kind string, about subject) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.alarms, alarmKey{kind, about})
}

// gateOpen hears that a webhook takes events again, after so many failures; 0: as far as we know.
func (a *alerts) gateOpen(webhook string, failures int) {
	about := subject{Webhook: webhook}
	if failures > 0 {
		a.mu.Lock()
		for _, kind := range []string{alertWebhookFailing, alertWebhookPaused} {
			if one := a.alarms[alarmKey{kind, about}]; one != nil {
				one.Failures = failures
			}
		}
		a.mu.Unlock()
	}
	a.clear(time.Now(), about, alertWebhookFailing, alertWebhookPaused)
}

// recount takes over how often the webhooks that fail have failed by now, and why: that they fail is said once.
func (a *alerts) recount() {
	all := a.hooks() // which may wait for who tells us something: not under our lock
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range all {
		g, about := &all[i].Gate, subject{Webhook: all[i].Webhook}
		kind := alertWebhookFailing
		if g.State == emitter.GatePaused {
			kind = alertWebhookPaused
		}
		if one := a.alarms[alarmKey{kind, about}]; one != nil && g.State != emitter.GateOpen {
			one.Failures, one.Message = g.Failures, g.Reason
		}
	}
}

// park hears of an event that was parked, and says whether it is the first one for a while. Events of deltahook itself are nobody's
// alert: that would go round.
func (a *alerts) park(d *emitter.Delivery, reason string) (first bool) {
	if d.Source == emitter.Own {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.countParked(d, reason)
	p := a.parked[d.Webhook]
	if p == nil {
		p = &parked{}
		a.parked[d.Webhook] = p
	}
	if !a.ours.Load() { // whoever tells hears of it
		first = time.Since(p.toldAt) > parkedPause
		if first {
			p.toldAt = time.Now()
		}
		return first
	}
	if p.count == 0 {
		p.since, p.reason, first = time.Now(), reason, time.Since(p.toldAt) > parkedPause
		a.nudge()
	}
	p.last = time.Now()
	if p.count++; len(p.ids) < parkedKnown {
		p.ids = append(p.ids, d.ID)
	}
	return first
}

// due gives when the parked events are to be told; zero: there are none.
func (p *parked) due() time.Time {
	if p.count == 0 {
		return time.Time{}
	}
	at := p.since.Add(parkedFirst)
	if later := p.toldAt.Add(parkedPause); !p.toldAt.IsZero() && later.After(at) {
		return later
	}
	return at
}

// rejected hears what is wrong with the configuration in the files; nothing: it is in force.
func (a *alerts) rejected(problem string, at time.Time) {
	if problem == "" {
		a.clear(at, subject{}, alertRejected)
		return
	}
	a.raise(alertRejected, subject{}, at, 0, problem, "deltahook check")
}

// keep forgets the alarms of what is not configured any more.
func (a *alerts) keep(c *config.Config) {
	a.mu.Lock()
	defer a.mu.Unlock()
	gone := func(s subject) bool {
		_, source := c.Source(s.Source)
		_, webhook := c.Webhook(s.Webhook)
		return s.Source != "" && !source || s.Webhook != "" && !webhook
	}
	maps.DeleteFunc(a.alarms, func(key alarmKey, _ *alarm) bool { return gone(key.about) })
	maps.DeleteFunc(a.parked, func(webhook string, _ *parked) bool { return gone(subject{Webhook: webhook}) })
	a.over = slices.DeleteFunc(a.over, func(one *alarm) bool { return gone(one.About) })
	a.begin(c, time.Now())
	a.nudge() // the times may be others
}

// well says that nothing is wrong, or not for long enough to be told.
func (a *alerts) well() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.alarms {
		if !one.Told.IsZero() {
			return false
		}
	}
	return true
}

// hurry lets what was gathered be told with the next round: there is no time to wait for more.
func (a *alerts) hurry() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.parked {
		p.since, p.toldAt = p.since.Add(-parkedFirst), time.Time{}
	}
}

// gates compares with the gates as they are stored: what became of them while nobody looked.
func (a *alerts) gates(all []emitter.Stats) {
	for i := range all {
		switch g := &all[i].Gate; {
		case g.State == emitter.GateShut:
			a.gateShut(all[i].Webhook, g)
		case g.State == emitter.GatePaused && g.Reason != pausedByHand:
			a.gatePaused(all[i].Webhook, g)
		case g.State == emitter.GateOpen:
			a.gateOpen(all[i].Webhook, 0)
		}
	}
}

// restore reads what was told before; what is to be told is ours to tell from now on.
func (a *alerts) restore(ctx context.Context) error {
	state, err := a.ledger.Load(ctx, emitter.Own)
	if err != nil {
		return err
	}
	m, err := memoryIn(state)
	if err != nil {
		return err
	}
	a.takeUp(m)
	return nil
}

// takeUp begins to tell where somebody has left off.
func (a *alerts) takeUp(m memory) {
	a.anew.Store(true)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ours.Store(true)
	a.owed.Store(!m.Since.IsZero())
	for _, one := range m.Alarms {
		if one.Type != alertRejected && one.Type != alertDiffers { // we run, and will see
			a.alarms[alarmKey{one.Type, one.About}] = one
		}
	}
	if a.told = m.tellings; a.told.Baselined == nil {
		a.told.Baselined = map[string]time.Time{}
	}
	if a.told.Parked == nil {
		a.told.Parked = map[string]toldParked{}
	}
	a.nudge()
}

// yield leaves the telling to another replica.
func (a *alerts) yield() {
	a.ours.Store(false)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.term++
	a.over, a.notices = nil, nil
	clear(a.parked)
}
