// Package examples_test runs the examples as their readers would.
package examples_test

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/setting"
)

// secret, and the vector below, are those of the Standard Webhooks specification and its libraries.
const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func sign(t *testing.T, secret, id, timestamp, body string) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestTheTestSignsAsTheSpecificationDoes(t *testing.T) {
	got := sign(t, secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Fatalf("signature is %s, the specification says %s", got, want)
	}
}

func TestEveryExampleHasAConfigurationThatPassesTheCheck(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("*/config.toml")
	if err != nil || len(paths) < 6 {
		t.Fatalf("found %q, %v", paths, err)
	}
	secrets := &setting.Secrets{LookupEnv: func(name string) (string, bool) {
		if name == "DELTAHOOK_STORE" {
			return "postgres://deltahook@db/deltahook", true
		}
		return secret, true
	}}
	for _, path := range paths {
		c, report, err := config.Load(config.Options{Paths: []string{path}, Secrets: secrets})
		if err != nil || !report.OK() || len(c.Sources) == 0 {
			t.Errorf("%s: %v\n%s", path, err, report)
		}
	}
}

func TestEveryScriptOfAnExampleIsWholeAndExplained(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("*/run.sh")
	if err != nil || len(scripts) < 5 {
		t.Fatalf("found %q, %v", scripts, err)
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed: the scripts were not parsed")
	}
	for _, path := range append(scripts, "common.sh") {
		if out, err := exec.CommandContext(t.Context(), bash, "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", path, err, out)
		}
	}
	for _, path := range scripts {
		name := filepath.Dir(path)
		readme, err := os.ReadFile(filepath.Join(name, "README.md"))
		if err != nil || !strings.Contains(string(readme), "examples/"+path) {
			t.Errorf("the README of %s does not tell of its script: %v", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be executed: %v", path, err)
		}
	}
}

// program starts one of the receivers.
type program struct {
	name    string
	needs   string // the interpreter, found on the PATH
	command func(t *testing.T) []string
	// at is where it listens when it cannot say so itself; empty: it says so.
	at string
}

func receivers(t *testing.T) []program {
	t.Helper()
	phpAt := freeAddress(t)
	return []program{
		{"go", "go", func(t *testing.T) []string {
			t.Helper()
			bin := filepath.Join(t.TempDir(), "receiver")
			if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, "./receivers/go").CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			return []string{bin}
		}, ""},
		{"node", "node", func(*testing.T) []string { return []string{"node", "receivers/node/receiver.mjs"} }, ""},
		{"python", "python3", func(*testing.T) []string { return []string{"python3", "receivers/python/receiver.py"} }, ""},
		{"ruby", "ruby", func(t *testing.T) []string {
			t.Helper()
			if err := exec.CommandContext(t.Context(), "ruby", "-e", "require 'webrick'").Run(); err != nil {
				t.Skip("webrick is not installed: the receiver in ruby was not run")
			}
			return []string{"ruby", "receivers/ruby/receiver.rb"}
		}, ""},
		{"java", "java", func(*testing.T) []string { return []string{"java", "receivers/java/Receiver.java"} }, ""},
		{"php", "php", func(t *testing.T) []string {
			t.Helper()
			return []string{"env", "MEMORY=" + filepath.Join(t.TempDir(), "seen.json"), "php", "-q", "-S", phpAt, "receivers/php/receiver.php"}
		}, phpAt},
	}
}

func TestReceiversAcceptWhatIsSignedAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, p := range receivers(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(p.needs); err != nil {
				t.Skipf("%s is not installed: the receiver in %s was not run", p.needs, p.name)
			}
			r := start(t, p.command(t), p.at)
			for _, c := range requests(t) {
				r.check(t, c)
			}
		})
	}
}

// request is one POST and what must come of it.
type request struct {
	name    string
	body    string
	headers map[string]string
	status  int    // the hundred of it
	line    string // what the receiver prints; empty: nothing
}

// body has white space, a number that float64 cannot hold, and letters outside ASCII: a receiver that verifies anything but
// the raw bytes fails.
func body(key string, sequence int) string {
	return `{"type":"contacts.updated","timestamp":"2026-11-23T12:00:00.123Z", "data":{"source":"contacts","change":"updated","key":"` + key +
		`","sequence":` + strconv.Itoa(sequence) + `,"record":{"id":9007199254740993,"price":1.10,"name":"Zoë \u2028 <&>"}}}`
}

