package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/setting"
)

func TestSettingsAreByKeyAndWithoutSecrets(t *testing.T) {
	c, report := Parse([]File{{Path: "a.toml", Text: []byte(`
[source.contacts]
url     = "https://crm.example.com/contacts?api_key=planted-in-url"
every   = "5m"
key     = ["client", "id"]
active  = ["mon-fri 06:00-20:00", "sat 22:00-02:00 UTC"]
headers = { X-Api-Key = "planted-in-header", Accept = "application/json" }
pages   = { kind = "link" }
auth    = { kind = "bearer", token = "planted-literal" }

[webhook.app]
url    = "https://app.example.com/hooks"
secret = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "env:OLD"]
`)}}, &setting.Secrets{LookupEnv: func(string) (string, bool) { return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true }})
	if c == nil || !report.OK() {
		t.Fatalf("%s", report)
	}
	got := Settings(c)
	for key, want := range map[string]string{
		"every": "5m", "key": "client, id", "pages.kind": "link", "headers.Accept": "application/json", "auth.kind": "bearer",
		"active": "mon-fri 06:00-20:00, sat 22:00-02:00 UTC", "guard.max_deletes": "20%", "cron": "",
	} {
		if got["source.contacts"][key] != want {
			t.Errorf("%s is %q, want %q", key, got["source.contacts"][key], want)
		}
	}
	if got["webhook.app"]["url"] == "" || got["store"]["keep_events"] != "14d" || got["admin"]["listen"] == "" {
		t.Errorf("settings %v", got)
	}
	if text := fmt.Sprint(got); strings.Contains(text, "planted") || strings.Contains(text, "MfKQ9r8") {
		t.Errorf("a secret is told: %s", text)
	}
}
