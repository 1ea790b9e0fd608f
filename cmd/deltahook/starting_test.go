package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/deltahook/deltahook/internal/store/sqlite"
)

// A large store is migrated for minutes, and the store may be somebody else's for a moment: whoever sends SIGHUP then wants the daemon to
// read its configuration, not to end. What the store has to say meanwhile is in the log.
func TestAReloadThatIsAskedForBeforeTheStoreIsOpenEndsNothing(t *testing.T) {
	dir := t.TempDir()
	path, config := filepath.Join(dir, "deltahook.db"), filepath.Join(dir, "deltahook.toml")
	text := fmt.Sprintf(`
[source.things]
url = "http://127.0.0.1:1/"
every = "1h"
key = "id"
[webhook.app]
url = "http://127.0.0.1:1/"
secret = "whsec_ZGVsdGFob29rIGRlbW8gc2VjcmV0LCBub3QgeW91cnM="
[store]
url = "sqlite:%s"
[admin]
listen = "127.0.0.1:%s"
[log]
level = "debug"
`, path, freePort(t))
	writeFile(t, config, text)
	other, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.CommandContext(t.Context(), self)
	daemon.Args = []string{"deltahook", "run", "--config", config, "--watch", "off"} // by this name a test binary is the program
	stderr, err := daemon.StderrPipe()
	if err == nil {
		err = daemon.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	var said strings.Builder
	await := func(text string) {
		t.Helper()
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("it never said %q: %v\n%s", text, daemon.Wait(), said.String())
	}
	await("somebody else has the store")
	writeFile(t, config, strings.Replace(text, "1h", "2h", 1))
	if err := daemon.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	await("store opened")
	await("deltahook is running")
	await("the configuration is reloaded")
	if err := daemon.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	await("stopping")
	if err := daemon.Wait(); err != nil {
		t.Errorf("%v\n%s", err, said.String())
	}
}
