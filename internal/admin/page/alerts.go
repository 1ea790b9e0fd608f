package page

import (
	"net/http"
	"strings"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
)

// alertsPage is what is wrong, and who was told of it.
type alertsPage struct {
	Running bool
	Board   admin.AlertBoard
	Rows    []alertRow
	Recent  eventList // what was told
}

// alertRow is one trouble with a link to what it is about.
type alertRow struct {
	admin.Alert
	Kind  string // source, webhook or config
	State string
	Name  string
	Link  string
	Help  string // the command that helps, when the hint is one
}

func alertRowOf(a admin.Alert) alertRow {
	row := alertRow{Alert: a, Name: a.Source + a.Webhook}
	row.Kind, row.State, _ = strings.Cut(strings.TrimPrefix(a.Type, emitter.Own+"."), ".")
	switch {
	case a.Source != "":
		row.Link = sourceLink(a.Source)
	case a.Webhook != "":
		row.Link = webhookLink(a.Webhook)
	default:
		row.Name = "configuration"
	}
	if strings.HasPrefix(a.Hint, "deltahook ") {
		row.Help, row.Hint = a.Hint, ""
	}
	return row
}

func (p *page) alerts(r *http.Request) (shown, error) {
	status, err := p.View.Status(r.Context())
	if err != nil {
		return shown{}, err
	}
	body := alertsPage{Running: status.Running, Board: status.Board()}
	for _, a := range body.Board.Alerts {
		body.Rows = append(body.Rows, alertRowOf(a))
	}
	s := selectionOf(r.URL.Query())
	s.Source = emitter.Own
	body.Recent, err = p.listEvents(r, s)
	return shown{view: "alerts", title: "Alerts", nav: "alerts", refresh: 15, body: body}, err
}
