package outbound_test

import (
	"net/url"
	"testing"

	"github.com/deltahook/deltahook/internal/outbound"
)

func TestAnEscapedSlashStaysAPartOfAName(t *testing.T) {
	for text, want := range map[string]string{
		"http://h/a%2Fb":                   "/a%2Fb",
		"http://h/a%2Fb/ü":                 "/a%2Fb/%C3%BC",
		"http://h/a%2fb/{x}^`|\\\"<>/%7Bé": "/a%2fb/%7Bx%7D%5E%60%7C%5C%22%3C%3E/%7B%C3%A9",
		"http://h/a%2Fb/x y?q=ü z#é":       "/a%2Fb/x%20y?q=ü z", // the query is escaped when all of it is known
		"http://h/ü/[1]!$&'()*+,;=:@":      "/%C3%BC/[1]!$&'()*+,;=:@",
		"http://h":                         "/",
		"/a%2Fb/ü":                         "/a%2Fb/%C3%BC",
		"a%2Fb/ü":                          "a%2Fb/%C3%BC",
	} {
		u, err := outbound.ParseURL(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.RequestURI(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if plain, err := url.Parse(text); err != nil || plain.Path != u.Path {
			t.Errorf("%s: the path means %q, want %q (%v)", text, u.Path, plain.Path, err)
		}
	}
	if u, err := outbound.ParseURL("http://h/%2"); err == nil {
		t.Errorf("%v", u)
	}
	target, err := outbound.ParseTarget("unix:/run/a.sock:/a%2Fb/ü")
	if err != nil || target.String() != "unix:/run/a.sock:/a%2Fb/%C3%BC" {
		t.Errorf("%v, %v", target, err)
	}
}
