package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

func (a *app) deliveries() *cobra.Command {
	var (
		sel    selection
		limit  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "deliveries",
		Short: "List events on their way to webhooks, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := sel.query(time.Now())
			if err != nil {
				return err
			}
			q.Limit = limit
			view, done, err := a.view(cmd.Context(), reading)
			if err != nil {
				return err
			}
			defer done()
			list, err := view.Deliveries(cmd.Context(), q)
			if err != nil {
				return failure(err)
			}
			if asJSON {
				return jsonLines(a.stdout, list)
			}
			return a.printDeliveries(list)
		},
	}
	sel.filterFlags(cmd)
	sel.stateFlags(cmd, &sel.parked, &sel.pending, &sel.delivered, &sel.dropped)
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	jsonFlag(cmd, &asJSON)
	cmd.AddCommand(a.deliveriesShow(), a.deliveriesDrop())
	return cmd
}

func (a *app) printDeliveries(list []admin.Delivery) error {
	if len(list) == 0 {
		fmt.Fprintln(a.stdout, "no deliveries")
		return nil
	}
	rows := make([][]string, len(list))
	for i, d := range list {
		if d.Into != "" {
			d.Reason = "with " + d.Into
		}
		rows[i] = []string{
			d.Event, d.Webhook, d.Type, d.Key, d.State, strconv.Itoa(d.Attempts), statusText(d), d.Reason,
		}
	}
	return a.table([]string{"EVENT", "WEBHOOK", "TYPE", "KEY", "STATE", "ATTEMPTS", "LAST", "REASON"}, rows)
}

func statusText(d admin.Delivery) string {
	if d.Status == 0 {
		return "-"
	}
	return fmt.Sprintf("%d, %d ms", d.Status, d.TookMS)
}

func (a *app) deliveriesShow() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show the deliveries of one event with every attempt",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.eventDetail(cmd, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return jsonLines(a.stdout, d.Deliveries)
			}
			a.printEventLine(d.Event)
			for _, delivery := range d.Deliveries {
				a.printDelivery(delivery, true)
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// selection is the flags that choose deliveries, the same for looking and for replaying.
type selection struct {
	webhook, source, typ, key, event    string
	reason, since, until                string
	parked, pending, delivered, dropped bool
}

func (s *selection) filterFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.webhook, "webhook", "", "only to this webhook")
	f.StringVar(&s.source, "source", "", "only of this source")
	f.StringVar(&s.typ, "type", "", "only of this type, like contacts.updated")
	f.StringVar(&s.key, "key", "", "only of the record with this key")
	f.StringVar(&s.since, "since", "", "only detected after this: 2h, 3d, 09:00 or 2026-01-31T12:00:00Z")
	f.StringVar(&s.until, "until", "", "only detected before this")
	f.StringVar(&s.reason, "reason", "", "only those whose reason has this in it, like 422 or \"gave up\"")
}

// stateFlags offers the flags of some states, given by their variables.
func (s *selection) stateFlags(cmd *cobra.Command, states ...*bool) {
	var names []string
	for _, state := range states {
		var name, what string
		switch state {
		case &s.parked:
			name, what = "parked", "only those that wait for a person"
		case &s.pending:
			name, what = "pending", "only those on their way"
		case &s.delivered:
			name, what = "delivered", "only those that were accepted"
		case &s.dropped:
			name, what = "dropped", "only those that a person dropped"
		}
		cmd.Flags().BoolVar(state, name, false, what)
		names = append(names, name)
	}
	cmd.MarkFlagsMutuallyExclusive(names...)
}

func (s *selection) query(now time.Time) (q store.DeliveryQuery, err error) {
	q = store.DeliveryQuery{Webhook: s.webhook, Source: s.source, Type: s.typ, Key: s.key, EventID: s.event, Reason: s.reason}
	switch {
	case s.parked:
		q.State = store.StateParked
	case s.pending:
		q.State = store.StatePending
	case s.delivered:
		q.State = store.StateDelivered
	case s.dropped:
		q.State = store.StateDropped
	}
	if q.Since, err = sinceTime(s.since, now); err != nil {
		return q, err
	}
	q.Until, err = sinceTime(s.until, now)
	return q, err
}
