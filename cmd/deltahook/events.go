package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
)

func (a *app) events() *cobra.Command {
	var (
		q      store.EventQuery
		since  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List detected changes, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if q.Since, err = sinceTime(since, time.Now()); err != nil {
				return err
			}
			view, done, err := a.view(cmd.Context(), reading)
			if err != nil {
				return err
			}
			defer done()
			list, err := view.Events(cmd.Context(), q)
			if err != nil {
				return failure(err)
			}
			if asJSON {
				return jsonLines(a.stdout, list)
			}
			return a.printEvents(list)
		},
	}
	cmd.Flags().StringVar(&q.Source, "source", "", "only of this source")
	cmd.Flags().StringVar(&q.Type, "type", "", "only of this type, like contacts.updated")
	cmd.Flags().StringVar(&q.Key, "key", "", "only of the record with this key")
	cmd.Flags().StringVar(&since, "since", "", "only after this: 2h, 3d, 09:00 or 2026-01-31T12:00:00Z")
	cmd.Flags().IntVar(&q.Limit, "limit", 50, "at most so many")
	jsonFlag(cmd, &asJSON)
	cmd.AddCommand(a.eventsShow())
	return cmd
}

func (a *app) printEvents(list []admin.Event) error {
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "no events")
		return nil
	}
	rows := make([][]string, len(list))
	for i, e := range list {
		rows[i] = []string{local(e.At), e.ID, e.Type, e.Key, strconv.FormatInt(e.Sequence, 10)}
	}
	return a.table([]string{"DETECTED", "EVENT", "TYPE", "KEY", "SEQUENCE"}, rows)
}

func (a *app) eventsShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one event: payload, deliveries, attempts",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.eventDetail(cmd, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return jsonLines(a.stdout, []admin.EventDetail{d})
			}
			a.printEvent(d)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) eventDetail(cmd *cobra.Command, id string) (admin.EventDetail, error) {
	view, done, err := a.view(cmd.Context(), reading)
	if err != nil {
		return admin.EventDetail{}, err
	}
	defer done()
	d, err := view.Event(cmd.Context(), id)
	if err != nil {
		return d, failureHint(err, "list them: deltahook events")
	}
	return d, nil
}

func (a *app) printEvent(d admin.EventDetail) {
	a.printEventLine(d.Event)
	for _, delivery := range d.Deliveries {
		a.printDelivery(delivery, false)
	}
	if d.Payload == nil {
		return
	}
	fmt.Fprintln(a.stdout)
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, d.Payload, "", "  "); err != nil {
		pretty.Write(d.Payload)
	}
	fmt.Fprintln(a.stdout, pretty.String())
}

func (a *app) printEventLine(e admin.Event) {
	fmt.Fprintf(a.stdout, "%s   %s   key %s   sequence %d   detected %s\n", a.paint(bold, e.ID), e.Type, oneLine(e.Key), e.Sequence, local(e.At))
}

// printDelivery has a line for each attempt; whole adds what was sent and answered.
func (a *app) printDelivery(d admin.Delivery, whole bool) {
	fmt.Fprintf(a.stdout, "\n%s   %s after %s", a.paint(bold, d.Webhook), d.State, plural(d.Attempts, "attempt"))
	if d.Reason != "" {
		fmt.Fprintf(a.stdout, "   %s", d.Reason)
	}
	if d.Into != "" {
		fmt.Fprintf(a.stdout, ": %s", d.Into)
	}
	fmt.Fprintln(a.stdout)
	for _, t := range d.History {
		fmt.Fprintf(a.stdout, "  %d  %s  %s  %d ms", t.Number, local(t.At), outcome(t), t.TookMS)
		if t.Trigger != "" && t.Trigger != "initial" {
			fmt.Fprintf(a.stdout, "  (%s)", t.Trigger)
		}
		if t.Excerpt != "" && !whole {
			fmt.Fprintf(a.stdout, "  %s", clip(t.Excerpt, 80))
		}
		fmt.Fprintln(a.stdout)
		if whole {
			a.printExchange("sent", t.Request)
			a.printExchange("answer", t.Excerpt)
		}
	}
	if d.State == store.StatePending && d.Next.After(time.Now()) {
		fmt.Fprintf(a.stdout, "  next not before %s\n", local(d.Next))
	}
	if !d.Settled.IsZero() {
		fmt.Fprintf(a.stdout, "  %s at %s\n", d.State, local(d.Settled))
	}
}

// printExchange writes what went over the wire, indented.
func (a *app) printExchange(what, text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintf(a.stdout, "       %-6s  %s\n", what, strings.TrimRight(line, "\r\n"))
		what = ""
	}
}

func outcome(t admin.Attempt) string {
	if t.Status != 0 {
		return strconv.Itoa(t.Status)
	}
	if t.Error != "" {
		return t.Error
	}
	return t.Reason
}

// local renders a time for people, in the zone of the terminal.
func local(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// sinceTime reads "2h" (ago), "09:00" (today) or a full time.
func sinceTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := setting.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if t, err := time.ParseInLocation("15:04", s, now.Location()); err == nil {
		return time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), 0, 0, now.Location()), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, usage(fmt.Sprintf("%q is no time", s), "write 2h, 3d, 09:00 or 2026-01-31T12:00:00Z")
	}
	return t, nil
}

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "one JSON object a line")
}
