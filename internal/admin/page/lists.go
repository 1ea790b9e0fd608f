package page

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

// listPage is how many rows lists of events and deliveries have.
const listPage = 50

// eventList is a list of events, of one source or of all.
type eventList struct {
	Select  selection
	Events  []admin.Event
	Older   string // address of the next page
	Newest  string // address of the first, when this is not it
	Command string
}

func (p *page) events(r *http.Request) (shown, error) {
	list, err := p.listEvents(r, selectionOf(r.URL.Query()))
	return shown{view: "events", title: "Events", nav: "events", body: list}, err
}

func (p *page) listEvents(r *http.Request, s selection) (eventList, error) {
	q, err := s.events(p.Now())
	if err != nil {
		return eventList{}, err
	}
	q.Limit = listPage + 1
	events, err := p.View.Events(r.Context(), q)
	if err != nil {
		return eventList{}, err
	}
	list := eventList{Select: s, Command: s.listCommand("events")}
	if len(events) > listPage {
		events = events[:listPage]
		list.Older = later(r.URL, events[listPage-1].Seq)
	}
	if s.Before != 0 {
		list.Newest = later(r.URL, 0)
	}
	list.Events = events
	return list, nil
}

// later is the address of the page of a list that begins behind this row; 0: of the first page.
func later(u *url.URL, before int64) string {
	if before == 0 {
		return with(u, "before", "")
	}
	return with(u, "before", strconv.FormatInt(before, 10))
}

// with is the same address with another parameter.
func with(u *url.URL, name, value string) string {
	v := u.Query()
	v.Del(name)
	if value != "" {
		v.Set(name, value)
	}
	next := url.URL{Path: u.Path, RawQuery: v.Encode()}
	return next.String()
}

// listCommand is the command that lists what is chosen.
func (s selection) listCommand(words ...string) string {
	if s.State != "" && s.State != store.StateMerged {
		words = append(words, "--"+s.State)
	}
	for _, f := range []struct{ name, value string }{
		{"webhook", s.Webhook}, {"source", s.Source}, {"type", s.Type}, {"key", s.Key}, {"reason", s.Reason}, {"since", s.Since}, {"until", s.Until},
	} {
		if f.value != "" {
			words = append(words, "--"+f.name, f.value)
		}
	}
	return commandOf(words...)
}

// deliveryList is a list of deliveries with what can be done to all that are chosen.
type deliveryList struct {
	Select     selection
	States     []string
	Deliveries []admin.Delivery
	Actions    []action
	Older      string
	Newest     string
	Command    string
}

func (p *page) deliveries(r *http.Request) (shown, error) {
	s := selectionOf(r.URL.Query())
	list, err := p.listDeliveries(r, s)
	title, nav := "Deliveries", "deliveries"
	if s.State == store.StateParked {
		title, nav = "Parked events", "parked"
	}
	return shown{view: "deliveries", title: title, nav: nav, body: list}, err
}

func (p *page) listDeliveries(r *http.Request, s selection) (deliveryList, error) {
	q, err := s.deliveries(p.Now())
	if err != nil {
		return deliveryList{}, err
	}
	q.Limit = listPage
	rows, err := p.View.Deliveries(r.Context(), q)
	if err != nil {
		return deliveryList{}, err
	}
	list := deliveryList{Select: s, States: deliveryStates(), Deliveries: rows, Command: s.listCommand("deliveries")}
	if len(rows) >= listPage {
		list.Older = later(r.URL, rows[len(rows)-1].Seq)
	}
	if s.Before != 0 {
		list.Newest = later(r.URL, 0)
	}
	list.Actions = s.actions(len(rows) > 0)
	return list, nil
}

// actions are what can be done to everything that is chosen.
func (s selection) actions(some bool) []action {
	s.Before = 0
	settled := []string{store.StateParked, store.StateDelivered, store.StateDropped}
	if !some || !slices.Contains(settled, s.State) {
		return nil
	}
	what := "all of these"
	list := []action{changeAction(admin.Replay, "Replay all", what, s)}
	if s.State == store.StateParked {
		list = append(list, changeAction(admin.Drop, "Drop all", what, s))
	}
	return list
}

// webhookPage is one receiver.
type webhookPage struct {
	webhookRow
	Settings []admin.Setting
	List     deliveryList
}

func (p *page) webhook(r *http.Request) (shown, error) {
	name := r.PathValue("webhook")
	status, err := p.View.Status(r.Context())
	if err != nil {
		return shown{}, err
	}
	i := slices.IndexFunc(status.Webhooks, func(w admin.Webhook) bool { return w.Name == name })
	if i < 0 {
		return shown{}, notThere(admin.ErrNoWebhook, name)
	}
	w := status.Webhooks[i]
	s := selectionOf(r.URL.Query())
	s.Webhook = name
	list, err := p.listDeliveries(r, s)
	body := webhookPage{webhookRow: webhookRow{Webhook: w, Actions: webhookActions(w)}, Settings: sorted(p.Webhook(name)), List: list}
	return shown{view: "webhook", title: "Webhook " + name, nav: "overview", refresh: 30, body: body}, err
}
