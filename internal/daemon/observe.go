package daemon

import (
	"log/slog"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/metrics"
	"github.com/deltahook/deltahook/poller"
)

// watcher turns what happens to sources into logs: transitions, not repetitions.
type watcher struct {
	log     *slog.Logger
	journal *admin.Journal
	// polled is told of every poll; nil: nobody.
	polled  func(poller.Result)
	metrics *metrics.Metrics
	alerts  *alerts
}

// Polled logs a poll at debug level.
func (w watcher) Polled(r poller.Result) {
	w.journal.Polled(&r)
	w.metrics.Polled(&r)
	w.alerts.polled(&r)
	if w.polled != nil {
		w.polled(r)
	}
	if r.Notice != "" {
		w.log.Warn("changes may have been missed", "source", r.Source, "reason", r.Notice)
	}
	w.log.Debug("polled",
		"source", r.Source, "verdict", r.Verdict, "mode", r.Mode, "took", r.Took.String(), "pages", r.Pages, "records", r.Records,
		"created", r.Created, "updated", r.Updated, "deleted", r.Deleted, "events", r.Events)
}

// Transition logs that a source changed its state.
func (w watcher) Transition(t poller.Transition) {
	w.journal.Transition(&t)
	w.alerts.turned(&t)
	log := w.log.With("source", t.Source)
	if t.Hint != "" {
		log = log.With("hint", t.Hint)
	}
	if !t.NextPoll.IsZero() {
		log = log.With("next_poll", t.NextPoll)
	}
	switch t.Turn {
	case poller.Baselined:
		if t.Events > 0 {
			log.Info(`baseline saved: these records are known from now on and were told as created (initial = "emit")`, "records", t.Records, "events", t.Events)
			return
		}
		log.Info("baseline saved: these records are known from now on and are not events", "records", t.Records)
	case poller.Failing:
		log.Warn("source is failing", "failures", t.Failures, "since", t.Since, "err", t.Message)
	case poller.Recovered:
		log.Info("source has recovered", "failures", t.Failures, "lasted", t.At.Sub(t.Since).Round(time.Second).String())
	case poller.Halted:
		log.Warn("source is held until a person decides", "reason", t.Message)
	case poller.Quiet:
		log.Warn("source is quiet: it answers, but nothing changes", "last_change", t.Since, "reason", t.Message)
	case poller.Stirred:
		log.Info("source is not quiet any more", "last_change", t.Since)
	case poller.Released:
		if t.Message != "" {
			log = log.With("outcome", t.Message)
		}
		log.Info("source is released")
	}
}
