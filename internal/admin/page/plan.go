package page

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

// consequences says what an edit means.
func consequences(e admin.Edited) []string {
	records := plural(e.Records, "known record")
	switch {
	case e.Verb == admin.Rekey:
		say := []string{e.Change, records + " kept, " + num(e.Moved) + " of them under another key; no event is sent."}
		if e.Moved > 0 {
			say = append(say, "Receivers learn the other keys with the next events of these records.")
		}
		if e.Moved > 0 && e.Waiting > 0 {
			say = append(say, plural(e.Waiting, "delivery")+" still waiting will arrive under the old keys.")
		}
		return say
	case e.Level == "validators":
		return []string{"ETag and Last-Modified are forgotten: the next poll asks for the whole answer."}
	case e.Level == "cursor":
		return []string{
			"The watermark, ETag and Last-Modified are forgotten: the next poll is a complete one.",
			"The " + records + " stay, and so no event is sent twice.",
		}
	}
	say := []string{records + " forgotten, a hold too."}
	if e.Emits {
		say = append(say, `The next complete poll sends every record as created (initial = "emit").`)
	} else {
		say = append(say, "The next complete poll saves a new baseline and sends no events: what changes until then is never announced.")
	}
	if e.Level != "all" {
		return append(say, "The sequence of events goes on after "+num(e.Sequence)+".")
	}
	say = append(say, "The history of polls is forgotten.",
		"The sequence of events starts from 1 again, after "+num(e.Sequence)+": receivers that watch it for gaps must be told.")
	if e.Waiting > 0 {
		say = append(say, plural(e.Waiting, "delivery")+" still waiting will arrive with the old sequence.")
	}
	return say
}

// changeFrom reads a change of deliveries out of an address or a form.
func (p *page) changeFrom(kind string, v url.Values) (admin.Change, selection, error) {
	c := admin.Change{Kind: admin.ChangeKind(kind), By: strings.TrimSpace(v.Get("by")), Why: v.Get("why")}
	s := selectionOf(v)
	s.Before = 0
	if !slices.Contains(admin.ChangeKinds(), c.Kind) {
		return c, s, notThere(admin.ErrNoVerb, kind)
	}
	if s.State == "" && s.Event == "" && c.Kind != admin.Skip {
		s.State = store.StateParked
	}
	if s.Rate != "" {
		if err := c.Rate.UnmarshalText([]byte(s.Rate)); err != nil {
			return c, s, refused{err}
		}
	}
	if c.By == "" {
		c.By = "somebody on the web page"
	}
	var err error
	c.Query, err = s.deliveries(p.Now())
	return c, s, err
}

// plan shows what a replay or a drop would do.
func (p *page) plan(r *http.Request) (shown, error) {
	v := r.URL.Query()
	c, s, err := p.changeFrom(r.PathValue("kind"), v)
	if err != nil {
		return shown{}, err
	}
	plan, err := p.View.Change(r.Context(), c, true)
	if err != nil {
		return shown{}, err
	}
	out := confirmation{
		Verb: string(c.Kind), Fields: s.values(), Command: s.command(c.Kind), Back: s.link(), Do: "/deliveries/" + string(c.Kind), Plan: &plan,
		Nothing: plan.Deliveries == 0, What: planned(c.Kind, plan),
	}
	if to := v.Get("back"); isLocal(to) {
		out.Back = to
	}
	out.Title = title(c.Kind) + " " + plural(plan.Deliveries, "delivery")
	out.Label, out.Rate = out.Title, c.Kind == admin.Replay
	out.Notes, out.Risky = !out.Rate, !out.Rate
	return shown{view: "confirm", title: out.Title, nav: "parked", body: out}, nil
}

// title names what is done to deliveries.
func title(kind admin.ChangeKind) string {
	switch kind {
	case admin.Drop:
		return "Drop"
	case admin.Skip:
		return "Skip"
	case admin.Replay:
	}
	return "Replay"
}

// planned says what a change of deliveries comes to.
func planned(kind admin.ChangeKind, plan admin.Changed) []string {
	if plan.Deliveries == 0 && kind == admin.Skip {
		return []string{"There is nothing to skip: nothing is queued for it. Resume it instead."}
	}
	if plan.Deliveries == 0 {
		return []string{"There is nothing to do: no delivery that is settled matches. What is on its way already is left alone."}
	}
	say := []string{
		fmt.Sprintf("%s to %s, %s of bodies.", counts(plan.ByType), counts(plan.ByWebhook), bytesText(plan.Bytes)),
		fmt.Sprintf("Detected from %s to %s.", plan.First.Local().Format("2006-01-02 15:04:05"), plan.Last.Local().Format("2006-01-02 15:04:05")),
	}
	switch kind {
	case admin.Drop:
		return append(say, "They are settled without being delivered; they stay in the list of dropped ones, and a replay brings them back.")
	case admin.Skip:
		return append(say, "All that is queued up to now is settled without being delivered, and the webhook goes on with what comes later. A replay of the dropped ones brings it back.")
	case admin.Replay:
	}
	if plan.Seconds >= 1 {
		say = append(say, "That takes about "+short(time.Duration(plan.Seconds*float64(time.Second)))+" at the rate.")
	} else {
		say = append(say, "They go as fast as the receiver takes them; a rate spreads them over time.")
	}
	return append(say, "Each keeps its webhook-id and its bytes, so a receiver that removes duplicates ignores those it already has.")
}

// counts writes "1,000 contacts.updated, 200 contacts.created", by name.
func counts(by map[string]int) string {
	parts := make([]string, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, num(by[name])+" "+name)
	}
	return strings.Join(parts, ", ")
}

// change replays or drops.
func (p *page) change(w http.ResponseWriter, r *http.Request) {
	kind := r.PathValue("kind")
	if !p.allowed(w, r, "/deliveries/"+kind) {
		return
	}
	c, s, err := p.changeFrom(kind, r.PostForm)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	if r.PostForm.Get("step") == "plan" { // the rate was changed: the plan comes first
		lead(w, r, "/deliveries/"+string(c.Kind)+"?"+s.values().Encode())
		return
	}
	done, err := p.View.Change(r.Context(), c, false)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	to, text := r.PostForm.Get("back"), plural(done.Deliveries, "delivery")+" queued again"
	if !isLocal(to) {
		to = s.link()
	}
	switch c.Kind {
	case admin.Drop:
		text = plural(done.Deliveries, "delivery") + " dropped"
	case admin.Skip:
		text = plural(done.Deliveries, "delivery") + " skipped; " + s.Webhook + " goes on with what comes now"
	case admin.Replay:
	}
	p.done(w, r, to, flash{Text: text, Command: s.command(c.Kind)})
}
