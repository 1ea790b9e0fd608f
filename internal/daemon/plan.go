package daemon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// Kinds of a Step.
const (
	StepNew       = "new"
	StepUnchanged = "unchanged"
	StepChanged   = "changed" // and nothing that is stored is concerned
	StepCompared  = "compared"
	StepHeld      = "held"
	StepBack      = "back" // after it had been removed
	StepRemoved   = "removed"
)

// Step is what a start or a reload would do to one source or webhook.
type Step struct {
	Source  string   `json:"source,omitempty"`
	Webhook string   `json:"webhook,omitempty"`
	Kind    string   `json:"plan"`
	Changes []string `json:"changes,omitempty"` // of the configuration: "every 5m → 1m"
	Records int64    `json:"records"`           // that are known
	Waiting int64    `json:"waiting"`           // deliveries in the queue of a webhook
	Effect  string   `json:"effect,omitempty"`  // for people
	Next    []string `json:"next,omitempty"`    // commands that decide what is held
}

// Stored is what there is before a start or a reload.
type Stored struct {
	Sources []store.SourceRow
	Queues  []store.Queue
	// Running is the configuration of the running daemon, see config.Settings; nil when none runs.
	Running map[string]map[string]string
}

// Plan says what a start or a reload with the configuration would do: sources first, by name, then webhooks.
func Plan(c *config.Config, was Stored) ([]Step, error) {
	p := &planner{config: c, was: was, next: config.Settings(c), rows: map[string]store.SourceRow{}}
	for _, r := range was.Sources {
		p.rows[r.Name] = r
	}
	for _, s := range c.Sources {
		if err := p.source(s); err != nil {
			return nil, err
		}
	}
	for _, name := range p.gone("source.", slices.Collect(maps.Keys(p.rows))) {
		p.removed(name)
	}
	slices.SortStableFunc(p.steps, func(a, b Step) int { return strings.Compare(a.Source, b.Source) })
	p.webhooks()
	return p.steps, nil
}

type planner struct {
	config *config.Config
	was    Stored
	next   map[string]map[string]string
	rows   map[string]store.SourceRow
	steps  []Step
}

func (p *planner) source(s *poller.Source) error {
	row, stored := p.rows[s.Name]
	edited, err := s.Against(&row.State)
	if err != nil {
		return err
	}
	step := Step{Source: s.Name, Kind: StepUnchanged, Records: row.State.Records, Changes: p.changes("source." + s.Name)}
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
		step.Kind = StepHeld
		step.Effect = "held: these may not be the same ones: " + known
		step.Next = []string{"deltahook rekey " + s.Name, "deltahook discard " + s.Name, "deltahook release " + s.Name}
	case edited.Compare != "":
		step.Kind, step.Effect = StepCompared, "no events: compared anew: "+known
	case stored && !row.Removed.IsZero():
		step.Kind, step.Effect = StepBack, "no events: it goes on with "+known
	case len(step.Changes) > 0:
		step.Kind, step.Effect = StepChanged, "no events: it goes on with "+known
	}
	p.steps = append(p.steps, step)
	return nil
}

// fresh is a source of which nothing is stored.
func (p *planner) fresh(step *Step, s *poller.Source) {
	if _, runs := p.was.Running["source."+s.Name]; !runs {
		step.Kind = StepNew
	} else if len(step.Changes) > 0 {
		step.Kind = StepChanged
	}
	step.Effect = "the first poll saves a baseline, no events"
	if s.Initial == "emit" {
		step.Effect = `the first poll sends all its records as created (initial = "emit")`
	}
}

// removed is a source that left the configuration, or did so before and is not forgotten yet.
func (p *planner) removed(name string) {
	row := p.rows[name]
	step := Step{Source: name, Kind: StepRemoved, Records: row.State.Records}
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
	old, ok := p.was.Running["source."+was]
	return !ok || old["url"] == p.next["source."+is]["url"]
}

func (p *planner) webhooks() {
	queues := map[string]store.Queue{}
	for _, q := range p.was.Queues {
		queues[q.Webhook] = q
	}
	for _, w := range p.config.Webhooks {
		section := "webhook." + w.Name
		step := Step{Webhook: w.Name, Kind: StepUnchanged, Changes: p.changes(section), Waiting: queues[w.Name].Pending}
		_, ran := p.was.Running[section]
		switch {
		case p.was.Running != nil && !ran && step.Waiting > 0:
			step.Kind, step.Effect = StepBack, "what waits for it goes out: "+counted(step.Waiting, "delivery")
		case p.was.Running != nil && !ran:
			step.Kind, step.Effect = StepNew, "gets the events that are detected from now on"
		case len(step.Changes) > 0:
			step.Kind, step.Effect = StepChanged, "events that were detected before keep their bytes"
		}
		p.steps = append(p.steps, step)
	}
	for _, name := range p.gone("webhook.", slices.Collect(maps.Keys(queues))) {
		q := queues[name]
		step := Step{Webhook: name, Kind: StepRemoved, Waiting: q.Pending, Effect: "nothing waits for it"}
		if n := q.Pending + q.Parked; n > 0 {
			step.Effect = fmt.Sprintf("kept in the store until it is configured again: %s (%d parked)", counted(n, "delivery"), q.Parked)
		}
		p.steps = append(p.steps, step)
	}
}

// gone lists the names that are stored or run, but are not configured.
func (p *planner) gone(kind string, stored []string) []string {
	for section := range p.was.Running {
		if name, ok := strings.CutPrefix(section, kind); ok {
			stored = append(stored, name)
		}
	}
	slices.Sort(stored)
	return slices.DeleteFunc(slices.Compact(stored), func(name string) bool {
		_, configured := p.next[kind+name]
		return configured
	})
}

// changes lists what differs from the running configuration, but what is compared with the store.
func (p *planner) changes(section string) []string {
	old, ok := p.was.Running[section]
	if !ok {
		return nil
	}
	now := p.next[section]
	keys := slices.AppendSeq(slices.Collect(maps.Keys(old)), maps.Keys(now))
	slices.Sort(keys)
	var list []string
	for _, key := range slices.Compact(keys) {
		if old[key] == now[key] || strings.HasPrefix(section, "source.") && slices.Contains(storedKeys(), key) {
			continue
		}
		list = append(list, fmt.Sprintf("%s %s → %s", key, orNothing(old[key]), orNothing(now[key])))
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

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}
