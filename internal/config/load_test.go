package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/deltahook/deltahook/internal/setting"
)

const smallest = `[source.contacts]
url     = "http://127.0.0.1:8080/api/contacts"
every   = "5m"
records = "data.items"
key     = "id"

[webhook.app]
url    = "http://127.0.0.1:8081/hooks"
secret = "env:APP_SECRET"
`

func mustParse(t *testing.T, texts ...string) *Config {
	t.Helper()
	files := make([]File, len(texts))
	for i, text := range texts {
		files[i] = File{Path: string(rune('a'+i)) + ".toml", Text: []byte(text)}
	}
	c, r := Parse(files, testSecrets())
	if !r.OK() {
		t.Fatal(r)
	}
	return c
}

func TestTheSmallestConfigurationIsEnough(t *testing.T) {
	c := mustParse(t, smallest)
	s, ok := c.Source("contacts")
	if !ok || s.Every.Std() != 5*time.Minute || s.Records.String() != "data.items" || len(s.Key) != 1 {
		t.Errorf("source: %+v", s)
	}
	w, ok := c.Webhook("app")
	if !ok || w.Name != "app" || len(w.Secret) != 1 || w.MaxInFlight != 8 {
		t.Errorf("webhook: %+v", w)
	}
	if c.Store != DefaultStore() || c.Log != DefaultLog() || c.Admin != DefaultAdmin() {
		t.Errorf("process: %+v %+v %+v", c.Store, c.Admin, c.Log)
	}
	if _, ok := c.Source("app"); ok {
		t.Error("a source that is none")
	}
	if _, ok := c.Webhook("contacts"); ok {
		t.Error("a webhook that is none")
	}
}

func TestFilesOfAFolderAreMergedInTheOrderOfNames(t *testing.T) {
	dir := t.TempDir()
	head, tail, _ := strings.Cut(smallest, "\n[webhook")
	write(t, dir, "20-hooks.toml", "[webhook"+tail)
	write(t, dir, "10-crm.toml", head)
	write(t, dir, ".hidden.toml", "nonsense")
	write(t, dir, "notes.txt", "nonsense")
	if err := os.Mkdir(filepath.Join(dir, "old.toml"), 0o755); err != nil {
		t.Fatal(err)
	}
	c, r, err := Load(Options{Paths: []string{dir, filepath.Join(dir, "10-crm.toml")}, Secrets: testSecrets()})
	if err != nil || !r.OK() {
		t.Fatal(err, r)
	}
	if len(c.Files) != 2 || filepath.Base(c.Files[0]) != "10-crm.toml" || filepath.Base(c.Files[1]) != "20-hooks.toml" {
		t.Errorf("files: %v", c.Files)
	}
	if len(c.Sources) != 1 || len(c.Webhooks) != 1 {
		t.Errorf("%d sources, %d webhooks", len(c.Sources), len(c.Webhooks))
	}
}

func TestAMissingFileIsAnErrorAndNotAProblem(t *testing.T) {
	_, r, err := Load(Options{Paths: []string{filepath.Join(t.TempDir(), "none.toml")}})
	if !errors.Is(err, fs.ErrNotExist) || len(r.Problems) != 0 {
		t.Errorf("%v, %v", err, r.Problems)
	}
	_, _, err = Load(Options{Paths: []string{t.TempDir()}})
	if err == nil || setting.Hint(err) == "" {
		t.Errorf("an empty folder: %v", err)
	}
}

func TestAConfigurationWithProblemsIsNotGiven(t *testing.T) {
	c, r := Parse([]File{{Path: "a.toml", Text: []byte(strings.Replace(smallest, "5m", "5 m", 1))}}, testSecrets())
	if c != nil || r.OK() || r.Errors() != 1 {
		t.Errorf("%v, %v", c, r)
	}
	invalid, ok := errors.AsType[*InvalidError](r.Err())
	if !ok || !strings.HasSuffix(invalid.Error(), "1 problem, 0 warnings") {
		t.Errorf("error: %v", r.Err())
	}
}

