package page

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

// perPage is how many sources one page of the overview has.
const perPage = 50

// overview is the first page: what needs a person, then sources, then webhooks.
type overview struct {
	Running  bool
	Started  time.Time
	Config   *admin.Config
	Reload   action
	Needs    []need
	Sources  int // all of them
	Matching int
	States   []stateCount
	Rows     []sourceRow
	Find     finding
	Pages    pager
	Webhooks []webhookRow
	Members  []admin.Member
	Unowned  int
}

// stateCount is how many sources are in a state.
type stateCount struct {
	State string
	Count int
	Link  string
	On    bool
}

// sourceRow is one source with what can be done.
type sourceRow struct {
	admin.Source
	Actions []action
	Trend   sparkline
}

// webhookRow is one receiver with what can be done.
type webhookRow struct {
	admin.Webhook
	Actions []action
}

// finding is what the list of sources is narrowed to.
type finding struct {
	Text, State, Sort string
	Page              int
}

func findingOf(v url.Values) finding {
	page, err := strconv.Atoi(v.Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	return finding{Text: strings.TrimSpace(v.Get("q")), State: v.Get("state"), Sort: v.Get("sort"), Page: page}
}

func (f finding) link(page int) string {
	v := url.Values{}
	for name, value := range map[string]string{"q": f.Text, "state": f.State, "sort": f.Sort} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if page > 1 {
		v.Set("page", strconv.Itoa(page))
	}
	if len(v) == 0 {
		return "/"
	}
	return "/?" + v.Encode()
}

func (f finding) matches(s *admin.Source) bool {
	if f.State != "" && f.State != stateName(s) {
		return false
	}
	text := strings.ToLower(f.Text)
	return text == "" || strings.Contains(s.Name, text) || strings.Contains(strings.ToLower(s.Note), text)
}

func stateName(s *admin.Source) string {
	if s.Removed {
		return "removed"
	}
	return s.State
}

// pager leads to the other pages of a list.
type pager struct {
	Page, Last           int
	From, To             int
	Newer, Older, Return string // addresses; empty: there is none
}

func (p *page) overview(r *http.Request) (shown, error) {
	status, err := p.View.Status(r.Context())
	if err != nil {
		return shown{}, err
	}
	o := overview{Running: status.Running, Started: status.Started, Config: status.Config, Reload: reloadAction(), Sources: len(status.Sources), Find: findingOf(r.URL.Query())}
	o.Members, o.Unowned = status.Members, status.Unowned
	o.Needs = needs(status)
	o.States = countStates(status.Sources, o.Find)
	if o.Rows, err = p.rows(r.Context(), o.sift(status.Sources)); err != nil {
		return shown{}, err
	}
	for _, w := range status.Webhooks {
		o.Webhooks = append(o.Webhooks, webhookRow{Webhook: w, Actions: webhookActions(w)})
	}
	return shown{view: "overview", title: "Overview", nav: "overview", refresh: 15, body: o}, nil
}

func (p *page) rows(ctx context.Context, list []admin.Source) ([]sourceRow, error) {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	if len(names) == 0 {
		return nil, nil
	}
	activity, err := p.View.Activity(ctx, names)
	if err != nil {
		return nil, err
	}
	rows := make([]sourceRow, len(list))
	for i, s := range list {
		rows[i] = sourceRow{Source: s, Actions: sourceActions(s), Trend: sparklineOf(activity[s.Name])}
	}
	return rows, nil
}

// sift gives the sources of the page that is asked for.
func (o *overview) sift(all []admin.Source) []admin.Source {
	list := slices.DeleteFunc(slices.Clone(all), func(s admin.Source) bool { return !o.Find.matches(&s) })
	sortSources(list, o.Find.Sort)
	o.Matching = len(list)
	last := max(1, (len(list)+perPage-1)/perPage)
	o.Find.Page = min(o.Find.Page, last)
	from := (o.Find.Page - 1) * perPage
	to := min(from+perPage, len(list))
	o.Pages = pager{Page: o.Find.Page, Last: last, From: min(from+1, to), To: to}
	if o.Find.Page > 1 {
		o.Pages.Newer = o.Find.link(o.Find.Page - 1)
	}
	if o.Find.Page < last {
		o.Pages.Older = o.Find.link(o.Find.Page + 1)
	}
	return list[from:to]
}

// urgency orders states: what needs a person comes first.
func urgency(s *admin.Source) int {
	order := []string{"held", "failing", "quiet", "baselining", "waiting", "paused", "ok", "removed"}
	if i := slices.Index(order, stateName(s)); i >= 0 {
		return i
	}
	return len(order)
}

func sortSources(list []admin.Source, by string) {
	slices.SortStableFunc(list, func(a, b admin.Source) int {
		switch by {
		case "name":
			return strings.Compare(a.Name, b.Name)
		case "records":
			return cmp.Or(cmp.Compare(b.Records, a.Records), strings.Compare(a.Name, b.Name))
		case "last_ok":
			return cmp.Or(a.LastOK.Compare(b.LastOK), strings.Compare(a.Name, b.Name))
		}
		return cmp.Or(cmp.Compare(urgency(&a), urgency(&b)), strings.Compare(a.Name, b.Name))
	})
}

func countStates(all []admin.Source, f finding) []stateCount {
	counts := map[string]int{}
	for i := range all {
		counts[stateName(&all[i])]++
	}
	var list []stateCount
	for _, state := range []string{"held", "failing", "quiet", "baselining", "waiting", "paused", "stopped", "ok", "removed"} {
		if counts[state] == 0 && f.State != state {
			continue
		}
		link := finding{Text: f.Text, State: state, Sort: f.Sort}
		if f.State == state {
			link.State = ""
		}
		list = append(list, stateCount{State: state, Count: counts[state], Link: link.link(1), On: f.State == state})
	}
	return list
}
