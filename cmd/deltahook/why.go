package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
)

func (a *app) why() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why SOURCE KEY",
		Short: "Tell the story of one record: what happened to it, and why nothing was sent",
		Long: "Tells the story of one record: since when it is known, each change with its event and what became of that, and what keeps\n" +
			"something from being sent: filters, holds, pauses, an earlier event. The key of a composite key is the JSON array of its parts.",
		Example:           "  deltahook why contacts 4711\n  deltahook why stock '[\"01\",\"4711\"]'",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: a.completeSources,
		RunE: func(cmd *cobra.Command, args []string) error {
			view, done, err := a.view(cmd.Context(), reading)
			if err != nil {
				return err
			}
			defer done()
			s, err := view.Why(cmd.Context(), args[0], args[1])
			if err != nil {
				return failureHint(err, "list the sources: deltahook status")
			}
			if asJSON {
				return jsonLines(a.stdout, []admin.Story{s})
			}
			a.printStory(s)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// printStory writes where the record stands, then its past, newest first.
func (a *app) printStory(s admin.Story) {
	fmt.Fprintf(a.stdout, "%s   %s\n", a.paint(bold, s.Source+" / "+oneLine(s.Key)), standing(s))
	if s.Partition != "" {
		fmt.Fprintf(a.stdout, "  partition   %s\n", s.Partition)
	}
	if !s.FirstSeen.IsZero() {
		fmt.Fprintf(a.stdout, "  first seen  %s   %s\n", local(s.FirstSeen), map[string]string{
			"created": "created", "baseline": "or before: it has no event", "before": "or before: that is its oldest event",
		}[s.First])
	}
	if !s.LastSeen.IsZero() {
		fmt.Fprintf(a.stdout, "  last seen   %s   by the last complete poll that listed it\n", local(s.LastSeen))
	}
	for _, r := range s.Reasons {
		a.printReason("  ", r)
	}
	for _, step := range s.Steps {
		a.printStep(step)
	}
	a.printPolls(s.Polls)
}

func standing(s admin.Story) string {
	if s.State != "missing" {
		return s.State
	}
	if s.Confirm == 0 {
		return "missing"
	}
	return fmt.Sprintf("missing (%d of %d)", s.Missing, s.Confirm)
}

// printReason wraps the message: a terminal of 80 columns must do.
func (a *app) printReason(indent string, r admin.Reason) {
	code := r.Code
	if r.Webhook != "" {
		code = r.Webhook + ": " + code
	}
	lead := indent + code + "   "
	for _, line := range wrap(r.Message, a.width-len([]rune(lead))) {
		fmt.Fprintln(a.stdout, strings.TrimRight(lead+line, " "))
		lead = strings.Repeat(" ", len([]rune(lead)))
	}
	if r.Hint != "" {
		fmt.Fprintln(a.stdout, lead+r.Hint)
	}
}

func (a *app) printStep(s admin.Step) {
	fmt.Fprintf(a.stdout, "\n%s  %s   %s", local(s.At), a.paint(colourOf(s.Change), s.Change), s.Event.ID)
	if len(s.Changed) > 0 {
		fmt.Fprintf(a.stdout, "   %s", clip(strings.Join(s.Changed, ", "), max(a.width-70, 20)))
	}
	fmt.Fprintln(a.stdout)
	for _, d := range s.Deliveries {
		fmt.Fprintf(a.stdout, "  %s   %s after %s", d.Webhook, d.State, plural(d.Attempts, "attempt"))
		if d.Status != 0 {
			fmt.Fprintf(a.stdout, ", %d, %d ms", d.Status, d.TookMS)
		}
		fmt.Fprintln(a.stdout)
	}
	for _, r := range s.Reasons {
		a.printReason("    ", r)
	}
}

func colourOf(change string) paint {
	switch change {
	case "created":
		return green
	case "deleted":
		return red
	}
	return yellow
}

// printPolls has the last polls, so that one can see whether the source was looked at at all.
func (a *app) printPolls(polls []admin.PastPoll) {
	const most = 5
	if len(polls) == 0 {
		return
	}
	fmt.Fprintln(a.stdout, "\nthe last polls:")
	for _, p := range polls[:min(len(polls), most)] {
		fmt.Fprintf(a.stdout, "  %s  %s   %s\n", local(p.At), p.Verdict, clip(pollNote(p), max(a.width-27-len(p.Verdict), 20)))
	}
}

// pollNote says what a poll came to: "25 pages, 1,204 records, +18 ~2 -1".
func pollNote(p admin.PastPoll) string {
	parts := []string{plural(p.Pages, "page"), plural(p.Records, "record")}
	if p.Quiet {
		parts = append(parts, "known now, without events")
	} else if p.Created+p.Updated+p.Deleted > 0 {
		parts = append(parts, changes(p.Created, p.Updated, p.Deleted))
	}
	if p.Ignored > 0 {
		parts = append(parts, strconv.Itoa(p.Ignored)+" differ only in what does not count")
	}
	if p.Message != "" {
		return p.Message
	}
	return strings.Join(parts, ", ")
}

func changes(created, updated, deleted int) string {
	return fmt.Sprintf("+%d ~%d -%d", created, updated, deleted)
}

// wrap breaks a text into lines of at most width runes, between words where it can.
func wrap(text string, width int) (lines []string) {
	const narrow = 20
	width = max(width, narrow)
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