func TestWhatKeepsAConfigurationFromRunningIsSaidFirst(t *testing.T) {
	text := strings.Replace(smallest, "env:APP_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 1) + "\n[source.more]\nevery = \"5 m\"\n"
	_, r := Parse([]File{{Path: "a.toml", Text: []byte(text)}}, testSecrets())
	err := r.Err()
	if r.Warnings() != 1 || err == nil || !strings.Contains(r.Problems[0].String(), "warning: ") {
		t.Fatalf("%v, %v", r, err)
	}
	if first, _, _ := strings.Cut(err.Error(), "\n"); strings.Contains(first, "warning: ") {
		t.Errorf("the error begins with %q", first)
	}
}

func TestWarningsDoNotKeepAConfigurationFromRunning(t *testing.T) {
	head, _, _ := strings.Cut(smallest, "[webhook")
	c, r := Parse([]File{{Path: "a.toml", Text: []byte(head)}}, testSecrets())
	if c == nil || r.Err() != nil || r.Warnings() != 1 || r.Summary() != "0 problems, 1 warning" {
		t.Errorf("%v, %v", c, r)
	}
}

func TestDefaultsFillWhatASourceLeavesOut(t *testing.T) {
	c := mustParse(t, `[defaults]
every   = "1h"
timeout = "7s"
headers = { A = "1", B = "2" }
ignore  = ["x", "y"]
guard.min_deletes = 3
auth    = { kind = "basic", username = "ann", password = "env:CRM_TOKEN" }
`+smallest+`
[source.orders]
url     = "http://127.0.0.1:8080/api/orders"
cron    = "0 * * * *"
key     = "id"
headers = { B = "3", C = "4" }
ignore  = ["z"]
guard   = { min_deletes = 0 }
auth    = { kind = "bearer", token = "env:CRM_TOKEN" }
`)
	contacts, _ := c.Source("contacts")
	if contacts.Every.Std() != 5*time.Minute || contacts.Timeout.Std() != 7*time.Second || contacts.Guard.MinDeletes != 3 ||
		contacts.Auth.Username != "ann" || len(contacts.Ignore) != 2 {
		t.Errorf("contacts: %+v", contacts)
	}
	orders, _ := c.Source("orders")
	if h := orders.Headers; len(h) != 3 || h["A"] != "1" || h["B"] != "3" || h["C"] != "4" {
		t.Errorf("headers: %v", h)
	}
	if h := contacts.Headers; len(h) != 2 || h["B"] != "2" {
		t.Errorf("a source changed the headers of another: %v", h)
	}
	if orders.Every != 0 || orders.Auth.Username != "" || orders.Auth.Kind != "bearer" || orders.Guard.MinDeletes != 0 || len(orders.Ignore) != 1 {
		t.Errorf("orders: %+v", orders)
	}
}

func TestABOMIsNoPartOfAFile(t *testing.T) {
	mustParse(t, "\xef\xbb\xbf"+smallest)
	_, r := Parse([]File{{Path: "a.toml", Text: []byte("\xef\xbb\xbfevry = 5\n")}}, nil)
	if p := r.Problems[0]; p.Line != 1 || p.Column != 1 || strings.ContainsRune(p.Excerpt, '\ufeff') {
		t.Errorf("%+v", p)
	}
}

func TestAFingerprintFollowsContent(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.toml", smallest)
	print1 := fingerprintOf(t, dir)
	c, _, err := Load(Options{Paths: []string{dir}, Secrets: testSecrets()})
	if err != nil || c.Fingerprint != print1 {
		t.Errorf("%v, %v", c, err)
	}
	write(t, dir, "a.toml", smallest)
	if fingerprintOf(t, dir) != print1 {
		t.Error("the same content has another fingerprint")
	}
	write(t, dir, "b.toml", "")
	print2 := fingerprintOf(t, dir)
	write(t, dir, "a.toml", smallest+"# x\n")
	print3 := fingerprintOf(t, dir)
	if print1 == print2 || print2 == print3 {
		t.Error("a change has the same fingerprint")
	}
	if _, err := Fingerprint([]string{filepath.Join(dir, "c.toml")}); err == nil {
		t.Error("a missing file has a fingerprint")
	}
}

func fingerprintOf(t *testing.T, dir string) string {
	t.Helper()
	f, err := Fingerprint([]string{dir})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(smallest)
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatal("no archives", err)
	}
	for _, path := range archives {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range filesOf(a) {
			f.Add(string(file.Text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, r := Parse([]File{{Path: "a.toml", Text: []byte(text)}}, testSecrets())
		lines := strings.Split(strings.TrimPrefix(text, "\xef\xbb\xbf"), "\n")
		for _, p := range r.Problems {
			if p.File != "a.toml" || p.Line < 1 || p.Line > len(lines) || p.Column < 1 ||
				p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 || p.Message == "" || strings.Count(p.Excerpt, "\n") != 1 {
				t.Errorf("%q: %+v", text, p)
			}
		}
	})
}

// What a section needs to know of all others is gathered once: this took minutes when each looked for itself.
func TestFiveThousandSourcesAreRead(t *testing.T) {
	const n = 5000
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "[source.s%04d]\nurl = \"https://erp.example.com/%d\"\nevery = \"1h\"\nkey = \"id\"\n", i, i)
	}
	text.WriteString("[webhook.app]\nurl = \"https://app.example.com/hooks\"\nsecret = \"env:SECRET\"\n")
	secrets := &setting.Secrets{LookupEnv: func(string) (string, bool) { return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true }}
	c, report := Parse([]File{{Path: "many.toml", Text: []byte(text.String())}}, secrets)
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	if len(c.Sources) != n {
		t.Errorf("%d sources", len(c.Sources))
	}
}
