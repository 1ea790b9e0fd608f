package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
)

func (a *app) status() *cobra.Command {
	w := &watching{app: a}
	var watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show sources, webhooks and what needs a person",
		Long: "Shows sources, webhooks and what needs a person. With --watch it does so again and again until Ctrl-C: in place on a terminal,\n" +
			"one below the other elsewhere.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch {
				return w.run(cmd.Context())
			}
			return w.once(cmd.Context(), a)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "again and again, until Ctrl-C")
	cmd.Flags().DurationVar(&w.every, "interval", 2*time.Second, "how often, with --watch")
	cmd.Flags().IntVar(&w.times, "times", 0, "end after so many times, with --watch; 0: never")
	jsonFlag(cmd, &w.asJSON)
	return cmd
}

// statusLines makes one object a line: sources first, then webhooks, replicas, alerts, and the configuration that is in force.
func statusLines(s admin.Status) []any {
	lines := make([]any, 0, len(s.Sources)+len(s.Webhooks)+len(s.Members)+1)
	for _, source := range s.Sources {
		lines = append(lines, source)
	}
	for _, webhook := range s.Webhooks {
		lines = append(lines, webhook)
	}
	for _, member := range s.Members {
		lines = append(lines, member)
	}
	if board := s.Board(); !board.Quiet() {
		lines = append(lines, board)
	}
	if s.Config != nil {
		lines = append(lines, map[string]*admin.Config{"config": s.Config})
	}
	return lines
}

func (a *app) printStatus(s admin.Status, now time.Time) error {
	if !s.Running {
		fmt.Fprintln(a.stdout, cmp.Or(a.mute, "deltahook is not running")+"; this is what its store holds.")
		fmt.Fprintln(a.stdout)
	}
	rows := make([][]string, len(s.Sources))
	for i, source := range s.Sources {
		rows[i] = []string{
			source.Name, sinceState(source.State, source.Since, now), ago(now, source.LastOK), untilNext(source.NextPoll, now),
			count(source.Records), count(source.Sequence), staleNote(&source),
		}
	}
	if err := a.table([]string{"SOURCE", "STATE", "LAST OK", "NEXT", "RECORDS", "EVENTS", "NOTE"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(a.stdout)
	rows = make([][]string, len(s.Webhooks))
	for i, w := range s.Webhooks {
		rows[i] = []string{
			w.Name, w.State, count(w.Queued), ago(now, w.Oldest), count(w.Parked),
			count(w.Delivered) + " / " + count(w.Failed), noteOf(&w, now),
		}
	}
	if err := a.table([]string{"WEBHOOK", "STATE", "QUEUED", "OLDEST", "PARKED", "OK/FAILED", "NOTE"}, rows); err != nil {
		return err
	}
	if err := a.printMembers(s, now); err != nil {
		return err
	}
	if err := a.printAlerts(s.Board(), now); err != nil {
		return err
	}
	a.printNeeds(s)
	a.printConfig(s.Config, now)
	return nil
}

// printConfig says when what stands in the files is not what runs.
func (a *app) printConfig(c *admin.Config, now time.Time) {
	if c == nil {
		return
	}
	if !c.OK {
		fmt.Fprintf(a.stdout, "\n%s (tried %s ago); the one that was loaded %s ago goes on\n",
			a.paint(red, "the configuration in the files is rejected"), ago(now, c.Checked), ago(now, c.Loaded))
		for line := range strings.Lines(c.Error + "\n") {
			fmt.Fprint(a.stdout, "  ", line)
		}
	}
	for _, change := range c.Restart {
		fmt.Fprintf(a.stdout, "\nwaits for a restart: %s\n", change)
	}
}

// printNeeds says what waits for a person and which command decides it.
func (a *app) printNeeds(s admin.Status) {
	for _, w := range s.Webhooks {
		if w.Parked > 0 {
			fmt.Fprintf(a.stdout, "\n%s parked events of %s wait for you: deltahook deliveries --parked --webhook %s\n", count(w.Parked), w.Name, w.Name)
		}
	}
	for _, source := range s.Sources {
		if source.Hold != nil && source.Hold.Decided != "" {
			fmt.Fprintf(a.stdout, "\n%s is held, and the next complete poll carries out the decision: %s\n", source.Name, source.Hold.Decided)
			continue
		}
		if source.State == "held" {
			fmt.Fprintf(a.stdout, "\n%s is held. look: deltahook try %[1]s     apply it: deltahook release %[1]s     take it without events: deltahook discard %[1]s\n", source.Name)
			if source.Hold != nil && source.Hold.Reason == "identity" {
				fmt.Fprintf(a.stdout, "  keep the records under the new configuration, without events: deltahook rekey %s\n", source.Name)
			}
		}
	}
}

func sinceState(state string, since, now time.Time) string {
	if since.IsZero() || state == "ok" {
		return state
	}
	return state + " " + ago(now, since)
}

// noteOf says what is wrong with a webhook, and when it is tried again.
func noteOf(w *admin.Webhook, now time.Time) string {
	if w.NextTry.IsZero() {
		return w.Note
	}
	return strings.TrimPrefix(w.Note+"; next try: "+untilNext(w.NextTry, now), "; ")
}

func untilNext(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	if t.Before(now) {
		return "now"
	}
	return rough(t.Sub(now))
}
