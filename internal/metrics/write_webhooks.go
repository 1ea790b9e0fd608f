package metrics

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

// webhookGauge is a gauge or a counter of each webhook, read from its status.
type webhookGauge struct {
	name, kind, help string
	value            func(w *admin.Webhook) float64
}

func webhookGauges(at time.Time) []webhookGauge {
	return []webhookGauge{
		{
			"deltahook_queue_oldest_age_seconds", gauge, "How long ago the oldest event that waits for the webhook was detected; 0: none waits.",
			func(w *admin.Webhook) float64 { return since(w.Oldest, at) },
		},
		{"deltahook_webhook_in_flight", gauge, "Deliveries under way.", func(w *admin.Webhook) float64 { return float64(w.InFlight) }},
		{
			"deltahook_webhook_consecutive_failures", gauge, "Attempts in a row by which the webhook failed.",
			func(w *admin.Webhook) float64 { return float64(w.Failures) },
		},
		{
			"deltahook_webhook_clock_skew_seconds", gauge, "How far the clock of the receiver is ahead, by its last answer.",
			func(w *admin.Webhook) float64 { return (time.Duration(w.ClockSkewMS) * time.Millisecond).Seconds() },
		},
		{
			"deltahook_webhook_merged_total", counter, "Events that another one of their record carries (coalesce).",
			func(w *admin.Webhook) float64 { return float64(w.Merged) },
		},
	}
}

// writeWebhooks writes how each webhook is, its queue, and what was counted of it.
func (m *Metrics) writeWebhooks(p *page, now *Now) {
	p.family("deltahook_webhook_state", gauge, "1 for the state that the webhook is in, 0 for the others.")
	for i := range now.Webhooks {
		for _, state := range webhookStates() {
			p.sample(bit(now.Webhooks[i].State == state), "webhook", now.Webhooks[i].Name, "state", state)
		}
	}
	p.family("deltahook_queue_events", gauge, "Deliveries that are not settled: pending ones are sent as soon as may be, parked ones wait for a person.")
	for i := range now.Webhooks {
		w := &now.Webhooks[i]
		p.sample(float64(w.Queued), "webhook", w.Name, "state", "pending")
		p.sample(float64(w.Parked), "webhook", w.Name, "state", "parked")
	}
	for _, f := range webhookGauges(time.Now()) {
		p.family(f.name, f.kind, f.help)
		for i := range now.Webhooks {
			p.sample(f.value(&now.Webhooks[i]), "webhook", now.Webhooks[i].Name)
		}
	}
	m.writeAttempts(p, now)
}

// writeAttempts writes the counters of webhooks.
func (m *Metrics) writeAttempts(p *page, now *Now) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p.family("deltahook_webhook_attempts_total", counter, "Attempts to deliver, by class of status (none: no answer came) and by result.")
	for i := range now.Webhooks {
		if w := m.webhooks[now.Webhooks[i].Name]; w != nil {
			w.writeAttempts(p, now.Webhooks[i].Name)
		}
	}
	p.family("deltahook_webhook_attempt_duration_seconds", histogram, "How long attempts to deliver took.")
	for i := range now.Webhooks {
		if w := m.webhooks[now.Webhooks[i].Name]; w != nil {
			w.took.write(p, "webhook", now.Webhooks[i].Name)
		}
	}
}

func (w *webhook) writeAttempts(p *page, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	order := func(a, b result) int { return cmp.Or(cmp.Compare(a.codes, b.codes), cmp.Compare(a.class, b.class)) }
	for _, r := range slices.SortedFunc(maps.Keys(w.attempts), order) {
		p.sample(float64(w.attempts[r]), "webhook", name, "code_class", r.codes, "result", r.class.String())
	}
}
