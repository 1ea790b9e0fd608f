package main

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
)

// killAfter runs the binary until its log has a word, and kills it in this moment.
func killAfter(t *testing.T, binary, config, word string) {
	t.Helper()
	daemon := exec.CommandContext(t.Context(), binary, "run", "--config", config)
	stderr, err := daemon.StderrPipe()
	if err == nil {
		err = daemon.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, found := bufio.NewScanner(stderr), false
	for !found && lines.Scan() {
		found = strings.Contains(lines.Text(), word)
	}
	_ = daemon.Process.Kill()
	_ = daemon.Wait()
	if !found {
		t.Fatalf("it never said %q", word)
	}
}

// P12: what happens once is told once, although the process that was to tell it was killed.
func TestABaselineIsToldOnceThroughKills(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "deltahook") // by this name a test binary is the program
	if err := os.Symlink(self, binary); err != nil {
		t.Skip(err)
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[{"id":1}]`)) }))
	defer api.Close()
	secret := emitter.GenerateSecret()
	receiver := &hooktest.Receiver{Secrets: []string{secret}, NoReplica: true}
	hooks := httptest.NewServer(receiver)
	defer hooks.Close()
	config := filepath.Join(t.TempDir(), "deltahook.toml")
	writeFile(t, config, fmt.Sprintf(`
[source.things]
url = %q
every = "1h"
spread = false
key = "id"
[webhook.ops]
url = %q
secret = %q
events = ["deltahook.*"]
[alerts]
to = ["ops"]
[store]
url = "sqlite:%s"
[admin]
listen = "127.0.0.1:%s"
`, api.URL, hooks.URL, secret, filepath.Join(t.TempDir(), "deltahook.db"), freePort(t)))
	told := func() map[string]bool {
		ids := map[string]bool{}
		for _, r := range receiver.Requests() {
			if strings.Contains(string(r.Body), `"deltahook.source.baselined"`) {
				ids[r.Header.Get("webhook-id")] = true
			}
		}
		return ids
	}
	killAfter(t, binary, config, "baseline saved")
	killAfter(t, binary, config, "deltahook is running")
	stop := startDaemon(t, binary, config)
	for end := time.Now().Add(10 * time.Second); len(told()) == 0 && time.Now().Before(end); {
		wait(t.Context(), 20*time.Millisecond)
	}
	wait(t.Context(), time.Second) // a second one would come at once
	stop(os.Kill)
	if n := len(told()); n != 1 {
		t.Errorf("told %d times", n)
	}
}
