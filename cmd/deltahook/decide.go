package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
)

func (a *app) release() *cobra.Command {
	return a.sourceCommand(admin.Release, "Apply the next complete poll of a held source, whatever it finds",
		"%s is released: its next complete poll is applied, see: deltahook status\n")
}

func (a *app) discard() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   string(admin.Discard) + " SOURCE",
		Short: "Take the next complete poll of a held source as it is, without events",
		Long: "Ends a hold without telling anybody: the next complete poll of the source, whatever it finds, is stored as what is known,\n" +
			"and no event is made of what differs. It is the counterpart of release, which makes events of it.\n\n" +
			"A hold that a fault of the API caused needs neither: it ends by itself as soon as the list looks right again.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSources,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.discardAsked(cmd, args[0], yes)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) discardAsked(cmd *cobra.Command, name string, yes bool) error {
	held, err := a.heldSource(cmd, name)
	if err != nil {
		return err
	}
	a.printDiscard(held, time.Now())
	if !yes {
		if err := a.ask("take it without events?"); err != nil {
			return err
		}
	}
	return a.act(cmd, admin.Action{Verb: admin.Discard, Source: name},
		name+" is discarded: its next complete poll is stored without events, see: deltahook status\n")
}

// heldSource gives the state of a source that is held.
func (a *app) heldSource(cmd *cobra.Command, name string) (admin.Source, error) {
	view, end, err := a.view(cmd.Context(), reading)
	if err != nil {
		return admin.Source{}, err
	}
	defer end()
	status, err := view.Status(cmd.Context())
	if err != nil {
		return admin.Source{}, failure(err)
	}
	for _, source := range status.Sources {
		if source.Name == name && source.Hold != nil {
			return source, nil
		}
		if source.Name == name {
			return admin.Source{}, failureHint(fmt.Errorf("source %s: the source is not held", name), "there is nothing to discard; see: deltahook status")
		}
	}
	return admin.Source{}, failureHint(fmt.Errorf("%w: %s", admin.ErrNoSource, name), "see: deltahook status")
}

func (a *app) printDiscard(source admin.Source, now time.Time) {
	h := source.Hold
	fmt.Fprintf(a.stdout, "%s is held since %s: %s\n", source.Name, ago(now, h.Since), h.Message)
	fmt.Fprintf(a.stdout, "plan: the next complete poll of %s is stored as it is, and no event tells of it\n", source.Name)
	if n := h.Created + h.Updated + h.Deleted; n > 0 {
		fmt.Fprintf(a.stdout, "      by the poll that was held: %s created, %s updated, %s deleted\n", count(h.Created), count(h.Updated), count(h.Deleted))
	}
	fmt.Fprintln(a.stdout, "      webhooks keep what they have: they learn neither of these changes nor later that they missed them")
}
