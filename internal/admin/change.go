package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
)

// ChangeKind says what a Change does to deliveries.
type ChangeKind string

// The kinds of a change.
const (
	Replay ChangeKind = "replay" // settled deliveries are queued again, under their old id and bytes
	Drop   ChangeKind = "drop"   // parked deliveries are settled without being delivered
	Skip   ChangeKind = "skip"   // what is queued for a webhook is settled without being delivered, and the webhook goes on
)

// ChangeKinds lists the kinds.
func ChangeKinds() []ChangeKind { return []ChangeKind{Replay, Drop, Skip} }

// Change is something to do to deliveries that are settled or parked.
type Change struct {
	Kind  ChangeKind
	Query store.DeliveryQuery
	Rate  setting.Rate // of a replay: the deliveries are spread over time, oldest first; zero: all at once
	By    string       // who drops or skips
	Why   string       // in his own words; may be empty
}

// Changed is the plan or the outcome of a Change.
type Changed struct {
	Deliveries int            `json:"deliveries"`
	ByType     map[string]int `json:"by_type,omitempty"`
	ByWebhook  map[string]int `json:"by_webhook,omitempty"`
	Bytes      int64          `json:"bytes"`             // of the bodies
	First      time.Time      `json:"first,omitzero"`    // detection of the oldest event
	Last       time.Time      `json:"last,omitzero"`     // and of the newest
	Seconds    float64        `json:"seconds,omitempty"` // that a replay takes at its rate and at those of its webhooks; 0: nothing slows it down
	Rate       string         `json:"rate,omitempty"`    // of the replay
	Done       bool           `json:"done"`              // false: this is a plan
}

// Changer carries out changes; a store.Member does.
type Changer interface {
	Replay(ctx context.Context, q store.DeliveryQuery, every time.Duration) (int, error)
	Drop(ctx context.Context, q store.DeliveryQuery, why string) (int, error)
}

// A replay that is spread waits in the queue of its webhook: it must not be as long as the queue.
const (
	maxSpread     = 50_000
	maxSpreadTime = 24 * time.Hour
)

// Plan says what a change would do.
func (l Lists) Plan(ctx context.Context, c Change) (Changed, error) {
	sums, err := l.Store.Survey(ctx, c.only().Query)
	if err != nil {
		return Changed{}, fmt.Errorf("plan the %s: %w", c.Kind, err)
	}
	plan := Changed{ByType: map[string]int{}, ByWebhook: map[string]int{}, Rate: c.Rate.String()}
	for _, s := range sums {
		if c.concerns(s.State) {
			plan.add(s)
		}
	}
	if c.Kind == Replay {
		plan.Seconds = l.seconds(c, plan)
		return plan, c.spreadable(plan)
	}
	return plan, nil
}

func (p *Changed) add(s store.Sum) {
	n := int(s.Deliveries)
	p.Deliveries += n
	p.ByType[s.Type] += n
	p.ByWebhook[s.Webhook] += n
	p.Bytes += s.Bytes
	if p.First.IsZero() || s.First.Before(p.First) {
		p.First = s.First
	}
	if s.Last.After(p.Last) {
		p.Last = s.Last
	}
}

// seconds says how long a replay takes at least.
func (l Lists) seconds(c Change, plan Changed) float64 {
	longest := 0.0
	if !c.Rate.IsZero() {
		longest = float64(plan.Deliveries) / c.Rate.PerSecond()
	}
	configured := l.configuration()
	for webhook, n := range plan.ByWebhook {
		if rate := configured.WebhookRate(webhook); !rate.IsZero() {
			longest = max(longest, float64(n)/rate.PerSecond())
		}
	}
	return longest
}

func (c Change) spreadable(plan Changed) error {
	if c.Rate.IsZero() {
		return nil
	}
	takes := time.Duration(float64(plan.Deliveries) * float64(c.every()))
	if plan.Deliveries > maxSpread || takes > maxSpreadTime {
		return requestError{fmt.Errorf("%d deliveries at %s are too many: a replay with a rate has at most %d and takes at most %s; narrow it by --since and --until, or raise the rate",
			plan.Deliveries, c.Rate, maxSpread, setting.Duration(maxSpreadTime))}
	}
	return nil
}

// only narrows a drop to what is parked, and a skip to what is queued: nothing else is dropped, and what is settled need not be
// looked through.
func (c Change) only() Change {
	switch c.Kind {
	case Drop:
		c.Query.State = store.StateParked
	case Skip:
		c.Query.State = store.StatePending
	case Replay:
	}
	return c
}

// concerns says whether deliveries in this state are changed.
func (c Change) concerns(state string) bool {
	if c.Kind == Skip {
		return state == store.StatePending
	}
	return state != store.StatePending && state != store.StateMerged
}

// every is the time from one delivery of a replay to the next.
func (c Change) every() time.Duration {
	if c.Rate.IsZero() {
		return 0
	}
	return time.Duration(float64(time.Second) / c.Rate.PerSecond())
}

// note is what a dropped delivery keeps as its reason.
func (c Change) note() string {
	const most = 200
	by, why := strings.TrimSpace(c.By), strings.TrimSpace(c.Why)
	if by == "" {
		by = "somebody over the admin API"
	}
	note := "dropped by " + by
	if c.Kind == Skip {
		note = "skipped by " + by + " (resume --skip)"
	}
	if why != "" {
		note += ": " + why
	}
	note = strings.ToValidUTF8(note, "\uFFFD")
	if len(note) > most {
		note = strings.ToValidUTF8(note[:most], "") + "…"
	}
	return note
}

// Apply plans a change, and lets do carry it out unless it is nil.
func (l Lists) Apply(ctx context.Context, c Change, do Changer) (Changed, error) {
	if c.Kind == Skip && (c.Query != store.DeliveryQuery{Webhook: c.Query.Webhook} || c.Query.Webhook == "") {
		return Changed{}, requestError{errors.New("a skip names a webhook, and nothing else: what is left out would be sent in the wrong order")}
	}
	out, err := l.Plan(ctx, c)
	if err != nil || do == nil {
		return out, err
	}
	switch c.Kind {
	case Replay:
		out.Deliveries, err = do.Replay(ctx, c.Query, c.every())
	case Drop, Skip:
		out.Deliveries, err = do.Drop(ctx, c.only().Query, c.note())
	default:
		return out, fmt.Errorf("%w: %s", ErrNoVerb, c.Kind)
	}
	if err != nil {
		return out, fmt.Errorf("%s: %w", c.Kind, err)
	}
	out.Done = true
	return out, nil
}

// Change replays or drops deliveries; what is replayed is sent when the daemon starts.
func (o Offline) Change(ctx context.Context, c Change, plan bool) (out Changed, err error) {
	if plan {
		return o.Apply(ctx, c, nil)
	}
	if o.Own == nil {
		return Changed{}, ErrNotRunning
	}
	err = o.Own(ctx, func(do Changer) error {
		out, err = o.Apply(ctx, c, do)
		return err
	})
	if err == nil && c.Kind == Skip {
		err = o.Act(ctx, Action{Verb: Resume, Webhook: c.Query.Webhook})
	}
	return out, err
}
