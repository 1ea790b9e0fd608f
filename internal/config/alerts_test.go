package config

import (
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/setting"
)

func TestAlertsNameWebhooksThatThereAre(t *testing.T) {
	base := "[source.crm]\nurl = \"http://127.0.0.1/\"\nevery = \"1m\"\nkey = \"id\"\n[webhook.ops]\nurl = \"http://127.0.0.1/\"\nsecret = \"env:SECRET\"\n"
	for _, c := range []struct{ name, text, want string }{
		{"all is well", base + "[alerts]\nto = [\"ops\"]\nheartbeat = \"env:HEARTBEAT\"\n", ""},
		{"a name", base + "[alerts]\nto = [\"op\"]\n", `webhook "op" does not exist`},
		{"a suggestion", base + "[alerts]\nto = [\"op\"]\n", `did you mean "ops"?`},
		{"a flood", base + "[alerts]\nrepeat = \"5s\"\n", `repeat = "5s" would be a flood`},
		{"no flood", base + "[alerts]\nrepeat = \"0s\"\n", ""},
		{"a heartbeat that is none", base + "[alerts]\nheartbeat = \"env:SECRET\"\n", "heartbeat is not a URL"},
		{"too many beats", base + "[alerts]\nheartbeat_every = \"1s\"\n", `heartbeat_every = "1s" is too often`},
		{"a deaf webhook", strings.Replace(base, "secret", "events = [\"deltahook.*\"]\nsecret", 1), "nothing is ever sent to the webhook ops"},
		{"one that hears", strings.Replace(base, "secret", "events = [\"deltahook.*\"]\nsecret", 1) + "[alerts]\nto = [\"ops\"]\n", ""},
		{"a name that is taken", strings.Replace(base, "source.crm", "source.deltahook", 1), `"deltahook" is what the events of deltahook itself are named by`},
		{"a type that is taken", strings.Replace(base, "every", "type = \"deltahook\"\nevery", 1), `"deltahook" is what the events`},
		{"a type like theirs", strings.Replace(base, "every", "type = \"deltahook.source\"\nevery", 1), `"deltahook" is what the events`},
		{"a type that only begins so", strings.Replace(base, "every", "type = \"deltahooks\"\nevery", 1), ""},
	} {
		secrets := &setting.Secrets{LookupEnv: func(name string) (string, bool) {
			return map[string]string{"SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "HEARTBEAT": "https://hc.example.com/planted"}[name], true
		}}
		_, report := Parse([]File{{Path: "a.toml", Text: []byte(c.text)}}, secrets)
		if got := report.String(); c.want == "" && got != "" || !strings.Contains(got, c.want) || strings.Contains(got, "planted") {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
