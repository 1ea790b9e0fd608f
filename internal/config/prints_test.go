package config

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/setting"
)

const printed = `
[source.contacts]
url     = "https://crm.example.com/contacts?api_key=planted-in-url&k={secret:file:FOLDER/query}"
every   = "5m"
key     = "id"
headers = { X-Api-Key = "planted-in-header", Accept = "application/json", X-Env = "{secret:env:VARIABLE}" }
auth    = { kind = "bearer", token = "file:FOLDER/token" }
proxy   = "http://user:planted@proxy.example.com:3128"

[webhook.app]
url    = "https://app.example.com/hooks"
secret = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "env:OLD"]
`

// printsOf gives the settings and prints of a text, and where they differ from others.
func printsOf(t *testing.T, folder, text string) (map[string]map[string]string, Prints) {
	t.Helper()
	secrets := &setting.Secrets{LookupEnv: func(string) (string, bool) { return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true }}
	c, report := Parse([]File{{Path: "a.toml", Text: []byte(strings.ReplaceAll(text, "FOLDER", folder))}}, secrets)
	if c == nil || !report.OK() {
		t.Fatalf("%s", report)
	}
	return Settings(c), PrintsOf(c, secrets)
}

func TestPrintsTellWhatTheSettingsHideAndNothingElse(t *testing.T) {
	folder := filepath.ToSlash(t.TempDir())
	file := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file("query", "first query")
	file("token", "first token")
	settings, prints := printsOf(t, folder, printed)
	if keys := slices.Sorted(maps.Keys(prints["source.contacts"])); !slices.Equal(keys, []string{"auth.token", "headers.X-Api-Key", "proxy", "url"}) {
		t.Errorf("prints of %q", keys)
	}
	if text := fmt.Sprint(prints); strings.Contains(text, "planted") || strings.Contains(text, "MfKQ") {
		t.Errorf("a secret is told: %s", text)
	}
	for _, c := range []struct {
		name string
		edit func(text string) string
		want []string
	}{
		{"nothing", func(text string) string { return text }, nil},
		{"a literal in a header", func(text string) string { return strings.Replace(text, "planted-in-header", "other-in-header", 1) }, []string{"source.contacts headers.X-Api-Key"}},
		{"a literal in the url", func(text string) string { return strings.Replace(text, "planted-in-url", "other", 1) }, []string{"source.contacts url"}},
		{"a literal secret", func(text string) string { return strings.Replace(text, "MfKQ9r8G", "AAAAAAAA", 1) }, []string{"webhook.app secret"}},
		{"the password of a proxy", func(text string) string { return strings.Replace(text, "user:planted", "user:other", 1) }, []string{"source.contacts proxy"}},
		{"a file", func(text string) string { file("token", "other token"); return text }, []string{"source.contacts auth.token"}},
		{"a file in a placeholder", func(text string) string {
			file("token", "first token")
			file("query", "other query")
			return text
		}, []string{"source.contacts url"}},
	} {
		nextSettings, next := printsOf(t, folder, c.edit(printed))
		var got []string
		for section := range next {
			for key := range next[section] {
				if next[section][key] != prints[section][key] {
					got = append(got, section+" "+key)
				}
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q differ, want %q", c.name, got, c.want)
		}
		if fmt.Sprint(nextSettings) != fmt.Sprint(settings) {
			t.Errorf("%s: the settings differ too", c.name)
		}
	}
	if a, b := prints.Sealed("key"), prints.Sealed("other"); a["webhook.app"]["secret"] == b["webhook.app"]["secret"] || a["webhook.app"]["secret"] == prints["webhook.app"]["secret"] {
		t.Error("a print that is sealed says something without the key")
	}
}

func TestReferencesAreTheFilesAndCredentialsThatAreReadAgain(t *testing.T) {
	folder := t.TempDir()
	secrets := &setting.Secrets{LookupEnv: func(string) (string, bool) { return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true }}
	path := filepath.Join(folder, "token")
	for _, name := range []string{"token", "query"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("one"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, report := Parse([]File{{Path: "a.toml", Text: []byte(strings.ReplaceAll(printed, "FOLDER", filepath.ToSlash(folder)))}}, secrets)
	if c == nil {
		t.Fatal(report)
	}
	refs := References(c)
	if len(refs) != 2 || !strings.HasSuffix(refs[1].String(), "token") {
		t.Fatalf("%v", refs)
	}
	before := PrintOf(refs, secrets)
	if err := os.WriteFile(path, []byte("two!"), 0o600); err != nil {
		t.Fatal(err)
	}
	if PrintOf(refs, secrets) == before {
		t.Error("a secret that was rotated is not seen")
	}
}

func TestTextsOfListsThatDifferLookDifferent(t *testing.T) {
	if a, b := oneLine([]any{"a, b"}), oneLine([]any{"a", "b"}); a == b {
		t.Errorf("both are %s", a)
	}
}
