// Package systemd_test holds the unit to systemd's own judgement and to the program.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const unit = "deltahook.service"

// analyze runs systemd-analyze, which comes with the Debian package systemd.
func analyze(t *testing.T, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

func TestTheUnitIsExposedAtMostOnePointTwo(t *testing.T) {
	out, err := analyze(t, "security", "--offline=true", "--threshold=12", unit)
	if err != nil || !strings.Contains(out, "Overall exposure level for deltahook.service: ") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The commands of the unit are checked against a binary that was built just now: none is installed here. The man pages are the package's.
func TestSystemdFindsNothingWrongWithTheUnit(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "bin")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../cmd/deltahook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range regexp.MustCompile(`(?m)^Exec\w+=.*/usr/bin/deltahook (.*)$`).FindAllStringSubmatch(string(text), -1) {
		args := append(strings.Fields(command[1]), "--help")
		if out, err := exec.CommandContext(t.Context(), binary, args...).CombinedOutput(); err != nil {
			t.Errorf("%q: %v\n%s", command[0], err, out)
		}
	}
	copied := filepath.Join(dir, unit)
	if err := os.WriteFile(copied, []byte(strings.ReplaceAll(string(text), "/usr/bin/deltahook", binary)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := analyze(t, "verify", "--man=no", copied); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is only true of a running systemd, and so is kept from being changed in good faith.
func TestTheUnitKeepsWhatOperatorsRelyOn(t *testing.T) {
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for want, why := range map[string]string{
		"Type=notify\n":               "Debian 12 has no notify-reload and would take it for simple",
		"WatchdogSec=":                "a daemon that stands still is restarted",
		"RestartPreventExitStatus=78": "a wrong configuration does not loop",
		"ExecReload=+/usr/bin/env CREDENTIALS_DIRECTORY=%d /usr/bin/deltahook check\n": "inside the sandbox a reload sees no credentials, and a good file would be refused",
		"#LoadCredential=":   "shows where secrets go",
		"TimeoutStopSec=45s": "deliveries in flight have 20 s",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is gone: %s", want, why)
		}
	}
	if strings.Contains(string(text), "ExecStartPre=") {
		t.Error("a check in ExecStartPre that fails is tried again for ever: RestartPreventExitStatus is for the main process alone")
	}
	if check, kill := strings.Index(string(text), "deltahook check"), strings.Index(string(text), "/bin/kill -HUP"); check > kill {
		t.Error("the reload comes before the check")
	}
}
