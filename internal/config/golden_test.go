package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/deltahook/deltahook/internal/setting"
)

var update = flag.Bool("update", false, "write the reports of this run into testdata/problems")

// testSecrets knows three variables.
func testSecrets() *setting.Secrets {
	env := map[string]string{
		"APP_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"OPS_SECRET": "whsec_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9v",
		"CRM_TOKEN":  "crm-token-value",
	}
	return &setting.Secrets{LookupEnv: func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}}
}

// filesOf gives the configuration files of an archive, in its order.
func filesOf(a *txtar.Archive) []File {
	var files []File
	for _, f := range a.Files {
		if strings.HasSuffix(f.Name, ".toml") {
			files = append(files, File{Path: f.Name, Text: f.Data})
		}
	}
	return files
}

func TestEachProblemIsReportedWithPlaceAndNextStep(t *testing.T) {
	archives, err := filepath.Glob("testdata/problems/*.txtar")
	if err != nil || len(archives) < 25 {
		t.Fatalf("only %d archives (%v)", len(archives), err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { checkArchive(t, path) })
	}
}

func checkArchive(t *testing.T, path string) {
	t.Helper()
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, report := Parse(filesOf(a), testSecrets())
	got := report.String() + report.Summary() + "\n"
	for _, secret := range []string{"hunter2", "whsec_Mf", "abc123", "12345678", "open sesame", "crm-token"} {
		if strings.Contains(got, secret) {
			t.Errorf("the report shows the secret %q:\n%s", secret, got)
		}
	}
	for i, f := range a.Files {
		if f.Name != "want" {
			continue
		}
		if *update {
			a.Files[i].Data = []byte(got)
			if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(f.Data, []byte(got)) {
			t.Errorf("%s\ngot:\n%s\nwant:\n%s", bytes.TrimSpace(a.Comment), got, f.Data)
		}
		return
	}
	t.Fatal("the archive has no file named want")
}
