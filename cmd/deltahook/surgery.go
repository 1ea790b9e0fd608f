package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/poller"
)

func (a *app) rekey() *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "rekey SOURCE",
		Short: "Keep the records of a source whose key, records or host was changed, without events",
		Long: "Computes the keys of the stored records anew, with the key of the configuration, from their stored bodies. No event is\n" +
			"sent, and the next poll finds what changed upstream and nothing else. It is refused when two records would share a\n" +
			"key. A running deltahook must have read the new configuration; without one the store is changed directly.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSources,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.edit(cmd, admin.Edit{Verb: admin.Rekey, Source: args[0]}, yes, asJSON)
		},
	}
	editFlags(cmd, &yes, &asJSON)
	return cmd
}

func (a *app) reset() *cobra.Command {
	var yes, asJSON bool
	chosen := map[poller.ResetLevel]*bool{}
	cmd := &cobra.Command{
		Use:   "reset SOURCE",
		Short: "Forget a part of what is stored of a source",
		Long: "Forgets what one of the flags names, and polls the source. Nothing is deleted upstream or at the receivers, and events\n" +
			"that wait are still delivered. Without a running deltahook the store is changed directly.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSources,
		RunE: func(cmd *cobra.Command, args []string) error {
			for level, is := range chosen {
				if *is {
					return a.edit(cmd, admin.Edit{Verb: admin.Reset, Source: args[0], Level: string(level)}, yes, asJSON)
				}
			}
			return usage("reset must be told what to forget", "add --validators, --cursor, --records or --all; see: deltahook reset --help")
		},
	}
	var names []string
	for level, what := range map[poller.ResetLevel]string{
		poller.ResetValidators: "ETag and Last-Modified: the next poll asks for the whole answer",
		poller.ResetCursor:     "the watermark of incremental polls too: the next poll is a complete one",
		poller.ResetRecords:    "all known records too: the next complete poll saves a new baseline",
		poller.ResetAll:        "the history of polls and the sequence of events too, as if the source were new",
	} {
		chosen[level] = cmd.Flags().Bool(string(level), false, what)
		names = append(names, string(level))
	}
	cmd.MarkFlagsMutuallyExclusive(names...)
	editFlags(cmd, &yes, &asJSON)
	return cmd
}

func editFlags(cmd *cobra.Command, yes, asJSON *bool) {
	cmd.Flags().BoolVar(yes, "yes", false, "do not ask")
	jsonFlag(cmd, asJSON)
}

// edit shows the plan, asks, and does it.
func (a *app) edit(cmd *cobra.Command, e admin.Edit, yes, asJSON bool) error {
	view, end, err := a.view(cmd.Context(), acting)
	if err != nil {
		return err
	}
	defer end()
	plan, err := view.Edit(cmd.Context(), e, true)
	if err != nil {
		return failure(err)
	}
	if !asJSON {
		a.printEdit(plan)
	}
	if !yes {
		if err := a.ask(string(e.Verb) + " it?"); err != nil {
			return err
		}
	}
	done, err := view.Edit(cmd.Context(), e, false)
	if errors.Is(err, admin.ErrNotRunning) {
		return failureHint(err, "it stopped meanwhile; say it again")
	}
	if err != nil {
		return failure(err)
	}
	if asJSON {
		return jsonLines(a.stdout, []admin.Edited{done})
	}
	fmt.Fprintf(a.stdout, "done; see: deltahook status\n")
	return nil
}

// printEdit says what an edit means, consequences included.
func (a *app) printEdit(e admin.Edited) {
	say := func(format string, args ...any) { fmt.Fprintf(a.stdout, "      "+format+"\n", args...) }
	fmt.Fprintf(a.stdout, "plan: %s of %s", e.Verb, e.Source)
	if e.Level != "" {
		fmt.Fprintf(a.stdout, " (%s)", e.Level)
	}
	fmt.Fprintln(a.stdout)
	switch {
	case e.Verb == admin.Rekey:
		say("%s", e.Change)
		say("%s kept, %s of them under another key; no event is sent", plural(e.Records, "known record"), count(e.Moved))
		if e.Moved > 0 {
			say("receivers learn the other keys with the next events of these records")
		}
		if e.Moved > 0 && e.Waiting > 0 {
			say("%s still waiting will arrive under the old keys", plural(e.Waiting, "delivery"))
		}
	case e.Level == string(poller.ResetValidators):
		say("ETag and Last-Modified are forgotten: the next poll asks for the whole answer")
	case e.Level == string(poller.ResetCursor):
		say("the watermark, ETag and Last-Modified are forgotten: the next poll is a complete one")
		say("the %s stay, and so no event is sent twice", plural(e.Records, "known record"))
	default:
		a.printForgotten(e, say)
	}
}

func (a *app) printForgotten(e admin.Edited, say func(format string, args ...any)) {
	say("%s forgotten, a hold too", plural(e.Records, "known record"))
	if e.Emits {
		say(`the next complete poll sends every record as created (initial = "emit")`)
	} else {
		say("the next complete poll saves a new baseline and sends no events: what changes until then is never announced")
	}
	if e.Level != string(poller.ResetAll) {
		say("the sequence of events goes on after %s", count(e.Sequence))
		return
	}
	say("the history of polls is forgotten")
	say("the sequence of events starts from 1 again, after %s: receivers that watch it for gaps must be told", count(e.Sequence))
	if e.Waiting > 0 {
		say("%s still waiting will arrive with the old sequence", plural(e.Waiting, "delivery"))
	}
}
