package config

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
)

// Alerts is whom deltahook tells of its own health, the table [alerts].
type Alerts struct {
	To             []string         `toml:"to"`     // webhooks that get the events deltahook.*
	After          setting.Duration `toml:"after"`  // for so long a failure must have lasted
	Repeat         setting.Duration `toml:"repeat"` // between reminders; 0: none
	Heartbeat      setting.Secret   `toml:"heartbeat"`
	HeartbeatEvery setting.Duration `toml:"heartbeat_every"`
}

// DefaultAlerts gives the defaults of [alerts].
func DefaultAlerts() Alerts {
	return Alerts{After: setting.Duration(5 * time.Minute), Repeat: setting.Duration(24 * time.Hour), HeartbeatEvery: setting.Duration(time.Minute)}
}

// HeartbeatURL gives the address of the heartbeat; empty when there is none.
func (a *Alerts) HeartbeatURL(secrets *setting.Secrets) (string, error) {
	if a.Heartbeat.IsZero() {
		return "", nil
	}
	return secrets.Resolve(a.Heartbeat)
}

// Validate reports what is wrong with the section.
func (a *Alerts) Validate(secrets *setting.Secrets) setting.Problems {
	var p setting.Problems
	const shortest = time.Minute
	if a.Repeat != 0 && a.Repeat.Std() < shortest {
		p.Add(`write a time like "24h", or "0s" for no reminders`, fmt.Sprintf("repeat = %q would be a flood", a.Repeat), "repeat")
	}
	if a.HeartbeatEvery.Std() < 10*time.Second {
		p.Add(`write "10s" or more`, fmt.Sprintf("heartbeat_every = %q is too often", a.HeartbeatEvery), "heartbeat_every")
	}
	address, err := a.HeartbeatURL(secrets)
	if err != nil {
		p.Add(setting.Hint(err), err.Error(), "heartbeat")
		return p
	}
	if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		p.Add(`write "https://…", or a reference to it`, "heartbeat is not a URL", "heartbeat")
	}
	return p
}

// alerts makes the section, and looks at the webhooks that it names.
func (l *loader) alerts(p *part, webhooks []string) {
	b := l.bind(p, &l.config.Alerts)
	problems := l.config.Alerts.Validate(l.secrets)
	if !l.vague {
		checkNames(&problems, l.config.Alerts.To, webhooks, "")
	}
	l.check(b, nil, problems)
}

// checkDeaf warns of a webhook that asks for alerts alone and gets none.
func (l *loader) checkDeaf() {
	for _, p := range l.list {
		w, ok := l.config.Webhook(p.name)
		if p.kind != kindWebhook || !ok || !w.AlertsOnly() || slices.Contains(l.config.Alerts.To, w.Name) || l.vague {
			continue
		}
		l.found.warn(p.doc, p.node.origin(), "nothing is ever sent to the webhook "+w.Name+": events names only those of deltahook itself",
			fmt.Sprintf("write [alerts] to = [%q], or take %s.* out of events", w.Name, emitter.Own))
	}
}
