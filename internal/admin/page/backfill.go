package page

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

func backfillLink(source string) string { return sourceLink(source) + "/backfill" }

// backfillAction leads to the plan of a backfill.
func backfillAction(source string) action {
	return action{Label: "Backfill", Name: source, Command: commandOf("backfill", source), Ask: backfillLink(source)}
}

// backfillOf reads what a form says of a backfill.
func backfillOf(source string, v url.Values) (admin.Backfill, error) {
	b := admin.Backfill{Source: source, To: filled(v["to"]), Keys: filled(v["key"]), Where: filled(v["where"])}
	if rate := v.Get("rate"); rate != "" {
		if err := b.Rate.UnmarshalText([]byte(rate)); err != nil {
			return b, refused{err}
		}
	}
	return b, nil
}

// filled leaves out fields that nobody filled in.
func filled(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func backfillCommand(b *admin.Backfill, stop bool) string {
	words := []string{"backfill", b.Source}
	if stop {
		return commandOf(append(words, "--stop")...)
	}
	for _, flag := range []struct {
		name   string
		values []string
	}{{"--to", b.To}, {"--key", b.Keys}, {"--where", b.Where}} {
		for _, v := range flag.values {
			words = append(words, flag.name, v)
		}
	}
	if !b.Rate.IsZero() {
		words = append(words, "--rate", b.Rate.String())
	}
	return commandOf(words...)
}

// backfillPage is the plan of a backfill, with what it can be narrowed to.
type backfillPage struct {
	Source, To, Key, Where, Rate string
	What                         []string
	Records                      int64
	Command                      string
}

func (p *page) backfill(r *http.Request) (shown, error) {
	source, v := r.PathValue("source"), r.URL.Query()
	b, err := backfillOf(source, v)
	if err != nil {
		return shown{}, err
	}
	plan, err := p.View.Backfill(r.Context(), b, admin.PlanBackfill)
	if err != nil {
		return shown{}, err
	}
	out := backfillPage{
		Source: source, To: v.Get("to"), Key: v.Get("key"), Where: v.Get("where"), Rate: v.Get("rate"), Records: plan.Records,
		What: foretold(&plan), Command: backfillCommand(&b, false),
	}
	return shown{view: "backfill", title: "Backfill of " + source, nav: "overview", body: out}, nil
}

// foretold says what a backfill comes to.
func foretold(plan *admin.Backfilled) []string {
	by := map[string]int{}
	for name, n := range plan.ByWebhook {
		by[name] = int(n)
	}
	if plan.Records == 0 || len(by) == 0 {
		return []string{"There is nothing to tell: no known record matches, or no webhook wants snapshots."}
	}
	say := []string{
		fmt.Sprintf("%s as snapshots: %s, %s of bodies.", plural(plan.Records, "known record"), counts(by), bytesText(plan.Bytes)),
		"Each is an event of the type .snapshot with a number of its own: news to receivers, though nothing has changed.",
	}
	if plan.Seconds >= 1 {
		say = append(say, "That takes about "+short(time.Duration(plan.Seconds*float64(time.Second)))+" at the rate.")
	}
	return say
}

// fill begins a backfill, plans it anew, or ends the one that runs.
func (p *page) fill(w http.ResponseWriter, r *http.Request) {
	source := r.PathValue("source")
	if !p.allowed(w, r, backfillLink(source)) {
		return
	}
	b, err := backfillOf(source, r.PostForm)
	if err != nil {
		p.fail(w, r, err)
		return
	}
	step, done := admin.StartBackfill, "the backfill of "+source+" has begun"
	switch r.PostForm.Get("step") {
	case "plan":
		r.PostForm.Del("csrf")
		r.PostForm.Del("step")
		lead(w, r, backfillLink(source)+"?"+r.PostForm.Encode())
		return
	case "stop":
		step, done = admin.StopBackfill, "the backfill of "+source+" is ended; what it told stays told"
	}
	if _, err := p.View.Backfill(r.Context(), b, step); err != nil {
		p.fail(w, r, err)
		return
	}
	p.done(w, r, sourceLink(source), flash{Text: done, Command: backfillCommand(&b, step == admin.StopBackfill)})
}
