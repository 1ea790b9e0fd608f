package page

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
)

// selection chooses events or deliveries, as the fields of a form say it.
type selection struct {
	Webhook, Source, Type, Key, Event, State, Reason string
	Since, Until                                     string // 2h, 3d or a full time
	Rate                                             string // of a replay
	Before                                           int64
}

func selectionOf(v url.Values) selection {
	before, err := strconv.ParseInt(v.Get("before"), 10, 64)
	if err != nil {
		before = 0
	}
	return selection{
		Webhook: v.Get("webhook"), Source: v.Get("source"), Type: v.Get("type"), Key: v.Get("key"), Event: v.Get("event"),
		State: v.Get("state"), Reason: v.Get("reason"), Since: v.Get("since"), Until: v.Get("until"), Rate: v.Get("rate"), Before: before,
	}
}

func (s selection) values() url.Values {
	v := url.Values{}
	for name, value := range map[string]string{
		"webhook": s.Webhook, "source": s.Source, "type": s.Type, "key": s.Key, "event": s.Event, "state": s.State, "reason": s.Reason,
		"since": s.Since, "until": s.Until, "rate": s.Rate,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if s.Before != 0 {
		v.Set("before", strconv.FormatInt(s.Before, 10))
	}
	return v
}

// Fields are the selection as hidden fields of a form.
func (s selection) Fields() url.Values { return s.values() }

// narrowed says whether anything but the state is chosen.
func narrowed(s selection) bool {
	s.State, s.Before = "", 0
	return s != selection{}
}

func (s selection) link() string { return "/deliveries?" + s.values().Encode() }

// sinceTime reads "2h" (ago) or a full time.
func sinceTime(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := setting.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, badTime(name, text)
	}
	return t, nil
}

func (s selection) deliveries(now time.Time) (q store.DeliveryQuery, err error) {
	q = store.DeliveryQuery{
		Webhook: s.Webhook, Source: s.Source, Type: s.Type, Key: s.Key, EventID: s.Event, State: s.State, Reason: s.Reason, Before: s.Before,
	}
	if states := deliveryStates(); s.State != "" && !slices.Contains(states, s.State) {
		return q, badState(s.State, states)
	}
	if q.Since, err = sinceTime("since", s.Since, now); err != nil {
		return q, err
	}
	q.Until, err = sinceTime("until", s.Until, now)
	return q, err
}

func (s selection) events(now time.Time) (q store.EventQuery, err error) {
	q = store.EventQuery{Source: s.Source, Type: s.Type, Key: s.Key, Before: s.Before}
	if q.Since, err = sinceTime("since", s.Since, now); err != nil {
		return q, err
	}
	q.Until, err = sinceTime("until", s.Until, now)
	return q, err
}

func deliveryStates() []string {
	return []string{store.StatePending, store.StateParked, store.StateDelivered, store.StateDropped, store.StateMerged}
}

// command is the command that changes what is chosen. A list's place is not part of it.
func (s selection) command(kind admin.ChangeKind) string {
	if kind == admin.Skip {
		return commandOf("resume", s.Webhook, "--webhook", "--skip")
	}
	words := []string{"replay"}
	if kind == admin.Drop {
		words = []string{"deliveries", "drop"}
	}
	if s.Event != "" {
		words = append(words, s.Event)
	}
	if kind == admin.Replay && s.State != "" && (s.Event == "" || s.State != store.StateParked) {
		words = append(words, "--"+s.State)
	}
	flags := []struct{ name, value string }{
		{"webhook", s.Webhook},
		{"source", s.Source},
		{"type", s.Type},
		{"key", s.Key},
		{"reason", s.Reason},
		{"since", s.Since},
		{"until", s.Until},
	}
	if kind == admin.Replay {
		flags = append(flags, struct{ name, value string }{"rate", s.Rate})
	}
	for _, f := range flags {
		if f.value != "" {
			words = append(words, "--"+f.name, f.value)
		}
	}
	if kind == admin.Drop && len(words) == len([]string{"deliveries", "drop"}) {
		words = append(words, "--all")
	}
	return commandOf(words...)
}
