package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// Stored is what there is before a start or a reload.
type Stored struct {
	Sources []store.SourceRow
	Queues  []store.Queue
	// Running is the configuration of the running daemon; nil when none runs.
	Running *Facts
}

// Plan says what a start or a reload with the configuration would do: sources first, by name, then webhooks and the rest.
func Plan(c *config.Config, next *Facts, was Stored) ([]admin.Planned, error) {
	p := &planner{config: c, was: was, comparison: comparison{was: was.Running, next: next}, rows: map[string]store.SourceRow{}}
	for _, r := range was.Sources {
		if r.Name != emitter.Own {
			p.rows[r.Name] = r
		}
	}
	for _, s := range c.Sources {
		if err := p.source(s); err != nil {
			return nil, err
		}
	}
	for _, name := range p.gone("source.", slices.Collect(maps.Keys(p.rows))) {
		p.removed(name)
	}
	slices.SortStableFunc(p.steps, func(a, b admin.Planned) int { return strings.Compare(a.Source, b.Source) })
	p.webhooks()
	p.others()
	return p.steps, nil
}

type planner struct {
	comparison

	config *config.Config
	was    Stored
	rows   map[string]store.SourceRow
	steps  []admin.Planned
}

func (p *planner) source(s *poller.Source) error {
	row, stored := p.rows[s.Name]
	edited, err := s.Against(&row.State)
	if err != nil {
		return err
	}
	told := edited.Compare != "" || edited.Identity != ""
	step := admin.Planned{Source: s.Name, Kind: admin.PlanUnchanged, Records: row.State.Records, Changes: p.changes("source."+s.Name, told)}
	if edited.Compare != "" {
		step.Changes = append(step.Changes, edited.Compare)
	}
	if edited.Identity != "" {
		step.Changes = append(step.Changes, edited.Identity)
	}
	known := counted(row.State.Records, "known record")
	switch {
	case edited.Baseline:
		p.fresh(&step, s)
	case edited.Identity != "":
		step.Kind = admin.PlanHeld
		step.Effect = "held: these may not be the same ones: " + known
		step.Next = []string{"deltahook rekey " + s.Name, "deltahook discard " + s.Name, "deltahook release " + s.Name}
	case edited.Compare != "":
		step.Kind, step.Effect = admin.PlanCompared, "no events: compared anew: "+known
	case stored && !row.Removed.IsZero():
		step.Kind, step.Effect = admin.PlanBack, "no events: it goes on with "+known
	case len(step.Changes) > 0:
		step.Kind, step.Effect = admin.PlanChanged, "no events: it goes on with "+known
	}
	p.steps = append(p.steps, step)
	return nil
}

// fresh is a source of which nothing is stored.
func (p *planner) fresh(step *admin.Planned, s *poller.Source) {
	if !p.runs("source." + s.Name) {
		step.Kind = admin.PlanNew
	} else if len(step.Changes) > 0 {
		step.Kind = admin.PlanChanged
	}
	step.Effect = "the first poll saves a baseline, no events"
	if s.Initial == "emit" {
		step.Effect = `the first poll sends all its records as created (initial = "emit")`
	}
}

// removed is a source that left the configuration, or did so before and is not forgotten yet.
func (p *planner) removed(name string) {
	row := p.rows[name]
	step := admin.Planned{Source: name, Kind: admin.PlanRemoved, Records: row.State.Records}
	keep, known := p.config.Store.KeepRemoved, counted(row.State.Records, "known record")
	switch {
	case row.State.Baselined.IsZero():
		step.Effect = "nothing of it is stored"
	case row.Removed.IsZero():
		step.Effect = fmt.Sprintf("kept for %s (store.keep_removed): %s", keep, known)
	default:
		step.Effect = fmt.Sprintf("kept until %s: %s", row.Removed.Add(keep.Std()).UTC().Format("2006-01-02 15:04 MST"), known)
	}
	if to := p.renamedTo(row); to != "" {
		step.Effect += fmt.Sprintf("; %s has the same records: if it was only renamed, name it %s again, or it starts anew", to, name)
	}
	p.steps = append(p.steps, step)
}

