package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// Lists reads events and deliveries from a store. It is the part of a View that is the same with and without a daemon.
type Lists struct {
	Store store.Reader
	// Config gives the present configuration; nil: it is not known.
	Config func() *config.Config
	// Journal is that of the running daemon; nil: there is none.
	Journal *Journal
}

// hides says whether to leave record contents out of what is shown.
func (l Lists) hides() bool { return l.Config != nil && !l.Config().Admin.ShowPayloads }

// Events lists events, newest first.
func (l Lists) Events(ctx context.Context, q store.EventQuery) ([]Event, error) {
	rows, err := l.Store.Events(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	events := make([]Event, len(rows))
	for i, r := range rows {
		events[i] = eventOf(r)
	}
	return events, nil
}

// Event gives one event with its payload and deliveries; store.ErrNotFound when there is none.
func (l Lists) Event(ctx context.Context, id string) (EventDetail, error) {
	row, err := l.Store.Event(ctx, id)
	if err != nil {
		return EventDetail{}, fmt.Errorf("event %s: %w", id, err)
	}
	d := EventDetail{Event: eventOf(row)}
	if !l.hides() {
		d.Payload = row.Body
	}
	rows, err := l.Store.Deliveries(ctx, store.DeliveryQuery{EventID: id})
	if err != nil {
		return EventDetail{}, fmt.Errorf("deliveries of event %s: %w", id, err)
	}
	if d.Deliveries, err = l.deliveriesOf(ctx, rows); err != nil {
		return EventDetail{}, err
	}
	for i, r := range rows {
		if d.Deliveries[i].History, err = l.attempts(ctx, id, r.Webhook); err != nil {
			return EventDetail{}, err
		}
	}
	return d, nil
}

func (l Lists) attempts(ctx context.Context, id, webhook string) ([]Attempt, error) {
	rows, err := l.Store.Attempts(ctx, id, webhook)
	if err != nil {
		return nil, fmt.Errorf("attempts of event %s at %s: %w", id, webhook, err)
	}
	history := make([]Attempt, len(rows))
	for i, a := range rows {
		history[i] = Attempt{
			Number: a.Number, At: a.At, TookMS: a.Took.Milliseconds(), Status: a.Status,
			Reason: a.Reason, Error: a.Error, Trigger: a.Trigger, Request: a.Request,
		}
		if !l.hides() {
			history[i].Excerpt = a.Excerpt
		}
	}
	return history, nil
}

// Deliveries lists deliveries, newest event first.
func (l Lists) Deliveries(ctx context.Context, q store.DeliveryQuery) ([]Delivery, error) {
	rows, err := l.Store.Deliveries(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	return l.deliveriesOf(ctx, rows)
}

// deliveriesOf knows of those that wait when they may be tried: not before the gate of their webhook lets something through.
func (l Lists) deliveriesOf(ctx context.Context, rows []store.DeliveryRow) ([]Delivery, error) {
	list := make([]Delivery, len(rows))
	waits := false
	for i, r := range rows {
		list[i] = deliveryOf(r)
		waits = waits || r.State == store.StatePending
	}
	if !waits {
		return list, nil
	}
	gates, err := l.Store.GateStates(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the gates of the webhooks: %w", err)
	}
	for i := range list {
		list[i].waitFor(gates[list[i].Webhook])
	}
	return list, nil
}

func (d *Delivery) waitFor(gate emitter.GateState) {
	switch {
	case d.State != store.StatePending:
	case gate.State == emitter.GatePaused && gate.Until.IsZero():
		d.Next = time.Time{} // when a person says so
	case gate.State != emitter.GateOpen && gate.Until.After(d.Next):
		d.Next = gate.Until
	}
}

func eventOf(r store.EventRow) Event {
	return Event{ID: r.ID, Seq: r.Seq, Source: r.Source, Sequence: r.Sequence, Type: r.Type, Key: r.Key, At: r.At}
}

func deliveryOf(r store.DeliveryRow) Delivery {
	return Delivery{
		Event: r.EventID, Seq: r.Seq, Webhook: r.Webhook, Source: r.Source, Type: r.Type, Key: r.Key, State: r.State,
		Attempts: r.Attempts, Next: r.NextAt, Settled: r.Settled, Status: r.Status, TookMS: r.Took.Milliseconds(), Reason: r.Reason, Into: r.MergedInto, Batch: r.Batch,
	}
}

// ErrNotRunning says that an action needs the daemon.
var ErrNotRunning = errors.New("deltahook is not running")

// Offline is the view of a store whose daemon is down.
type Offline struct {
	Lists
	// Do carries out an action that only changes what is stored, and fails with ErrNotRunning for every other; nil when
	// the store is open for reading only.
	Do func(ctx context.Context, a Action) error
	// Own lets do change deliveries; nil when the store is open for reading only.
	Own func(ctx context.Context, do func(Changer) error) error
	// Alter changes what is stored of a source; nil when the store is open for reading only.
	Alter func(ctx context.Context, e Edit, plan bool) (Edited, error)
	// Told gives the troubles that were told by what is stored of deltahook's own source; nil: nobody knows.
	Told func(state poller.State) []Alert
	// Fill plans or records a backfill; nil when the store is open for reading only.
	Fill func(ctx context.Context, b Backfill, step BackfillStep) (Backfilled, error)
}

// Act does what only changes the store. Nobody is there to do anything else.
func (o Offline) Act(ctx context.Context, a Action) error {
	if o.Do == nil {
		return ErrNotRunning
	}
	return o.Do(ctx, a)
}

// Reload has nobody to reload.
func (o Offline) Reload(context.Context) (Reloaded, error) { return Reloaded{}, ErrNotRunning }

// Edit changes what is stored of a source.
func (o Offline) Edit(ctx context.Context, e Edit, plan bool) (Edited, error) {
	if o.Alter == nil {
		return Edited{}, ErrNotRunning
	}
	return o.Alter(ctx, e, plan)
}

// Waiting counts the deliveries of a source that wait, up to a thousand.
func (l Lists) Waiting(ctx context.Context, source string) (int, error) {
	const most = 1000
	rows, err := l.Store.Deliveries(ctx, store.DeliveryQuery{Source: source, State: store.StatePending, Limit: most})
	if err != nil {
		return 0, fmt.Errorf("count what waits: %w", err)
	}
	return min(len(rows), most), nil
}

// Status reads the durable state: what was known when the daemon stopped.
func (o Offline) Status(ctx context.Context) (Status, error) {
	rows, err := o.Store.Sources(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("read sources: %w", err)
	}
	status := Status{Sources: make([]Source, 0, len(rows)), Webhooks: []Webhook{}}
	for i := range rows {
		if rows[i].Name != emitter.Own {
			status.Sources = append(status.Sources, SourceOf(rows[i]))
		} else if o.Told != nil {
			status.Alerts = o.Told(rows[i].State)
		}
	}
	if status.Alerting, err = o.Alerting(ctx); err != nil {
		return Status{}, err
	}
	gates, err := o.Store.GateStates(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("read gates: %w", err)
	}
	queues, err := o.Store.Queues(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("read queues: %w", err)
	}
	for _, q := range queues {
		w := Webhook{Name: q.Webhook, State: "stopped", Queued: q.Pending, Parked: q.Parked, Oldest: q.Oldest}
		if g, ok := gates[q.Webhook]; ok {
			w.Failures, w.Note, w.NextTry = g.Failures, g.Reason, g.Until
		}
		status.Webhooks = append(status.Webhooks, w)
	}
	return status, nil
}

// SourceOf gives the durable part of a source's state.
func SourceOf(r store.SourceRow) Source {
	s := Source{
		Name: r.Name, State: "stopped", LastOK: r.Committed, Baselined: r.State.Baselined,
		Changed: r.State.Changed, Records: r.State.Records, Sequence: r.State.Sequence, Removed: !r.Removed.IsZero(),
	}
	switch {
	case r.State.Held != nil:
		s.State, s.Since, s.Note = "held", r.State.Held.Since, r.State.Held.Message
		s.Hold = HoldOf(r.State.Held)
	case r.State.Paused:
		s.State = "paused"
	}
	return s
}

// HoldOf gives a hold as people see it; nil for none.
func HoldOf(h *poller.Hold) *Hold {
	if h == nil {
		return nil
	}
	out := &Hold{Reason: h.Reason, Message: h.Message, Since: h.Since, Created: h.Creates, Updated: h.Updates, Deleted: h.Deletes}
	switch {
	case h.Release:
		out.Decided = Release
	case h.Discard:
		out.Decided = Discard
	}
	return out
}
