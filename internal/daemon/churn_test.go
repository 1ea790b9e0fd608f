package daemon_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store"
)

// In full: go test ./internal/daemon -run Reloaded -reloads 1000 -timeout 1h -v.
var reloads = flag.Int("reloads", 25, "how often the daemon is reloaded under load with random edits")

// shop is a polled API with many lists, whose records come, change and go.
type shop struct {
	mu    sync.Mutex
	lists map[string]map[int]int // by path: versions by id
	rand  *rand.Rand
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(s.listing(r.URL.Path))
}

type thing struct {
	ID int `json:"id"`
	N  int `json:"n"`
}

func (s *shop) listing(path string) []thing {
	list := []thing{}
	for _, id := range slices.Sorted(maps.Keys(s.lists[path])) {
		list = append(list, thing{id, s.lists[path][id]})
	}
	return list
}

// move changes some records of each list.
func (s *shop) move() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range slices.Sorted(maps.Keys(s.lists)) {
		list := s.lists[path]
		for range 1 + s.rand.IntN(4) {
			switch id := s.rand.IntN(40); {
			case s.rand.IntN(8) == 0 && len(list) > 20:
				delete(list, id)
			default:
				list[id]++
			}
		}
	}
}

// churn is a configuration that is edited at random.
type churn struct {
	api, hooks string
	folder     string
	rand       *rand.Rand
	sources    map[string]*churnSource // by name
	extras     map[string]int          // max_in_flight by name
	app        int                     // max_in_flight of the webhook that is always there
	level      string
	rate       int
	renamed    int
	secrets    []string
}

type churnSource struct {
	path  string
	every int
	more  string
}

const churnSecrets = 4

func churnSecret(n int) string {
	return "whsec_" + strings.Repeat(string(rune('A'+n)), 32)
}

func newChurn(api, hooks, folder string, random *rand.Rand) *churn {
	c := &churn{api: api, hooks: hooks, folder: folder, rand: random, sources: map[string]*churnSource{}, extras: map[string]int{}, app: 8, level: "info", rate: 500}
	for i := range churnSecrets {
		c.secrets = append(c.secrets, churnSecret(i))
	}
	for i := range 6 {
		c.sources[fmt.Sprintf("s%d", i)] = &churnSource{path: fmt.Sprintf("/s%d", i), every: 1}
	}
	return c
}

func (c *churn) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *churn) text() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.sources)) {
		s := c.sources[name]
		fmt.Fprintf(&b, "[source.%s]\nurl = %q\nevery = \"%ds\"\nkey = \"id\"\ninitial = \"emit\"\ndeletes = { detect = \"scan\", confirm = 1 }\nguard = { max_deletes = \"100%%\", empty = \"allow\" }\n%s\n",
			name, c.api+s.path, s.every, s.more)
	}
	fmt.Fprintf(&b, "[webhook.app]\nurl = %q\nsecret = \"file:%s/secret-app\"\nmax_in_flight = %d\n", c.hooks+"/app", c.folder, c.app)
	for _, name := range slices.Sorted(maps.Keys(c.extras)) {
		fmt.Fprintf(&b, "[webhook.%s]\nurl = %q\nsecret = \"file:%s/secret-extra\"\nmax_in_flight = %d\n", name, c.hooks+"/"+name, c.folder, c.extras[name])
	}
	fmt.Fprintf(&b, "[host.\"127.0.0.1\"]\nrate = \"%d/s\"\nburst = 50\n", c.rate)
	fmt.Fprintf(&b, "[store]\nurl = \"sqlite:%s/deltahook.db\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = %q\n", c.folder, c.level)
	return b.String()
}

// edit makes one to three valid edits.
func (c *churn) edit(t *testing.T) {
	t.Helper()
	for range 1 + c.rand.IntN(3) {
		c.editOnce(t)
	}
}