// renamedTo gives the new source that has the records of a removed one, if there is exactly one.
func (p *planner) renamedTo(row store.SourceRow) string {
	var found []string
	for _, s := range p.config.Sources {
		known, ok := p.rows[s.Name]
		if isNew := !ok || known.State.Baselined.IsZero(); isNew && row.State.Identity != "" && s.SameRecords(&row.State) && p.sameURL(row.Name, s.Name) {
			found = append(found, s.Name)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// sameURL compares with the running configuration, where that is known.
func (p *planner) sameURL(was, is string) bool {
	return !p.runs("source."+was) || p.was.Running.settings("source." + was)["url"] == p.next.settings("source." + is)["url"]
}

func (p *planner) webhooks() {
	queues := map[string]store.Queue{}
	for _, q := range p.was.Queues {
		queues[q.Webhook] = q
	}
	for _, w := range p.config.Webhooks {
		section := "webhook." + w.Name
		step := admin.Planned{Webhook: w.Name, Kind: admin.PlanUnchanged, Changes: p.changes(section, false), Waiting: queues[w.Name].Pending}
		ran := p.runs(section)
		switch {
		case p.was.Running != nil && !ran && step.Waiting > 0:
			step.Kind, step.Effect = admin.PlanBack, "what waits for it goes out: "+counted(step.Waiting, "delivery")
		case p.was.Running != nil && !ran:
			step.Kind, step.Effect = admin.PlanNew, "gets the events that are detected from now on"
		case len(step.Changes) > 0:
			step.Kind, step.Effect = admin.PlanChanged, "events that were detected before keep their bytes"
		}
		p.steps = append(p.steps, step)
	}
	for _, name := range p.gone("webhook.", slices.Collect(maps.Keys(queues))) {
		q := queues[name]
		step := admin.Planned{Webhook: name, Kind: admin.PlanRemoved, Waiting: q.Pending, Effect: "nothing waits for it"}
		if n := q.Pending + q.Parked; n > 0 {
			step.Effect = fmt.Sprintf("kept in the store until it is configured again: %s (%d parked)", counted(n, "delivery"), q.Parked)
		}
		p.steps = append(p.steps, step)
	}
}

// others tells of the tables that are neither sources nor webhooks.
func (p *planner) others() {
	for _, section := range p.sections() {
		if strings.HasPrefix(section, "source.") || strings.HasPrefix(section, "webhook.") {
			continue
		}
		var waits, at []string
		for _, key := range p.keys(section) {
			if section == "store" && key == "url" {
				waits = append(waits, p.change(section, key))
				continue
			}
			at = append(at, p.change(section, key))
		}
		if len(at) > 0 {
			p.steps = append(p.steps, admin.Planned{Section: section, Kind: admin.PlanChanged, Changes: at, Effect: "from now on"})
		}
		if len(waits) > 0 {
			p.steps = append(p.steps, admin.Planned{Section: section, Kind: admin.PlanRestart, Changes: waits, Effect: "a restart takes it up; until then the store that is open goes on"})
		}
	}
}

// gone lists the names that are stored or run, but are not configured.
func (p *planner) gone(kind string, stored []string) []string {
	for _, section := range p.sections() {
		if name, ok := strings.CutPrefix(section, kind); ok && p.runs(section) {
			stored = append(stored, name)
		}
	}
	slices.Sort(stored)
	return slices.DeleteFunc(slices.Compact(stored), func(name string) bool {
		return p.next.has(kind + name)
	})
}

// changes lists what differs from the running configuration; told says that what is compared with the store is told already.
func (p *planner) changes(section string, told bool) []string {
	if !p.runs(section) {
		return nil
	}
	var list []string
	for _, key := range p.keys(section) {
		if !told || !slices.Contains(storedKeys(), key) {
			list = append(list, p.change(section, key))
		}
	}
	return list
}

// storedKeys are those whose effect the store tells.
func storedKeys() []string {
	return []string{"records", "key", "single", "fields", "ignore", "unordered", "where", "deletes.flag"}
}

// counted gives "1 delivery", "2 deliveries".
func counted(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "y"); ok {
		thing = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
