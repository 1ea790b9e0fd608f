package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
)

func (a *app) poll() *cobra.Command {
	return a.sourceCommand(admin.Poll, "Poll a source now", "polling %s; see: deltahook status\n")
}

// sourceCommand is a command that does one thing to one source.
func (a *app) sourceCommand(verb admin.Verb, short, done string) *cobra.Command {
	return &cobra.Command{
		Use:               string(verb) + " SOURCE",
		Short:             short,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSources,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.act(cmd, admin.Action{Verb: verb, Source: args[0]}, fmt.Sprintf(done, args[0]))
		},
	}
}

func (a *app) pause() *cobra.Command {
	return a.nameCommand(admin.Pause, "Stop polling a source, or delivering to a webhook, until resume",
		"%s is paused; nothing is lost, go on with: deltahook resume %[1]s\n")
}

// nameCommand is a command for a source or a webhook, whichever has the name.
func (a *app) nameCommand(verb admin.Verb, short, done string) *cobra.Command {
	var asSource, asWebhook bool
	cmd := &cobra.Command{
		Use:               string(verb) + " NAME",
		Short:             short,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			action, err := a.named(verb, args[0], asSource, asWebhook)
			if err != nil {
				return err
			}
			return a.act(cmd, action, fmt.Sprintf(done, args[0]))
		},
	}
	cmd.Flags().BoolVar(&asSource, "source", false, "NAME is a source")
	cmd.Flags().BoolVar(&asWebhook, "webhook", false, "NAME is a webhook")
	cmd.MarkFlagsMutuallyExclusive("source", "webhook")
	return cmd
}

func (a *app) named(verb admin.Verb, name string, asSource, asWebhook bool) (admin.Action, error) {
	cfg, err := a.draft()
	if err != nil {
		return admin.Action{}, err
	}
	_, isSource := cfg.Source(name)
	_, isWebhook := cfg.Webhook(name)
	switch {
	case isSource && isWebhook && !asSource && !asWebhook:
		return admin.Action{}, usage(fmt.Sprintf("%q is a source and a webhook", name), "add --source or --webhook")
	case isSource && !asWebhook:
		return admin.Action{Verb: verb, Source: name}, nil
	case isWebhook && !asSource:
		return admin.Action{Verb: verb, Webhook: name}, nil
	}
	return admin.Action{}, usage(fmt.Sprintf("neither a source nor a webhook is named %q", name), "see: deltahook status")
}

const startHint = "start it: deltahook run"

func (a *app) act(cmd *cobra.Command, action admin.Action, done string) error {
	view, end, err := a.view(cmd.Context(), acting)
	if err != nil {
		return err
	}
	defer end()
	err = view.Act(cmd.Context(), action)
	if errors.Is(err, admin.ErrNotRunning) {
		return failureHint(err, startHint)
	}
	if err != nil {
		return failure(err)
	}
	fmt.Fprint(a.stdout, done)
	return nil
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
