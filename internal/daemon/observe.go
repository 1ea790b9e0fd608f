package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/deltahook/deltahook/poller"
)

// watcher turns what happens to sources into logs: transitions, not repetitions.
type watcher struct {
	log *slog.Logger
	// polled is told of every poll; nil: nobody.
	polled func(poller.Result)
}

// Polled logs a poll at debug level.
func (w watcher) Polled(r poller.Result) {
	if w.polled != nil {
		w.polled(r)
	}
	w.log.Debug("polled",
		"source", r.Source, "verdict", r.Verdict, "took", r.Took.String(), "pages", r.Pages, "records", r.Records,
		"created", r.Created, "updated", r.Updated, "deleted", r.Deleted, "events", r.Events)
}

// Transition logs that a source changed its state.
func (w watcher) Transition(t poller.Transition) {
	attrs := []any{"source", t.Source}
	level, text := slog.LevelInfo, ""
	switch t.Turn {
	case poller.Baselined:
		text = "baseline saved: these records are known from now on and are not events"
		attrs = append(attrs, "records", t.Records)
	case poller.Failing:
		level, text = slog.LevelWarn, "source is failing"
		attrs = append(attrs, "failures", t.Failures, "since", t.Since, "err", t.Message)
	case poller.Recovered:
		text = "source has recovered"
		attrs = append(attrs, "failures", t.Failures, "lasted", t.At.Sub(t.Since).Round(time.Second).String())
	case poller.Halted:
		level, text = slog.LevelWarn, "source is held until a person decides"
		attrs = append(attrs, "reason", t.Message)
	case poller.Released:
		text = "source is released"
	}
	if t.Hint != "" {
		attrs = append(attrs, "hint", t.Hint)
	}
	if !t.NextPoll.IsZero() {
		attrs = append(attrs, "next_poll", t.NextPoll)
	}
	w.log.Log(context.Background(), level, text, attrs...)
}
