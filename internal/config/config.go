// Package config reads the configuration: it merges files, binds them to the sections that the other packages own, and says
// of everything that is wrong where it stands and what to do about it.
package config

import (
	"slices"
	"strings"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// The tables of a configuration.
const (
	kindSource   = "source"
	kindWebhook  = "webhook"
	kindHost     = "host"
	kindDefaults = "defaults"
	kindStore    = "store"
	kindAdmin    = "admin"
	kindLog      = "log"
	kindAlerts   = "alerts"
)

// Config is a valid configuration. Load makes it.
type Config struct {
	Sources  []*poller.Source   // by name
	Webhooks []*emitter.Webhook // by name
	Hosts    []poller.Host      // by name
	Store    Store
	Admin    Admin
	Log      Log
	Alerts   Alerts

	Files       []string // that it was read from
	Fingerprint string   // of the content of the files, see Fingerprint
}

// Default gives the configuration of an empty file.
func Default() *Config {
	return &Config{Store: DefaultStore(), Admin: DefaultAdmin(), Log: DefaultLog(), Alerts: DefaultAlerts()}
}

// Source gives the source of this name.
func (c *Config) Source(name string) (*poller.Source, bool) {
	i, ok := slices.BinarySearchFunc(c.Sources, name, func(s *poller.Source, name string) int { return strings.Compare(s.Name, name) })
	if !ok {
		return nil, false
	}
	return c.Sources[i], true
}

// Webhook gives the webhook of this name.
func (c *Config) Webhook(name string) (*emitter.Webhook, bool) {
	i, ok := slices.BinarySearchFunc(c.Webhooks, name, func(w *emitter.Webhook, name string) int { return strings.Compare(w.Name, name) })
	if !ok {
		return nil, false
	}
	return c.Webhooks[i], true
}

// WebhookRate gives the rate of the webhook of this name; zero when it has none.
func (c *Config) WebhookRate(name string) setting.Rate {
	w, ok := c.Webhook(name)
	if !ok {
		return setting.Rate{}
	}
	return w.Rate
}
