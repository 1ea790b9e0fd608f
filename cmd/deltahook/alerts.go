package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
)

// printAlerts shows what is wrong since when, who was told of it, and how the heartbeat goes.
func (a *app) printAlerts(b admin.AlertBoard, now time.Time) error {
	if len(b.Alerts) > 0 {
		fmt.Fprintln(a.stdout)
		rows := make([][]string, len(b.Alerts))
		for i := range b.Alerts {
			one := &b.Alerts[i]
			rows[i] = []string{alertName(one), ago(now, one.Since), ago(now, one.Told), count(int64(one.Reminders)), untilNext(one.Next, now), one.Message}
		}
		if err := a.table([]string{"ALERT", "SINCE", "TOLD", "REMINDED", "NEXT", "MESSAGE"}, rows); err != nil {
			return err
		}
	}
	switch {
	case len(b.To) > 0:
		fmt.Fprintf(a.stdout, "\nalerts go to %s, failures after %s, reminders each %s; the last one was sent %s\n", strings.Join(b.To, ", "), b.After, b.Repeat, agoWords(now, b.Sent))
	case len(b.Alerts) > 0:
		fmt.Fprintln(a.stdout, "\nnobody is told of this: name a webhook in [alerts] to")
	}
	if h := b.Heartbeat; h != nil {
		fmt.Fprintf(a.stdout, "heartbeat each %s: %s\n", h.Every, a.beatWords(h, now))
	}
	return nil
}

// alertName says what an alert is about and what is wrong: "source crm failing".
func alertName(one *admin.Alert) string {
	kind := strings.TrimPrefix(one.Type, emitter.Own+".")
	about, state, _ := strings.Cut(kind, ".")
	return strings.Join(strings.Fields(about+" "+one.Source+one.Webhook+" "+state), " ")
}

func (a *app) beatWords(h *admin.Heartbeat, now time.Time) string {
	switch {
	case h.Silent:
		return "stays away, because something is wrong"
	case h.Error != "":
		return a.paint(red, "does not arrive: "+h.Error)
	}
	return "arrived " + agoWords(now, h.Arrived)
}

// agoWords is ago in a sentence.
func agoWords(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return ago(now, t) + " ago"
}