func (c *churn) editOnce(t *testing.T) {
	t.Helper()
	names := slices.Sorted(maps.Keys(c.sources))
	name := names[c.rand.IntN(len(names))]
	s := c.sources[name]
	switch c.rand.IntN(10) {
	case 0:
		s.every = 1 + c.rand.IntN(3)
	case 1:
		s.more = []string{"", "ignore = [\"none\"]", "headers = { X-A = \"b\" }", "timeout = \"5s\"", "unordered = [\"tags\"]"}[c.rand.IntN(5)]
	case 2: // removed, and perhaps back later
		if len(c.sources) > 3 {
			delete(c.sources, name)
		}
	case 3:
		n := fmt.Sprint("s", c.rand.IntN(6))
		if c.sources[n] == nil {
			c.sources[n] = &churnSource{path: "/" + n, every: 1}
		}
	case 4: // renamed: another name for the same list
		delete(c.sources, name)
		c.renamed++
		c.sources[fmt.Sprintf("%s_%d", name[:2], c.renamed)] = s
	case 5:
		extra := fmt.Sprint("w", c.rand.IntN(4))
		if _, ok := c.extras[extra]; ok {
			delete(c.extras, extra)
		} else {
			c.extras[extra] = 2
		}
	case 6:
		for extra := range c.extras {
			c.extras[extra] = 1 + c.rand.IntN(8)
		}
	case 7:
		c.write(t, "secret-"+[]string{"app", "extra"}[c.rand.IntN(2)], c.secrets[c.rand.IntN(churnSecrets)])
	case 8:
		c.app = 1 + c.rand.IntN(12)
	case 9:
		c.level, c.rate = []string{"info", "warn", "debug"}[c.rand.IntN(3)], 300+c.rand.IntN(300)
	}
}

// broken gives a configuration that cannot run.
func (c *churn) broken(taken string) string {
	text := c.text()
	switch c.rand.IntN(5) {
	case 0:
		return text[:len(text)*2/3] + "\n[source.\n"
	case 1:
		return strings.Replace(text, "every", "evry", 1)
	case 2:
		return strings.Replace(text, "secret-app", "secret-that-is-not-there", 1)
	case 3:
		return strings.Replace(text, "key = \"id\"", "key = \"id\"\nto = [\"nobody\"]", 1)
	}
	return strings.Replace(text, "127.0.0.1:0", taken, 1)
}

