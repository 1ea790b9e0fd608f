package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

func TestWhatIsShownReadsBackAsTheSame(t *testing.T) {
	c := mustParse(t, `[source.contacts]
url       = "http://127.0.0.1:8080/api/contacts"
cron      = "*/5 * * * *"
timezone  = "Europe/Berlin"
records   = "data.items"
key       = ["client", "id"]
headers   = { Accept = "application/json", X-Text = "\"ü\" \\ \t" }
ignore    = ["last_seen", "meta.etag"]
spread    = false
guard     = { max_deletes = "12.5%", empty = "allow" }
pages     = { kind = "page", param = "p", delay = "1m30s" }
auth      = { kind = "bearer", token = "env:CRM_TOKEN" }

[webhook.app]
url    = "http://127.0.0.1:8081/hooks"
secret = ["env:APP_SECRET", "env:OPS_SECRET"]
rate   = "50/s"

[log]
level = "debug"
`)
	shown := Show(c)
	again := mustParse(t, shown)
	again.Files, again.Fingerprint = c.Files, c.Fingerprint
	if !reflect.DeepEqual(c, again) {
		t.Errorf("got %+v\nwant %+v\nshown:\n%s", again.Sources[0], c.Sources[0], shown)
	}
	if Show(again) != shown {
		t.Error("it is shown differently the second time")
	}
	for _, line := range []string{`secret = ["env:APP_SECRET", "env:OPS_SECRET"]`, `max_in_flight = 8`, `max_deletes = "12.5%"`} {
		if !strings.Contains(shown, line+"\n") {
			t.Errorf("%s is missing:\n%s", line, shown)
		}
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	c := Default()
	c.Admin.Token = setting.NewSecret("hunter2")
	c.Store.URL = "postgres://ann:hunter2@db.example.com/deltahook"
	s := poller.DefaultSource()
	s.Name = "contacts"
	s.URL = "http://ann:hunter2@127.0.0.1:8080/api/contacts?access_token=hunter2"
	s.Body = `{"password": "hunter2", "session": "{secret:env:CRM_TOKEN}"}`
	s.Headers = map[string]string{"X-Api-Key": "hunter2", "Cookie": "{secret:env:CRM_TOKEN}", "X-Auth": "Bearer hunter2"}
	s.Query = map[string]string{"token": "hunter2"}
	s.Auth.Password = setting.NewSecret("hunter2")
	w := emitter.DefaultWebhook()
	w.Name, w.Secret = "app", setting.SecretList{setting.NewSecret("hunter2"), setting.NewSecret("env:APP_SECRET")}
	c.Sources, c.Webhooks = []*poller.Source{&s}, []*emitter.Webhook{&w}
	shown := Show(c)
	if strings.Contains(shown, "hunter2") {
		t.Errorf("a secret is shown:\n%s", shown)
	}
	for _, line := range []string{`Cookie = "{secret:env:CRM_TOKEN}"`, `secret = ["(secret)", "env:APP_SECRET"]`} {
		if !strings.Contains(shown, line+"\n") {
			t.Errorf("%s is missing:\n%s", line, shown)
		}
	}
}

func TestAnEmptyConfigurationIsShownAsItsDefaults(t *testing.T) {
	shown := Show(Default())
	want, err := os.ReadFile("testdata/default.toml")
	if err != nil || shown != string(want) {
		t.Errorf("got\n%s\nwant\n%s (%v)", shown, want, err)
	}
}
