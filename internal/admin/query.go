package admin

import (
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/deltahook/deltahook/internal/store"
)

// defaultLimit and maxLimit bound one page of a list.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func eventValues(q store.EventQuery) url.Values {
	v := values{}
	v.text("source", q.Source)
	v.text("type", q.Type)
	v.text("key", q.Key)
	v.time("since", q.Since)
	v.time("until", q.Until)
	v.cursor(place{Seq: q.Before})
	v.number("limit", int64(q.Limit))
	return url.Values(v)
}

func eventQuery(v url.Values) (store.EventQuery, error) {
	p := params{v: v}
	limit, from := p.page()
	q := store.EventQuery{
		Source: v.Get("source"), Type: v.Get("type"), Key: v.Get("key"),
		Since: p.time("since"), Until: p.time("until"), Before: from.Seq, Limit: limit,
	}
	return q, p.err
}

func deliveryValues(q store.DeliveryQuery) url.Values {
	v := values{}
	v.text("webhook", q.Webhook)
	v.text("source", q.Source)
	v.text("type", q.Type)
	v.text("key", q.Key)
	v.text("event", q.EventID)
	v.text("state", q.State)
	v.text("reason", q.Reason)
	v.time("since", q.Since)
	v.time("until", q.Until)
	v.cursor(place{Seq: q.Before})
	v.number("limit", int64(q.Limit))
	return url.Values(v)
}

func deliveryQuery(v url.Values) (store.DeliveryQuery, error) {
	p := params{v: v}
	q := p.deliveries()
	limit, from := p.page()
	q.Before, q.Limit = from.Seq, limit
	return q, p.err
}

// deliveries reads the filters of deliveries.
func (p *params) deliveries() store.DeliveryQuery {
	v := p.v
	return store.DeliveryQuery{
		Webhook: v.Get("webhook"), Source: v.Get("source"), Type: v.Get("type"), Key: v.Get("key"), EventID: v.Get("event"),
		State: v.Get("state"), Reason: v.Get("reason"), Since: p.time("since"), Until: p.time("until"),
	}
}

func changeValues(c Change) url.Values {
	v := values(deliveryValues(c.Query))
	v.text("rate", c.Rate.String())
	v.text("by", c.By)
	v.text("why", c.Why)
	return url.Values(v)
}

func changeOf(kind ChangeKind, v url.Values) (Change, error) {
	p := params{v: v}
	c := Change{Kind: kind, Query: p.deliveries(), By: v.Get("by"), Why: v.Get("why")}
	c.Query.Limit = int(p.number("limit"))
	if rate := v.Get("rate"); rate != "" && p.err == nil {
		p.err = c.Rate.UnmarshalText([]byte(rate))
	}
	return c, p.err
}

type values url.Values

func (v values) text(name, s string) {
	if s != "" {
		url.Values(v).Set(name, s)
	}
}

func (v values) time(name string, t time.Time) {
	if !t.IsZero() {
		url.Values(v).Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

func (v values) number(name string, n int64) {
	if n != 0 {
		url.Values(v).Set(name, strconv.FormatInt(n, 10))
	}
}

// params reads query parameters and keeps the first error.
type params struct {
	v   url.Values
	err error
}

func (p *params) time(name string) time.Time {
	s := p.v.Get(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil && p.err == nil {
		p.err = fmt.Errorf("%s = %q is not a time; write RFC 3339, like 2026-01-31T12:00:00Z", name, s)
	}
	return t
}

func (p *params) number(name string) int64 {
	s := p.v.Get(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if (err != nil || n < 0) && p.err == nil {
		p.err = fmt.Errorf("%s = %q is not a number", name, s)
	}
	return n
}

// page reads which part of a list is wanted.
func (p *params) page() (limit int, from place) {
	n := p.number("limit")
	if n > maxLimit && p.err == nil {
		p.err = fmt.Errorf("limit = %d is too large; take at most %d a page, and follow the link to the next", n, maxLimit)
	}
	if n == 0 {
		n = defaultLimit
	}
	if text := p.v.Get("cursor"); text != "" {
		var err error
		if from, err = parsePlace(text); err != nil && p.err == nil {
			p.err = err
		}
	}
	return int(n), from
}

func (v values) cursor(p place) {
	if p != (place{}) {
		v.text("cursor", p.String())
	}
}
