package setting

import (
	"fmt"
	"strings"
	"testing"
)

func TestSecretsThatStandInTheFileAreWarnedOfAndKeptOutOfMessages(t *testing.T) {
	const password, token = "p%40ssword", "t%2Bken-12345"
	for name, tt := range map[string]struct {
		look func(l Literals)
		want string // the keys
		kept string // a value that no message shows any more
	}{
		"a parameter":                 {func(l Literals) { l.OfQuery("https://h/x?a=b&access_token="+token, "url") }, "[[url]]", "t+ken-12345"},
		"a parameter without a value": {func(l Literals) { l.OfQuery("https://h/x?token=&page=2", "url") }, "[]", ""},
		"a header":                    {func(l Literals) { l.Of("headers", map[string]string{"Authorization": "Bearer x1", "X-Team": "a"}) }, "[[headers Authorization]]", "Bearer x1"},
		"a placeholder":               {func(l Literals) { l.Replaced = true; l.Of("headers", map[string]string{"X-Token": "{secret:env:X}"}) }, "[]", ""},
		"a brace that stays":          {func(l Literals) { l.Of("headers", map[string]string{"X-Token": "{abcdefgh}"}) }, "[[headers X-Token]]", "{abcdefgh}"},
		"a password":                  {func(l Literals) { l.OfPassword("postgres://a:"+password+"@h/d", "url") }, "[[url]]", "p@ssword"},
		"a user without a password":   {func(l Literals) { l.OfPassword("postgres://a@h/d", "url") }, "[]", ""},
		"no url":                      {func(l Literals) { l.OfPassword("sqlite:%zz", "url") }, "[]", ""},
	} {
		var p Problems
		var secrets Secrets
		tt.look(Literals{Problems: &p, Secrets: &secrets, Hint: "hide it"})
		keys := [][]string{}
		for _, problem := range p {
			keys = append(keys, problem.Key)
			if !problem.Warning || problem.Hint != "hide it" {
				t.Errorf("%s: %+v", name, problem)
			}
		}
		if got := fmt.Sprint(keys); got != tt.want {
			t.Errorf("%s: warned of %s, want %s", name, got, tt.want)
		}
		if tt.kept != "" && strings.Contains(secrets.Redact("it is "+tt.kept), tt.kept) {
			t.Errorf("%s: messages show it", name)
		}
	}
}
