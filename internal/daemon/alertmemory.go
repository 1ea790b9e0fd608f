package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// memory is what is stored of alerts: the troubles that were told, and of what is told once how far.
type memory struct {
	Alarms []*alarm `json:"alarms,omitempty"`
	tellings
}

// tellings say which baselines and parked events were told. After a crash they are held against what the store has: what it has
// beyond them is still to be told.
type tellings struct {
	// Since is from when on somebody is told; zero: nobody is. What was there before is not news.
	Since     time.Time             `json:"since,omitzero"`
	Baselined map[string]time.Time  `json:"baselined,omitempty"` // the baselines that were told since, by source
	Parked    map[string]toldParked `json:"told_parked,omitempty"`
}

// toldParked says which parked events of a webhook were told. The store knows a parked event by the end of its last attempt, and we hear
// of it when that is written, or when another replica reports it: so those that were told lately are known by their ids.
type toldParked struct {
	Until time.Time `json:"until"`         // when the last one was heard of
	From  time.Time `json:"from"`          // what was parked before was told
	IDs   []string  `json:"ids,omitempty"` // of those that were told and may have been parked after From
}

const (
	parkedLate  = 10 * time.Minute // how long after its end an attempt is written and reported, at most
	parkedKnown = 100              // ids that are kept, at most; of more at a time some may be told without being counted after a crash
)

// memoryIn reads what is stored of alerts.
func memoryIn(state poller.State) (m memory, err error) {
	switch text := state.Cursor; {
	case len(text) == 0:
	case text[0] == '[': // of a version that remembered nothing else
		err = json.Unmarshal(text, &m.Alarms)
	default:
		err = json.Unmarshal(text, &m)
	}
	return m, err
}

// text is what is stored: alarms that were told only.
func (m memory) text() string {
	m.Alarms = slices.DeleteFunc(slices.Clone(m.Alarms), func(one *alarm) bool { return one.Told.IsZero() })
	if len(m.Alarms) == 0 && m.Since.IsZero() {
		return ""
	}
	sortAlarms(m.Alarms)
	text, err := json.Marshal(m)
	if err != nil {
		return ""
	}
	return string(text)
}

// begin notes that somebody is told from now on; a.mu is held.
func (a *alerts) begin(c *config.Config, now time.Time) {
	if a.told.Since.IsZero() && len(c.Alerts.To) > 0 {
		a.told = tellings{Since: now.UTC(), Baselined: map[string]time.Time{}, Parked: map[string]toldParked{}}
	}
}

// first stores from when on somebody is told before there is anything to tell: after a crash right after the first start nobody would know
// what is still to be told. When the store refuses, run tries again and says so.
func (a *alerts) first(ctx context.Context) {
	if !a.owed.Load() { // else it is stored, and looking through the store takes its time
		_, _ = a.tell(ctx, time.Now())
	}
}

// forget stores that nobody is told any more: what happens meanwhile is not owed to those who are named later.
func (a *alerts) forget(ctx context.Context, c *config.Config) error {
	a.mu.Lock()
	nothing := a.told.Since.IsZero()
	term := a.term
	a.mu.Unlock()
	if nothing {
		return nil
	}
	if err := a.read(ctx); err != nil {
		return err
	}
	m, err := memoryIn(*a.state)
	if err != nil {
		return err
	}
	m.tellings = tellings{}
	if err := a.commit(ctx, c, &round{term: term, memory: m.text()}); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if term == a.term {
		a.told = tellings{}
	}
	return nil
}

// tellingsKept is how long tellings are kept one by one. No poll lasts so long, and no clocks of replicas are so far apart: what is older
// is known to be told.
const tellingsKept = 24 * time.Hour

// prune makes one time of what was told long ago. Nothing may be owed but what is told together with it. It goes by what was told, and
// not by the clock: that may be wrong for a moment.
func (t *tellings) prune(now time.Time) {
	cut, since := now.Add(-tellingsKept), t.Since
	old := func(at time.Time) bool {
		if at.Before(cut) && !at.Before(since) {
			since = at.Add(1)
		}
		return at.Before(cut)
	}
	maps.DeleteFunc(t.Baselined, func(_ string, at time.Time) bool { return old(at) })
	maps.DeleteFunc(t.Parked, func(_ string, p toldParked) bool { return old(p.Until) })
	t.Since = since
}

// mend brings back what was noted while the clock was far ahead: what comes now would not be told until then.
func (t *tellings) mend(newest time.Time) {
	back := func(at time.Time) time.Time {
		if at.After(newest) {
			return newest
		}
		return at
	}
	t.Since = back(t.Since)
	for source, at := range t.Baselined {
		t.Baselined[source] = back(at)
	}
	for webhook, p := range t.Parked {
		if p.Until.After(newest) {
			p.Until, p.From = newest, t.Since
			t.Parked[webhook] = p
		}
	}
}

// parkedToo notes that parked events of a webhook are told.
func (t *tellings) parkedToo(webhook string, p *parked) {
	if t.Since.IsZero() {
		return
	}
	told, known := t.Parked[webhook]
	if !known || p.since.Sub(told.Until) > parkedLate { // those before are told, however late they were heard of
		told = toldParked{From: later(t.Since, told.From, p.since.Add(-parkedLate).UTC())}
	}
	told.Until = later(told.Until, p.last.UTC())
	fresh := slices.DeleteFunc(slices.Clone(p.ids), func(id string) bool { return slices.Contains(told.IDs, id) }) // not tried before
	if told.IDs = slices.Concat(told.IDs, fresh); p.count > len(p.ids) || len(told.IDs) > parkedKnown {
		told.IDs, told.From = nil, told.Until
	}
	t.Parked[webhook] = told
}

