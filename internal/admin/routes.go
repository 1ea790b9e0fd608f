package admin

import (
	"net/http"
	"slices"
)

// route is one thing that the API does. The table of routes is what is served, and what the OpenAPI document is made of.
type route struct {
	method, path string
	name         string // unique; the operationId
	about        string
	access       access
	params       []param
	answer       any    // of the type that is answered; nil: text
	kind         string // of content, when it is not JSON
	chooses      bool   // it chooses the kind itself, by the header Accept
	pages        bool   // a list with a cursor
	errors       []int  // statuses that it has beside those that each has

	do    func(h *handler, r *http.Request) (any, error)
	serve func(h *handler, w http.ResponseWriter, r *http.Request) // instead of do
}

// access is who may.
type access uint8

const (
	open  access = iota // everybody
	looks               // on loopback everybody, elsewhere who has the token
	acts                // who has the token
)

// param is a parameter in the query. An unknown one is an error: a misspelled filter would drop too much.
type param struct {
	name, about string
	format      string // "", "integer", "boolean", "date-time"
	one         []string
	required    bool
	repeated    bool
}

const (
	apiRoot    = "/api/v1"
	textKind   = "text/plain"
	streamKind = "text/event-stream"
)

func routes() []route {
	return slices.Concat(healthRoutes(), stateRoutes(), recordRoutes(), eventRoutes(), actionRoutes(), changeRoutes(), backfillRoutes())
}

func healthRoutes() []route {
	return []route{
		{
			method: "GET", path: "/healthz", name: "health", access: open, kind: textKind, errors: []int{503},
			about: "Whether the daemon makes progress: no loop has stopped, and the store takes writes. Polled APIs and receivers do not count.",
			serve: (*handler).health,
		}, {
			method: "GET", path: "/readyz", name: "ready", access: open, kind: textKind, errors: []int{503},
			about: "Whether the daemon has started and its store answers. Polled APIs and receivers do not count.",
			serve: (*handler).ready,
		}, {
			method: "GET", path: "/metrics", name: "metrics", access: looks, kind: textKind, chooses: true, errors: []int{404},
			about: "What is counted, for Prometheus.", serve: (*handler).metrics,
		}, {
			method: "GET", path: apiRoot + "/openapi.json", name: "describe", access: looks, kind: "application/json",
			about: "This document.", serve: (*handler).describe,
		},
	}
}

func stateRoutes() []route {
	return []route{
		{
			method: "GET", path: apiRoot + "/status", name: "status", access: looks, answer: Status{},
			about: "The state of everything at one moment.", do: (*handler).status,
		}, {
			method: "GET", path: apiRoot + "/alerts", name: "alerts", access: looks, answer: AlertBoard{},
			about: "Who is told of troubles, which troubles there are since when, and how the heartbeat goes.", do: (*handler).alerts,
		}, {
			method: "GET", path: apiRoot + "/config", name: "config", access: looks, answer: map[string]map[string]string{},
			about: "The effective configuration by section and key, secrets masked.", do: (*handler).config,
		}, {
			method: "GET", path: apiRoot + "/activity", name: "activity", access: looks, answer: map[string][]Hour{},
			about:  "The changes of the last 24 hours by source, the current hour last.",
			params: []param{{name: "source", about: "name of a source; up to 200 of them", required: true, repeated: true}}, do: (*handler).activity,
		}, {
			method: "GET", path: apiRoot + "/sources", name: "listSources", access: looks, answer: []Source{}, pages: true,
			about: "Sources by name.",
			params: []param{
				{name: "state", about: "only in this state", one: []string{"baselining", "ok", "quiet", "failing", "held", "paused", "waiting"}},
				{name: "name", about: "only those whose name has this in it"},
			}, do: (*handler).sources,
		}, {
			method: "GET", path: apiRoot + "/sources/{source}", name: "getSource", access: looks, answer: SourceDetail{}, errors: []int{404},
			about: "One source with its effective configuration.", do: (*handler).source,
		}, {
			method: "GET", path: apiRoot + "/sources/{source}/polls", name: "listPolls", access: looks, answer: []PastPoll{}, pages: true,
			about:  "The last 200 polls of a source, newest first. Those that changed nothing are remembered until the daemon stops.",
			params: []param{{name: "verdict", about: "only with this verdict", one: verdicts()}}, do: (*handler).polls,
		}, {
			method: "GET", path: apiRoot + "/webhooks", name: "listWebhooks", access: looks, answer: []Webhook{}, pages: true,
			about: "Webhooks by name.",
			params: []param{
				{name: "state", about: "only in this state", one: []string{"ok", "failing", "paused", "recovering", "removed"}},
				{name: "name", about: "only those whose name has this in it"},
			}, do: (*handler).webhooks,
		}, {
			method: "GET", path: apiRoot + "/webhooks/{webhook}", name: "getWebhook", access: looks, answer: Webhook{}, errors: []int{404},
			about: "One webhook.", do: (*handler).webhook,
		}, {
			method: "GET", path: apiRoot + "/stream", name: "stream", access: looks, kind: streamKind,
			about: "What happens, as server-sent events: each has an id, its kind as the event, and an item as data. " +
				"A reader that does not keep up gets the event end with the reason, and no more.",
			params: streamParams(), serve: (*handler).stream,
		},
	}
}

