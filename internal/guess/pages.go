package guess

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/poller"
)

// pager collects the ways in which a listing may go on.
type pager struct {
	answer  *Answer
	all     []signal
	records int
	total   differ.Path
	more    differ.Condition
	goesOn  bool // the answer says that there is more
	found   []Paging
}

// paging lists what is worth a try, the likeliest first.
func (g *Guess) paging(root *node, a *Answer) {
	if g.Single {
		return
	}
	p := &pager{answer: a, records: g.Count, all: signals(root, g.list.node)}
	p.total = totalOf(p.all, p.records)
	p.more, p.goesOn = moreOf(p.all)
	g.More, g.Total = p.goesOn, numberAt(p.all, p.total)
	g.graphQL(p)
	g.flags(p.all)
	p.links(root, g.list.node)
	p.tokens()
	p.counted()
	p.asked()
	p.blind()
	g.Pages = p.found
	p.size(g)
}

// propose adds a proposal unless it is there already.
func (p *pager) propose(pages poller.Pages, told bool, why string) {
	pages.Max = poller.DefaultSource().Pages.Max
	if pages.Param == "" && (pages.Kind == "page" || pages.Kind == "offset") {
		pages.Param = pages.Kind
	}
	if pages.Start.Of(pages.Kind) == poller.First(0).Of(pages.Kind) {
		pages.Start = 0 // it is usual, and need not be said
	}
	if !slices.ContainsFunc(p.found, func(have Paging) bool { return have.Pages == pages }) {
		p.found = append(p.found, Paging{Pages: pages, Told: told, Why: why})
	}
}

// links follows what names the next page: the Link header, and URLs in the answer.
func (p *pager) links(root, records *node) {
	if regexp.MustCompile(`(?i);\s*rel="?[^";,]*\bnext\b`).MatchString(strings.Join(p.answer.Header.Values("Link"), ",")) {
		p.propose(poller.Pages{Kind: "link", Total: p.total}, true, "the answer has a Link header with rel=next")
	}
	s := find(p.all, nextNames, isURL)
	if s == nil {
		s = find(p.all, "href url uri link", func(s *signal) bool { return isURL(s) && in(s.parent(), nextNames) })
	}
	if s != nil {
		p.propose(poller.Pages{Kind: "next_url", Next: s.path(), Total: p.total, More: p.more}, true, fmt.Sprintf("%q is the URL of the next page", s.path()))
	}
	for _, path := range relations(root, records) {
		p.propose(poller.Pages{Kind: "next_url", Next: path, Total: p.total, More: p.more}, true, "the answer has a link with the relation next")
	}
	if s := find(p.all, nextNames, func(s *signal) bool { return s.node.kind == differ.Null }); s != nil {
		p.propose(poller.Pages{Kind: "next_url", Next: s.path(), Total: p.total}, true, fmt.Sprintf("%q is null: there is no next page now", s.path()))
	}
}

// isURL says whether a value leads to a page by itself.
func isURL(s *signal) bool {
	text := s.node.text
	return s.node.kind == differ.String && (strings.Contains(text, "://") || strings.HasPrefix(text, "/") || strings.HasPrefix(text, "?"))
}

// isToken says whether a value may be one that is sent back. An offset that is a number says where this page begins.
func isToken(s *signal) bool {
	if s.node.kind != differ.String && s.node.kind != differ.Number || isURL(s) {
		return false
	}
	_, counts := integer(s)
	return (s.name() != "after" || s.node.text != "") && (s.name() != "offset" || s.node.text != "" && !counts)
}

const tokenNames = "endcursor nextcursor nextpagetoken nexttoken continuationtoken nextcontinuationtoken continuation continue nextmarker marker " +
	"pagetoken cursor nextpage nextpagenumber nextoffset nextstart nextbookmark bookmark scrollid nextkey startingafter after next offset"

// tokens sends back what the answer gives for the next page.
func (p *pager) tokens() {
	s := find(p.all, tokenNames, isToken)
	if s == nil || s.node.text == "" && p.more.IsZero() {
		return
	}
	for _, param := range p.tokenParams(s) {
		pages := poller.Pages{Kind: "cursor", Next: s.path(), Param: param, Total: p.total, More: p.more}
		if p.inBody() {
			pages.In = "body"
		}
		p.propose(pages, true, fmt.Sprintf("%q is what leads to the next page", s.path()))
	}
}

