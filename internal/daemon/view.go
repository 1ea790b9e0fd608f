package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/metrics"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// view is the running daemon as people see it.
type view struct {
	admin.Lists
	d *Daemon
}

func (d *Daemon) view() view {
	return view{d: d, Lists: admin.Lists{
		Store: d.opts.Store, Journal: d.journal, Config: func() *config.Config { return d.current().config },
	}}
}

// Status is the state of everything at this moment.
func (d *Daemon) Status(ctx context.Context) (admin.Status, error) { return d.view().Status(ctx) }

// now is what the metrics show. It asks the store nothing, so that a scrape costs the daemon nothing but a copy.
func (d *Daemon) now(context.Context) *metrics.Now {
	return &metrics.Now{Status: d.view().now(), StoreBytes: d.used.Load()}
}

// Act does something to a source or a webhook.
func (v view) Act(ctx context.Context, a admin.Action) error {
	if a.Webhook != "" {
		return v.actOnWebhook(a)
	}
	if v.d.shards.theirs(a.Source) {
		_, err := v.d.errands.ask(ctx, errand{Source: a.Source, Verb: string(a.Verb)})
		return err
	}
	var err error
	switch a.Verb {
	case admin.Poll:
		err = v.d.scheduler.PollNow(a.Source)
	case admin.Pause:
		err = v.d.scheduler.Pause(ctx, a.Source)
	case admin.Resume:
		err = v.d.scheduler.Resume(ctx, a.Source)
	case admin.Jump:
		err = v.d.scheduler.Skip(ctx, a.Source)
	case admin.Release:
		err = v.d.scheduler.Decide(ctx, a.Source, poller.Release)
	case admin.Discard:
		err = v.d.scheduler.Decide(ctx, a.Source, poller.Discard)
	default:
		return fmt.Errorf("%w: %s", admin.ErrNoVerb, a.Verb)
	}
	return explained(err, a.Source)
}

// explained tells the admin API what kind of error a scheduler's is.
func explained(err error, source string) error {
	if errors.Is(err, poller.ErrUnknownSource) {
		return fmt.Errorf("%w: %s", admin.ErrNoSource, source)
	}
	for _, kind := range []error{poller.ErrPaused, poller.ErrNotHeld, poller.ErrHeld, poller.ErrBackfilling, poller.ErrNothing, poller.ErrRekey} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%w: %w", admin.ErrState, err)
		}
	}
	return err
}

// Reload reads the configuration again.
func (v view) Reload(ctx context.Context) (admin.Reloaded, error) { return v.d.Reload(ctx) }

// Edit changes what is stored of a source.
func (v view) Edit(ctx context.Context, e admin.Edit, plan bool) (admin.Edited, error) {
	if v.d.shards.theirs(e.Source) {
		out, err := v.d.errands.ask(ctx, errand{Source: e.Source, Verb: string(e.Verb), Level: e.Level, Plan: plan})
		return out.Edited, err
	}
	return edit(ctx, v.d.scheduler, v.Lists, v.d.current().config, e, plan)
}

func (v view) actOnWebhook(a admin.Action) error {
	var known bool
	switch a.Verb {
	case admin.Pause:
		known = v.d.dispatcher.Pause(a.Webhook, pausedByHand)
	case admin.Resume:
		known = v.d.dispatcher.Resume(a.Webhook)
	case admin.Poll, admin.Release, admin.Discard, admin.Jump:
		return fmt.Errorf("%w for a webhook: %s", admin.ErrNoVerb, a.Verb)
	default:
		return fmt.Errorf("%w: %s", admin.ErrNoVerb, a.Verb)
	}
	if !known {
		return fmt.Errorf("%w: %s", admin.ErrNoWebhook, a.Webhook)
	}
	return nil
}

