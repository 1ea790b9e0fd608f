package page

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/store"
)

// sourcePage is one source; which of its lists is there depends on the tab.
type sourcePage struct {
	admin.SourceDetail
	Tab     string
	Actions []action
	Surgery []action
	Trend   sparkline
	Cursors string
	Filling *admin.Backfilled // the backfill that runs
	Polls   []admin.PastPoll
	Events  eventList
	Known   recordList
}

// recordList is a part of the known records, by key.
type recordList struct {
	Prefix, After string
	Rows          []admin.Record
	Next          string // address of those behind
	First         string // address of the first, when these are not they
}

func notThere(kind error, name string) error { return fmt.Errorf("%w: %s", kind, name) }

// source reads what all tabs show.
func (p *page) source(r *http.Request, tab string) (sourcePage, error) {
	d, err := p.View.Source(r.Context(), r.PathValue("source"))
	if err != nil {
		return sourcePage{}, err
	}
	d.Settings = sorted(d.Settings)
	out := sourcePage{SourceDetail: d, Tab: tab, Actions: sourceActions(d.Source), Trend: sparklineOf(d.Hours)}
	if len(d.Cursor) > 0 && string(d.Cursor) != "null" {
		out.Cursors = string(d.Cursor)
	}
	if err := p.filling(r, &out); err != nil {
		return out, err
	}
	if !d.Removed {
		out.Surgery = append(out.Surgery, backfillAction(d.Name))
		for _, level := range []string{"validators", "cursor", "records", "all"} {
			out.Surgery = append(out.Surgery, resetAction(d.Name, level))
		}
	}
	return out, nil
}

// filling looks for a backfill that runs.
func (p *page) filling(r *http.Request, s *sourcePage) error {
	if s.Removed {
		return nil
	}
	b, err := p.View.Backfill(r.Context(), admin.Backfill{Source: s.Name}, admin.LookBackfill)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, admin.ErrNotRunning) {
		return nil
	}
	if err == nil && b.State == "running" {
		s.Filling = &b
	}
	return err
}

func (s sourcePage) shown(refresh int) shown {
	return shown{view: "source", title: "Source " + s.Name, nav: "overview", refresh: refresh, body: s}
}

// pollsShown is how many polls the page lists.
const pollsShown = 200

func (p *page) sourcePolls(r *http.Request) (shown, error) {
	s, err := p.source(r, "polls")
	if err != nil {
		return shown{}, err
	}
	s.Polls, err = p.View.Polls(r.Context(), s.Name, pollsShown)
	return s.shown(30), err
}

func (p *page) sourceEvents(r *http.Request) (shown, error) {
	s, err := p.source(r, "events")
	if err != nil {
		return shown{}, err
	}
	q := selectionOf(r.URL.Query())
	q.Source = s.Name
	s.Events, err = p.listEvents(r, q)
	return s.shown(0), err
}

func (p *page) sourceRecords(r *http.Request) (shown, error) {
	s, err := p.source(r, "records")
	if err != nil {
		return shown{}, err
	}
	v := r.URL.Query()
	list := recordList{Prefix: v.Get("prefix"), After: v.Get("after")}
	list.Rows, err = p.View.Records(r.Context(), store.RecordQuery{Source: s.Name, Prefix: list.Prefix, After: list.After, Limit: listPage + 1})
	if len(list.Rows) > listPage {
		list.Rows = list.Rows[:listPage]
		list.Next = with(r.URL, "after", list.Rows[listPage-1].Key)
	}
	if list.After != "" {
		list.First = with(r.URL, "after", "")
	}
	s.Known = list
	return s.shown(0), err
}

func (p *page) sourceConfig(r *http.Request) (shown, error) {
	s, err := p.source(r, "config")
	return s.shown(0), err
}

// recordPage is one record and its story.
type recordPage struct {
	admin.Story
	Shown   string // the record
	Command string
	Steps   []storyStep
}

// storyStep is a step with the sign of its change.
type storyStep struct {
	admin.Step
	Sign string
}

func (p *page) record(r *http.Request) (shown, error) {
	source, key := r.PathValue("source"), r.URL.Query().Get("key")
	story, err := p.View.Why(r.Context(), source, key)
	if err != nil {
		return shown{}, err
	}
	out := recordPage{Story: story, Shown: pretty(story.Record), Command: commandOf("why", source, key)}
	signs := map[string]string{"created": "+", "updated": "~", "deleted": "−", "snapshot": "="}
	for _, s := range story.Steps {
		out.Steps = append(out.Steps, storyStep{Step: s, Sign: signs[s.Change]})
	}
	return shown{view: "record", title: "Record " + key + " of " + source, nav: "overview", body: out}, nil
}

// sorted puts what was configured before what is a default, and tables behind the keys of the section itself.
func sorted(list []admin.Setting) []admin.Setting {
	rank := func(s admin.Setting) int {
		if s.Default {
			return 1
		}
		return 0
	}
	return slices.SortedFunc(slices.Values(list), func(a, b admin.Setting) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(strings.Count(a.Key, "."), strings.Count(b.Key, ".")), strings.Compare(a.Key, b.Key))
	})
}

func valuesOf(list []admin.Setting) map[string]string {
	m := make(map[string]string, len(list))
	for _, s := range list {
		m[s.Key] = s.Value
	}
	return m
}
