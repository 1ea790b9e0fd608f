package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/setting"
)

const versioned = `
[source.contacts]
url     = "https://crm.example.com/contacts"
every   = "5m"
key     = "id"
headers = { x-token = "{secret:env:CRM_TOKEN}", x-a = "1", x-b = "2" }
auth    = { kind = "basic", username = "ann", password = "file:PASSWORD" }

[webhook.app]
url    = "https://app.example.com/hooks"
secret = "env:APP_SECRET"

[host."crm.example.com"]
rate = "5/s"

[admin]
listen = "127.0.0.1:9644"
`

// versionIn gives the version of a configuration whose secrets stand in a file and in the environment.
func versionIn(t *testing.T, folder, text string, env map[string]string, password string) Version {
	t.Helper()
	path := filepath.Join(folder, "password")
	if err := os.WriteFile(path, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets := &setting.Secrets{LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	c, report := Parse([]File{{Path: "a.toml", Text: []byte(strings.ReplaceAll(text, "PASSWORD", filepath.ToSlash(path)))}}, secrets)
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	return VersionOf(c, secrets, []byte("seed"))
}

func TestTheVersionTellsConfigurationsApartPartByPart(t *testing.T) {
	env := map[string]string{"CRM_TOKEN": "tok_1", "APP_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
	folder := t.TempDir()
	same := versionIn(t, folder, versioned, env, "hunter2")
	for range 20 { // maps have no order
		if again := versionIn(t, folder, versioned, env, "hunter2"); again.All != same.All {
			t.Fatalf("%v and %v", same, again)
		}
	}
	other := map[string]string{"CRM_TOKEN": "tok_2", "APP_SECRET": env["APP_SECRET"]}
	for name, c := range map[string]struct {
		text     string
		env      map[string]string
		password string
		want     []string
	}{
		"another interval":          {strings.Replace(versioned, "5m", "6m", 1), env, "hunter2", []string{"sources"}},
		"another receiver":          {strings.Replace(versioned, "/hooks", "/hook", 1), env, "hunter2", []string{"webhooks"}},
		"another rate":              {strings.Replace(versioned, "5/s", "6/s", 1), env, "hunter2", []string{"hosts"}},
		"a variable of the machine": {versioned, other, "hunter2", []string{"secrets"}},
		"the content of a file":     {versioned, env, "hunter3", []string{"secrets"}},
		"one source more":           {versioned + "\n[source.b]\nurl = \"http://b\"\nevery = \"1m\"\nkey = \"id\"\n", env, "hunter2", []string{"sources"}},
		"retention":                 {versioned + "\n[store]\nkeep_events = \"3d\"\n", env, "hunter2", []string{"store"}},
		"where the store is":        {versioned + "\n[store]\nurl = \"sqlite:other.db\"\n", env, "hunter2", nil},
		"the admin address":         {strings.Replace(versioned, "9644", "9645", 1), env, "hunter2", nil},
		"comments and order":        {"# hello\n" + versioned + "\n[log]\nlevel = \"debug\"\n", env, "hunter2", nil},
	} {
		got := versionIn(t, folder, c.text, c.env, c.password)
		if differs := got.Differs(same); !slices.Equal(differs, c.want) || (got.All == same.All) != (len(c.want) == 0) {
			t.Errorf("%s: %v differ, want %v", name, differs, c.want)
		}
	}
}

func TestTheVersionOfAnotherStoreIsAnother(t *testing.T) {
	c, report := Parse([]File{{Path: "a.toml", Text: []byte("[source.a]\nurl = \"http://a\"\nevery = \"1m\"\nkey = \"id\"\n")}}, &setting.Secrets{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	if a, b := VersionOf(c, &setting.Secrets{}, []byte("a")), VersionOf(c, &setting.Secrets{}, []byte("b")); a.All == b.All {
		t.Error("whoever guesses can try without the key")
	}
}
