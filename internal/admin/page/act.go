package page

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/deltahook/deltahook/internal/admin"
)

// confirmation is the page that says what an action does before it is done.
type confirmation struct {
	Verb    string
	Title   string
	What    []string // sentences
	Fields  url.Values
	Label   string // of the button
	Risky   bool
	Command string
	Back    string
	Do      string // address
	Nothing bool   // there is nothing to do
	Notes   bool   // it asks for a name and a reason
	Rate    bool   // it asks for a rate
	Plan    *admin.Changed
	Levels  []action
}

// target is what an action is for.
func target(v url.Values) (source, webhook string, err error) {
	source, webhook = v.Get("source"), v.Get("webhook")
	if (source == "") == (webhook == "") {
		return "", "", refused{errors.New("an action is for a source or for a webhook: name one of them")}
	}
	return source, webhook, nil
}

func isEdit(verb admin.Verb) bool { return verb == admin.Rekey || verb == admin.Reset }

// says tells what a verb does, in the words of the documentation.
func says(verb admin.Verb, webhook bool) (title, text string, ok bool) {
	if webhook {
		switch verb {
		case admin.Pause:
			return "Pause", "Nothing is delivered to it until somebody resumes it. Its events wait; nothing is lost.", true
		case admin.Resume:
			return "Resume", "Delivery goes on where it stopped.", true
		case admin.Poll, admin.Release, admin.Discard, admin.Rekey, admin.Reset, admin.Jump:
		}
		return "", "", false
	}
	switch verb {
	case admin.Poll:
		return "Poll now", "The source is polled at once, whatever its schedule says.", true
	case admin.Pause:
		return "Pause", "The source is not polled until somebody resumes it. Nothing is lost: what changes meanwhile is found then.", true
	case admin.Resume:
		return "Resume", "The source is polled again, and what changed meanwhile becomes events.", true
	case admin.Jump:
		return "Skip to now", "The source is polled again, but its next complete poll is stored as what is known, and no event is made of what changed meanwhile.", true
	case admin.Release:
		return "Release", "The next complete poll is applied, whatever it finds, and becomes events.", true
	case admin.Discard:
		return "Discard", "The next complete poll is stored as what is known, and no event is made of what differs: receivers never hear of it.", true
	case admin.Rekey:
		return "Rekey", "Known records are kept under the keys that the configuration says now.", true
	case admin.Reset:
		return "Reset", "A part of what is stored of the source is forgotten.", true
	}
	return "", "", false
}

// confirm shows what an action does, and its command.
func (p *page) confirm(r *http.Request) (shown, error) {
	verb, v := admin.Verb(r.PathValue("verb")), r.URL.Query()
	source, webhook, err := target(v)
	if err != nil {
		return shown{}, err
	}
	title, text, ok := says(verb, webhook != "")
	if !ok {
		return shown{}, notThere(admin.ErrNoVerb, string(verb))
	}
	name := source + webhook
	c := confirmation{
		Verb: string(verb), Title: title + " " + name, What: []string{text}, Label: title + " " + name, Do: "/act/" + string(verb),
		Fields: url.Values{}, Back: back(v, source, webhook), Risky: verb == admin.Discard || verb == admin.Reset || verb == admin.Jump,
	}
	for _, name := range []string{"source", "webhook", "level"} {
		if v.Get(name) != "" {
			c.Fields.Set(name, v.Get(name))
		}
	}
	c.Command = actionCommand(admin.Action{Verb: verb, Source: source, Webhook: webhook}, v.Get("level"))
	if isEdit(verb) {
		err = p.foretell(r, &c, admin.Edit{Verb: verb, Source: source, Level: v.Get("level")})
	}
	return shown{view: "confirm", title: c.Title, nav: "overview", body: c}, err
}

func actionCommand(a admin.Action, level string) string {
	switch {
	case a.Webhook != "":
		return commandOf(string(a.Verb), a.Webhook, "--webhook")
	case a.Verb == admin.Jump:
		return commandOf("resume", a.Source, "--skip")
	case level != "":
		return commandOf(string(a.Verb), a.Source, "--"+level)
	}
	return commandOf(string(a.Verb), a.Source)
}

// foretell adds what an edit would come to.
func (p *page) foretell(r *http.Request, c *confirmation, e admin.Edit) error {
	plan, err := p.View.Edit(r.Context(), e, true)
	if err != nil {
		return err
	}
	c.What = consequences(plan)
	return nil
}

// act does what a form asks for. Who has not signed in is asked to, and then sees what it was about.
func (p *page) act(w http.ResponseWriter, r *http.Request) {
	verb := admin.Verb(r.PathValue("verb"))
	if !p.allowed(w, r, "/act/"+string(verb)) {
		return
	}
	source, webhook, err := target(r.PostForm)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	level := r.PostForm.Get("level")
	if isEdit(verb) && webhook == "" {
		_, err = p.View.Edit(r.Context(), admin.Edit{Verb: verb, Source: source, Level: level}, false)
	} else {
		err = p.View.Act(r.Context(), admin.Action{Verb: verb, Source: source, Webhook: webhook})
	}
	if err != nil {
		p.fail(w, r, err)
		return
	}
	p.done(w, r, back(r.PostForm, source, webhook), flash{
		Text: doneText(verb, source+webhook), Command: actionCommand(admin.Action{Verb: verb, Source: source, Webhook: webhook}, level),
	})
}

func doneText(verb admin.Verb, name string) string {
	switch verb {
	case admin.Poll:
		return name + " is being polled"
	case admin.Pause:
		return name + " is paused; nothing is lost meanwhile"
	case admin.Resume:
		return name + " goes on"
	case admin.Jump:
		return name + " goes on from now, without events of what changed meanwhile"
	case admin.Release:
		return name + " is released: its next complete poll is applied"
	case admin.Discard:
		return "the next complete poll of " + name + " becomes what is known, without events"
	case admin.Rekey:
		return name + " keeps its records under the new keys"
	case admin.Reset:
		return name + " is reset"
	}
	return string(verb) + " of " + name + " is done"
}

// allowed looks at who sends a form, and answers those who may not.
func (p *page) allowed(w http.ResponseWriter, r *http.Request, ask string) bool {
	const most = 64 << 10
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if err := r.ParseForm(); err != nil {
		p.fail(w, r, refused{fmt.Errorf("the form cannot be read: %w", err)})
		return false
	}
	if !p.Door.MayAct(r) {
		v := url.Values{}
		for name, values := range r.PostForm {
			if !slices.Contains([]string{"csrf", "by", "why"}, name) {
				v[name] = values
			}
		}
		lead(w, r, loginURL(ask+"?"+v.Encode()))
		return false
	}
	if !p.Door.CheckForm(r) {
		p.render(w, r, shown{
			view: "error", title: "The form is not from here", status: http.StatusForbidden,
			body: "Nothing was done. The page it came from is too old, or is not one of this deltahook: go back, load it again, and repeat.",
		})
		return false
	}
	return true
}

// done leads back to where the form was, and says what happened there.
func (p *page) done(w http.ResponseWriter, r *http.Request, to string, f flash) {
	setFlash(w, r, f)
	lead(w, r, to)
}

// back is where a person came from, if that is a page of ours; else the page of what was acted on.
func back(v url.Values, source, webhook string) string {
	if to := v.Get("back"); isLocal(to) {
		return to
	}
	switch {
	case source != "":
		return sourceLink(source)
	case webhook != "":
		return webhookLink(webhook)
	}
	return "/"
}
