package page

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

// need is something that waits for a person.
type need struct {
	Kind    string // the word that begins it: held, failing, parked …
	Name    string
	Link    string
	Text    string
	Detail  string
	Output  string // several lines
	Command string // that helps, where there is no button
	Actions []action
}

// eachKind bounds how many needs of one kind are told one by one: of 5,000 sources that fail at once the first few say it all.
const eachKind = 5

// needs lists what waits for a person, what stops changes first.
func needs(s admin.Status) []need {
	list := append(configNeeds(s.Config), memberNeeds(s.Members)...)
	for _, kind := range []struct {
		state string
		tell  func(admin.Source) need
	}{{"held", heldNeed}, {"failing", failingNeed}, {"quiet", quietNeed}, {"paused", pausedNeed}} {
		list = append(list, sourceNeeds(s.Sources, kind.state, kind.tell)...)
	}
	for _, w := range s.Webhooks {
		list = append(list, webhookNeeds(w)...)
	}
	order := []string{"rejected", "held", "failing", "parked", "quiet", "paused"}
	slices.SortStableFunc(list, func(a, b need) int {
		return cmp.Compare(uint(slices.Index(order, a.Kind)), uint(slices.Index(order, b.Kind))) // what is not listed comes last
	})
	return list
}

// configNeeds tells of files that are rejected, and of changes that wait for a restart.
func configNeeds(c *admin.Config) []need {
	var list []need
	if c == nil {
		return nil
	}
	if !c.OK {
		list = append(list, need{
			Kind: "rejected", Name: "configuration", Text: "What stands in the files now cannot run; the one from before goes on.",
			Output: c.Error, Command: commandOf("check"), Actions: []action{reloadAction()},
		})
	}
	if len(c.Restart) > 0 {
		list = append(list, need{
			Kind: "waiting", Name: "configuration", Text: "Some changes take effect with the next start:", Output: strings.Join(c.Restart, "\n"),
		})
	}
	return list
}

// memberNeeds tells of replicas that run another configuration, or reject their files.
func memberNeeds(all []admin.Member) (list []need) {
	for i := range all {
		m := &all[i]
		if len(m.Differs) > 0 {
			list = append(list, need{
				Kind: "waiting", Name: m.ID, Command: commandOf("status"),
				Text: "runs another configuration than this replica: its " + strings.Join(m.Differs, ", ") + " are others. A source that its owner does not know waits.",
			})
		}
		if m.Rejected != "" && !m.Self {
			list = append(list, need{Kind: "rejected", Name: m.ID, Text: "rejects its files; the configuration from before goes on there.", Output: m.Rejected})
		}
	}
	return list
}

func sourceNeeds(all []admin.Source, state string, tell func(admin.Source) need) []need {
	var list []need
	more := 0
	for _, s := range all {
		switch {
		case s.Removed || s.State != state:
		case len(list) < eachKind:
			list = append(list, tell(s))
		default:
			more++
		}
	}
	if more > 0 {
		list = append(list, need{
			Kind: state, Name: "and " + num(more) + " more", Link: finding{State: state}.link(1),
			Text: "sources in the same state", Detail: "",
		})
	}
	return list
}

func sourceLink(name string) string { return "/sources/" + url.PathEscape(name) }

func webhookLink(name string) string { return "/webhooks/" + url.PathEscape(name) }

func heldNeed(s admin.Source) need {
	n := need{Kind: "held", Name: s.Name, Link: sourceLink(s.Name), Text: s.Note, Actions: heldActions(s)}
	if s.Hold == nil {
		return n
	}
	if total := s.Hold.Created + s.Hold.Updated + s.Hold.Deleted; total > 0 {
		n.Detail = fmt.Sprintf("the poll found %s created, %s updated, %s deleted; nothing of it was applied", num(s.Hold.Created), num(s.Hold.Updated), num(s.Hold.Deleted))
	}
	if s.Hold.Decided != "" {
		n.Detail = fmt.Sprintf("%s is decided: the next complete poll carries it out", s.Hold.Decided)
	}
	return n
}

func failingNeed(s admin.Source) need {
	return need{
		Kind: "failing", Name: s.Name, Link: sourceLink(s.Name), Text: s.Note,
		Detail:  plural(s.Failures, "failed poll") + " in a row; it goes on trying",
		Actions: []action{sourceAction(admin.Poll, "Poll now", s.Name)},
	}
}

func quietNeed(s admin.Source) need {
	return need{Kind: "quiet", Name: s.Name, Link: sourceLink(s.Name), Text: s.Note, Actions: []action{sourceAction(admin.Poll, "Poll now", s.Name)}}
}

func pausedNeed(s admin.Source) need {
	return need{
		Kind: "paused", Name: s.Name, Link: sourceLink(s.Name), Text: "is not polled until somebody resumes it; nothing is lost meanwhile",
		Actions: []action{sourceAction(admin.Resume, "Resume", s.Name)},
	}
}

func webhookNeeds(w admin.Webhook) []need {
	var list []need
	switch w.State {
	case "failing":
		list = append(list, need{
			Kind: "failing", Name: w.Name, Link: webhookLink(w.Name), Text: strings.TrimSpace("the receiver does not take events. " + w.Note),
			Detail: plural(w.Queued, "event") + " wait; it is tried again by itself", Actions: webhookActions(w),
		})
	case "paused":
		list = append(list, need{
			Kind: "paused", Name: w.Name, Link: webhookLink(w.Name), Text: w.Note,
			Detail: plural(w.Queued, "event") + " wait for it", Actions: webhookActions(w),
		})
	}
	if w.Parked == 0 {
		return list
	}
	q := selection{Webhook: w.Name, State: store.StateParked}
	return append(list, need{
		Kind: "parked", Name: w.Name, Link: q.link(), Text: plural(w.Parked, "event") + " were refused for good, or given up",
		Detail: "they are kept until somebody replays or drops them",
		Actions: []action{
			changeAction(admin.Replay, "Replay", w.Name, q), changeAction(admin.Drop, "Drop", w.Name, q),
		},
	})
}
