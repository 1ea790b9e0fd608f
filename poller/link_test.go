package poller

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestT16LinkHeadersAreReadAsTheRFCSays(t *testing.T) {
	for _, c := range []struct {
		name   string
		fields []string
		want   string // of next; empty: there is none
	}{
		{"plain", []string{`<https://api.example.com/x?page=2>; rel="next"`}, "https://api.example.com/x?page=2"},
		{"token", []string{`<https://api.example.com/x?page=2>; rel=next`}, "https://api.example.com/x?page=2"},
		{"no space", []string{`<https://api.example.com/2>;rel="next"`}, "https://api.example.com/2"},
		{"space everywhere", []string{" \t<https://api.example.com/2> ;\t rel = \"next\" "}, "https://api.example.com/2"},
		{"second of two", []string{`<https://api.example.com/1>; rel="prev", <https://api.example.com/3>; rel="next"`}, "https://api.example.com/3"},
		{"second field", []string{`<https://api.example.com/1>; rel=prev`, `<https://api.example.com/3>; rel=next`}, "https://api.example.com/3"},
		{"commas in the target", []string{`<https://api.example.com/x?ids=1,2,3>; rel="next", <https://api.example.com/y>; rel="last"`}, "https://api.example.com/x?ids=1,2,3"},
		{"semicolons in the target", []string{`<https://api.example.com/x;a=b?c;d>; rel="next"`}, "https://api.example.com/x;a=b?c;d"},
		{"capitals", []string{`<https://api.example.com/2>; REL="Next"`}, "https://api.example.com/2"},
		{"several relations", []string{`<https://api.example.com/2>; rel="next last"`}, "https://api.example.com/2"},
		{"several relations, other order", []string{`<https://api.example.com/2>; rel="last  next"`}, "https://api.example.com/2"},
		{"title with separators", []string{`<https://api.example.com/2>; title="a, b; c"; rel="next"`}, "https://api.example.com/2"},
		{"title with a link in it", []string{`<https://api.example.com/1>; title="x, <https://evil.example.com/>; rel=next"; rel="prev", <https://api.example.com/2>; rel="next"`}, "https://api.example.com/2"},
		{"title with quotes", []string{`<https://api.example.com/2>; title="a \"b\", c\\"; rel="next"`}, "https://api.example.com/2"},
		{"extended title", []string{`<https://api.example.com/2>; rel="next"; title*=UTF-8''%e2%82%ac`}, "https://api.example.com/2"},
		{"parameter without a value", []string{`<https://api.example.com/2>; crossorigin; rel="next"`}, "https://api.example.com/2"},
		{"only the first rel counts", []string{`<https://api.example.com/2>; rel="prev"; rel="next"`}, ""},
		{"a relation that contains the word", []string{`<https://api.example.com/2>; rel="nextish"`}, ""},
		{"a relation that is a URL", []string{`<https://api.example.com/2>; rel="https://example.com/next"`}, ""},
		{"relative path", []string{`</x?page=2>; rel=next`}, "https://api.example.com/x?page=2"},
		{"a slash inside a name, and a letter that is not ASCII", []string{`</a%2Fb/ü?page=2>; rel=next`}, "https://api.example.com/a%2Fb/%C3%BC?page=2"},
		{"relative to the last segment", []string{`<contacts?page=2>; rel=next`}, "https://api.example.com/v1/contacts?page=2"},
		{"only a query", []string{`<?page=2>; rel=next`}, "https://api.example.com/v1/list?page=2"},
		{"another host", []string{`<//other.example.com/2>; rel=next`}, "https://other.example.com/2"},
		{"fragment", []string{`<?page=2#top>; rel=next`}, "https://api.example.com/v1/list?page=2"},
		{"space in the target", []string{`< ?page=2 >; rel=next`}, "https://api.example.com/v1/list?page=2"},
		{"about another resource", []string{`<?page=9>; rel=next; anchor="#foo", <?page=2>; rel=next`}, "https://api.example.com/v1/list?page=2"},
		{"empty elements", []string{`, ,<?page=2>; rel=next,,`}, "https://api.example.com/v1/list?page=2"},
		{"garbage first", []string{`garbage "with, comma", <?page=2>; rel=next`}, "https://api.example.com/v1/list?page=2"},
		{"empty", []string{``}, ""},
		{"no field", nil, ""},
		{"no relation", []string{`<?page=2>`}, ""},
		{"target without an end", []string{`<?page=2; rel=next`}, ""},
		{"quotes without an end", []string{`<?page=2>; rel="next`}, "https://api.example.com/v1/list?page=2"},
		{"last page", []string{`<?page=1>; rel="first", <?page=4>; rel="prev"`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			base, err := url.Parse("https://api.example.com/v1/list?page=1")
			if err != nil {
				t.Fatal(err)
			}
			next, found, err := nextLink(c.fields, base)
			if err != nil || found != (c.want != "") || found && next.String() != c.want {
				t.Errorf("got %v, %t, %v; want %q", next, found, err, c.want)
			}
		})
	}
}

func TestALinkThatIsNoURLIsAnError(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "api.example.com"}
	if _, found, err := nextLink([]string{`<http://[::1>; rel=next`}, base); !found || err == nil {
		t.Errorf("found %t, error %v: a next page that cannot be asked for is not the end of the list", found, err)
	}
}

func FuzzLink(f *testing.F) {
	for _, field := range []string{`<a>; rel=next`, `<a,b>; REL="next last"; title="x, \" y"`, `,<>;;=`, `<a>;rel="next`, `"<a>;rel=next`} {
		f.Add(field)
	}
	base := &url.URL{Scheme: "https", Host: "api.example.com", Path: "/v1/list"}
	f.Fuzz(func(t *testing.T, field string) {
		for _, l := range parseLinks(field) {
			if strings.ContainsAny(l.target, ">") || slices.Contains(l.rels, "") {
				t.Errorf("%q: link %+v", field, l)
			}
		}
		// A well-formed link behind anything that ends a link is found.
		if strings.ContainsAny(field, `"<>`) {
			return
		}
		next, found, err := nextLink([]string{field + `, <?after=1>; rel="next"`}, base)
		if err != nil || !found || next.RawQuery != "after=1" {
			t.Errorf("%q hides the next page: %v %t %v", field, next, found, err)
		}
	})
}
