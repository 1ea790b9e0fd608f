package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
)

// changing is how a command goes about changing deliveries.
type changing struct {
	dryRun, yes, asJSON bool
}

func (c *changing) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.dryRun, "dry-run", false, "show the plan and do nothing")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do not ask")
	jsonFlag(cmd, &c.asJSON)
}

func (a *app) replay() *cobra.Command {
	var (
		sel  selection
		how  changing
		rate string
	)
	cmd := &cobra.Command{
		Use:   "replay [EVENT]",
		Short: "Send events again, under their old id and bytes",
		Long: "Sends events again. Each keeps its webhook-id and bytes under a fresh timestamp and signature, so a receiver that\n" +
			"removes duplicates ignores those it already has. Without EVENT or a state flag the parked ones are meant. What is\n" +
			"on its way already is left alone. The plan comes first: how many, to whom, how large, and how long it takes.\n\n" +
			"--rate spreads them over time, oldest first, so that they do not hold up the new events of other records; those of the\n" +
			"same records wait for them, because a record's events stay in order. Without it the webhook's own rate is the only\n" +
			"limit. Without a running deltahook they are queued, and sent when it starts.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := admin.Change{Kind: admin.Replay}
			if rate != "" {
				if err := c.Rate.UnmarshalText([]byte(rate)); err != nil {
					return usage(err.Error(), setting.Hint(err))
				}
			}
			if len(args) == 1 {
				sel.event = args[0]
			}
			if sel.event == "" && !sel.delivered && !sel.dropped {
				sel.parked = true
			}
			var err error
			if c.Query, err = sel.query(time.Now()); err != nil {
				return err
			}
			return a.change(cmd, c, how, "send them?", "queued; see: deltahook deliveries --pending")
		},
	}
	sel.filterFlags(cmd)
	sel.stateFlags(cmd, &sel.parked, &sel.delivered, &sel.dropped)
	cmd.Flags().StringVar(&rate, "rate", "", "at most so many of them, like 20/s, 100/m or 1000/h")
	how.flags(cmd)
	return cmd
}

func (a *app) deliveriesDrop() *cobra.Command {
	var (
		sel selection
		how changing
		all bool
		why string
	)
	cmd := &cobra.Command{
		Use:   "drop [EVENT]",
		Short: "Settle parked deliveries without delivering them",
		Long: "Settles parked deliveries as dropped: they no longer wait for you, and their webhook never gets them. Who dropped them,\n" +
			"when and why stays with them (deltahook deliveries --dropped), as does the event; deltahook replay brings them back.\n" +
			"It must be told which: an EVENT, one of the filters, or --all. The plan comes first.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				sel.event = args[0]
			}
			if !all && sel == (selection{}) {
				return usage("drop must be told which deliveries", "name an event or a filter, like --reason 422, or add --all")
			}
			sel.parked = true
			q, err := sel.query(time.Now())
			if err != nil {
				return err
			}
			return a.change(cmd, admin.Change{Kind: admin.Drop, Query: q, By: a.person(), Why: why}, how,
				"drop them?", "dropped; see: deltahook deliveries --dropped")
		},
	}
	sel.filterFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "everything that is parked")
	cmd.Flags().StringVar(&why, "why", "", "a note that stays with them")
	how.flags(cmd)
	return cmd
}

// person gives the name of whoever runs the command.
func (a *app) person() string {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME", "USERNAME"} {
		if value, ok := a.lookupEnv(name); ok && value != "" {
			return value
		}
	}
	return "an unknown user"
}

// change shows the plan, asks, and does it.
func (a *app) change(cmd *cobra.Command, c admin.Change, how changing, question, done string) error {
	view, end, err := a.view(cmd.Context(), purpose(!how.dryRun))
	if err != nil {
		return err
	}
	defer end()
	plan, err := view.Change(cmd.Context(), c, true)
	if err != nil {
		return failure(err)
	}
	if err := a.knows(cmd.Context(), view, &c.Query, plan.Deliveries); err != nil {
		return err
	}
	if how.asJSON && (how.dryRun || plan.Deliveries == 0) {
		return jsonLines(a.stdout, []admin.Changed{plan})
	}
	if !how.asJSON {
		a.printPlan(c, plan)
	}
	if how.dryRun || plan.Deliveries == 0 {
		return nil
	}
	if !how.yes {
		if err := a.ask(question); err != nil {
			return err
		}
	}
	result, err := view.Change(cmd.Context(), c, false)
	if err != nil {
		return failure(err)
	}
	if how.asJSON {
		return jsonLines(a.stdout, []admin.Changed{result})
	}
	fmt.Fprintf(a.stdout, "%s %s\n", plural(result.Deliveries, "delivery"), done)
	return nil
}

