package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/hooktest"
)

var kills = flag.Int("kills", 50, "how often the crash test kills the binary")

// restless is a listing that never stops changing.
type restless struct {
	mu      sync.Mutex
	records map[string]string // body by key
	next    int
	rand    *rand.Rand
}

func newRestless(n int) *restless {
	r := &restless{records: map[string]string{}, rand: rand.New(rand.NewPCG(1, 2))}
	for range n {
		r.create()
	}
	return r
}

func (r *restless) create() {
	r.next++
	key := strconv.Itoa(r.next)
	r.records[key] = r.body(key)
}

// body has what must arrive untouched: a large integer, trailing zeros, raw and escaped characters.
func (r *restless) body(key string) string {
	return fmt.Sprintf(`{"id":%s, "n":9007199254740993,"price":%d.10,"text":"<&>\u2028 \\u2028 %d"}`, key, r.rand.IntN(1000), r.rand.IntN(1000))
}

func (r *restless) change() {
	r.mu.Lock()
	defer r.mu.Unlock()
	dice := r.rand.IntN(10)
	if dice < 2 || len(r.records) == 0 {
		r.create()
		return
	}
	keys := slices.Sorted(maps.Keys(r.records))
	key := keys[r.rand.IntN(len(keys))]
	if dice < 4 {
		delete(r.records, key)
		return
	}
	r.records[key] = r.body(key)
}

func (r *restless) run(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.change()
		}
	}
}

func (r *restless) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b bytes.Buffer
	b.WriteString(`{"items":[`)
	for i, key := range slices.Sorted(maps.Keys(r.records)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(r.records[key])
	}
	b.WriteString(`]}`)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b.Bytes())
}

// equals says whether a replica holds exactly these records, byte for byte.
func (r *restless) equals(replica map[string]json.RawMessage) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(replica) != len(r.records) {
		return false
	}
	for key, body := range r.records {
		if string(replica[key]) != body {
			return false
		}
	}
	return true
}

// buildBinary builds the program as it is installed.
func buildBinary(tb testing.TB, tags ...string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "deltahook")
	out, err := exec.CommandContext(tb.Context(), "go", "build", "-tags", strings.Join(tags, ","), "-o", path, ".").CombinedOutput()
	if err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// thingsConfig writes a configuration of a source and a webhook, of which more may say more, and gives its path.
func thingsConfig(t *testing.T, store, api, hooks, secret, more string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "deltahook.toml")
	writeFile(t, path, fmt.Sprintf(`
[source.things]
url = %q
every = "1s"
records = "items"
key = "id"
initial = "emit"
deletes = { detect = "scan" }
guard = { max_deletes = "90%%" }
[webhook.app]
url = %q
secret = %q
%s
[store]
url = %q
[admin]
listen = "127.0.0.1:%s"
`, api, hooks, secret, more, store, freePort(t)))
	return path
}

func TestKilledAtRandomMomentsItLosesNothingAndRepeatsOnlyTheSameBytes(t *testing.T) {
	t.Parallel()
	binary := buildBinary(t)
	upstream := newRestless(300)
	api := httptest.NewServer(upstream)
	defer api.Close()
	secret := emitter.GenerateSecret()
	receiver := &hooktest.Receiver{Secrets: []string{secret}, Keep: -1}
	hooks := httptest.NewServer(receiver)
	defer hooks.Close()
	config := thingsConfig(t, "sqlite:"+filepath.Join(t.TempDir(), "deltahook.db"), api.URL, hooks.URL, secret, "")

	changing, calm := context.WithCancel(t.Context())
	defer calm()
	go upstream.run(changing)
	moment := rand.New(rand.NewPCG(3, 4))
	for range *kills {
		stop := startDaemon(t, binary, config)
		wait(t.Context(), time.Duration(20+moment.IntN(1400))*time.Millisecond)
		stop(os.Kill)
	}
	calm()

	t.Logf("%d kills", *kills)
	checkConvergence(t, binary, config, upstream, receiver)
}

// startDaemon starts the binary and gives what ends it by a signal and waits for its end.
func startDaemon(t *testing.T, binary, config string) (stop func(os.Signal)) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(binary, "run", "--config", config)
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func(s os.Signal) {
		t.Helper()
		_ = cmd.Process.Signal(s)
		err := cmd.Wait()
		if s != os.Kill && err != nil {
			t.Errorf("it did not end well: %v\n%s", err, log.String())
		}
		if s == os.Kill && cmd.ProcessState.Exited() {
			t.Fatalf("it ended before it was killed:\n%s", log.String())
		}
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func writeFile(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
