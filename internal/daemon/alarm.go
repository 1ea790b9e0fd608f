package daemon

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
)

// The types of the events that deltahook sends of itself, without "deltahook." in front.
const (
	alertBaselined        = "source.baselined"
	alertSourceFailing    = "source.failing"
	alertSourceHeld       = "source.held"
	alertSourceQuiet      = "source.quiet"
	alertSourceRecovered  = "source.recovered"
	alertWebhookFailing   = "webhook.failing"
	alertWebhookPaused    = "webhook.paused"
	alertWebhookRecovered = "webhook.recovered"
	alertParked           = "event.parked"
	alertRejected         = "config.rejected"
	alertDiffers          = "config.differs"
)

// subject is what an event of deltahook is about; both empty: deltahook itself.
type subject struct {
	Source  string `json:"source,omitempty"`
	Webhook string `json:"webhook,omitempty"`
}

// key is that of the events about it: they go out one after the other.
func (s subject) key() string {
	switch {
	case s.Source != "":
		return "source/" + s.Source
	case s.Webhook != "":
		return "webhook/" + s.Webhook
	}
	return "config"
}

// alarm is one trouble, from its begin until its end was told.
type alarm struct {
	Type     string    `json:"type"`
	About    subject   `json:"about"`
	Since    time.Time `json:"since"`
	Told     time.Time `json:"told,omitzero"` // zero: not yet
	Last     time.Time `json:"last,omitzero"` // when it was told or a person was reminded of it
	Reminder int       `json:"reminder"`      // how many there were
	Failures int       `json:"failures"`      // in a row
	Message  string    `json:"message,omitempty"`
	Hint     string    `json:"hint,omitempty"`
	ended    time.Time // zero: it lasts
}

// patient says that it is told only when it has lasted for a while: the others wait for a person anyway.
func (a *alarm) patient() bool {
	return a.Type == alertSourceFailing || a.Type == alertWebhookFailing || a.Type == alertDiffers // while an update is rolled out
}

// due gives when it is to be told, or a person reminded; zero: never.
func (a *alarm) due(after, repeat time.Duration) time.Time {
	switch {
	case a.Told.IsZero() && a.patient():
		return a.Since.Add(after)
	case a.Told.IsZero():
		return a.Since
	case repeat <= 0:
		return time.Time{}
	}
	return a.Last.Add(repeat)
}

// over gives the type of the event that tells of the end; empty: none does.
func (a *alarm) over() string {
	switch kind, _, _ := strings.Cut(a.Type, "."); kind {
	case "source":
		return alertSourceRecovered
	case "webhook":
		return alertWebhookRecovered
	}
	return ""
}

// alert is what an event of deltahook says, its data.
type alert struct {
	Source   string    `json:"source"` // deltahook
	Key      string    `json:"key"`
	Sequence int64     `json:"sequence"`
	About    subject   `json:"about"`
	State    string    `json:"state"` // the last word of the type; of the end, of what it is the end
	Since    time.Time `json:"since,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Lasted   int64     `json:"lasted_seconds,omitempty"`
	Reminder int       `json:"reminder"`
	Failures int       `json:"failures,omitempty"`
	Count    int       `json:"count,omitempty"`
	Events   []string  `json:"events,omitempty"` // ids, the first ten
	Records  int64     `json:"records,omitempty"`
	Message  string    `json:"message,omitempty"`
	Hint     string    `json:"hint,omitempty"`

	kind string // the type
}

func (a *alarm) alert(now time.Time) alert {
	_, state, _ := strings.Cut(a.Type, ".")
	out := alert{About: a.About, State: state, Since: a.Since.UTC(), Reminder: a.Reminder, Failures: a.Failures, Message: a.Message, Hint: a.Hint, kind: a.Type}
	if lasted := now.Sub(a.Since); lasted >= time.Second {
		out.Lasted = int64(lasted / time.Second)
	}
	return out
}

// end is the alert that tells of the end.
func (a *alarm) end() alert {
	out := a.alert(a.ended)
	out.kind, out.Ended, out.Message, out.Hint = a.over(), a.ended.UTC(), "", ""
	return out
}

// event makes the event of an alert.
func (a *alert) event(sequence int64, at time.Time) (*emitter.Event, error) {
	a.Source, a.Key, a.Sequence = emitter.Own, a.About.key(), sequence
	data, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	e := emitter.Notice(emitter.Own+"."+a.kind, at, data)
	e.Source, e.Sequence, e.Change.Key = emitter.Own, sequence, a.Key
	return e, nil
}

func sortAlarms(list []*alarm) {
	slices.SortFunc(list, func(a, b *alarm) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.About.key()+a.Type, b.About.key()+b.Type)
	})
}