// parkedFrom gives from when on parked events of a webhook may not be told.
func (t *tellings) parkedFrom(webhook string) time.Time {
	return later(t.Since, t.Parked[webhook].From)
}

func later(times ...time.Time) (last time.Time) {
	for _, at := range times {
		if at.After(last) {
			last = at
		}
	}
	return last
}

// baselined hears of a baseline that the store has, and tells of it once.
func (a *alerts) baselined(source string, at time.Time, records int64) {
	if !a.ours.Load() {
		return // whoever tells finds it in the store, or hears of it by our reports
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told.Since.IsZero() || at.Before(a.told.Since) || !at.After(a.told.Baselined[source]) {
		return
	}
	a.told.Baselined[source] = at.UTC() // which is stored with the event that tells it, and not before
	a.notices = append(a.notices, alert{kind: alertBaselined, About: subject{Source: source}, State: "baselined", Records: records, Since: at.UTC()})
	a.nudge()
}

// archive is what of the store is held against what was told.
type archive interface {
	Sources(ctx context.Context) ([]store.SourceRow, error)
	Deliveries(ctx context.Context, q store.DeliveryQuery) ([]store.DeliveryRow, error)
}

// catchUp finds what the store has and nobody was told: whoever was to tell has died. It looks once, before the first telling.
func (a *alerts) catchUp(ctx context.Context) error {
	if !a.owed.Load() {
		return nil
	}
	a.mu.Lock()
	term, nobody := a.term, a.told.Since.IsZero()
	a.mu.Unlock()
	if nobody {
		return nil
	}
	rows, err := a.archive.Sources(ctx)
	if err != nil {
		return fmt.Errorf("read which baselines there are: %w", err)
	}
	newest := time.Now()
	for i := range rows {
		newest = later(newest, rows[i].Committed)
	}
	a.mu.Lock()
	a.told.mend(newest.Add(tellingsKept).UTC())
	a.mu.Unlock()
	found, err := a.untold(ctx)
	if err != nil {
		return fmt.Errorf("read what is parked: %w", err)
	}
	c := a.config()
	for i := range rows {
		if _, ok := c.Source(rows[i].Name); ok {
			a.baselined(rows[i].Name, rows[i].State.Baselined, rows[i].State.Records)
		}
	}
	for webhook, p := range found {
		if _, ok := c.Webhook(webhook); ok {
			a.parkedAlso(webhook, p)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owed.Store(term != a.term) // who tells again looks again
	return nil
}

// untold gives the parked events that were not told, by webhook. All that are parked are looked at once.
func (a *alerts) untold(ctx context.Context) (map[string]*parked, error) {
	a.mu.Lock()
	told := tellings{Since: a.told.Since, Parked: maps.Clone(a.told.Parked)}
	a.mu.Unlock()
	const page = 1000
	found := map[string]*parked{}
	for q := (store.DeliveryQuery{State: store.StateParked, SettledAfter: told.Since, Limit: page}); ; {
		rows, err := a.archive.Deliveries(ctx, q)
		if err != nil {
			return nil, err
		}
		for i := range rows { // newest first
			d := &rows[i]
			if d.Source == emitter.Own || !d.Settled.After(told.parkedFrom(d.Webhook)) || slices.Contains(told.Parked[d.Webhook].IDs, d.EventID) {
				continue
			}
			if found[d.Webhook] == nil {
				found[d.Webhook] = &parked{}
			}
			found[d.Webhook].before(d)
		}
		if len(rows) < page {
			return found, nil
		}
		q.Before = rows[len(rows)-1].Seq
	}
}

// before counts a delivery that stands before those that are counted.
func (p *parked) before(d *store.DeliveryRow) {
	if p.count == 0 || d.Settled.Before(p.since) {
		p.since = d.Settled
	}
	if d.Settled.After(p.last) {
		p.last = d.Settled
	}
	p.reason = d.Reason
	p.count++
	p.ids = slices.Insert(p.ids, 0, d.EventID)
	p.ids = p.ids[:min(len(p.ids), parkedKnown)]
}

// parkedAlso adds parked events of which we heard otherwise than by parking them. Those that are counted already are not again.
func (a *alerts) parkedAlso(webhook string, more *parked) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ours.Load() {
		return
	}
	p := a.parked[webhook]
	if p == nil {
		p = &parked{}
		a.parked[webhook] = p
	}
	fresh := slices.DeleteFunc(slices.Clone(more.ids), func(id string) bool { return slices.Contains(p.ids, id) })
	count := more.count - (len(more.ids) - len(fresh))
	if more.last.After(p.last) {
		p.last = more.last
	}
	if count == 0 {
		return
	}
	if p.count == 0 {
		p.since, p.reason = more.since, more.reason
		a.nudge()
	}
	p.count += count
	p.ids = append(p.ids, fresh[:min(len(fresh), parkedKnown-len(p.ids))]...)
}
