// Package packaging_test holds what is shipped to the program and to itself.
package packaging_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// described is a package, as nfpm and GoReleaser describe it.
type described struct {
	Maintainer  string            `yaml:"maintainer"`
	Description string            `yaml:"description"`
	License     string            `yaml:"license"`
	Section     string            `yaml:"section"`
	Recommends  []string          `yaml:"recommends"`
	Scripts     map[string]string `yaml:"scripts"`
	Contents    []struct {
		Source string `yaml:"src"`
		Target string `yaml:"dst"`
		Type   string `yaml:"type"`
		Info   struct {
			Mode int `yaml:"mode"`
		} `yaml:"file_info"`
	} `yaml:"contents"`
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func TestNfpmAndGoReleaserMakeTheSamePackage(t *testing.T) {
	var own described
	read(t, "nfpm.yaml", &own)
	var release struct {
		Packages []described `yaml:"nfpms"`
	}
	read(t, "../.goreleaser.yaml", &release)
	theirs := release.Packages[0]
	targets := map[string]bool{"/usr/bin/deltahook": true} // GoReleaser adds the binary itself
	for _, c := range theirs.Contents {
		targets[c.Target] = true
	}
	for _, c := range own.Contents {
		if !targets[c.Target] {
			t.Errorf("GoReleaser leaves out %s", c.Target)
		}
		delete(targets, c.Target)
		if config := c.Target == "/etc/deltahook/deltahook.toml"; config != (c.Type == "config|noreplace") {
			t.Errorf("%s has type %q", c.Target, c.Type)
		}
		if c.Info.Mode != 0o644 && c.Target != "/usr/bin/deltahook" {
			t.Errorf("%s has mode %o", c.Target, c.Info.Mode)
		}
	}
	for target := range targets {
		t.Errorf("nfpm leaves out %s", target)
	}
	if own.Maintainer != theirs.Maintainer || own.Description != theirs.Description || own.License != theirs.License || own.Section != theirs.Section || strings.Join(own.Recommends, " ") != strings.Join(theirs.Recommends, " ") {
		t.Errorf("%+v\n%+v", own, theirs)
	}
	for when, script := range own.Scripts {
		if _, err := os.Stat(filepath.Join("..", script)); err != nil || theirs.Scripts[when] != script {
			t.Errorf("%s is %q and %q: %v", when, script, theirs.Scripts[when], err)
		}
	}
}

// What the unit says that there is, is in the package.
func TestThePackageHasWhatTheUnitNames(t *testing.T) {
	var own described
	read(t, "nfpm.yaml", &own)
	var targets []string
	for _, c := range own.Contents {
		targets = append(targets, c.Target)
	}
	have := strings.Join(targets, "\n")
	unit, err := os.ReadFile("systemd/deltahook.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`man:([a-z.]+)\((\d)\)`).FindAllStringSubmatch(string(unit), -1) {
		if page := "/usr/share/man/man" + m[2] + "/" + m[1] + "." + m[2] + ".gz"; !strings.Contains(have, page) {
			t.Errorf("there is no %s", page)
		}
	}
	for _, path := range []string{"/usr/bin/deltahook", "/etc/deltahook/deltahook.toml", "/usr/lib/systemd/system/deltahook.service"} {
		if !strings.Contains(have, path+"\n") {
			t.Errorf("there is no %s", path)
		}
	}
}

// Installing must not start what has no configuration; whoever upgrades decides when to restart.
func TestNoScriptStartsTheDaemon(t *testing.T) {
	scripts, err := filepath.Glob("scripts/*.sh")
	if err != nil || len(scripts) != 3 {
		t.Fatalf("%q, %v", scripts, err)
	}
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`(?m)^\s*[^#'\n]*systemctl[^'\n]* (?:start|restart|try-restart|enable|reload-or-restart)\b`).Find(text); m != nil {
			t.Errorf("%s: %s", path, m)
		}
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "bash", "-n", "package.sh", "check-deb.sh").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// What people get is built in four ways; it must not depend on which, in its size for one.
func TestEveryBuildOfAReleaseHasTheSameFlags(t *testing.T) {
	for _, path := range []string{"../Dockerfile", "../Makefile", "package.sh"} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(raw), "$(TAGS)", "nopgxregisterdefaulttypes")
		line := regexp.MustCompile(`go build .*-ldflags .*`).FindString(text)
		for _, flag := range []string{"-buildvcs=false", "-trimpath", "-tags nopgxregisterdefaulttypes", "-s -w -X main.version="} {
			if !strings.Contains(line, flag) {
				t.Errorf("%s builds without %s: %q", path, flag, line)
			}
		}
	}
	var release struct {
		Builds []struct {
			Flags   []string `yaml:"flags"`
			Tags    []string `yaml:"tags"`
			LDFlags []string `yaml:"ldflags"`
		} `yaml:"builds"`
	}
	read(t, "../.goreleaser.yaml", &release)
	b := release.Builds[0]
	if strings.Join(b.Flags, " ") != "-trimpath -buildvcs=false" || strings.Join(b.Tags, " ") != "nopgxregisterdefaulttypes" || !strings.HasPrefix(strings.Join(b.LDFlags, " "), "-s -w -X main.version=") {
		t.Errorf("GoReleaser builds with %+v", b)
	}
}

// buildIn builds the program in a checkout, as it is released.
func buildIn(t *testing.T, dir, out string) [sha256.Size]byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-tags", "nopgxregisterdefaulttypes", "-ldflags", "-s -w -X main.version=test", "-o", out, "./cmd/deltahook")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(raw)
}

// The same source gives the same bytes wherever it lies; and the bill of materials of these bytes has what go.mod requires.
func TestABuildIsReproducibleAndItsBillOfMaterialsComplete(t *testing.T) {
	if testing.Short() {
		t.Skip("two links and a copy of the checkout")
	}
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, bin := t.TempDir(), t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "cmd", "poller", "emitter", "differ", "internal", "config.toml"} {
		if out, err := exec.CommandContext(t.Context(), "cp", "-r", filepath.Join(here, name), elsewhere).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	one, other := filepath.Join(bin, "one"), filepath.Join(bin, "other")
	if buildIn(t, here, one) != buildIn(t, elsewhere, other) {
		t.Error("two builds of one source differ")
	}
	bill := func(path string) []byte {
		out, err := exec.CommandContext(t.Context(), "go", "run", "./sbom", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := bill(one)
	if !bytes.Equal(first, bill(other)) {
		t.Error("two bills of one program differ")
	}
	var bom struct {
		Format     string `json:"bomFormat"`
		Components []struct {
			Name    string `json:"name"`
			Version string `json:"version"`
			PURL    string `json:"purl"`
		} `json:"components"`
	}
	if err := json.Unmarshal(first, &bom); err != nil || bom.Format != "CycloneDX" {
		t.Fatalf("%v: %s", err, first)
	}
	listed := map[string]string{}
	for _, c := range bom.Components {
		listed[c.Name] = c.Version
		if c.Version == "" || c.PURL != "pkg:golang/"+c.Name+"@"+c.Version {
			t.Errorf("%+v", c)
		}
	}
	for _, must := range []string{"std", "modernc.org/sqlite", "github.com/spf13/cobra", "github.com/tidwall/gjson"} {
		if listed[must] == "" {
			t.Errorf("%s is not listed", must)
		}
	}
	if listed["go.yaml.in/yaml/v3"] != "" {
		t.Error("what only tests use is in the program")
	}
}
