package guess

import (
	"slices"
	"strconv"
	"strings"

	"github.com/deltahook/deltahook/differ"
)

// signal is a plain value, or a null, beside the records.
type signal struct {
	names []string
	node  *node
}

func (s *signal) name() string      { return plain(s.names[len(s.names)-1]) }
func (s *signal) path() differ.Path { return differ.MemberPath(s.names...) }

// parent is the folded name of the object that the value stands in.
func (s *signal) parent() string {
	if len(s.names) < 2 {
		return ""
	}
	return plain(s.names[len(s.names)-2])
}

// signals lists what stands beside the records.
func signals(root, records *node) []signal {
	const deepest = 5
	var all []signal
	var look func(n *node, names []string)
	look = func(n *node, names []string) {
		switch {
		case n == records || len(names) > deepest:
		case n.kind == differ.Object:
			for i, name := range n.names {
				look(n.kids[i], append(slices.Clip(names), name))
			}
		case len(names) > 0 && n.kind != differ.Array:
			all = append(all, signal{names, n})
		}
	}
	look(root, nil)
	return all
}

// find gives the first signal with one of these names, in the order of the names.
func find(all []signal, names string, ok func(*signal) bool) *signal {
	for name := range strings.FieldsSeq(names) {
		for i := range all {
			if s := &all[i]; s.name() == name && ok(s) {
				return s
			}
		}
	}
	return nil
}

func integer(s *signal) (int64, bool) {
	if s.node.kind != differ.Number && s.node.kind != differ.String {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s.node.text), 10, 64)
	return n, err == nil
}

const (
	totalNames = "totalcount totalresults totalrecords totalelements totalitems recordstotal numfound totalhits totalsize resultcount itemcount recordcount odatacount total hitstotal count value results"
	moreNames  = "hasmore hasnext hasnextpage hasmoreitems hasmoreresults morerecords moreavailable moreresults istruncated truncated more"
	lastNames  = "islast islastpage lastpage endofstream done last"
	nextNames  = "next nextrecordsurl afterurl nextlink nexturl nexturi nexthref nextpage nextpageurl nextpagelink nextpageuri odatanextlink nextresultsurl"
)

// totalOf finds how many records there are on all pages together. A number that is that of this page is none.
func totalOf(all []signal, records int) differ.Path {
	s := find(all, totalNames, func(s *signal) bool {
		n, ok := integer(s)
		switch name := s.name(); {
		case !ok || n < int64(records):
			return false
		case name == "value":
			return s.parent() == "total"
		case name == "count" || name == "results":
			return n > int64(records)
		case name == "total" && (s.parent() == "page" || s.parent() == "pages"):
			return n > int64(records)
		}
		return true
	})
	if s == nil {
		return differ.Path{}
	}
	return s.path()
}

// numberAt gives the value of a signal; 0 when there is none.
func numberAt(all []signal, path differ.Path) int64 {
	for i := range all {
		if n, ok := integer(&all[i]); ok && !path.IsZero() && all[i].path() == path {
			return n
		}
	}
	return 0
}

// flags finds what says that an answer with status 200 is a part, or an error: a search that took too long has a list, but
// not of all records.
func (g *Guess) flags(all []signal) {
	if g.Response.Error != "" {
		return
	}
	is := func(text string) func(*signal) bool {
		return func(s *signal) bool { return s.node.kind == differ.Bool && s.node.text == text }
	}
	if s := find(all, "incompleteresults timedout partialresults partial", is("false")); s != nil {
		g.Response.Error = conditionOf(s, " == true").String()
	} else if s := find(all, "ok success succeeded", is("true")); s != nil {
		g.Response.Error = conditionOf(s, " == false").String()
	}
}

// moreOf finds what says whether there are more pages, and whether it says so now.
func moreOf(all []signal) (says differ.Condition, more bool) {
	s := find(all, moreNames, func(s *signal) bool {
		_, err := strconv.ParseBool(strings.ToLower(s.node.text))
		return s.node.scalar() && err == nil
	})
	if s != nil {
		more, _ = strconv.ParseBool(strings.ToLower(s.node.text))
		return conditionOf(s, ""), more
	}
	// The other way round it counts only when there is more now: "done" may be about something else.
	if s = find(all, lastNames, func(s *signal) bool { return s.node.kind == differ.Bool && s.node.text == "false" }); s != nil {
		return conditionOf(s, " == false"), true
	}
	return differ.Condition{}, false
}

// conditionOf asks for the value of a signal; the zero condition when its name is not one that a condition can have.
func conditionOf(s *signal, is string) differ.Condition {
	c, err := differ.ParseCondition(s.path().String() + is)
	if err != nil {
		return differ.Condition{}
	}
	return c
}

// relations finds links in lists: {"rel": "next", "href": …}, as Atom and FHIR have them.
func relations(root, records *node) []differ.Path {
	var found []differ.Path
	var look func(n *node, names []string)
	look = func(n *node, names []string) {
		if n == records {
			return
		}
		for i, k := range n.kids {
			if n.kind == differ.Array {
				if p, ok := relation(k, names); ok {
					found = append(found, p)
				}
				continue
			}
			look(k, append(slices.Clip(names), n.names[i]))
		}
	}
	look(root, nil)
	return found
}

func relation(n *node, names []string) (differ.Path, bool) {
	for _, rel := range []string{"rel", "@rel", "relation"} {
		for _, target := range []string{"href", "@href", "url", "uri"} {
			if r, t := n.member(rel), n.member(target); r == nil || t == nil || r.text != "next" {
				continue
			}
			p, err := differ.ParsePath(differ.MemberPath(names...).String() + ".#(" + differ.MemberPath(rel).String() + `=="next").` + differ.MemberPath(target).String())
			return p, err == nil
		}
	}
	return differ.Path{}, false
}
