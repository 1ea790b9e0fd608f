package emitter

import "github.com/deltahook/deltahook/internal/setting"

// Webhook is the configuration of one receiver, the table [webhook.NAME]. DefaultWebhook has the defaults.
type Webhook struct {
	Name string `toml:"-"`

	URL     string            `toml:"url"`
	Method  string            `toml:"method"`
	Headers map[string]string `toml:"headers"`

	Secret setting.SecretList `toml:"secret"` // one or several: all sign
	Sign   string             `toml:"sign"`   // "standard", "none"
	Format string             `toml:"format"` // "standard"

	Events []string `toml:"events"` // globs of event types; empty: all

	Order       string           `toml:"order"` // "key", "source", "none"
	Rate        setting.Rate     `toml:"rate"`
	MaxInFlight int              `toml:"max_in_flight"`
	Timeout     setting.Duration `toml:"timeout"`

	Retry    Retry  `toml:"retry"`
	MaxQueue int64  `toml:"max_queue"`
	OnFull   string `toml:"on_full"` // "pause"
}

// Retry is when a failed delivery is tried again, the table retry.
type Retry struct {
	Schedule    []setting.Duration `toml:"schedule"`
	Jitter      float64            `toml:"jitter"` // share of each wait that may be added
	GiveUpAfter setting.Duration   `toml:"give_up_after"`
}
