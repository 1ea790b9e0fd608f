package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// The code is the source of which keys there are, what they take and what they are by default, config.toml of why they are there.
// The schema and the reference page are made of both.
func TestTheSchemaAndTheReferencePageSayWhatTheCodeAndConfigTomlSay(t *testing.T) {
	m := newMaker(t)
	raw, err := json.Marshal(m.document())
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", " "); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"schema.json": text.String() + "\n", "../../docs/reference.md": m.page()} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not what the code and config.toml make (%v); make it anew: make reference", path, err)
		}
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("urn:deltahook:config", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("urn:deltahook:config")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// against validates a TOML text as an editor does.
func against(s *jsonschema.Schema, text string) error {
	tree := map[string]any{}
	if _, err := toml.Decode(text, &tree); err != nil {
		return err
	}
	raw, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return s.Validate(doc)
}

func TestEveryKeyOfTheReferencePassesTheSchema(t *testing.T) {
	s := compiled(t)
	_, entries := reference(t)
	for _, e := range entries {
		base := map[string]string{"source.self": minimalSource, "webhook.app": minimalWebhook}[e.table]
		key := strings.Join(e.path, ".")
		if slices.Contains([]string{"url", "key", "secret", "every"}, key) && base != "" {
			base = regexp.MustCompile(`(?m)^`+key+` = .*\n`).ReplaceAllString(base, "")
		}
		if key == "cron" {
			base = strings.Replace(base, "every = \"1m\"\n", "", 1)
		}
		if base == "" {
			base = "[" + e.table + "]\n"
		}
		if err := against(s, base+key+" = "+e.value+"\n"); err != nil {
			t.Errorf("[%s] %s = %s: %v", e.table, key, e.value, err)
		}
	}
}

func TestEveryExampleInTheRepositoryPassesTheSchema(t *testing.T) {
	s := compiled(t)
	files, err := filepath.Glob("../../examples/*/config.toml")
	if err != nil || len(files) < 5 {
		t.Fatalf("examples: %q, %v", files, err)
	}
	for _, path := range append(files, "../../config.toml") {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := against(s, string(raw)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// meaning lists the archives whose problems are of a kind that a schema cannot know: what a text means, what files say together, and
// what no parser of TOML lets through.
func meaning() []string {
	return []string{
		"admin-without-token", "bad-names", "duplicate-across-files", "empty-paths", "hosts", "no-source", "no-webhook", "no-webhook-to-name",
		"partitions-of-nobody", "paths", "schedules", "store-url", "to-nobody", "unknown-webhook", "unset-secrets", "literal-secrets",
		"long-and-tabbed-lines", "masked-lines", "empty", "auth", "crlf", "process-sections", "process", "source-auth", "source-cursors", "source-pages",
		"source-schedules", "source-texts", "in-vain", "literal-secrets-elsewhere",
	}
}

func TestTheSchemaRefusesWhatIsWrongInItsStructure(t *testing.T) {
	s := compiled(t)
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range archives {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		if slices.Contains(meaning(), name) {
			continue
		}
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		refused := false
		for _, f := range filesOf(a) {
			refused = refused || against(s, string(f.Text)) != nil
		}
		if !refused {
			t.Errorf("%s passes", name)
		}
	}
}

func TestTheSchemaKnowsWhatIsRequiredAndWhatDoesNotExist(t *testing.T) {
	s := compiled(t)
	for text, ok := range map[string]bool{
		minimalSource + minimalWebhook:                            true,
		minimalSource:                                             true, // a file of several
		strings.Replace(minimalSource, "url", "uri", 1):           false,
		strings.Replace(minimalSource, "every = \"1m\"\n", "", 1): false,
		strings.Replace(minimalSource, "every = \"1m\"\n", "", 1) + "[defaults]\nevery = \"1m\"\n":                         true,
		minimalSource + "cron = \"@hourly\"\n":                                                                             false,
		minimalSource + "timeout = 30\n":                                                                                   false,
		minimalSource + "timeout = \"30 s\"\n":                                                                             false,
		minimalSource + "timeout = \"1d12h\"\n":                                                                            true,
		minimalSource + "initial = \"all\"\n":                                                                              false,
		minimalSource + "guard = { max_deletes = 20 }\n":                                                                   false,
		minimalSource + "response = { max_body = \"32 MiB\" }\n":                                                           true,
		minimalSource + "pages = { kind = \"pages\" }\n":                                                                   false,
		minimalSource + "cursor = { feld = \"a\" }\n":                                                                      false,
		"[webhook.app]\nurl = \"http://127.0.0.1/\"\n":                                                                     false,
		"[webhook.app]\nurl = \"http://127.0.0.1/\"\nsign = \"none\"\n":                                                    true,
		minimalWebhook + "secret_2 = \"x\"\n":                                                                              false,
		"[webhook.app]\nurl = \"x\"\nsecret = [\"env:A\", { secret = \"env:B\", not_after = \"2026-12-01T00:00:00Z\" }]\n": true,
		"[webhook.App]\nurl = \"http://127.0.0.1/\"\nsecret = \"env:A\"\n":                                                 false,
		"[host.\"erp:443\"]\nrate = \"5/s\"\nreserve = 10\n":                                                               true,
		"[host.\"erp:443\"]\nrate = \"5/sec\"\n":                                                                           false,
		"[storage]\nurl = \"sqlite:a.db\"\n":                                                                               false,
	} {
		if err := against(s, text); (err == nil) != ok {
			t.Errorf("%v for\n%s", err, text)
		}
	}
}
