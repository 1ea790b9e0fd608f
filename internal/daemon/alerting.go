package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/poller"
)

// Pauses of who tells.
const (
	alertGather = time.Second      // so that an outage of many is one transaction
	alertAgain  = 10 * time.Second // after the store has refused
	alertSleep  = time.Hour        // when nothing is due
)

// run tells what is due until ctx ends.
func (a *alerts) run(ctx context.Context) {
	failed := false
	for wait := time.Duration(0); ; {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-a.wake:
			timer.Stop()
			sleep(ctx, alertGather)
		case <-timer.C:
		}
		next, err := a.tell(ctx, time.Now())
		if err != nil && !failed && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "an alert cannot be stored; it is tried again", "err", err)
		}
		failed = err != nil
		if wait = alertSleep; failed {
			wait = alertAgain
		} else if !next.IsZero() {
			wait = max(time.Until(next), 0)
		}
	}
}

// round is what is told at one time.
type round struct {
	at      time.Time
	term    int // whose it is to tell
	alerts  []alert
	tell    []*alarm // for the first time
	remind  []*alarm
	over    []*alarm // that have ended
	notices int      // of those that are told once
	parked  []string // webhooks
	memory  string   // to be stored
	last    int64    // sequence of the last event of ours, once it is stored
}

// tell tells what is due, and says when more will be; zero: nothing is in sight.
func (a *alerts) tell(ctx context.Context, now time.Time) (next time.Time, err error) {
	if !a.ours.Load() {
		return time.Time{}, nil
	}
	a.recount()
	c := a.config()
	if len(c.Alerts.To) == 0 { // nobody wants to know
		a.tried = nil
		a.settle(a.gather(c, now))
		return a.next(c, now), a.forget(ctx, c)
	}
	if err := a.read(ctx); err != nil {
		return time.Time{}, err
	}
	if err := a.catchUp(ctx); err != nil {
		return time.Time{}, err
	}
	r := a.gather(c, now)
	if err := a.commit(ctx, c, r); err != nil {
		return time.Time{}, err
	}
	a.settle(r)
	return a.next(c, now), nil
}

// gather finds what is due.
func (a *alerts) gather(c *config.Config, now time.Time) *round {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begin(c, now)
	r := &round{at: now, term: a.term, notices: len(a.notices), over: slices.Clone(a.over)}
	r.alerts = slices.Clone(a.notices)
	for _, one := range a.over {
		if one.over() != "" {
			r.alerts = append(r.alerts, one.end())
		}
	}
	list := slices.Collect(maps.Values(a.alarms))
	sortAlarms(list)
	var stay []*alarm
	for _, one := range list {
		will := *one
		if at := one.due(c.Alerts.After.Std(), c.Alerts.Repeat.Std()); !at.IsZero() && !at.After(now) {
			if will.Last = now; one.Told.IsZero() {
				will.Told = now
				r.tell = append(r.tell, one)
			} else {
				will.Reminder++
				r.remind = append(r.remind, one)
			}
			r.alerts = append(r.alerts, will.alert(now))
		}
		stay = append(stay, &will)
	}
	owed := false
	for webhook, p := range a.parked {
		if at := p.due(); !at.IsZero() && !at.After(now) {
			r.parked = append(r.parked, webhook)
			r.alerts = append(r.alerts, p.alert(webhook))
			a.told.parkedToo(webhook, p)
		} else {
			owed = owed || p.count > 0
		}
	}
	if !owed {
		a.told.prune(now)
	}
	r.memory = memory{stay, a.told}.text()
	return r
}

func (p *parked) alert(webhook string) alert {
	return alert{
		kind: alertParked, About: subject{Webhook: webhook}, State: "parked", Since: p.since.UTC(), Count: p.count, Events: slices.Clone(p.ids[:min(len(p.ids), parkedIDs)]),
		Message: p.reason, Hint: "deltahook deliveries --parked --webhook " + webhook,
	}
}