// The daemon is reloaded again and again while everything moves: no event is lost or doubled, each record's stay in order, what
// receivers hold is what upstream holds, and nothing is left open.
func TestADaemonThatIsReloadedAllTheTimeLosesRepeatsAndLeaksNothing(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %d reloads", seed, *reloads)
	random := rand.New(rand.NewPCG(seed, 1))
	folder := filepath.ToSlash(t.TempDir())
	shop := &shop{lists: map[string]map[int]int{}, rand: rand.New(rand.NewPCG(seed, 2))}
	for i := range 6 {
		shop.lists[fmt.Sprintf("/s%d", i)] = map[int]int{}
	}
	api := httptest.NewServer(shop)
	t.Cleanup(api.Close)
	receivers := map[string]*hooktest.Receiver{}
	mux := http.NewServeMux()
	for _, name := range []string{"app", "w0", "w1", "w2", "w3"} {
		r := &hooktest.Receiver{Keep: -1}
		for i := range churnSecrets {
			r.Secrets = append(r.Secrets, churnSecret(i))
		}
		if name == "w3" { // one that is slow, and fails now and then
			r.Set(func(w http.ResponseWriter, _ *http.Request, n int) bool {
				time.Sleep(time.Duration(n%7) * time.Millisecond)
				if n%400 == 0 {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return n%400 == 0
			})
		}
		receivers[name] = r
		mux.Handle("/"+name, r)
	}
	hooks := httptest.NewServer(mux)
	t.Cleanup(hooks.Close)
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })

	c := newChurn(api.URL, hooks.URL, folder, random)
	c.write(t, "secret-app", churnSecret(0))
	c.write(t, "secret-extra", churnSecret(0))
	var st store.Store
	b := &bundle{log: &safeBuffer{}, path: filepath.Join(folder, "deltahook.toml"), text: c.text(), wrap: func(s store.Store) store.Store { st = s; return s }}
	b.start(t)
	moving := make(chan struct{})
	var movers sync.WaitGroup
	movers.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-moving:
				return
			case <-tick.C:
				shop.move()
			}
		}
	})
	goroutines, files := 0, 0
	good, bad := 0, 0
	began := time.Now()
	for n := range *reloads {
		if n <= min(20, *reloads/2) { // as many as there have to be depends on what is configured just then
			goroutines, files = max(goroutines, runtime.NumGoroutine()), max(files, openFiles(t))
		}
		if random.IntN(4) == 0 {
			b.rejects(t, c.broken(taken.Addr().String()))
			bad++
			continue
		}
		c.edit(t)
		b.reload(t, c.text())
		good++
	}
	took := time.Since(began)
	close(moving)
	movers.Wait()

	// Everything that was ever configured is there again, so that all that waits goes out; then it is quiet.
	for i := range 4 {
		c.extras[fmt.Sprint("w", i)] = 4
	}
	receivers["w3"].Set(nil)
	b.reload(t, c.text())
	// In this order: once it has converged nothing is committed any more, but a receiver has an event before the store knows that.
	untilWithin(t, 3*time.Minute, "all is delivered", func() bool { return converged(shop, c, receivers["app"]) && settled(t, st, b.client) })
	events := 0
	rows, err := st.Sources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		events += int(r.State.Sequence)
	}
	if report := receivers["app"].Replica.Report(); report.Events != events {
		t.Errorf("app got %d of %d events", report.Events, events)
	}
	sums, err := st.Survey(t.Context(), store.DeliveryQuery{})
	if err != nil {
		t.Fatal(err)
	}
	delivered, total := map[string]int{}, 0
	for _, s := range sums {
		if s.State != store.StateDelivered {
			t.Errorf("%d deliveries to %s are %s", s.Deliveries, s.Webhook, s.State)
		}
		delivered[s.Webhook] += int(s.Deliveries)
		total += int(s.Deliveries)
	}
	for name, r := range receivers {
		report := r.Replica.Report()
		if report.Events != delivered[name] || report.Duplicates > 0 || report.Inversions > 0 {
			t.Errorf("%s: %d events of %d, %d twice, %d out of order", name, report.Events, delivered[name], report.Duplicates, report.Inversions)
		}
		for _, problem := range r.Problems() {
			t.Errorf("%s: %v", name, problem)
		}
	}
	until(t, "no goroutine and no file is left", func() bool {
		hooks.CloseClientConnections()
		return runtime.NumGoroutine() <= goroutines+20 && openFiles(t) <= files+20
	})
	t.Logf("%d reloads and %d rejections in %s; %d events, %d deliveries, each once and in order; %d sources were there; goroutines %d → %d, open files %d → %d",
		good, bad, took.Round(time.Millisecond), events, total, len(rows), goroutines, runtime.NumGoroutine(), files, openFiles(t))
}

// rejects tries a bad configuration.
func (b *bundle) rejects(t *testing.T, text string) {
	t.Helper()
	b.write(t, text)
	_, err := b.client.Reload(t.Context())
	if err == nil {
		t.Errorf("this was not rejected:\n%s", text)
	}
	if _, ok := errors.AsType[*admin.RejectedError](err); !ok && !strings.Contains(err.Error(), "admin.listen") {
		t.Errorf("error %v", err)
	}
}

// settled says that nothing waits.
func settled(t *testing.T, st store.Store, client *admin.Client) bool {
	t.Helper()
	queues, err := st.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	status, err := client.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return !slices.ContainsFunc(queues, func(q store.Queue) bool { return q.Pending > 0 }) &&
		!slices.ContainsFunc(status.Webhooks, func(w admin.Webhook) bool { return w.Queued > 0 || w.InFlight > 0 })
}

// converged says that the receiver holds what upstream holds.
func converged(s *shop, c *churn, r *hooktest.Receiver) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, source := range c.sources {
		is := s.listing(source.path)
		held := r.Replica.Records(name)
		if len(held) != len(is) {
			return false
		}
		for _, one := range is {
			var got thing
			if json.Unmarshal(bytes.TrimSpace(held[strconv.Itoa(one.ID)]), &got) != nil || got != one {
				return false
			}
		}
	}
	return true
}

// openFiles counts the open files of this process; 0 where that cannot be known.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