func verdicts() []string {
	return []string{"complete", "partial", "unchanged", "deferred", "failed", "held"}
}

func streamParams() []param {
	return []param{
		{name: "source", about: "only of this source", repeated: true},
		{name: "webhook", about: "only of this webhook: attempts and changes of its state", repeated: true},
		{name: "type", about: "only events of this type, and what becomes of them; a pattern like *.deleted", repeated: true},
		{name: "kind", about: "only this kind", repeated: true, one: []string{KindPoll, KindEvent, KindAttempt, KindTransition}},
		{name: "failed", about: "only what failed", format: "boolean"},
		{name: "after", about: "id of the last item that is known, as the header Last-Event-ID", format: "integer"},
	}
}

func recordRoutes() []route {
	key := param{name: "key", about: "of the record; that of a composite key is the JSON array of its parts", required: true}
	return []route{
		{
			method: "GET", path: apiRoot + "/sources/{source}/records", name: "listRecords", access: looks, answer: []Record{}, pages: true,
			about:  "The known records of a source by key, without their content.",
			params: []param{{name: "prefix", about: "only those whose key begins so"}}, do: (*handler).records,
		}, {
			method: "GET", path: apiRoot + "/sources/{source}/record", name: "getRecord", access: looks, answer: Record{}, errors: []int{404},
			about: "One known record, as upstream sent it last.", params: []param{key}, do: (*handler).record,
		}, {
			method: "GET", path: apiRoot + "/sources/{source}/why", name: "why", access: looks, answer: Story{}, errors: []int{404},
			about: "The story of one record: what happened to it, and why nothing was sent where nothing was.", params: []param{key}, do: (*handler).why,
		},
	}
}

func eventRoutes() []route {
	times := []param{
		{name: "since", about: "only detected at or after", format: "date-time"},
		{name: "until", about: "only detected before", format: "date-time"},
	}
	return []route{
		{
			method: "GET", path: apiRoot + "/events", name: "listEvents", access: looks, answer: []Event{}, pages: true,
			about: "Detected changes, newest first.",
			params: append([]param{
				{name: "source", about: "only of this source"}, {name: "type", about: "only of this type"}, {name: "key", about: "only of this record"},
			}, times...), do: (*handler).events,
		}, {
			method: "GET", path: apiRoot + "/events/{event}", name: "getEvent", access: looks, answer: EventDetail{}, errors: []int{404},
			about: "One event with its payload, its deliveries and their attempts.", do: (*handler).event,
		}, {
			method: "GET", path: apiRoot + "/deliveries", name: "listDeliveries", access: looks, answer: []Delivery{}, pages: true,
			about:  "Events on their way to webhooks, the newest event first. A page does not end between two deliveries of one event.",
			params: deliveryParams(), do: (*handler).deliveries,
		}, {
			method: "GET", path: apiRoot + "/events/{event}/attempts", name: "listAttempts", access: looks, answer: []Attempt{}, errors: []int{404},
			about:  "The attempts to deliver one event to one webhook, in their order.",
			params: []param{{name: "webhook", about: "name of the webhook", required: true}}, do: (*handler).attempts,
		},
	}
}

func deliveryParams() []param {
	return []param{
		{name: "webhook", about: "only to this webhook"},
		{name: "source", about: "only of this source"},
		{name: "type", about: "only of this type"},
		{name: "key", about: "only of this record"},
		{name: "event", about: "only of this event"},
		{name: "state", about: "only in this state", one: []string{"pending", "delivered", "parked", "dropped", "merged"}},
		{name: "reason", about: "only those whose reason has this in it"},
		{name: "since", about: "only of events detected at or after", format: "date-time"},
		{name: "until", about: "only of events detected before", format: "date-time"},
	}
}
