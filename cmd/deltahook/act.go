package main

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

func (a *app) poll() *cobra.Command {
	return &cobra.Command{
		Use:   "poll SOURCE",
		Short: "Poll a source now",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			view, done, err := a.view(cmd.Context(), acting)
			if err != nil {
				return err
			}
			defer done()
			err = view.Poll(cmd.Context(), args[0])
			if errors.Is(err, admin.ErrNotRunning) {
				return failureHint(err, "start it with deltahook run, or look without it: deltahook try "+args[0])
			}
			if err != nil {
				return failure(err)
			}
			fmt.Fprintf(a.stdout, "polling %s; see: deltahook status\n", args[0])
			return nil
		},
	}
}

func (a *app) replay() *cobra.Command {
	var (
		sel    selection
		yes    bool
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "replay [EVENT]",
		Short: "Send events again, under their old id and bytes",
		Long: "Sends events again. Each keeps its webhook-id and bytes under a fresh timestamp and signature, so a receiver that\n" +
			"removes duplicates ignores those it already has. Without EVENT or a state flag the parked ones are meant.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				sel.event = args[0]
			}
			if sel.event == "" && !sel.pending && !sel.delivered {
				sel.parked = true
			}
			q, err := sel.query(time.Now())
			if err != nil {
				return err
			}
			return a.replayAsked(cmd, q, yes, asJSON)
		},
	}
	sel.flags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) replayAsked(cmd *cobra.Command, q store.DeliveryQuery, yes, asJSON bool) error {
	view, done, err := a.view(cmd.Context(), acting)
	if err != nil {
		return err
	}
	defer done()
	plan, err := view.Replay(cmd.Context(), q, true)
	if err != nil {
		return failure(err)
	}
	if !asJSON {
		a.printPlan(plan)
	}
	if plan.Deliveries == 0 {
		return nil
	}
	if !yes {
		if err := a.ask("send them?"); err != nil {
			return err
		}
	}
	result, err := view.Replay(cmd.Context(), q, false)
	if err != nil {
		return failure(err)
	}
	if asJSON {
		return jsonLines(a.stdout, []admin.Replayed{result})
	}
	fmt.Fprintf(a.stdout, "%s queued; see: deltahook deliveries --pending\n", plural(result.Deliveries, "delivery"))
	return nil
}

func (a *app) printPlan(plan admin.Replayed) {
	var kinds []string
	for _, t := range slices.Sorted(maps.Keys(plan.ByType)) {
		kinds = append(kinds, fmt.Sprintf("%s %s", count(plan.ByType[t]), t))
	}
	fmt.Fprintf(a.stdout, "plan: %s", plural(plan.Deliveries, "delivery"))
	if len(kinds) > 0 {
		fmt.Fprintf(a.stdout, " (%s)", strings.Join(kinds, ", "))
	}
	fmt.Fprintln(a.stdout)
	if plan.Deliveries > 0 {
		fmt.Fprintln(a.stdout, "      each keeps its webhook-id, so a receiver that removes duplicates ignores those it already has")
	}
}

// ask wants a yes from a person; without one it refuses and names the flag for scripts.
func (a *app) ask(question string) error {
	if !a.asks {
		return usage("nobody is there to confirm", "add --yes to do it from a script")
	}
	fmt.Fprintf(a.stdout, "%s [y/N] ", question)
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err == nil && (answer == "y" || answer == "yes") {
		return nil
	}
	return &exitError{code: exitFailure, err: errors.New("nothing was done")}
}
