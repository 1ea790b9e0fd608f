package config

import (
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
)

func webhookWith(secret string) string {
	return "[source.a]\nurl = \"https://a.example/\"\nevery = \"5m\"\nkey = \"id\"\n[webhook.app]\nurl = \"https://b.example/\"\n" + secret + "\n"
}

func bound(text string) (*Config, string) {
	c, report := Parse([]File{{Path: "deltahook.toml", Text: []byte(text)}}, &setting.Secrets{LookupEnv: func(string) (string, bool) {
		return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true
	}})
	return c, report.String()
}

func TestASecretMayBeATableWithItsEnd(t *testing.T) {
	end := time.Date(2099, 12, 1, 0, 0, 0, 0, time.UTC)
	for name, text := range map[string]string{
		"a list":       `secret = ["env:NEW", { secret = "env:OLD", id = "2026-05", not_after = "2099-12-01T00:00:00Z" }]`,
		"tables alone": `secret = [{ secret = "env:NEW" }, { secret = "env:OLD", id = "2026-05", not_after = "2099-12-01T00:00:00Z" }]`,
		"headers":      "[[webhook.app.secret]]\nsecret = \"env:NEW\"\n[[webhook.app.secret]]\nsecret = \"env:OLD\"\nid = \"2026-05\"\nnot_after = \"2099-12-01T00:00:00Z\"",
	} {
		c, report := bound(webhookWith(text))
		if c == nil {
			t.Errorf("%s: %s", name, report)
			continue
		}
		list := c.Webhooks[0].Secret
		if len(list) != 2 || list[0].String() != "env:NEW" || list[1].String() != "env:OLD" || list[1].ID() != "2026-05" || !list[1].NotAfter().Equal(end) || !list[0].NotAfter().IsZero() {
			t.Errorf("%s: %v", name, list)
		}
		if again, report := bound(Show(c)); again == nil || !again.Webhooks[0].Secret[1].NotAfter().Equal(end) {
			t.Errorf("%s: what is shown cannot be read: %s\n%s", name, report, Show(c))
		}
	}
}

func TestAWrongSecretTableIsPointedAt(t *testing.T) {
	for text, want := range map[string]string{
		`secret = [{ id = "a" }]`:                                           "the table has no secret",
		`secret = [{ secret = "env:A", not_after = "tomorrow" }]`:           `"tomorrow" is not a time`,
		`secret = [{ secret = "env:A", not_after = 2099-12-01T00:00:00Z }]`: `write "2099-12-01T00:00:00Z"`,
		`secret = [{ secret = "env:A", expires = "x" }]`:                    `unknown key "expires"`,
		`secret = [{ secret = "" }]`:                                        "empty",
	} {
		if c, report := bound(webhookWith(text)); c != nil || !strings.Contains(report, want) {
			t.Errorf("%s: %s", text, report)
		}
	}
	if _, report := bound(webhookWith(`secret = [{ secret = "hunter2hunter2", not_after = "x" }]`)); strings.Contains(report, "hunter2") {
		t.Errorf("the secret is shown: %s", report)
	}
}
