package docs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/hooktest"
)

// others lists the programs whose lines in the documentation are not run here.
func others() []string {
	return []string{
		"apt", "apt-get", "bash", "cargo", "cd", "chmod", "cosign", "cp", "cron", "curl", "date", "docker", "export", "find", "git", "go", "head", "helm", "install", "jq", "journalctl",
		"java", "kill", "kubectl", "make", "mkdir", "node", "npm", "openssl", "php", "podman", "rabbitmq-plugins", "promtool", "psql", "python3", "rpm", "dpkg", "dnf", "ruby", "sha256sum",
		"sqlite3", "systemctl", "systemd-analyze", "systemd-creds", "tar", "tee", "useradd", "watch", "while", "done", "for", "sed", "grep", "rm", "sh", "mv", "echo", "cat", "pg_dump",
	}
}

// statements splits a shell block into simple commands, as far as documentation needs it: comments, continued lines, pipes and lists.
func statements(block string) []string {
	block = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(block, " ")
	block = regexp.MustCompile(`(?m)(^|\s)#.*$`).ReplaceAllString(block, "")
	var list []string
	block = regexp.MustCompile(`\$\(([^)]*)\)`).ReplaceAllStringFunc(block, func(inner string) string {
		list = append(list, strings.TrimSpace(inner[2:len(inner)-1]))
		return "VALUE"
	})
	var b strings.Builder
	quote := rune(0)
	flush := func() {
		if s := strings.TrimSpace(b.String()); s != "" {
			list = append(list, s)
		}
		b.Reset()
	}
	for _, r := range block {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case strings.ContainsRune("\n|&;()", r):
			flush()
			continue
		}
		b.WriteRune(r)
	}
	flush()
	return list
}

// words splits a simple command, without redirections.
func words(statement string) []string {
	statement = regexp.MustCompile(`[0-9]?>>?\s*\S+|<\s*\S+`).ReplaceAllString(statement, "")
	var list []string
	for _, m := range regexp.MustCompile(`(?:[^\s'"]+|'[^']*'|"[^"]*")+`).FindAllString(statement, -1) {
		list = append(list, strings.NewReplacer("'", "", `"`, "").Replace(m))
	}
	return list
}

// commandOf gives the arguments of a statement that runs deltahook; other is the program of any other one.
func commandOf(statement string) (args []string, other string) {
	all := words(statement)
	for len(all) > 0 && (all[0] == "sudo" || all[0] == "$" || strings.Contains(all[0], "=") || strings.HasPrefix(all[0], "$")) {
		all = all[1:]
	}
	switch {
	case len(all) == 0:
		return nil, ""
	case len(all) > 2 && all[0] == "go" && all[1] == "run" && strings.Contains(all[2], "cmd/deltahook"):
		return all[3:], ""
	case filepath.Base(all[0]) == "deltahook":
		return all[1:], ""
	}
	return nil, all[0]
}

// place is a folder with a configuration, a daemon that runs by it, an API and a receiver.
type place struct {
	bin, dir, api, event string
}

const exampleNames = "contacts orders tickets stock invoices legacy things tasks queues"

func newPlace(t *testing.T, bin string) *place {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`[{"id":4711,"name":"Ann","status":"open"},{"id":4700,"name":"Bo","status":"new"}]`))
	}))
	t.Cleanup(api.Close)
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(hooks.Close)
	port, err := hooktest.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var conf strings.Builder
	for name := range strings.FieldsSeq(exampleNames) {
		fmt.Fprintf(&conf, "[source.%s]\nurl = %q\nevery = \"1h\"\nkey = \"id\"\ninitial = \"emit\"\n", name, api.URL+"/"+name)
	}
	for _, name := range []string{"app", "crm", "erp"} {
		fmt.Fprintf(&conf, "[webhook.%s]\nurl = %q\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n", name, hooks.URL)
	}
	fmt.Fprintf(&conf, "[admin]\nlisten = \"127.0.0.1:%s\"\n", port)
	p := &place{bin: bin, dir: t.TempDir(), api: api.URL}
	if err := os.WriteFile(filepath.Join(p.dir, "deltahook.toml"), []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "capture.txt"), []byte("POST /hooks HTTP/1.1\nwebhook-id: evt_1\n\n{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.daemon(t)
	return p
}

func (p *place) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.bin, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "APP_WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "CRM_TOKEN=t")
	return cmd
}

// daemon starts deltahook and waits until it has told of something.
func (p *place) daemon(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	run := p.command(ctx, "run")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = run.Wait()
	})
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range 1200 {
		out, _ := p.command(ctx, "events", "--json", "--source", "contacts").Output()
		if p.event = regexp.MustCompile(`evt_\w+`).FindString(string(out)); p.event != "" {
			return
		}
		<-tick.C
	}
	t.Fatal("the daemon tells of nothing")
}

// filled puts what is here into a command of the documentation.
func (p *place) filled(args []string) []string {
	out := slices.Clone(args)
	for i, arg := range out {
		switch {
		case strings.HasPrefix(arg, "evt_"), arg == "EVENT", arg == "ID":
			out[i] = p.event
		case strings.HasPrefix(arg, "https://"), arg == "URL":
			out[i] = p.api + "/contacts"
		case arg == "SOURCE", arg == "NAME":
			out[i] = "contacts"
		case arg == "WEBHOOK":
			out[i] = "app"
		case arg == "DIR":
			out[i] = p.dir
		case i > 0 && out[i-1] == "--config":
			out[i] = "deltahook.toml"
		}
	}
	return out
}

// runs says what is wrong with a command: not that it fails, but that it cannot be said like this.
func (p *place) runs(t *testing.T, args []string) (complaint string) {
	t.Helper()
	const patience = 2 * time.Second // run, listen and tail do not end
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := p.command(ctx, p.filled(args)...).CombinedOutput()
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil, ctx.Err() != nil, failed && slices.Contains([]int{1, 3, 75}, exit.ExitCode()):
		return ""
	case failed && exit.ExitCode() == 2 && regexp.MustCompile("nobody is there to confirm|there are several webhooks").Match(out):
		return ""
	}
	return fmt.Sprintf("%v\n%s", err, out)
}

// checkBlocks runs every command of deltahook in the shell blocks of all pages, each once, beside a running daemon.
func checkBlocks(t *testing.T, bin string) {
	t.Helper()
	if testing.Short() {
		return // the commands were found to exist; the run under the race detector need not run them again
	}
	p := newPlace(t, bin)
	seen, ran := map[string]bool{}, 0
	for page, text := range pages(t) {
		_, found := blocks(text)
		for _, b := range found {
			if b.info != "sh" {
				continue
			}
			for _, s := range statements(b.text) {
				args, other := commandOf(s)
				if other != "" && !strings.HasPrefix(other, "examples/") && !slices.Contains(others(), filepath.Base(other)) {
					t.Errorf("%s: %s is no program that the documentation may name: %s", page, other, s)
				}
				key := strings.Join(args, " ")
				if args == nil || seen[key] || len(args) > 0 && args[0] == "demo" {
					continue
				}
				seen[key] = true
				ran++
				if complaint := p.runs(t, args); complaint != "" {
					t.Errorf("%s: deltahook %s: %s", page, key, complaint)
				}
			}
		}
	}
	if ran < 20 {
		t.Errorf("only %d commands were run", ran)
	}
}
