package page

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/deltahook/deltahook/internal/admin"
)

func reloadAction() action {
	return action{Label: "Reload", Name: "the configuration", Command: commandOf("reload"), Ask: "/reload"}
}

// askReload says what a reload does before it is done. What it would come to is known only once the files are read.
func (p *page) askReload(*http.Request) (shown, error) {
	c := confirmation{
		Title: "Reload the configuration", Label: "Reload", Do: "/reload", Back: "/", Command: commandOf("reload"), Fields: url.Values{},
		What: []string{
			"The files are read again. When they cannot run, nothing changes, and what is wrong is said here.",
			"Else only what was changed in them starts anew; what is stored stays. See beforehand what it will do: deltahook check --plan",
		},
	}
	return shown{view: "confirm", title: c.Title, nav: "overview", body: c}, nil
}

func (p *page) reload(w http.ResponseWriter, r *http.Request) {
	if !p.allowed(w, r, "/reload") {
		return
	}
	done, err := p.View.Reload(r.Context())
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.done(w, r, "/", flash{Text: reloadedText(&done), Command: commandOf("reload")})
}

// reloadedText tells what changed, the first few by name.
func reloadedText(done *admin.Reloaded) string {
	const named = 5
	if done.Changed == 0 {
		return "the files were read again; nothing in them has changed"
	}
	var names []string
	for i := range done.Steps {
		if s := &done.Steps[i]; s.Kind != admin.PlanUnchanged {
			names = append(names, s.Table()+" ("+s.Kind+")")
		}
	}
	if len(names) > named {
		names = append(names[:named], "…")
	}
	return plural(done.Changed, "section") + " changed: " + strings.Join(names, ", ")
}
