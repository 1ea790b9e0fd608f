package page

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

// eventPage is one event: what changed, and what became of it.
type eventPage struct {
	admin.Event
	Own        bool // it is one of deltahook itself, and not of a source
	Hidden     bool // payloads are not shown
	HasChange  bool
	Change     change
	Payload    string
	Size       int64
	Deliveries []deliveryView
}

// deliveryView is the way of the event to one webhook.
type deliveryView struct {
	admin.Delivery
	Actions []action
	Request string // of the next attempt: method, address, headers
	Format  string // when it is not the one that is shown
	Curl    string
}

func (p *page) event(r *http.Request) (shown, error) {
	d, err := p.View.Event(r.Context(), r.PathValue("event"))
	if err != nil {
		return shown{}, err
	}
	e := eventPage{Event: d.Event, Own: d.Source == emitter.Own, Hidden: d.Payload == nil, Payload: pretty(d.Payload), Size: int64(len(d.Payload))}
	e.Change, e.HasChange = changeOf(d.Payload)
	waiting := 0
	for _, delivery := range d.Deliveries {
		if delivery.State == store.StatePending {
			waiting = 5
		}
		e.Deliveries = append(e.Deliveries, p.delivery(r.Context(), d, delivery))
	}
	return shown{view: "event", title: d.Type + " " + d.Key, nav: "events", refresh: waiting, body: e}, nil
}

// delivery shows the way to one webhook.
func (p *page) delivery(ctx context.Context, e admin.EventDetail, d admin.Delivery) deliveryView {
	set := valuesOf(p.Webhook(d.Webhook))
	v := deliveryView{Delivery: d, Actions: deliveryActions(d, e.At), Curl: curlOf(set, e)}
	if e.Payload == nil || len(set) == 0 {
		return v
	}
	if set["format"] != "standard" {
		v.Format = set["format"]
	}
	text, err := p.Request(ctx, e, d)
	if err != nil {
		text = err.Error()
	}
	v.Request = text
	return v
}

// deliveryActions are what can be done to a delivery, and to those that failed like it.
func deliveryActions(d admin.Delivery, at time.Time) []action {
	one := selection{Event: d.Event, Webhook: d.Webhook, State: d.State}
	since := selection{Webhook: d.Webhook, State: store.StateParked, Since: at.UTC().Format(time.RFC3339)}
	all := changeAction(admin.Replay, "Re-send all failed since this", d.Webhook, since)
	switch d.State {
	case store.StateParked:
		again := changeAction(admin.Replay, "Re-send", d.Webhook, one)
		again.Tone = "main"
		return []action{again, all, changeAction(admin.Drop, "Drop", d.Webhook, one)}
	case store.StateDelivered, store.StateDropped:
		return []action{changeAction(admin.Replay, "Re-send", d.Webhook, one), all}
	}
	return nil
}

// curlOf is a request like the one that the webhook gets, for trying a receiver by hand. It is not signed: who can look may
// not therefore send.
func curlOf(webhook map[string]string, d admin.EventDetail) string {
	if d.Payload == nil || webhook["url"] == "" {
		return ""
	}
	var b strings.Builder
	b.WriteString("curl -i -X " + quoted(webhook["method"]) + " " + quoted(webhook["url"]) + " \\\n")
	b.WriteString("  -H 'content-type: application/json' \\\n")
	b.WriteString("  -H " + quoted("webhook-id: "+d.ID) + " \\\n")
	b.WriteString("  -H \"webhook-timestamp: $(date +%s)\" \\\n")
	b.WriteString("  --data-binary " + quoted(string(d.Payload)))
	return b.String()
}