func requests(t *testing.T) []request {
	t.Helper()
	stamp := func(age time.Duration) string { return strconv.FormatInt(time.Now().Add(-age).Unix(), 10) }
	signed := func(id, body string, age time.Duration) map[string]string {
		ts := stamp(age)
		return map[string]string{"webhook-id": id, "webhook-timestamp": ts, "webhook-signature": sign(t, secret, id, ts, body)}
	}
	with := func(h map[string]string, name, value string) map[string]string {
		h[name] = value
		return h
	}
	first := signed("evt_1", body("4711", 3), 0)
	other := "whsec_" + base64.StdEncoding.EncodeToString([]byte("another secret of twenty-four+"))
	return []request{
		{"a signed event", body("4711", 3), first, 200, `applied contacts.updated key="4711" sequence=3 evt_1`},
		{"the same event again", body("4711", 3), signed("evt_1", body("4711", 3), 0), 200, `duplicate contacts.updated key="4711" sequence=3 evt_1`},
		{"an older state of the record", body("4711", 2), signed("evt_2", body("4711", 2), 0), 200, `outdated contacts.updated key="4711" sequence=2 evt_2`},
		{"an older event of another record", body("4712", 1), signed("evt_3", body("4712", 1), 0), 200, `applied contacts.updated key="4712" sequence=1 evt_3`},
		{"signed four minutes ago", body("4711", 4), signed("evt_4", body("4711", 4), 4*time.Minute), 200, `applied contacts.updated key="4711" sequence=4 evt_4`},
		{
			"several signatures, one of them right", body("4711", 5),
			with(signed("evt_5", body("4711", 5), 0), "webhook-signature",
				"v1,"+strings.Repeat("A", 43)+"= v1a,short "+signed("evt_5", body("4711", 5), 0)["webhook-signature"]),
			200, `applied contacts.updated key="4711" sequence=5 evt_5`,
		},
		{"a tampered body", strings.Replace(body("4711", 6), "1.10", "1.11", 1), signed("evt_6", body("4711", 6), 0), 400, ""},
		{"a re-encoded body", strings.Replace(body("4711", 6), ", ", ",", 1), signed("evt_6", body("4711", 6), 0), 400, ""},
		{"another id", body("4711", 6), with(signed("evt_6", body("4711", 6), 0), "webhook-id", "evt_7"), 400, ""},
		{"another time", body("4711", 6), with(signed("evt_6", body("4711", 6), 0), "webhook-timestamp", stamp(time.Minute)), 400, ""},
		{"a stale request", body("4711", 6), signed("evt_6", body("4711", 6), 6*time.Minute), 400, ""},
		{"a request from the future", body("4711", 6), signed("evt_6", body("4711", 6), -6*time.Minute), 400, ""},
		{"a time that is no number", body("4711", 6), with(signed("evt_6", body("4711", 6), 0), "webhook-timestamp", "now"), 400, ""},
		{"another secret", body("4711", 6), with(signed("evt_6", body("4711", 6), 0), "webhook-signature", sign(t, other, "evt_6", stamp(0), body("4711", 6))), 400, ""},
		{"no signature", body("4711", 6), with(signed("evt_6", body("4711", 6), 0), "webhook-signature", ""), 400, ""},
		{"no headers at all", body("4711", 6), nil, 400, ""},
		{"signed, but no event", `{"type":`, signed("evt_8", `{"type":`, 0), 400, ""},
		{"and it still works", body("4711", 7), signed("evt_9", body("4711", 7), 0), 200, `applied contacts.updated key="4711" sequence=7 evt_9`},
	}
}

// running is a receiver that listens.
type running struct {
	url   string
	lines chan string
}

// start runs command on a free port of the loopback interface and waits until it listens.
func start(t *testing.T, command []string, at string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "LISTEN=127.0.0.1:0", "WEBHOOK_SECRET="+secret)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := &running{lines: make(chan string, 100)}
	go func() {
		defer close(r.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			r.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		stop()
		for range r.lines { // the pipe is drained before Wait closes it
			continue
		}
		_ = cmd.Wait()
	})
	if at != "" {
		answers(t, at)
		r.url = "http://" + at + "/hooks"
		return r
	}
	url, ok := strings.CutPrefix(r.line(t), "listening on ")
	if !ok {
		t.Fatalf("%v does not say where it listens", command)
	}
	r.url = url + "/hooks"
	return r
}

// freeAddress gives an address of the loopback interface where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := hooktest.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return "127.0.0.1:" + port
}

// answers waits until somebody listens.
func answers(t *testing.T, at string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 2400 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", at)
		if err == nil {
			_ = conn.Close()
			return
		}
		<-tick.C
	}
	t.Fatalf("nobody listens at %s", at)
}

// line gives the next line that the receiver prints.
func (r *running) line(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-r.lines:
		if !ok {
			t.Fatal("the receiver ended")
		}
		return line
	case <-time.After(2 * time.Minute):
		t.Fatal("the receiver prints nothing")
	}
	return ""
}

func (r *running) check(t *testing.T, c request) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("content-type", "application/json")
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	defer res.Body.Close()
	if res.StatusCode/100*100 != c.status {
		t.Errorf("%s: answered %s, want %d and up", c.name, res.Status, c.status)
	}
	// What is rejected prints nothing: its line would be taken for that of the next event.
	if c.line == "" || res.StatusCode >= 300 {
		return
	}
	if got := r.line(t); got != c.line {
		t.Errorf("%s: printed %q, want %q", c.name, got, c.line)
	}
}
