package emitter

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/setting"
)

// Wants says whether the webhook is to get the event whose body in the format "standard" this is. It is asked when the event is
// committed: what a webhook does not want never is a delivery.
//
// The keys events, when and changed_any must all agree. The last one speaks of updates only: a record that is created, deleted or
// shown as it is has no changed paths, and passes.
func (w *Webhook) Wants(e *Event, standard []byte) bool {
	if !w.subscribes(e.EventType()) {
		return false
	}
	if len(w.ChangedAny) > 0 && e.Change.Kind == differ.Updated && !w.ChangedAny.Sees(&e.Change) {
		return false
	}
	return len(w.When) == 0 || w.When.Match(dataOf(standard))
}

// filters says whether there are events of its sources that the webhook does not get.
func (w *Webhook) filters() bool { return len(w.Events)+len(w.When)+len(w.ChangedAny) > 0 }

func (w *Webhook) subscribes(eventType string) bool {
	return len(w.Events) == 0 || slices.ContainsFunc(w.Events, func(glob string) bool {
		ok, err := path.Match(glob, eventType)
		return ok && err == nil
	})
}

// Takes says whether the webhook wants an event of deltahook itself that it is named for. Patterns of such events choose among them;
// without any it gets all, whatever it wants of sources.
func (w *Webhook) Takes(eventType string) bool {
	own := w.ownGlobs()
	return len(own) == 0 || slices.ContainsFunc(own, func(glob string) bool {
		ok, err := path.Match(glob, eventType)
		return ok && err == nil
	})
}

// AlertsOnly says that the webhook wants events of deltahook itself, and of no source.
func (w *Webhook) AlertsOnly() bool { return len(w.Events) > 0 && len(w.ownGlobs()) == len(w.Events) }

func (w *Webhook) ownGlobs() []string {
	return slices.DeleteFunc(slices.Clone(w.Events), func(glob string) bool { return !strings.HasPrefix(glob, Own+".") })
}

// dataOf gives the member data of a body in the format "standard", without copying.
func dataOf(standard []byte) []byte { return differ.MustPath("data").Get(standard).Raw }

func (w *Webhook) validateFilter(p *setting.Problems) {
	for _, glob := range w.Events {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			p.Add(`write event types like "contacts.created" or "*.deleted"`, fmt.Sprintf("%q is not a pattern of event types", glob), "events")
		}
	}
	for _, c := range w.When {
		name, known := firstName(c.String())
		if !known {
			p.Add("write record."+c.String()+", if that is what is meant",
				fmt.Sprintf("the condition %q is about %q, which is not in the data of an event: there are %s", c, name, strings.Join(dataMembers(), ", ")), "when")
		}
	}
}

// dataMembers lists what the member data of an event has.
func dataMembers() []string {
	return []string{"source", "change", "key", "sequence", "record", "previous", "changed"}
}

// firstName gives the member that a condition begins with. One that begins with something else, a modifier say, counts as known.
func firstName(condition string) (name string, known bool) {
	end := strings.IndexAny(condition, `.|#([{@=!<>% \`)
	if end < 0 {
		end = len(condition)
	}
	name = condition[:end]
	return name, name == "" || slices.Contains(dataMembers(), name)
}

// Refuses says which key keeps the webhook from getting the event whose body in the format "standard" this is: "events", "when" or
// "changed_any". Empty: none, see Wants.
func (w *Webhook) Refuses(standard []byte) string {
	var e struct {
		Type string `json:"type"`
		Data struct {
			Change   string          `json:"change"`
			Record   json.RawMessage `json:"record"`
			Previous json.RawMessage `json:"previous"`
			Changed  []string        `json:"changed"`
		} `json:"data"`
	}
	if json.Unmarshal(standard, &e) != nil {
		return ""
	}
	change := differ.Change{Record: e.Data.Record, Delta: differ.Delta{Previous: e.Data.Previous, Changed: e.Data.Changed}}
	switch {
	case !w.subscribes(e.Type):
		return "events"
	case len(w.ChangedAny) > 0 && e.Data.Change == differ.Updated.String() && !w.ChangedAny.Sees(&change):
		return "changed_any"
	case len(w.When) > 0 && !w.When.Match(dataOf(standard)):
		return "when"
	}
	return ""
}
