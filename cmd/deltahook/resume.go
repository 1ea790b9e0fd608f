package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

func (a *app) resume() *cobra.Command {
	cmd := a.nameCommand(admin.Resume, "Go on with a paused source or webhook where it stopped", "%s goes on; see: deltahook status\n")
	cmd.Long = "Goes on with a paused source or webhook where it stopped: what waits is sent, what changed meanwhile is found.\n\n" +
		"--skip jumps to now instead. Of a webhook, all that is queued for it up to now is settled as dropped; what is parked\n" +
		"stays, and deltahook replay --dropped brings the rest back. Of a source, the next complete poll is taken as it is,\n" +
		"without events. The plan comes first."
	var skip, yes bool
	cmd.Flags().BoolVar(&skip, "skip", false, "leave out what waits, or what changed meanwhile")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	plain := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !skip {
			return plain(cmd, args)
		}
		asSource, _ := cmd.Flags().GetBool("source")
		asWebhook, _ := cmd.Flags().GetBool("webhook")
		if asWebhook { // also one that is not configured any more
			return a.skipQueue(cmd, args[0], yes)
		}
		action, err := a.named(admin.Jump, args[0], asSource, false)
		if err != nil {
			return err
		}
		if action.Webhook != "" {
			return a.skipQueue(cmd, action.Webhook, yes)
		}
		return a.skipSource(cmd, action, yes)
	}
	return cmd
}

// skipQueue drops what is queued for a webhook, and resumes it.
func (a *app) skipQueue(cmd *cobra.Command, webhook string, yes bool) error {
	view, end, err := a.view(cmd.Context(), acting)
	if err != nil {
		return err
	}
	defer end()
	c := admin.Change{Kind: admin.Skip, Query: store.DeliveryQuery{Webhook: webhook}, By: a.person()}
	plan, err := view.Change(cmd.Context(), c, true)
	if err != nil {
		return failure(err)
	}
	if plan.Deliveries == 0 {
		if _, err := a.named(admin.Jump, webhook, false, true); err != nil {
			return err
		}
	}
	a.printPlan(c, plan)
	if plan.Deliveries > 0 && !yes {
		if err := a.ask("skip them?"); err != nil {
			return err
		}
	}
	done, err := view.Change(cmd.Context(), c, false)
	if err != nil {
		return failure(err)
	}
	fmt.Fprintf(a.stdout, "%s skipped; %s goes on with what comes now, see: deltahook status\n", plural(done.Deliveries, "delivery"), webhook)
	return nil
}

// skipSource lets a source go on, with the next complete poll as it is.
func (a *app) skipSource(cmd *cobra.Command, action admin.Action, yes bool) error {
	name := action.Source
	fmt.Fprintf(a.stdout, "plan: %s goes on, and its next complete poll is stored as it is: no event tells of what it finds\n", name)
	fmt.Fprintln(a.stdout, "      webhooks keep what they have: they learn neither of these changes nor later that they missed them")
	if !yes {
		if err := a.ask("go on from now?"); err != nil {
			return err
		}
	}
	return a.act(cmd, action, name+" goes on from now; see: deltahook status\n")
}