// settle notes that a round was told.
func (a *alerts) settle(r *round) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.term != a.term { // others tell since, or we do again, by what is stored
		return
	}
	a.notices = a.notices[r.notices:]
	a.over = slices.DeleteFunc(a.over, func(one *alarm) bool { return slices.Contains(r.over, one) })
	for _, one := range r.tell {
		one.Told, one.Last = r.at, r.at
		if !one.ended.IsZero() { // meanwhile, and nobody had been told before
			a.over = append(a.over, one)
		}
	}
	for _, one := range r.remind {
		one.Last = r.at
		one.Reminder++
	}
	for _, webhook := range r.parked {
		if p := a.parked[webhook]; p != nil {
			*p = parked{toldAt: r.at}
		}
	}
}

// next says when something is due.
func (a *alerts) next(c *config.Config, now time.Time) (next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	soonest := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, one := range a.alarms {
		soonest(one.due(c.Alerts.After.Std(), c.Alerts.Repeat.Std()))
	}
	for _, p := range a.parked {
		soonest(p.due())
	}
	if len(a.over)+len(a.notices) > 0 {
		soonest(now)
	}
	return next
}

// read reads what is stored, unless it is known. A round whose outcome was unknown may turn out to be told.
func (a *alerts) read(ctx context.Context) error {
	if a.anew.Swap(false) {
		a.state = nil
	}
	if a.state != nil {
		return nil
	}
	state, err := a.ledger.Load(ctx, emitter.Own)
	if err != nil {
		return fmt.Errorf("read what was told: %w", err)
	}
	a.state = &state
	if r := a.tried; r != nil && r.last == state.Sequence && r.memory == string(state.Cursor) {
		a.settle(r)
	}
	a.tried = nil
	return nil
}

// commit stores a round: its events, and what was told by then.
func (a *alerts) commit(ctx context.Context, c *config.Config, r *round) error {
	state := *a.state
	events, err := a.events(c, r, state.Sequence)
	if err != nil || len(events) == 0 && r.memory == string(state.Cursor) {
		return err
	}
	state.Sequence += int64(len(events))
	if state.Cursor = nil; r.memory != "" {
		state.Cursor = json.RawMessage(r.memory)
	}
	r.last, a.tried = state.Sequence, r
	out, err := a.ledger.Commit(ctx, poller.Commit{Source: emitter.Own, Expect: state.Version, State: state, Writes: func(yield func(poller.Write, error) bool) {
		for _, e := range events {
			if !yield(poller.Write{Event: e, Untouched: true}, nil) {
				return
			}
		}
	}})
	if err != nil {
		a.state = nil
		return err
	}
	state.Version = out.Version
	a.state, a.tried = &state, nil
	return nil
}

// events makes the events of a round, each for those who are to hear of it.
func (a *alerts) events(c *config.Config, r *round, sequence int64) (list []*poller.Event, err error) {
	for i := range r.alerts {
		one := &r.alerts[i]
		to := recipients(c, one)
		if len(to) == 0 {
			continue
		}
		sequence++
		e, err := one.event(sequence, r.at)
		if err != nil {
			return nil, err
		}
		out := &poller.Event{
			ID: e.ID(a.seed), Source: e.Source, Sequence: sequence, Type: e.EventType(), Change: e.Change.Kind, Key: e.Change.Key, At: r.at,
			Body: emitter.EncodeStandard(nil, e),
		}
		for _, w := range to {
			out.To = append(out.To, poller.Copy{Webhook: w.Name, Body: w.Encode(out.ID, e)})
		}
		list = append(list, out)
	}
	return list, nil
}

// recipients are the webhooks that an alert goes to: not the one that it is about, which takes nothing or would be told of itself for
// ever.
func recipients(c *config.Config, one *alert) (list []*emitter.Webhook) {
	for _, name := range c.Alerts.To {
		if w, ok := c.Webhook(name); ok && name != one.About.Webhook && w.Takes(emitter.Own+"."+one.kind) && !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list
}
