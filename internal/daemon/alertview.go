package daemon

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/poller"
)

// view gives the alarm as people see it.
func (a *alarm) view(c *config.Alerts) admin.Alert {
	out := admin.Alert{
		Type: emitter.Own + "." + a.Type, Source: a.About.Source, Webhook: a.About.Webhook, Since: a.Since, Told: a.Told, Last: a.Last,
		Reminders: a.Reminder, Failures: a.Failures, Message: a.Message, Hint: a.Hint,
	}
	if len(c.To) > 0 {
		out.Next = a.due(c.After.Std(), c.Repeat.Std())
	} else { // nobody was told, and nobody will be
		out.Told, out.Last, out.Reminders = time.Time{}, time.Time{}, 0
	}
	return out
}

func viewsOf(list []*alarm, c *config.Alerts) []admin.Alert {
	sortAlarms(list)
	out := make([]admin.Alert, len(list))
	for i, one := range list {
		out[i] = one.view(c)
	}
	return out
}

// look gives what is wrong now.
func (a *alerts) look(c *config.Alerts) []admin.Alert {
	a.recount()
	a.mu.Lock()
	defer a.mu.Unlock()
	return viewsOf(slices.Collect(maps.Values(a.alarms)), c)
}

// Told gives the troubles that were told, by what is stored of deltahook's own source. It is for those who look while nothing runs.
func Told(state poller.State, c *config.Alerts) []admin.Alert {
	m, err := memoryIn(state)
	if err != nil {
		return nil
	}
	views := viewsOf(m.Alarms, c)
	for i := range views {
		views[i].Next = time.Time{} // nobody is there to tell
	}
	return views
}

// alerting is what people see of [alerts].
func (v view) alerting(ctx context.Context) (*admin.Alerting, error) {
	out, err := v.Alerting(ctx)
	if err == nil && out.Heartbeat != nil {
		v.d.beat.show(out.Heartbeat)
	}
	return out, err
}
