package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

func (a *app) tail() *cobra.Command {
	t := &tailing{app: a}
	var since string
	var polls bool
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show what happens while it happens: changes, deliveries, troubles",
		Long: "Shows each change, each attempt to deliver and each trouble in one line, until Ctrl-C. When the daemon restarts, it waits for it and\n" +
			"goes on where it was, as far as the daemon remembers. With --since it begins with the changes since then.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if t.since, err = sinceTime(since, time.Now()); err != nil {
				return err
			}
			if !polls && !t.query.Failed {
				t.query.Kinds = []string{admin.KindEvent, admin.KindAttempt, admin.KindTransition}
			}
			return t.run(cmd.Context())
		},
	}
	cmd.Flags().StringArrayVar(&t.query.Sources, "source", nil, "only of this source; several times: of these")
	cmd.Flags().StringArrayVar(&t.query.Webhooks, "webhook", nil, "only attempts at this webhook and its troubles; several times: of these")
	cmd.Flags().StringArrayVar(&t.query.Types, "type", nil, "only events of this type and their attempts, like '*.deleted'; several times: of these")
	cmd.Flags().BoolVar(&t.query.Failed, "failed", false, "only what failed")
	cmd.Flags().BoolVar(&polls, "polls", false, "polls, too, also those that changed nothing")
	cmd.Flags().StringVar(&since, "since", "", "begin with what was detected after this: 2h, 3d, 09:00 or 2026-01-31T12:00:00Z")
	cmd.Flags().IntVar(&t.count, "count", 0, "end after so many lines; 0: never")
	jsonFlag(cmd, &t.asJSON)
	return cmd
}

// tailing follows a daemon.
type tailing struct {
	*app
	query  admin.StreamQuery
	since  time.Time
	asJSON bool
	count  int

	client *admin.Client
	lines  int
	listed map[string]bool // events that were listed because of since
}

var errEnough = errors.New("enough")

func (t *tailing) run(ctx context.Context) error {
	_, secrets, report, err := t.loadReport()
	if err != nil {
		return err
	}
	client := t.app.client(ctx, report.Draft, secrets)
	if client == nil {
		return notRunning(report.Draft, secrets, startHint)
	}
	if t.client = client; !t.since.IsZero() {
		t.query.After = 1 // before all that is remembered
	}
	pause, heard := time.Duration(0), false
	for {
		err := client.Stream(ctx, t.query, func(it admin.Item) error {
			heard, pause = true, 0
			return t.take(ctx, it)
		})
		switch {
		case ctx.Err() != nil, errors.Is(err, errEnough):
			return nil //nolint:nilerr // a person ended it
		case errors.Is(err, admin.ErrTooSlow), errors.Is(err, admin.ErrEnded):
			heard = true
		case !heard && !errors.Is(err, admin.ErrTooMany):
			return failureHint(err, startHint)
		}
		if pause == 0 {
			fmt.Fprintf(t.stderr, "%s; it is asked again\n", err)
		}
		if pause = min(pause+time.Second/2, 5*time.Second); !waitFor(ctx, pause) {
			return nil
		}
	}
}

// waitFor lets time pass, and says whether there is reason to go on.
func waitFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// take prints an item, unless it was printed before.
func (t *tailing) take(ctx context.Context, it admin.Item) error {
	if it.ID != 0 {
		t.query.After = it.ID
	}
	switch {
	case it.Kind == admin.KindIdle:
		return nil
	case it.Kind == admin.KindGap && !t.since.IsZero() && t.listed == nil:
		return t.list(ctx, it.At)
	case it.At.Before(t.since), t.listed[it.Event] && it.Kind == admin.KindEvent:
		return nil
	}
	return t.print(it)
}

// list prints the events since the time that was asked for until the one from which on the daemon remembers, oldest first.
func (t *tailing) list(ctx context.Context, until time.Time) error {
	const most = 1000
	t.listed = map[string]bool{}
	if len(t.query.Webhooks) > 0 || t.query.Failed {
		return nil // events have neither
	}
	q := store.EventQuery{Since: t.since, Until: until, Limit: most}
	if len(t.query.Sources) == 1 {
		q.Source = t.query.Sources[0]
	}
	list, err := t.client.Events(ctx, q)
	if err != nil {
		return err
	}
	if len(list) == most {
		fmt.Fprintf(t.stderr, "there are more than %d events; these are the last ones\n", most)
	}
	for _, e := range slices.Backward(list) {
		it := admin.Item{Kind: admin.KindEvent, At: e.At, Source: e.Source, Event: e.ID, Type: e.Type, Key: e.Key, Sequence: e.Sequence}
		if t.listed[e.ID] = true; !t.query.Wants(&it) {
			continue
		}
		if err := t.print(it); err != nil {
			return err
		}
	}
	return nil
}

func (t *tailing) print(it admin.Item) error {
	if t.asJSON {
		if err := jsonLines(t.stdout, []admin.Item{it}); err != nil {
			return err
		}
	} else {
		fmt.Fprintln(t.stdout, t.line(it))
	}
	if t.lines++; t.lines == t.count {
		return errEnough
	}
	return nil
}

// line gives an item as one line for people.
func (t *tailing) line(it admin.Item) string {
	at := it.At.Local().Format("15:04:05")
	switch it.Kind {
	case admin.KindEvent:
		return fmt.Sprintf("%s  %s  %s  %s", at, t.paint(bold, it.Type), oneLine(it.Key), it.Event)
	case admin.KindAttempt:
		return fmt.Sprintf("%s    %s  %s  %d ms  %s  %s", at, it.Webhook, t.result(it), it.TookMS, it.Type, oneLine(it.Key))
	case admin.KindPoll:
		return fmt.Sprintf("%s  %s  %s", at, it.Source, t.polled(it))
	case admin.KindTransition:
		colour := green
		if it.Failed {
			colour = red
		}
		what := strings.TrimSpace(it.Webhook + " " + oneLine(it.Key))
		if it.Webhook == "" {
			what = it.Source
		}
		return strings.TrimRight(fmt.Sprintf("%s  %s  %s  %s", at, what, t.paint(colour, it.State), oneLine(it.Message)), " ")
	}
	return fmt.Sprintf("%s  %s", at, t.paint(grey, oneLine(it.Message)))
}

// result says what came of an attempt.
func (t *tailing) result(it admin.Item) string {
	text := it.Outcome
	if it.Status != 0 {
		text = fmt.Sprintf("%s %d", text, it.Status)
	}
	if it.Attempt > 1 {
		text += fmt.Sprintf(" (attempt %d)", it.Attempt)
	}
	if !it.Failed {
		return t.paint(green, text)
	}
	if it.Status == 0 && it.Message != "" {
		text += ": " + oneLine(it.Message)
	}
	return t.paint(red, text)
}

func (t *tailing) polled(it admin.Item) string {
	note := pollNote(admin.PastPoll{
		Pages: it.Pages, Records: it.Records, Created: it.Created, Updated: it.Updated, Deleted: it.Deleted, Ignored: it.Ignored, Quiet: it.Quiet, Message: oneLine(it.Message),
	})
	if it.Failed {
		return t.paint(red, it.Verdict) + "  " + note
	}
	return it.Verdict + "  " + note
}