// tokenParams guesses where a token goes back to, in the spelling of its writer.
func (p *pager) tokenParams(s *signal) []string {
	raw := s.names[len(s.names)-1]
	if variable := p.variable(); variable != "" {
		return []string{variable}
	}
	var names []string
	switch s.name() {
	case "endcursor":
		names = []string{"after", "cursor"}
	case "nextcursor", "nextpagetoken", "nextmarker", "nextoffset", "nextstart", "nextpage", "nextbookmark", "nextcontinuationtoken":
		names = []string{withoutNext(raw), raw}
	case "nextpagenumber":
		names = []string{"page"}
	case "nexttoken":
		names = []string{raw, withoutNext(raw), "pagination_token"}
	case "next":
		names = []string{"cursor", "after", "page"}
	default:
		names = []string{raw}
	}
	if s.name() == "nextcursor" {
		names = append(names, "start_cursor")
	}
	return names
}

// withoutNext takes "next" off: next_page_token becomes page_token, nextPageToken pageToken.
func withoutNext(name string) string {
	rest := strings.TrimLeft(name[min(len(name), len("next")):], "_-")
	if rest == "" {
		return name
	}
	if r := []rune(rest); unicode.IsUpper(r[0]) && (len(r) == 1 || !unicode.IsUpper(r[1])) {
		return string(unicode.ToLower(r[0])) + string(r[1:])
	}
	return rest
}

// inBody says whether the request asks with JSON or a form, where parameters belong, too.
func (p *pager) inBody() bool {
	text := strings.TrimSpace(p.answer.Asked)
	return text != "" && text[0] != '<'
}

// variable gives the place of the cursor in a GraphQL request.
func (p *pager) variable() string {
	var request struct {
		Query string `json:"query"`
	}
	if json.Unmarshal([]byte(p.answer.Asked), &request) != nil || request.Query == "" {
		return ""
	}
	m := regexp.MustCompile(`\b(?:after|cursor)\s*:\s*\$(\w+)`).FindStringSubmatch(request.Query)
	if m == nil {
		return "variables.after"
	}
	return "variables." + m[1]
}

// graphQL says what its answers never say by themselves: that an error comes with status 200, and that the query must take
// the cursor.
func (g *Guess) graphQL(p *pager) {
	variable := p.variable()
	if variable == "" {
		return
	}
	g.Response.Error, g.Response.Message = "errors", "errors.0.message"
	if p.goesOn && !strings.Contains(p.answer.Asked, "$"+strings.TrimPrefix(variable, "variables.")) {
		g.unsure(AboutPages, "there are more records, and the query has no variable for the cursor: write query ($after: String) { … (after: $after) … }")
	}
}

// counted asks for pages or offsets when the answer says which one it is.
func (p *pager) counted() {
	number := func(s *signal) bool { n, ok := integer(s); return ok && n >= 0 }
	if s := find(p.all, "offset skip startat start from", number); s != nil && s.node.text == "0" {
		p.count("offset", s.names[len(s.names)-1], 0, fmt.Sprintf("%q says where this page begins", s.path()))
	}
	fromOne := func(s *signal) bool { n, ok := integer(s); return ok && n == 1 }
	if s := find(p.all, "startindex", fromOne); s != nil {
		p.count("offset", s.names[len(s.names)-1], 1, fmt.Sprintf("%q says where this page begins, and counts records from 1", s.path()))
	}
	s := find(p.all, "page currentpage pagenumber pageno pagenum pageindex number", func(s *signal) bool {
		n, ok := integer(s)
		return ok && (n == 0 || n == 1) && (s.name() != "number" || s.parent() == "page" || s.parent() == "pageable" || s.parent() == "")
	})
	if s != nil {
		first, _ := integer(s)
		param := s.names[len(s.names)-1]
		if in(s.name(), "currentpage number") {
			param = "page"
		}
		p.count("page", param, int(first), fmt.Sprintf("%q says which page this is", s.path()))
	}
}

func (p *pager) count(kind, param string, start int, why string) {
	pages := poller.Pages{Kind: kind, Start: poller.FirstIs(start), Param: param, Total: p.total, More: p.more}
	if p.inBody() {
		pages.In = "body"
	}
	p.propose(pages, true, why)
}

