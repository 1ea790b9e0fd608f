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
	Since     time.Time            `json:"since,omitzero"`
	Baselined map[string]time.Time `json:"baselined,omitempty"` // the baselines that were told since, by source
	Parked    map[string]time.Time `json:"parked,omitempty"`    // until when what was parked was told, by webhook
}

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
		a.told = tellings{Since: now.UTC(), Baselined: map[string]time.Time{}, Parked: map[string]time.Time{}}
	}
}

// first stores from when on somebody is told before there is anything to tell: after a crash right after the first start nobody would know
// what is still to be told. When the store refuses, run tries again and says so.
func (a *alerts) first(ctx context.Context) { _, _ = a.tell(ctx, time.Now()) }

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

// prune makes one time of what was told long ago. Nothing may be owed but what is told together with it.
func (t *tellings) prune(now time.Time) {
	cut := now.Add(-tellingsKept).UTC()
	old := func(_ string, at time.Time) bool { return at.Before(cut) }
	before := len(t.Baselined) + len(t.Parked)
	maps.DeleteFunc(t.Baselined, old)
	maps.DeleteFunc(t.Parked, old)
	if len(t.Baselined)+len(t.Parked) < before && cut.After(t.Since) {
		t.Since = cut
	}
}

// parkedUpTo notes until when what was parked for a webhook is told.
func (t *tellings) parkedUpTo(webhook string, last time.Time) {
	if !t.Since.IsZero() && last.After(t.Parked[webhook]) { // else the clock was set back, and they would be told again
		t.Parked[webhook] = last.UTC()
	}
}

// parkedUntil is until when what was parked for a webhook was told.
func (t *tellings) parkedUntil(webhook string) time.Time {
	if at := t.Parked[webhook]; at.After(t.Since) {
		return at
	}
	return t.Since
}

// baselined hears of a baseline that the store has, and tells of it once.
func (a *alerts) baselined(source string, at time.Time, records int64) {
	if !a.ours.Load() {
		return // whoever tells finds it in the store, or hears of it by our reports
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told.Since.IsZero() || at.Before(a.told.Since) || a.told.Baselined[source].Equal(at) {
		return
	}
	a.told.Baselined[source] = at.UTC() // which is stored with the event that tells it, and not before
	a.notices = append(a.notices, alert{kind: alertBaselined, About: subject{Source: source}, State: "baselined", Records: records, Since: at.UTC()})
	a.nudge()
}

// archive is what of the store is held against what was told.
type archive interface {
	Sources(ctx context.Context) ([]store.SourceRow, error)
	Queues(ctx context.Context) ([]store.Queue, error)
	Deliveries(ctx context.Context, q store.DeliveryQuery) ([]store.DeliveryRow, error)
}

// catchUp finds what the store has and nobody was told: whoever was to tell has died.
func (a *alerts) catchUp(ctx context.Context) error {
	c := a.config()
	a.mu.Lock()
	nobody := len(c.Alerts.To) == 0 || a.told.Since.IsZero()
	a.mu.Unlock()
	if nobody {
		return nil
	}
	rows, err := a.archive.Sources(ctx)
	if err != nil {
		return fmt.Errorf("read which baselines there are: %w", err)
	}
	for i := range rows {
		if _, ok := c.Source(rows[i].Name); ok {
			a.baselined(rows[i].Name, rows[i].State.Baselined, rows[i].State.Records)
		}
	}
	queues, err := a.archive.Queues(ctx)
	if err != nil {
		return fmt.Errorf("read what is parked: %w", err)
	}
	for _, q := range queues {
		if _, ok := c.Webhook(q.Webhook); !ok || q.Parked == 0 {
			continue
		}
		if err := a.catchUpParked(ctx, q.Webhook); err != nil {
			return fmt.Errorf("read what is parked for %s: %w", q.Webhook, err)
		}
	}
	return nil
}

func (a *alerts) catchUpParked(ctx context.Context, webhook string) error {
	a.mu.Lock()
	after := a.told.parkedUntil(webhook)
	a.mu.Unlock()
	const page = 1000
	var found parked
	for q := (store.DeliveryQuery{Webhook: webhook, State: store.StateParked, SettledAfter: after, Limit: page}); ; {
		rows, err := a.archive.Deliveries(ctx, q)
		if err != nil {
			return err
		}
		for i := range rows { // newest first
			found.before(&rows[i])
		}
		if len(rows) < page {
			break
		}
		q.Before = rows[len(rows)-1].Seq
	}
	if found.count > 0 {
		a.parkedAlso(webhook, &found)
	}
	return nil
}

// before counts a delivery that stands before those that are counted.
func (p *parked) before(d *store.DeliveryRow) {
	if d.Source == emitter.Own {
		return
	}
	if p.count == 0 || d.Settled.Before(p.since) {
		p.since = d.Settled
	}
	if d.Settled.After(p.last) {
		p.last = d.Settled
	}
	p.reason = d.Reason
	p.count++
	p.ids = slices.Insert(p.ids, 0, d.EventID)
	p.ids = p.ids[:min(len(p.ids), parkedIDs)]
}

// parkedAlso adds parked events of which we heard otherwise than by parking them. Those that are counted already are not again.
func (a *alerts) parkedAlso(webhook string, more *parked) {
	a.mu.Lock()
	defer a.mu.Unlock()
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
	p.ids = append(p.ids, fresh[:min(len(fresh), parkedIDs-len(p.ids))]...)
}
