package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// backfill plans, begins, ends or looks at a backfill of one source.
func backfill(ctx context.Context, f poller.Backfiller, c *config.Config, b admin.Backfill, step admin.BackfillStep) (admin.Backfilled, error) {
	job := poller.Backfill{To: b.To, Keys: b.Keys, Where: b.Where, Rate: b.Rate.String()}
	switch step {
	case admin.PlanBackfill:
		if err := takers(c, b); err != nil {
			return admin.Backfilled{}, err
		}
		plan, err := f.PlanBackfill(ctx, job)
		if err != nil {
			return admin.Backfilled{}, err
		}
		return admin.Backfilled{
			Source: b.Source, State: "planned", Records: plan.Records, ByWebhook: plan.ByWebhook, Bytes: plan.Bytes, To: b.To,
			Rate: b.Rate.String(), Seconds: takes(c, b.Rate, plan),
		}, nil
	case admin.StartBackfill:
		if err := takers(c, b); err != nil {
			return admin.Backfilled{}, err
		}
		begun, err := f.StartBackfill(ctx, job)
		return admin.BackfilledOf(b.Source, &begun, ""), err
	case admin.StopBackfill:
		ended, err := f.StopBackfill(ctx)
		return admin.BackfilledOf(b.Source, &ended, ""), err
	case admin.LookBackfill:
	}
	state, err := f.Stored(ctx)
	return admin.BackfilledOf(b.Source, state.Backfill, ""), err
}

// takers says what is wrong with the webhooks that a backfill is for.
func takers(c *config.Config, b admin.Backfill) error {
	source, ok := c.Source(b.Source)
	if !ok {
		return fmt.Errorf("%w: %s", admin.ErrNoSource, b.Source)
	}
	for _, name := range b.To {
		if _, ok := c.Webhook(name); !ok {
			return fmt.Errorf("%w: %s", admin.ErrNoWebhook, name)
		}
		if !source.SendsTo(name) {
			return fmt.Errorf("%w: source %s does not go to webhook %s, see its key to", admin.ErrState, b.Source, name)
		}
	}
	return nil
}

// takes says how many seconds a backfill takes at least.
func takes(c *config.Config, rate setting.Rate, plan poller.Backfilling) float64 {
	longest := 0.0
	if !rate.IsZero() {
		longest = float64(plan.Records) / rate.PerSecond()
	}
	for webhook, n := range plan.ByWebhook {
		if own := c.WebhookRate(webhook); !own.IsZero() {
			longest = max(longest, float64(n)/own.PerSecond())
		}
	}
	return longest
}

// Backfill plans, begins, ends or looks at a backfill.
func (v view) Backfill(ctx context.Context, b admin.Backfill, step admin.BackfillStep) (admin.Backfilled, error) {
	if v.d.shards.theirs(b.Source) {
		out, err := v.d.errands.ask(ctx, errand{Source: b.Source, Verb: verbBackfill, Step: string(step), To: b.To, Keys: b.Keys, Where: b.Where, Rate: b.Rate})
		return out.Backfilled, err
	}
	f, err := v.d.scheduler.Backfiller(b.Source)
	if err != nil {
		return admin.Backfilled{}, explained(err, b.Source)
	}
	out, err := backfill(ctx, f, v.d.current().config, b, step)
	if err != nil {
		return out, explained(err, b.Source)
	}
	if step == admin.StartBackfill {
		v.d.backfills.begin(b.Source)
	}
	if out.State == "running" {
		out.Note = v.d.backfills.note(b.Source)
	}
	return out, nil
}

// BackfillStopped plans or records a backfill while the daemon is down; it is carried out when that starts.
func BackfillStopped(ctx context.Context, st store.Store, c *config.Config, secrets *setting.Secrets, b admin.Backfill, step admin.BackfillStep) (out admin.Backfilled, err error) {
	m, err := store.Own(ctx, st, "command", time.Minute)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, m.Leave(context.WithoutCancel(ctx))) }()
	p, err := byHand(m, st, c, secrets).poller(b.Source)
	if err != nil {
		return out, explained(err, b.Source)
	}
	out, err = backfill(ctx, p, c, b, step)
	return out, explained(err, b.Source)
}

// crowd is how many events wait for a webhook at most while a backfill adds to them, so that news are not held up for long.
const crowd = 1000

// congested says whether a backfill has to wait for a webhook. One that takes nothing now holds up no other; alone it does.
func (d *Daemon) congested(ctx context.Context, source *poller.Source, to []string) (note string, err error) {
	if webhook, full := d.outlet.Full(source); full {
		return "the queue of webhook " + webhook + " is full", nil
	}
	if err := d.queues.read(ctx); err != nil {
		return "", err
	}
	queues := *d.queues.last.Load()
	var stats []emitter.Stats
	dead, alive := "", false
	for _, w := range d.current().config.Webhooks {
		if !source.SendsTo(w.Name) || len(to) > 0 && !slices.Contains(to, w.Name) {
			continue
		}
		if queues[w.Name].Pending < crowd {
			alive = true
			continue
		}
		if stats == nil {
			stats = d.dispatcher.Stats()
		}
		if i := slices.IndexFunc(stats, func(s emitter.Stats) bool { return s.Webhook == w.Name }); i >= 0 && stats[i].Gate.State == emitter.GateOpen {
			return fmt.Sprintf("%d events wait for webhook %s", queues[w.Name].Pending, w.Name), nil
		}
		dead = w.Name
	}
	if dead != "" && !alive {
		return "webhook " + dead + " takes nothing", nil
	}
	return "", nil
}
