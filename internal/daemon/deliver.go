package daemon

import (
	"context"
	"log/slog"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/metrics"
)

// receiverWatcher turns what happens to webhooks into logs: transitions, not repetitions.
type receiverWatcher struct {
	log       *slog.Logger
	journal   *admin.Journal
	attempted func(emitter.Delivery, emitter.Outcome)
	metrics   *metrics.Metrics
	alerts    *alerts
}

func (w receiverWatcher) observer() emitter.Observer {
	return emitter.Observer{
		Attempted: func(d emitter.Delivery, o emitter.Outcome) {
			w.journal.Attempted(&d, &o)
			w.metrics.Attempted(d.Webhook, &o)
			if w.attempted != nil {
				w.attempted(d, o)
			}
		},
		Failing: func(webhook string, state emitter.GateState, o emitter.Outcome) {
			w.journal.Turned(webhook, "failing", o.Error, true)
			w.alerts.gateShut(webhook, &state)
			w.log.Warn("webhook is failing; its events wait", "webhook", webhook, "status", o.Status, "reason", o.Reason, "err", o.Error, "next_try", state.Until)
		},
		Recovered: func(webhook string, was emitter.GateState) {
			w.journal.Turned(webhook, "recovered", "", false)
			w.alerts.gateOpen(webhook, was.Failures)
			w.log.Info("webhook has recovered", "webhook", webhook, "failures", was.Failures, "lasted", time.Since(was.Since).Round(time.Second).String())
		},
		Paused: func(webhook string, state emitter.GateState) {
			w.journal.Turned(webhook, "paused", state.Reason, true)
			w.alerts.gatePaused(webhook, &state)
			log := w.log.With("webhook", webhook, "reason", state.Reason, "hint", "deltahook resume "+webhook)
			if !state.Until.IsZero() {
				log = log.With("next_try", state.Until)
			}
			log.Warn("webhook is paused; its events wait")
		},
		Resumed: func(webhook string) {
			w.journal.Turned(webhook, "resumed", "", false)
			w.alerts.gateOpen(webhook, 0)
			w.log.Info("webhook is resumed", "webhook", webhook)
		},
		Parked: func(d emitter.Delivery, reason string, o emitter.Outcome) {
			w.journal.Parked(&d, reason)
			level := slog.LevelDebug // the others of a crowd
			if w.alerts.park(&d, reason) {
				level = slog.LevelWarn
			}
			w.log.Log(context.Background(), level, "event is parked until a person decides",
				"webhook", d.Webhook, "event", d.ID, "type", d.Type, "reason", reason, "status", o.Status,
				"hint", "deltahook deliveries --parked; deltahook replay "+d.ID)
		},
		Clock: w.clock,
		StoreFailed: func(op string, err error) {
			w.log.Error("the store refused; it is asked again", "op", op, "err", err)
		},
	}
}

func (w receiverWatcher) clock(webhook string, skew time.Duration, off bool) {
	if !off {
		w.log.Info("the clocks of this machine and of the receiver agree again", "webhook", webhook)
		return
	}
	w.log.Warn("the clocks of this machine and of the receiver differ; receivers refuse signatures that are five minutes off",
		"webhook", webhook, "receiver_is_ahead_by", skew.Round(time.Second).String(), "hint", "look at NTP on both: timedatectl")
}