// asked takes the paging that the URL itself speaks of, ?page=1 or ?limit=50.
func (p *pager) asked() {
	query := p.answer.URL.Query()
	for _, name := range sortedNames(query) {
		switch folded := plain(innermost(name)); {
		case in(folded, "page pagenumber pageno pageindex p") && in(query.Get(name), "0 1"):
			p.shot(poller.Pages{Kind: "page", Param: name, Start: poller.FirstIs(int(query.Get(name)[0] - '0'))}, "the url asks for a page")
		case in(folded, "offset skip start startat from") && query.Get(name) == "0":
			p.shot(poller.Pages{Kind: "offset", Param: name}, "the url asks for an offset")
		}
	}
	for _, name := range sortedNames(query) {
		if partner, ok := partners()[name]; ok {
			p.shot(partner, "the url limits the answer with "+name)
		} else if partner, ok := bracketed(name); ok {
			p.shot(partner, "the url limits the answer with "+name)
		}
	}
}

// innermost gives what stands in the brackets of page[number]; a name without them is that itself.
func innermost(name string) string {
	from := strings.LastIndexByte(name, '[')
	if from < 0 || !strings.HasSuffix(name, "]") {
		return name
	}
	return name[from+1 : len(name)-1]
}

// bracketed gives what goes with page[size] (JSON:API), searchCriteria[pageSize] (Magento) and the like.
func bracketed(name string) (poller.Pages, bool) {
	inner := innermost(name)
	if inner == name {
		return poller.Pages{}, false
	}
	outer := strings.TrimSuffix(name, inner+"]")
	switch inner {
	case "pageSize":
		return poller.Pages{Kind: "page", Param: outer + "currentPage]"}, true
	case "size":
		return poller.Pages{Kind: "page", Param: outer + "number]"}, true
	case "limit":
		return poller.Pages{Kind: "offset", Param: outer + "offset]"}, true
	}
	return poller.Pages{}, false
}

// partners gives what usually goes with a parameter that limits the answer.
func partners() map[string]poller.Pages {
	return map[string]poller.Pages{
		"limit": {Kind: "offset"}, "per_page": {Kind: "page"}, "page_size": {Kind: "page"}, "pageSize": {Kind: "page"},
		"$top": {Kind: "offset", Param: "$skip"}, "top": {Kind: "offset", Param: "skip"}, "take": {Kind: "offset", Param: "skip"},
		"_limit": {Kind: "page", Param: "_page"}, "maxResults": {Kind: "offset", Param: "startAt"}, "rows": {Kind: "offset", Param: "start"},
		"size": {Kind: "page", Start: poller.FirstIs(0)},
	}
}

// size tells of a parameter that most likely makes pages larger.
func (p *pager) size(g *Guess) {
	s := find(p.all, "limit perpage pagesize maxresults itemsperpage resultsperpage", func(s *signal) bool {
		n, ok := integer(s)
		return ok && n == int64(p.records)
	})
	if s == nil || len(p.found) == 0 || p.inBody() {
		return
	}
	param := s.names[len(s.names)-1]
	if s.name() == "itemsperpage" && p.found[0].Pages.Start == poller.FirstIs(1) { // SCIM (RFC 7644, section 3.4.2.4), OpenSearch
		param = "count"
	}
	g.note(AboutPages, fmt.Sprintf("%q is %d: size = 100, size_param = %q in pages would mean fewer requests, if the API allows it", s.path(), p.records, param))
}

// shot proposes what nothing in the answer speaks of.
func (p *pager) shot(pages poller.Pages, why string) {
	pages.Total, pages.More = p.total, p.more
	p.propose(pages, false, why)
}

// blind asks for a second page when the answer looks like a first one: it says that there is more, or is of a round length.
func (p *pager) blind() {
	told := slices.ContainsFunc(p.found, func(have Paging) bool { return have.Told })
	if told || p.inBody() || len(p.found) > 0 && !p.goesOn {
		return
	}
	switch {
	case p.goesOn:
		p.shot(poller.Pages{Kind: "last_key", Param: "starting_after"}, "the answer says that there is more")
		p.shot(poller.Pages{Kind: "page"}, "the answer says that there is more")
	case !p.total.IsZero(), Round(p.records):
		p.shot(poller.Pages{Kind: "page"}, "the list looks like a first page")
		p.shot(poller.Pages{Kind: "offset"}, "the list looks like a first page")
	}
}

// Round says whether a number of records is one at which APIs cut their answers.
func Round(n int) bool {
	return n >= 10 && (n%10 == 0 || n%25 == 0 || n >= 32 && n&(n-1) == 0)
}

func sortedNames(query url.Values) []string {
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
