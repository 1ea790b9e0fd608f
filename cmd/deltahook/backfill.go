package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/setting"
)

func (a *app) backfill() *cobra.Command {
	var (
		b            admin.Backfill
		how          changing
		rate         string
		stop, detach bool
	)
	cmd := &cobra.Command{
		Use:   "backfill SOURCE",
		Short: "Send the current records as snapshots, to fill a new receiver",
		Long: "Sends the records of a source as they are known now, each as an event of type SOURCE.snapshot. Nothing is asked upstream\n" +
			"and nothing that is stored of the records changes. Snapshots take their place among the changes of the source: a\n" +
			"receiver that applies events in order, or by sequence, never gets an old state over a newer one.\n\n" +
			"The daemon carries it out beside its work, and goes on where it was after a restart. It waits while more than a\n" +
			"thousand events are queued for a receiver, so that news are not held up. Run the command again to watch it, or with\n" +
			"--stop to end it. Without a running deltahook it is noted down, and begins when that starts.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSources,
		RunE: func(cmd *cobra.Command, args []string) error {
			if b.Source = args[0]; rate != "" {
				if err := b.Rate.UnmarshalText([]byte(rate)); err != nil {
					return usage(err.Error(), setting.Hint(err))
				}
			}
			var where differ.Conditions
			if err := where.SetStrings(b.Where); err != nil {
				return usage("--where: "+err.Error(), setting.Hint(err))
			}
			view, end, err := a.view(cmd.Context(), acting)
			if err != nil {
				return err
			}
			defer end()
			f := filling{app: a, view: view, backfill: b, how: how, detach: detach}
			if stop {
				return f.stop(cmd.Context())
			}
			return f.run(cmd.Context())
		},
	}
	cmd.Flags().StringArrayVar(&b.To, "to", nil, "only to this webhook; repeat it for several")
	cmd.Flags().StringArrayVar(&b.Keys, "key", nil, "only this record; repeat it for several")
	cmd.Flags().StringArrayVar(&b.Where, "where", nil, `only records for which the condition holds, like 'status == "open"'; all must hold`)
	cmd.Flags().StringVar(&rate, "rate", "", "at most so many, like 20/s, 100/m or 1000/h")
	cmd.Flags().BoolVar(&stop, "stop", false, "end the one that is under way")
	cmd.Flags().BoolVar(&detach, "detach", false, "do not wait for its end")
	cmd.MarkFlagsMutuallyExclusive("stop", "detach")
	how.flags(cmd)
	return cmd
}

// filling is one run of the command.
type filling struct {
	*app
	view     admin.View
	backfill admin.Backfill
	how      changing
	detach   bool
}

func (f *filling) run(ctx context.Context) error {
	now, err := f.view.Backfill(ctx, f.backfill, admin.LookBackfill)
	if err != nil {
		return failureHint(err, "see: deltahook status")
	}
	if now.State == "running" {
		if !f.how.asJSON {
			fmt.Fprintf(f.stdout, "a backfill of %s is under way since %s; end it: deltahook backfill %[1]s --stop\n", now.Source, local(now.Started))
		}
		return f.watch(ctx, now)
	}
	plan, err := f.view.Backfill(ctx, f.backfill, admin.PlanBackfill)
	if err != nil {
		return failure(err)
	}
	if f.how.asJSON && (f.how.dryRun || plan.Records == 0) {
		return jsonLines(f.stdout, []admin.Backfilled{plan})
	}
	if !f.how.asJSON {
		f.print(plan)
	}
	if f.how.dryRun || plan.Records == 0 {
		return nil
	}
	if !f.how.yes {
		if err := f.ask("send them?"); err != nil {
			return err
		}
	}
	begun, err := f.view.Backfill(ctx, f.backfill, admin.StartBackfill)
	if err != nil {
		return failure(err)
	}
	return f.watch(ctx, begun)
}