// Change replays, drops or skips deliveries, and lets the dispatcher hear of it.
func (v view) Change(ctx context.Context, c admin.Change, plan bool) (admin.Changed, error) {
	if plan {
		return v.Apply(ctx, c, nil)
	}
	if c.Kind == admin.Skip && !v.awaits(c.Query.Webhook) {
		return admin.Changed{}, fmt.Errorf("%w: %s", admin.ErrNoWebhook, c.Query.Webhook)
	}
	out, err := v.Apply(ctx, c, v.d.member)
	switch c.Kind { // also after an error: some may have been changed
	case admin.Replay:
		v.d.dispatcher.Requeue()
	case admin.Skip:
		v.d.dispatcher.Reread(c.Query.Webhook)
	case admin.Drop:
	}
	if err == nil && c.Kind == admin.Skip {
		v.d.dispatcher.Resume(c.Query.Webhook)
	}
	if err == nil && out.Deliveries > 0 {
		v.d.opts.Log.InfoContext(ctx, "deliveries changed by hand", "change", string(c.Kind), "deliveries", out.Deliveries, "by", c.By, "why", c.Why)
	}
	return out, err
}

// Status joins what the scheduler and the dispatcher know with the lengths of the queues.
func (v view) Status(ctx context.Context) (admin.Status, error) {
	err := v.d.queues.read(ctx)
	if err != nil {
		return admin.Status{}, fmt.Errorf("read the queues: %w", err)
	}
	s := v.now()
	if others := v.d.peers.others(v.d.configured()); len(others) > 0 {
		s.Sources = joined(s.Sources, others)
	}
	v.d.peers.counts(s.Webhooks)
	s.Webhooks = append(s.Webhooks, v.removed(s.Webhooks)...)
	s.Alerting, err = v.alerting(ctx)
	return s, err
}

// joined joins what is known here with what others reported; here counts when both know something.
func joined(here, others []admin.Source) []admin.Source {
	own := make(map[string]bool, len(here))
	for i := range here {
		own[here[i].Name] = true
	}
	for i := range others {
		if !own[others[i].Name] {
			here = append(here, others[i])
		}
	}
	slices.SortFunc(here, func(a, b admin.Source) int { return strings.Compare(a.Name, b.Name) })
	return here
}

// now is the status of what this process does, with the lengths of the queues as they were read last, some seconds ago.
func (v view) now() admin.Status {
	s := admin.Status{Running: true, Version: v.d.opts.Version, Started: v.d.started, Sources: []admin.Source{}, Webhooks: []admin.Webhook{}}
	s.Config, s.Alerts = v.d.reload.status(v.d.current()), v.d.alerts.look(&v.d.current().config.Alerts)
	s.Members, s.Unowned = v.d.peers.list()
	for _, source := range v.d.scheduler.Statuses() {
		s.Sources = append(s.Sources, v.source(source))
	}
	queues := *v.d.queues.last.Load()
	for _, w := range v.d.dispatcher.Stats() {
		s.Webhooks = append(s.Webhooks, webhookStatus(w, queues[w.Webhook]))
	}
	return s
}

// awaits says whether deliveries to webhook can be waiting: it is configured, or was.
func (v view) awaits(webhook string) bool {
	_, configured := v.d.current().config.Webhook(webhook)
	return configured || (*v.d.queues.last.Load())[webhook].Pending > 0
}

