package poller

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// pageKinds gives, for each kind of paging, the keys that count with it.
func pageKinds() map[string][]string {
	return map[string][]string{
		"link":     {"total", "delay"},
		"next_url": {"next", "size", "size_param", "total", "has_more", "delay"},
		"cursor":   {"next", "param", "in", "size", "size_param", "total", "has_more", "delay"},
		"page":     {"start", "param", "in", "size", "size_param", "total", "has_more", "delay"},
		"offset":   {"start", "overlap", "param", "in", "size", "size_param", "total", "has_more", "delay"},
		"last_key": {"param", "in", "size", "size_param", "total", "has_more", "delay"},
	}
}

func (c *check) pages() {
	p := c.s.Pages
	kinds := pageKinds()
	if p.Kind != "" {
		c.choice(p.Kind, slices.Sorted(maps.Keys(kinds)), "pages", "kind")
	}
	c.atLeast(p.Max, 1, "pages", "max")
	c.atLeast(p.Size, 0, "pages", "size")
	c.atLeast(p.Overlap, 0, "pages", "overlap")
	if p.Size > 0 && p.Overlap >= p.Size {
		c.add("some records are enough, like overlap = 10", fmt.Sprintf("pages.overlap = %d leaves nothing of a page of %d records", p.Overlap, p.Size), "pages", "overlap")
	}
	given := map[string]bool{
		"param": p.Param != "", "in": p.In != "", "next": !p.Next.IsZero(), "size": p.Size != 0, "size_param": p.Sizes != "",
		"total": !p.Total.IsZero(), "has_more": !p.More.IsZero(), "start": p.Start != 0, "delay": p.Delay > 0, "overlap": p.Overlap > 0,
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if given[key] && !slices.Contains(kinds[p.Kind], key) && (p.Kind == "" || kinds[p.Kind] != nil) {
			c.add("remove it, or set pages.kind to one of these", fmt.Sprintf("pages.%s counts only with pages.kind = %s", key, kindsWith(key)), "pages", key)
		}
	}
	if slices.Contains(kinds[p.Kind], "next") && p.Next.IsZero() {
		c.add(`write the path of what leads on, like next = "links.next"`, fmt.Sprintf("pages.kind = %q needs next", p.Kind), "pages", "kind")
	}
	if p.Kind == "last_key" && len(c.s.Key) != 1 {
		c.add("choose another kind of paging", "pages.kind = \"last_key\" needs a key of one path", "pages", "kind")
	}
	if (p.Size > 0) != (p.Sizes != "") {
		c.add(`write both, like size = 100, size_param = "per_page"`, "size and size_param belong together", "pages", "size")
	}
}

// kindsWith lists the kinds with which a key counts: "page" or "offset".
func kindsWith(key string) string {
	var kinds []string
	for kind, keys := range pageKinds() {
		if slices.Contains(keys, key) {
			kinds = append(kinds, fmt.Sprintf("%q", kind))
		}
	}
	slices.Sort(kinds)
	return strings.Join(kinds, " or ")
}

// pagePlaceholders checks that what leads to a page stands somewhere, and nowhere without need.
func (c *check) pagePlaceholders(r *requests) {
	p := c.s.Pages
	for _, name := range []string{"page", "offset"} {
		if r.uses(name) && name != p.Kind {
			c.add(fmt.Sprintf("set pages = { kind = %q }, or remove {%s}", name, name), fmt.Sprintf("{%s} is used, but the pages are not counted", name), "pages", "kind")
		}
	}
	c.partitionPlaceholder(r)
	for _, name := range recordNames() {
		if r.uses(name) {
			c.add("use it in deletes.verify, where one record is asked for", fmt.Sprintf("{%s} stands for one record, and this is the request of the list", name), "url")
		}
	}
	if p.In != "" {
		c.choice(p.In, []string{inQueryParam, inHeaderParam, inBodyParam}, "pages", "in")
	}
	needs := p.Kind == "cursor" || p.Kind == "last_key" || p.In == inHeaderParam || p.In == inBodyParam
	switch {
	case needs && p.Param == "":
		c.add(`write param = "the name of the parameter"`, fmt.Sprintf("pages.kind = %q needs param", p.Kind), "pages", "kind")
	case p.In == inBodyParam && c.s.Method == http.MethodGet:
		c.add(`set method = "POST"`, "pages.in = \"body\" needs a request with a body", "pages", "in")
	}
}
