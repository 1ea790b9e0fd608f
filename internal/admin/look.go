package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/store"
)

func (h *handler) status(r *http.Request) (any, error) { return h.View.Status(r.Context()) }

func (h *handler) config(*http.Request) (any, error) { return h.Settings(), nil }

func (h *handler) source(r *http.Request) (any, error) {
	return h.View.Source(r.Context(), r.PathValue("source"))
}

// sources lists a part of the status.
func (h *handler) sources(r *http.Request) (any, error) {
	s, err := h.View.Status(r.Context())
	if err != nil {
		return nil, err
	}
	return named(r, s.Sources, func(s Source) (string, string) { return s.Name, s.State })
}

func (h *handler) webhooks(r *http.Request) (any, error) {
	s, err := h.View.Status(r.Context())
	if err != nil {
		return nil, err
	}
	return named(r, s.Webhooks, func(w Webhook) (string, string) { return w.Name, w.State })
}

func (h *handler) webhook(r *http.Request) (any, error) {
	s, err := h.View.Status(r.Context())
	if err != nil {
		return nil, err
	}
	name := r.PathValue("webhook")
	i := slices.IndexFunc(s.Webhooks, func(w Webhook) bool { return w.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoWebhook, name)
	}
	return s.Webhooks[i], nil
}

// named selects a page of things that have a name and a state, which are sorted by name.
func named[T any](r *http.Request, all []T, of func(T) (name, state string)) (any, error) {
	p := params{v: r.URL.Query()}
	limit, from := p.page()
	if p.err != nil {
		return nil, requestError{p.err}
	}
	list := []T{}
	for _, one := range all {
		name, state := of(one)
		if name <= from.Key || !strings.Contains(name, p.v.Get("name")) || p.v.Get("state") != "" && p.v.Get("state") != state {
			continue
		}
		if len(list) == limit {
			return after(list, true, func(one T) place { name, _ := of(one); return place{Key: name} }), nil
		}
		list = append(list, one)
	}
	return listed{list: list}, nil
}

// polls pages through what is remembered, by time.
func (h *handler) polls(r *http.Request) (any, error) {
	p := params{v: r.URL.Query()}
	limit, from := p.page()
	if p.err != nil {
		return nil, requestError{p.err}
	}
	all, err := h.View.Polls(r.Context(), r.PathValue("source"), 0)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(one PastPoll) bool {
		return from.Seq != 0 && one.At.UnixNano() >= from.Seq || p.v.Get("verdict") != "" && p.v.Get("verdict") != one.Verdict
	})
	list := all[:min(len(all), limit)]
	return after(list, len(list) < len(all), func(one PastPoll) place { return place{Seq: one.At.UnixNano()} }), nil
}

func (h *handler) activity(r *http.Request) (any, error) {
	const most = 200
	names := r.URL.Query()["source"]
	if len(names) > most {
		return nil, requestError{fmt.Errorf("source is there more than %d times", most)}
	}
	return h.View.Activity(r.Context(), names)
}

func (h *handler) records(r *http.Request) (any, error) {
	p := params{v: r.URL.Query()}
	limit, from := p.page()
	if p.err != nil {
		return nil, requestError{p.err}
	}
	q := store.RecordQuery{Source: r.PathValue("source"), Prefix: p.v.Get("prefix"), After: from.Key, Limit: limit}
	list, err := h.View.Records(r.Context(), q)
	return after(list, len(list) == limit, func(one Record) place { return place{Key: one.Key} }), err
}

func (h *handler) record(r *http.Request) (any, error) {
	return h.View.Record(r.Context(), r.PathValue("source"), r.URL.Query().Get("key"))
}

func (h *handler) why(r *http.Request) (any, error) {
	return h.View.Why(r.Context(), r.PathValue("source"), r.URL.Query().Get("key"))
}

func (h *handler) events(r *http.Request) (any, error) {
	q, err := eventQuery(r.URL.Query())
	if err != nil {
		return nil, requestError{err}
	}
	list, err := h.View.Events(r.Context(), q)
	return after(list, len(list) == q.Limit, func(one Event) place { return place{Seq: one.Seq} }), err
}

func (h *handler) event(r *http.Request) (any, error) {
	return h.View.Event(r.Context(), r.PathValue("event"))
}

func (h *handler) deliveries(r *http.Request) (any, error) {
	q, err := deliveryQuery(r.URL.Query())
	if err != nil {
		return nil, requestError{err}
	}
	list, err := h.View.Deliveries(r.Context(), q)
	return after(list, len(list) >= q.Limit, func(one Delivery) place { return place{Seq: one.Seq} }), err
}

func (h *handler) attempts(r *http.Request) (any, error) {
	d, err := h.View.Event(r.Context(), r.PathValue("event"))
	if err != nil {
		return nil, err
	}
	webhook := r.URL.Query().Get("webhook")
	i := slices.IndexFunc(d.Deliveries, func(one Delivery) bool { return one.Webhook == webhook })
	if i < 0 {
		return nil, fmt.Errorf("a delivery of %s to %s: %w", d.ID, webhook, store.ErrNotFound)
	}
	return d.Deliveries[i].History, nil
}

func (h *handler) edit(r *http.Request, verb Verb, plan bool) (any, error) {
	return h.View.Edit(r.Context(), Edit{Verb: verb, Source: r.PathValue("source"), Level: r.URL.Query().Get("level")}, plan)
}

// change changes deliveries, or says what that would do.
func (h *handler) change(r *http.Request, kind ChangeKind, plan bool) (any, error) {
	c, err := changeOf(kind, r.URL.Query())
	if err != nil {
		return nil, requestError{err}
	}
	return h.View.Change(r.Context(), c, plan)
}
