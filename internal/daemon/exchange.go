package daemon

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// replicate tells the other replicas what they cannot know, and hears what this one cannot, until ctx ends.
func (d *Daemon) replicate(ctx context.Context) {
	if d.peers.board == nil {
		return
	}
	failed := false
	d.pulse.every(ctx, "replicas", lookPeriod, func(ctx context.Context) {
		err := d.exchange(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !failed:
			d.opts.Log.WarnContext(ctx, "what the other replicas do is not known; it is tried again", "err", err)
		case err == nil && failed:
			d.opts.Log.InfoContext(ctx, "what the other replicas do is known again")
		}
		failed = err != nil
	})
}

func (d *Daemon) exchange(ctx context.Context) error {
	if err := d.introduce(ctx); err != nil {
		return err
	}
	if err := d.agree(ctx); err != nil {
		return err
	}
	v := d.view()
	if err := d.peers.tell(ctx, d.scheduler.Statuses(), v.source, d.ownReport); err != nil {
		return err
	}
	d.hear()
	return nil
}

// introduce lets the others know which program and which configuration run here.
func (d *Daemon) introduce(ctx context.Context) error {
	r := d.current()
	info := store.Info{Version: d.opts.Version, Config: r.version.All, Parts: r.version.Parts, Loaded: r.since.UTC().Truncate(time.Second), Rejected: d.reload.status(r).Error}
	if d.peers.said(&info) {
		return nil
	}
	return d.keeper.Say(ctx, info)
}

// agree tells the store which sources there are, once all replicas have the same configuration: as long as one has another, a source
// that is missing here has not left.
func (d *Daemon) agree(ctx context.Context) error {
	r := d.current()
	if !d.peers.mine(houseShard) || !d.peers.agreed(r.version.All) {
		d.told.Store(nil) // somebody else may tell it something else, and a look at the others may have been too old
		return nil
	}
	if d.told.Load() == r {
		return nil
	}
	if err := d.setSources(ctx, r.config); err != nil {
		return err
	}
	d.told.Store(r)
	return nil
}

// settled says whether what the store takes for removed has left the configuration of everybody.
func (d *Daemon) settled() bool {
	r := d.current()
	return !d.opts.Store.Shared() || d.told.Load() == r && d.peers.agreed(r.version.All)
}

// hear takes in what the others say of what deltahook tells people of.
func (d *Daemon) hear() {
	sight := d.peers.seen()
	sources, hooks := d.peers.heard()
	for i := range sources {
		d.alerts.reported(&sources[i])
	}
	for i := range hooks {
		d.alerts.parkedElsewhere(&hooks[i])
	}
	now := time.Now()
	d.alerts.rejectedElsewhere(sight, d.member.ID(), now)
	d.alerts.differ(sight, now)
}

// memberReport is what a replica reports of itself.
type memberReport struct {
	Webhooks []admin.Webhook      `json:"webhooks"`
	Parked   map[string]parkedSum `json:"parked,omitempty"` // since its start, by webhook
}

// parkedSum is what was parked here since the start.
type parkedSum struct {
	Count  int       `json:"count"`
	IDs    []string  `json:"ids"` // of the last ten
	Reason string    `json:"reason"`
	Last   time.Time `json:"last"` // when the last one was parked, by the clock that the store has it from
}

func (d *Daemon) ownReport() memberReport {
	out := memberReport{Parked: d.alerts.parkedHere()}
	for _, w := range d.dispatcher.Stats() {
		out.Webhooks = append(out.Webhooks, webhookStatus(w, store.Queue{}))
	}
	return out
}

// reported hears of a source that another replica polls.
func (a *alerts) reported(s *admin.Source) {
	a.baselined(s.Name, s.Baselined, s.Records)
	about := subject{Source: s.Name}
	end := s.LastPoll
	switch poller.Health(s.State) {
	case poller.Unwell:
		a.raise(alertSourceFailing, about, s.Since, s.Failures, s.Note, "deltahook try "+s.Name)
		return
	case poller.Ok, poller.OnHold, poller.TooQuiet:
	case poller.Baselining, poller.Paused, poller.Waiting:
		return // which says nothing
	}
	a.clear(end, about, alertSourceFailing)
	if s.Hold != nil {
		a.raise(alertSourceHeld, about, s.Hold.Since, 0, s.Hold.Message, "deltahook try "+s.Name)
	} else {
		a.clear(end, about, alertSourceHeld)
	}
	if poller.Health(s.State) == poller.TooQuiet {
		a.raise(alertSourceQuiet, about, s.Since, 0, s.Note, "")
	} else if s.Hold == nil {
		a.clear(end, about, alertSourceQuiet)
	}
}

// parkedHere gives what was parked by this process.
func (a *alerts) parkedHere() map[string]parkedSum {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make(map[string]parkedSum, len(a.sums))
	for webhook, s := range a.sums {
		s.IDs = slices.Clone(s.IDs)
		out[webhook] = s
	}
	return out
}

// countParked counts an event that was parked here; a.mu is held.
func (a *alerts) countParked(d *emitter.Delivery, reason string) {
	s := a.sums[d.Webhook]
	s.Count++
	s.Reason, s.Last = reason, time.Now().UTC()
	if s.IDs = append(s.IDs, d.ID); len(s.IDs) > parkedIDs {
		s.IDs = slices.Delete(s.IDs, 0, len(s.IDs)-parkedIDs)
	}
	a.sums[d.Webhook] = s
}

// parkedElsewhere hears of events that another replica has parked since it reported last.
func (a *alerts) parkedElsewhere(one *parkedNews) {
	if a.ours.Load() {
		a.parkedAlso(one.webhook, &parked{count: one.count, ids: one.ids, reason: one.reason, since: time.Now(), last: one.last})
	}
}

// rejectedElsewhere hears of replicas whose files are rejected while ours are not.
func (a *alerts) rejectedElsewhere(sight *store.Sight, self string, now time.Time) {
	here, problem := false, ""
	for i := range sight.Peers {
		switch p := &sight.Peers[i]; {
		case p.ID == self:
			here = p.Info.Rejected != ""
		case p.Info.Rejected != "" && problem == "":
			problem = "on " + store.Name(p.ID) + ": " + p.Info.Rejected
		}
	}
	if !here {
		a.rejected(problem, now)
	}
}

// differ hears whether all replicas run the same configuration.
func (a *alerts) differ(sight *store.Sight, now time.Time) {
	versions := map[string]string{} // by version: who has it
	var newest time.Time
	for i := range sight.Peers {
		if p := &sight.Peers[i]; p.Info.Config != "" {
			versions[p.Info.Config] = store.Name(p.ID)
			if p.Info.Loaded.After(newest) {
				newest = p.Info.Loaded
			}
		}
	}
	if len(versions) < 2 {
		a.clear(now, subject{}, alertDiffers)
		return
	}
	a.raise(alertDiffers, subject{}, newest, 0, messageOf(versions), "deltahook status")
}

func messageOf(versions map[string]string) string {
	var list []string
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		list = append(list, version+" on "+versions[version])
	}
	return "replicas run different configurations: " + strings.Join(list, ", ")
}

// versionHere gives the version of a configuration as the replicas of this store compare it.
func (d *Daemon) versionHere(c *config.Config) config.Version {
	if !d.opts.Store.Shared() {
		return config.Version{}
	}
	seed := d.opts.Store.Seed()
	return config.VersionOf(c, d.opts.Secrets, seed[:])
}
