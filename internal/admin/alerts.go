package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
)

// Alerting is whom deltahook tells of troubles, as [alerts] says, and how that goes.
type Alerting struct {
	To        []string   `json:"to"`                  // webhooks; none: nobody is told
	After     string     `json:"after"`               // for so long a failure lasts before it is told
	Repeat    string     `json:"repeat"`              // between reminders; 0s: there are none
	Sent      time.Time  `json:"sent,omitzero"`       // when the last alert was stored for delivery
	Heartbeat *Heartbeat `json:"heartbeat,omitempty"` // nil: there is none
}

// Heartbeat is how the heartbeat goes; its address is a secret.
type Heartbeat struct {
	Every   string    `json:"every"`
	Arrived time.Time `json:"arrived,omitzero"` // the last one, since the start
	Silent  bool      `json:"silent"`           // it stays away on purpose: something is wrong for longer than alerts.after
	Error   string    `json:"error,omitempty"`  // why the last one did not arrive
}

// Alert is one trouble.
type Alert struct {
	Type      string    `json:"type"` // of the event that tells of it: deltahook.source.failing
	Source    string    `json:"source,omitempty"`
	Webhook   string    `json:"webhook,omitempty"`
	Since     time.Time `json:"since"`
	Told      time.Time `json:"told,omitzero"` // when it was first told; zero: it has not lasted for alerts.after
	Last      time.Time `json:"last,omitzero"` // when it was told, or somebody was reminded of it, last
	Next      time.Time `json:"next,omitzero"` // when it is told, or somebody is reminded of it, next; zero: never
	Reminders int       `json:"reminders"`     // since it was told
	Failures  int       `json:"failures,omitempty"`
	Message   string    `json:"message,omitempty"`
	Hint      string    `json:"hint,omitempty"` // what follows, or the command that helps
}

// AlertBoard is all about alerts: who is told, and what is wrong.
type AlertBoard struct {
	Alerting
	Alerts []Alert `json:"alerts"` // by their begin; those that were not told yet included
}

// Board gives what the status has of alerts.
func (s *Status) Board() AlertBoard {
	b := AlertBoard{Alerts: s.Alerts}
	if s.Alerting != nil {
		b.Alerting = *s.Alerting
	}
	if b.To == nil {
		b.To = []string{}
	}
	if b.Alerts == nil {
		b.Alerts = []Alert{}
	}
	return b
}

// Quiet says that there is nothing to say of alerts: nobody would be told, and nothing is wrong.
func (b *AlertBoard) Quiet() bool { return len(b.To)+len(b.Alerts) == 0 && b.Heartbeat == nil }

// Alerting gives what the configuration says of alerts, and when the last one was sent, by whichever replica.
func (l Lists) Alerting(ctx context.Context) (*Alerting, error) {
	c := l.configuration()
	out := &Alerting{To: c.Alerts.To, After: c.Alerts.After.String(), Repeat: c.Alerts.Repeat.String()}
	if out.To == nil {
		out.To = []string{}
	}
	if !c.Alerts.Heartbeat.IsZero() {
		out.Heartbeat = &Heartbeat{Every: c.Alerts.HeartbeatEvery.String()}
	}
	list, err := l.Events(ctx, store.EventQuery{Source: emitter.Own, Limit: 1})
	if len(list) > 0 {
		out.Sent = list[0].At
	}
	return out, err
}

func (h *handler) alerts(r *http.Request) (any, error) {
	s, err := h.View.Status(r.Context())
	if err != nil {
		return nil, err
	}
	return s.Board(), nil
}
