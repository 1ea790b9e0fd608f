package admin

import (
	"net/http"
	"strings"
)

// done is the answer to an action.
type done struct {
	Done Verb `json:"done"`
}

// aboutVerb says what each verb does.
func aboutVerb() []struct {
	verb          Verb
	source, about string
} {
	return []struct {
		verb          Verb
		source, about string
	}{
		{Poll, "source", "Polls a source at once, also outside its active hours."},
		{Pause, "source", "Stops polling a source until it is resumed. Nothing is lost meanwhile."},
		{Resume, "source", "Lets a paused source go on where it stopped."},
		{Jump, "source", "Lets a paused source go on from now: its next complete poll is taken in without events."},
		{Release, "source", "Lets the next complete poll of a held source be applied, with its events."},
		{Discard, "source", "Lets the next complete poll of a held source be taken in without events."},
		{Pause, "webhook", "Stops delivering to a webhook until it is resumed. Its events wait."},
		{Resume, "webhook", "Lets a webhook go on: with one probe, when it was failing."},
	}
}

func actionRoutes() []route {
	var list []route
	for _, v := range aboutVerb() {
		list = append(list, route{
			method: "POST", path: apiRoot + "/" + v.source + "s/{" + v.source + "}/" + string(v.verb), access: acts,
			name: string(v.verb) + title(v.source), about: v.about, answer: done{}, errors: []int{404, 409},
			do: func(h *handler, r *http.Request) (any, error) {
				a := Action{Verb: v.verb, Source: r.PathValue("source"), Webhook: r.PathValue("webhook")}
				return done{a.Verb}, h.View.Act(r.Context(), a)
			},
		})
	}
	return append(append(list, reloadRoutes()...), editRoutes()...)
}

func reloadRoutes() []route {
	return []route{
		{
			method: "POST", path: apiRoot + "/reload", name: "reload", access: acts, answer: Reloaded{}, errors: []int{409, 422},
			about: "Reads the configuration again and says what that did. 422: it cannot run, with all that is wrong, and nothing has changed.",
			do:    func(h *handler, r *http.Request) (any, error) { return h.View.Reload(r.Context()) },
		}, {
			method: "GET", path: apiRoot + "/config/prints", name: "prints", access: acts, answer: map[string]map[string]string{},
			about: "By section and key of what the configuration masks: a text that changes when the secret does, and tells nothing else.",
			do:    func(h *handler, _ *http.Request) (any, error) { return h.Prints(), nil },
		},
	}
}

func editRoutes() []route {
	var list []route
	for verb, about := range map[Verb]string{
		Rekey: "keeps the known records of a source under the keys that its configuration says",
		Reset: "forgets as much of what is stored of a source as the level says",
	} {
		path := apiRoot + "/sources/{source}/" + string(verb)
		var params []param
		if verb == Reset {
			params = []param{{name: "level", about: "how much", one: []string{"validators", "cursor", "records", "all"}, required: true}}
		}
		list = append(
			list,
			route{
				method: "GET", path: path, name: "plan" + title(string(verb)), access: looks, params: params, answer: Edited{}, errors: []int{404, 409},
				about: "Says what the same with POST would do: it " + about + ".",
				do:    func(h *handler, r *http.Request) (any, error) { return h.edit(r, verb, true) },
			},
			route{
				method: "POST", path: path, name: string(verb), access: acts, params: params, answer: Edited{}, errors: []int{404, 409},
				about: title(about) + ".",
				do:    func(h *handler, r *http.Request) (any, error) { return h.edit(r, verb, false) },
			},
		)
	}
	return list
}

func changeRoutes() []route {
	about := map[ChangeKind]string{
		Replay: "queues settled deliveries again, under their old id and bytes",
		Drop:   "settles parked deliveries without delivering them",
		Skip:   "settles what is queued for a webhook without delivering it, and lets the webhook go on",
	}
	var list []route
	for _, kind := range ChangeKinds() {
		params := append(deliveryParams(),
			param{name: "limit", about: "only so many, the newest; an event's deliveries stay together", format: "integer"},
			param{name: "by", about: "who does it"}, param{name: "why", about: "in their words"})
		if kind == Replay {
			params = append(params, param{name: "rate", about: "how fast, like 10/s; without it all at once"})
		}
		path := apiRoot + "/" + string(kind)
		list = append(
			list,
			route{
				method: "GET", path: path, name: "plan" + title(string(kind)), access: looks, params: params, answer: Changed{},
				about: "Says what the same with POST would do: it " + about[kind] + ".",
				do:    func(h *handler, r *http.Request) (any, error) { return h.change(r, kind, true) },
			},
			route{
				method: "POST", path: path, name: string(kind), access: acts, params: params, answer: Changed{}, errors: []int{404, 409},
				about: title(about[kind]) + ".",
				do:    func(h *handler, r *http.Request) (any, error) { return h.change(r, kind, false) },
			},
		)
	}
	return list
}

// title begins with a capital letter.
func title(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