// knows says so when what was named is not there, so that a misspelt name does not look like one that needs nothing.
func (a *app) knows(ctx context.Context, view admin.View, q *store.DeliveryQuery, found int) error {
	if found > 0 || q.EventID == "" && q.Webhook == "" && q.Source == "" {
		return nil
	}
	if q.EventID != "" {
		if _, err := view.Event(ctx, q.EventID); err != nil {
			return failureHint(err, "list them: deltahook events")
		}
	}
	status, err := view.Status(ctx)
	if err != nil {
		return failure(err)
	}
	for _, one := range []struct {
		name       string
		configured bool
		deliveries store.DeliveryQuery
		unknown    error
	}{
		{q.Webhook, slices.ContainsFunc(status.Webhooks, func(w admin.Webhook) bool { return w.Name == q.Webhook }), store.DeliveryQuery{Webhook: q.Webhook, Limit: 1}, admin.ErrNoWebhook},
		{q.Source, slices.ContainsFunc(status.Sources, func(s admin.Source) bool { return s.Name == q.Source }), store.DeliveryQuery{Source: q.Source, Limit: 1}, admin.ErrNoSource},
	} {
		if one.name == "" || one.configured || one.name == emitter.Own {
			continue
		}
		earlier, err := view.Deliveries(ctx, one.deliveries) // of one that is configured no more
		if err != nil {
			return failure(err)
		}
		if len(earlier) == 0 {
			return failureHint(fmt.Errorf("%w: %s", one.unknown, one.name), "see: deltahook status")
		}
	}
	return nil
}

func (a *app) printPlan(c admin.Change, plan admin.Changed) {
	say := func(format string, args ...any) { fmt.Fprintf(a.stdout, format+"\n", args...) }
	if plan.Deliveries == 0 {
		say("plan: 0 deliveries")
		return
	}
	say("plan: %s (%s), %s", plural(plan.Deliveries, "delivery"), counts(plan.ByType), bytesText(plan.Bytes))
	say("      to %s, detected from %s to %s", counts(plan.ByWebhook), local(plan.First), local(plan.Last))
	switch c.Kind {
	case admin.Drop:
		say("      they are settled without being delivered; deltahook replay --dropped brings them back")
		return
	case admin.Skip:
		say("      they are settled without being delivered, and later ones are sent; deltahook replay --dropped brings them back")
		return
	case admin.Replay:
	}
	switch {
	case plan.Seconds >= 1 && plan.Rate != "":
		say("      at %s that takes about %s; new events of these records wait for them", plan.Rate, rough(time.Duration(plan.Seconds*float64(time.Second))))
	case plan.Seconds >= 1:
		say("      at the rate of the webhook that takes about %s", rough(time.Duration(plan.Seconds*float64(time.Second))))
	default:
		say("      as fast as the receiver takes them; --rate spreads them over time")
	}
	say("      each keeps its webhook-id, so a receiver that removes duplicates ignores those it already has")
}

// counts writes "1,000 contacts.updated, 200 contacts.created", by name.
func counts(by map[string]int) string {
	parts := make([]string, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, count(by[name])+" "+name)
	}
	return strings.Join(parts, ", ")
}

// bytesText writes a size for people: 312 B, 1.4 MiB.
func bytesText(n int64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d B", n)
	}
	value, units := float64(n)/step, []string{"KiB", "MiB", "GiB", "TiB"}
	for value >= step && len(units) > 1 {
		value, units = value/step, units[1:]
	}
	return fmt.Sprintf("%.1f %s", value, units[0])
}