// print says what a backfill would send.
func (f *filling) print(plan admin.Backfilled) {
	say := func(format string, args ...any) { fmt.Fprintf(f.stdout, format+"\n", args...) }
	if plan.Records == 0 {
		say("plan: no known record of %s matches", plan.Source)
		return
	}
	say("plan: %s of %s, %s", plural(plan.Records, "snapshot"), plan.Source, bytesText(plan.Bytes))
	by := map[string]int{}
	for name, n := range plan.ByWebhook {
		by[name] = int(n)
	}
	if len(by) == 0 {
		say("      to nobody: no webhook takes snapshots of it, see the keys events and when")
	} else {
		say("      to %s", counts(by))
	}
	for _, name := range plan.To {
		if by[name] == 0 && len(by) > 0 {
			say("      none to %s: its keys events or when leave them out", name)
		}
	}
	switch {
	case plan.Seconds >= 1:
		say("      at the rate of %s that takes about %s", rateOwner(plan), rough(time.Duration(plan.Seconds*float64(time.Second))))
	default:
		say("      as fast as the receivers take them; --rate slows it down")
	}
	if len(plan.To) > 0 {
		say("      the other webhooks get nothing, and see that numbers of the sequence are missing")
	}
}

func rateOwner(plan admin.Backfilled) string {
	if plan.Rate != "" {
		return plan.Rate
	}
	return "the webhook"
}

func (f *filling) stop(ctx context.Context) error {
	ended, err := f.view.Backfill(ctx, f.backfill, admin.StopBackfill)
	if err != nil {
		return failure(err)
	}
	if f.how.asJSON {
		return jsonLines(f.stdout, []admin.Backfilled{ended})
	}
	fmt.Fprintf(f.stdout, "ended after %s of %s; what was sent is sent\n", plural(ended.Told, "snapshot"), plural(ended.Records, "record"))
	return nil
}

// watch follows a backfill to its end.
func (f *filling) watch(ctx context.Context, b admin.Backfilled) error {
	if _, stopped := f.view.(admin.Offline); stopped || f.detach {
		return f.noted(b, stopped)
	}
	const period = 250 * time.Millisecond
	tick := time.NewTicker(period)
	defer tick.Stop()
	bar := newBar(f.app)
	for {
		if !f.how.asJSON {
			bar.show(b.Looked, b.Records, b.Note)
		}
		if b.State != "running" {
			bar.end()
			return f.ended(b)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		next, err := f.view.Backfill(ctx, f.backfill, admin.LookBackfill)
		switch {
		case ctx.Err() != nil:
			bar.end()
			fmt.Fprintf(f.stdout, "the daemon goes on with it; watch it: deltahook backfill %s    end it: deltahook backfill %[1]s --stop\n", b.Source)
			return nil
		case errors.Is(err, admin.ErrNotRunning):
			bar.end()
			return failureHint(err, "it goes on where it was when deltahook runs again")
		case err != nil:
			bar.end()
			return failure(err)
		}
		b = next
	}
}

// noted says that a backfill was begun that nobody waits for.
func (f *filling) noted(b admin.Backfilled, stopped bool) error {
	if f.how.asJSON {
		return jsonLines(f.stdout, []admin.Backfilled{b})
	}
	if stopped {
		fmt.Fprintln(f.stdout, "noted; it begins, or goes on, when deltahook runs")
		return nil
	}
	fmt.Fprintf(f.stdout, "begun; watch it: deltahook backfill %s\n", b.Source)
	return nil
}

func (f *filling) ended(b admin.Backfilled) error {
	if f.how.asJSON {
		return jsonLines(f.stdout, []admin.Backfilled{b})
	}
	took := b.Finished.Sub(b.Started).Round(time.Second)
	fmt.Fprintf(f.stdout, "%s: %s of %s in %s; see: deltahook deliveries --pending\n", b.State, plural(b.Told, "snapshot"), plural(b.Records, "record"), took)
	return nil
}
