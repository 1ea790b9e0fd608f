package emitter

import (
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/auth"
	"github.com/deltahook/deltahook/internal/outbound"
	"github.com/deltahook/deltahook/internal/setting"
)

// Webhook is the configuration of one receiver, the table [webhook.NAME]. DefaultWebhook has the defaults.
type Webhook struct {
	Name string `toml:"-"`

	URL     string            `toml:"url"`
	Method  string            `toml:"method"`
	Headers map[string]string `toml:"headers"` // sent in exactly this spelling

	Secret    setting.SecretList `toml:"secret"`    // one or several: all sign, until their not_after
	Sign      string             `toml:"sign"`      // see SignStyles
	Signature Signature          `toml:"signature"` // of the styles "template" and "rfc9421"

	Format      string   `toml:"format"`       // "standard", "cloudevents", "cloudevents-binary", "cloudevents-batch", "record", "template"
	Template    Template `toml:"template"`     // of the format "template"
	ContentType string   `toml:"content_type"` // of the format "template"; empty: application/json

	TLS         outbound.TLS   `toml:"tls"`
	Proxy       outbound.Proxy `toml:"proxy"`
	Egress      string         `toml:"egress"`       // see outbound.EgressPolicies
	EgressAllow []string       `toml:"egress_allow"` // networks that may be reached whatever egress says

	Auth      Auth      `toml:"auth"`
	Handshake Handshake `toml:"handshake"`

	SuccessWhen differ.Condition `toml:"success_when"` // on the body of a 2xx answer; zero: the status decides alone

	Events     []string          `toml:"events"`      // globs of event types; empty: all
	When       differ.Conditions `toml:"when"`        // on the event's data; all must hold
	ChangedAny differ.Watch      `toml:"changed_any"` // updates that changed none of these are not sent

	Order       string           `toml:"order"`    // "key", "source", "none"
	Coalesce    bool             `toml:"coalesce"` // events of a record that wait become one
	Rate        setting.Rate     `toml:"rate"`
	MaxInFlight int              `toml:"max_in_flight"`
	Timeout     setting.Duration `toml:"timeout"` // of one attempt, answer included

	Batch    Batch  `toml:"batch"`
	Retry    Retry  `toml:"retry"`
	MaxQueue int64  `toml:"max_queue"`
	OnFull   string `toml:"on_full"` // "pause"
}

// Retry is when a failed delivery is tried again, the table retry.
type Retry struct {
	Schedule    []setting.Duration `toml:"schedule"`      // wait before the first, second, … attempt; the last repeats
	Jitter      float64            `toml:"jitter"`        // share of each wait that may be added
	GiveUpAfter setting.Duration   `toml:"give_up_after"` // since the first attempt; then the delivery is parked
	PauseAfter  setting.Duration   `toml:"pause_after"`   // of failing without a break; then the webhook is paused; 0: never
}

// DefaultWebhook has the value of each key that is not written.
func DefaultWebhook() Webhook {
	schedule := []time.Duration{
		0, 5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
	}
	w := Webhook{
		Method: "POST", Sign: "standard", Signature: DefaultSignature(), Format: "standard", Order: orderKey,
		MaxInFlight: 8, Timeout: setting.Duration(15 * time.Second), Batch: DefaultBatch(),
		Retry:    Retry{Jitter: 0.2, GiveUpAfter: setting.Duration(72 * time.Hour), PauseAfter: setting.Duration(5 * 24 * time.Hour)},
		MaxQueue: 1_000_000, OnFull: "pause", Auth: Auth{Kind: auth.KindNone}, Handshake: DefaultHandshake(), Proxy: outbound.NewProxy("env"), Egress: outbound.NoMetadata,
	}
	for _, d := range schedule {
		w.Retry.Schedule = append(w.Retry.Schedule, setting.Duration(d))
	}
	return w
}

// The values of the key order.
const (
	orderKey    = "key"    // one event of a record at a time
	orderSource = "source" // one event of a source at a time
	orderNone   = "none"   // as they come
)
