package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/deltahook/deltahook/internal/hooktest"
)

var update = flag.Bool("update", false, "write what the commands say into the scripts")

// TestMain lets scripts run the commands of this test binary as if they were installed. Scripts mostly wait for daemons: more of them
// run at once than there are processors, unless -parallel says otherwise.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"deltahook": main})
}

// TestEveryCommandSaysWhatItsScriptSays runs the golden scripts. In them $API is a polled API whose answer is the file
// api.json of the script, read again for each request, $HOOKS a receiver that answers what hooks.txt says ("422 too big"; 200
// without it), and $PORT a free port of this machine.
func TestEveryCommandSaysWhatItsScriptSays(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				raw, err := os.ReadFile(env.WorkDir + "/api.json")
				if err != nil {
					http.Error(w, "no api.json", http.StatusNotFound)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(raw)
			}))
			env.Defer(api.Close)
			env.Setenv("API", api.URL)
			hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				raw, _ := os.ReadFile(env.WorkDir + "/hooks.txt")
				status, text, _ := strings.Cut(strings.TrimSpace(string(raw)), " ")
				if code, err := strconv.Atoi(status); err == nil {
					http.Error(w, text, code)
				}
			}))
			env.Defer(hooks.Close)
			env.Setenv("HOOKS", hooks.URL)
			env.Setenv("PORT", freePort(t))
			env.Setenv("ADMIN", freePort(t))
			env.Setenv("GORACE", os.Getenv("GORACE")) // how the detector is to behave in each command, see the Makefile
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"chomp":      chomp,
			"expand":     expand,
			"eventually": eventually,
			"appears":    appears,
			"hangup":     hangup,
			"showevent":  showEvent,
			"code":       exitsWith,
		},
	})
}

func freePort(tb testing.TB) string {
	tb.Helper()
	port, err := hooktest.FreePort(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// expand puts the values of environment variables into a file: expand FILE.
func expand(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	raw := ts.ReadFile(path)
	ts.Check(os.WriteFile(path, []byte(os.Expand(raw, ts.Getenv)), 0o600))
}

// chomp removes the line feed with which a script ends a file: chomp FILE.
func chomp(ts *testscript.TestScript, _ bool, args []string) {
	raw := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(raw), 0o600))
}

// showEvent runs deltahook deliveries show for the first event that the last command named.
func showEvent(ts *testscript.TestScript, _ bool, _ []string) {
	id := regexp.MustCompile(`evt_\w+`).FindString(ts.ReadFile("stdout"))
	ts.Check(ts.Exec("deltahook", "deliveries", "show", id))
}

// hangup sends SIGHUP to what runs in the background.
func hangup(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		if cmd.ProcessState == nil {
			ts.Check(cmd.Process.Signal(syscall.SIGHUP))
		}
	}
}

// eventually runs deltahook again and again until it succeeds and its output matches: eventually REGEXP ARGS...
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ts.Exec("deltahook", args[1:]...)
		if err == nil && want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("it never said %q; the last time: %v\n%s%s", args[0], err, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		case <-tick.C:
		}
	}
}

// appears waits until a file that is being written matches: appears FILE REGEXP.
func appears(ts *testscript.TestScript, _ bool, args []string) {
	want, path := regexp.MustCompile(args[1]), ts.MkAbs(args[0])
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		raw, err := os.ReadFile(path)
		if want.Match(raw) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s never said %q: %v\n%s", args[0], args[1], err, raw)
		}
	}
}

// exitsWith runs deltahook, which must end with this code: code N ARGS...
func exitsWith(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec("deltahook", args[1:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("deltahook %s: %v, want exit code %s", strings.Join(args[1:], " "), err, args[0])
	}
}

// Each command has a script that runs it.
func TestEveryCommandHasAScript(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(raw)
	}
	var check func(c *cobra.Command)
	check = func(c *cobra.Command) {
		for _, below := range c.Commands() {
			words := strings.TrimPrefix(below.CommandPath(), "deltahook ")
			said := regexp.MustCompile(`(?m)^(!? ?exec deltahook|code \d+|eventually \S+|eventually '[^']*')( --\S+ \S+)* ` + words + `\b`)
			if !said.MatchString(all.String()) {
				t.Errorf("no script runs deltahook %s", words)
			}
			check(below)
		}
	}
	check(newRoot(&process{stdout: io.Discard, stderr: io.Discard, lookupEnv: os.LookupEnv}))
}