// removed gives the webhooks that left the configuration while deliveries waited for them, by name.
func (v view) removed(configured []admin.Webhook) (list []admin.Webhook) {
	for name, q := range *v.d.queues.last.Load() {
		if q.Pending+q.Parked == 0 || slices.ContainsFunc(configured, func(w admin.Webhook) bool { return w.Name == name }) {
			continue
		}
		list = append(list, admin.Webhook{
			Name: name, State: "removed", Queued: q.Pending, Parked: q.Parked, Oldest: q.Oldest,
			Note: "it is not configured: what waits goes out when it is again, or is dropped by deltahook resume --skip --webhook " + name,
		})
	}
	slices.SortFunc(list, func(a, b admin.Webhook) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// source gives one source with its day.
func (v view) source(s poller.Status) admin.Source {
	out := sourceStatus(s)
	out.Day = v.Journal.Day(s.Source, time.Now())
	return out
}

// Source gives one source.
func (v view) Source(ctx context.Context, name string) (admin.SourceDetail, error) {
	s, ok := v.d.scheduler.Status(name)
	if !ok {
		return v.elsewhere(ctx, name)
	}
	return v.Detail(ctx, sourceStatus(s), s.Cursor)
}

// elsewhere gives a source that another replica polls, by its report and by what is stored.
func (v view) elsewhere(ctx context.Context, name string) (admin.SourceDetail, error) {
	s, ok := v.d.peers.other(v.d.configured(), name)
	if !ok {
		return admin.SourceDetail{}, fmt.Errorf("%w: %s", admin.ErrNoSource, name)
	}
	rows, err := v.d.opts.Store.Sources(ctx)
	if err != nil {
		return admin.SourceDetail{}, fmt.Errorf("read sources: %w", err)
	}
	var cursor []byte
	for i := range rows {
		if rows[i].Name == name {
			cursor = rows[i].State.Cursor
		}
	}
	stored := v.Lists
	stored.Journal = nil // which has our polls only
	return stored.Detail(ctx, s, cursor)
}

// Why tells the story of a record.
func (v view) Why(ctx context.Context, source, key string) (admin.Story, error) {
	var shown admin.Source
	if s, ok := v.d.scheduler.Status(source); ok {
		shown = sourceStatus(s)
	} else if shown, ok = v.d.peers.other(v.d.configured(), source); !ok {
		return admin.Story{}, fmt.Errorf("%w: %s", admin.ErrNoSource, source)
	}
	polls, err := v.Polls(ctx, source, 0)
	if err != nil {
		return admin.Story{}, err
	}
	var seen *admin.Glance
	if g, ok, err := v.d.scheduler.Glance(source, key); err == nil && ok {
		seen = &admin.Glance{Raw: g.Print.Raw, Missing: g.Missing}
	}
	return v.Story(ctx, shown, key, polls, seen)
}

// Stream tells what happens.
func (v view) Stream(ctx context.Context, q admin.StreamQuery, yield func(admin.Item) error) error {
	return v.Journal.Watch(ctx, q, yield)
}

func sourceStatus(s poller.Status) admin.Source {
	out := admin.Source{
		Name: s.Source, State: string(s.State), Since: s.Since, LastOK: s.LastOK, LastPoll: s.Last.At, NextPoll: s.NextPoll,
		Baselined: s.Baselined, Records: s.Records, Sequence: s.Sequence, Failures: s.Failures, Verdict: string(s.Last.Verdict),
		Changed: s.Changed, Skipped: s.Skipped,
		Mode: string(s.Last.Mode), From: s.Last.From,
		Note: s.Message, Polling: s.Polling,
	}
	if s.Hold != nil {
		out.Note, out.Hold = s.Hold.Message, admin.HoldOf(s.Hold)
	}
	return out
}

func webhookStatus(w emitter.Stats, q store.Queue) admin.Webhook {
	out := admin.Webhook{
		Name: w.Webhook, State: "ok", Queued: max(q.Pending, int64(w.Queued)), InFlight: w.InFlight, Parked: q.Parked, Oldest: oldest(w.Oldest, q.Oldest),
		Delivered: w.Delivered, Failed: w.Failed, Merged: w.Merged, Failures: w.Gate.Failures, ClockSkewMS: w.Skew.Milliseconds(),
	}
	switch {
	case w.Gate.State == "paused":
		out.State, out.Note, out.NextTry = "paused", w.Gate.Reason, w.Gate.Until
	case w.Gate.State == "shut":
		out.State, out.Note, out.NextTry = "failing", w.LastError, w.Gate.Until
	case w.Ramping && !w.LastAt.IsZero():
		out.State = "recovering"
	}
	if w.ClockOff && out.Note == "" {
		out.Note = "its clock differs from ours by " + w.Skew.Abs().Round(time.Second).String() + ": beyond 5m its receiver refuses signatures"
	}
	return out
}

func oldest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
