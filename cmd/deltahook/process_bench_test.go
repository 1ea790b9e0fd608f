package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/deltahook/deltahook/internal/admin"
)

// The benchmarks of the whole program: the binary as it is installed, an API and a receiver in this process. They say what a person
// sees: how long until it works, how much memory and disk it takes. DELTAHOOK_BENCH_RECORDS and DELTAHOOK_BENCH_SOURCES make them large.

func benchSize(b *testing.B, name string, usual int) int {
	b.Helper()
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}

// program is a running binary.
type program struct {
	testing.TB

	client  *admin.Client
	cmd     *exec.Cmd
	started time.Time
	ended   chan error
	log     bytes.Buffer
}

// bench is what programs of one benchmark have in common.
type bench struct {
	*testing.B

	binary, dir string
}

func newBench(b *testing.B) *bench {
	b.Helper()
	if runtime.GOOS != "linux" {
		b.Skip("reads about processes from /proc")
	}
	return &bench{B: b, binary: buildBinary(b), dir: b.TempDir()}
}

// run starts the program with these sources and webhooks, on the store of the benchmark.
func (b *bench) run(sources string) *program {
	b.Helper()
	return b.start("deltahook.toml", "sqlite:"+b.database(), sources)
}

func (b *bench) start(name, store, sources string) *program {
	b.Helper()
	config, port := filepath.Join(b.dir, name), freePort(b)
	writeFile(b, config, fmt.Sprintf("%s\n[store]\nurl = %q\n[admin]\nlisten = \"127.0.0.1:%s\"\n", sources, store, port))
	p := &program{TB: b, client: admin.NewClient("127.0.0.1:"+port, ""), cmd: exec.Command(b.binary, "run", "--config", config)}
	p.cmd.Stderr = &p.log
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	p.ended = make(chan error, 1)
	go func() { p.ended <- p.cmd.Wait() }()
	b.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (b *bench) database() string { return filepath.Join(b.dir, "deltahook.db") }

// polled waits until a source has been polled since the start, and says how long after the start that was.
func (p *program) polled(source string, within time.Duration) time.Duration {
	p.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); p.tick() {
		d, err := p.client.Source(p.Context(), source)
		if err == nil && d.LastOK.After(p.started) {
			return d.LastOK.Sub(p.started)
		}
	}
	p.Fatalf("%s was not polled within %s:\n%s", source, within, p.log.String())
	return 0
}

// tick waits a moment, in which the program must not end.
func (p *program) tick() {
	p.Helper()
	select {
	case err := <-p.ended:
		p.Fatalf("it ended: %v\n%s", err, p.log.String())
	case <-time.After(5 * time.Millisecond):
	}
}

func (p *program) stop() {
	p.Helper()
	_ = p.cmd.Process.Signal(os.Interrupt)
	if err := <-p.ended; err != nil {
		p.Fatalf("%v\n%s", err, p.log.String())
	}
}

// memory gives a value of the process in bytes: VmRSS, or VmHWM for the most there ever was.
func (p *program) memory(field string) float64 {
	p.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	_, after, _ := strings.Cut(string(raw), field+":")
	kib, err := strconv.ParseFloat(strings.Fields(after)[0], 64)
	if err != nil {
		p.Fatal(err)
	}
	return kib * 1024
}

// cpu gives the processor time of the process.
func (p *program) cpu() time.Duration {
	p.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			p.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

const nowhere = "[webhook.app]\nurl = \"http://127.0.0.1:1/\"\nsecret = \"whsec_ZGVsdGFob29rIGRlbW8gc2VjcmV0LCBub3QgeW91cnM=\"\n"

const mib = 1 << 20

// smallRecords makes a list of n records of about 255 bytes, and says where in it the digit stands that a change changes.
func smallRecords(n int) (body []byte, digits []int) {
	body, digits = []byte(`{"items":[`), make([]int, n)
	for i := range n {
		if i > 0 {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"id":%d,"state":"0`, i)
		digits[i] = len(body) - 1
		body = fmt.Appendf(body, `","name":"Customer %d","street":"%d Main Street","city":"Springfield","tags":["a","b"],"note":"%0130d"}`, i, i, i)
	}
	return append(body, `]}`...), digits
}

// listed serves a body that can be changed, and remembers when it was served last.
type listed struct {
	mu     sync.Mutex
	body   []byte
	served atomic.Int64 // when, as Unix nanoseconds
}

func (l *listed) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(l.body)
	l.served.Store(time.Now().UnixNano())
}

// readOnce is the bare poll: ask, read, validate, take the ids.
func readOnce(tb testing.TB, url string) time.Duration {
	tb.Helper()
	start := time.Now()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !gjson.ValidBytes(body) {
		tb.Fatal(err)
	}
	n := 0
	gjson.GetBytes(body, "items").ForEach(func(_, record gjson.Result) bool {
		n += len(record.Get("id").Raw)
		return true
	})
	if n == 0 {
		tb.Fatal("no ids")
	}
	return time.Since(start)
}

// BenchmarkProcessOfOneSource starts with a store that knows all records: a start, and then unchanged polls.
func BenchmarkProcessOfOneSource(b *testing.B) {
	records := benchSize(b, "DELTAHOOK_BENCH_RECORDS", 100_000)
	w := newBench(b)
	body, _ := smallRecords(records)
	api := httptest.NewServer(&listed{body: body})
	defer api.Close()
	source := fmt.Sprintf("[source.things]\nurl = %q\nevery = \"1s\"\nrecords = \"items\"\nkey = \"id\"\ndeadline = \"1h\"\n"+
		"timeout = \"10m\"\nresponse = { max_body = \"1GiB\" }\nconditional = \"off\"\n%s", api.URL, nowhere)
	p := w.run(source)
	baseline := p.polled("things", 30*time.Minute)
	p.stop()
	info, err := os.Stat(w.database())
	if err != nil {
		b.Fatal(err)
	}
	var beyond []time.Duration
	var peak float64
	for b.Loop() {
		bare := readOnce(b, api.URL)
		p := w.run(source)
		beyond = append(beyond, p.polled("things", 10*time.Minute)-bare)
		for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
			peak = max(peak, p.memory("VmHWM"))
		}
		p.stop()
	}
	slices.Sort(beyond)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(baseline.Seconds(), "s-baseline")
	b.ReportMetric(beyond[len(beyond)/2].Seconds(), "s-start-beyond-poll")
	b.ReportMetric(peak/mib, "MiB-peak")
	b.ReportMetric(peak/float64(records), "B-memory/record")
	b.ReportMetric(float64(info.Size())/float64(records), "B-disk/record")
	b.ReportMetric(float64(len(body))/float64(records), "B-json/record")
}

// period is how often each of many sources is polled.
const period = 10 * time.Second

// BenchmarkProcessOfManySources polls many small sources of one local API, each every ten seconds. Lateness is counted from one period
// after all were polled: until then the first polls are committed, each in a transaction of its own.
func BenchmarkProcessOfManySources(b *testing.B) {
	for _, sources := range []int{10, 100, 1000, benchSize(b, "DELTAHOOK_BENCH_SOURCES", 10_000)} {
		b.Run(fmt.Sprintf("sources-%d", sources), func(b *testing.B) {
			w := newBench(b)
			at := &arrivals{last: map[string]time.Time{}}
			api := httptest.NewServer(at)
			defer api.Close()
			for b.Loop() {
				p := w.run(manySources(sources, api.URL, period.String(), "") + nowhere)
				at.all(b, sources)
				ready := time.Since(p.started)
				time.Sleep(period) // in which what the first polls have found is caught up with
				b.ReportMetric(at.p99(overdue).Seconds()*1000, "ms-late-p99-start")
				at.reset()
				used, began := p.cpu(), time.Now()
				time.Sleep(2 * period)
				took := time.Since(began)
				used = p.cpu() - used
				asked := at.count()
				b.ReportMetric(ready.Seconds(), "s-until-all-polled")
				b.ReportMetric(100*used.Seconds()/took.Seconds(), "%core")
				b.ReportMetric(float64(used.Microseconds())/float64(max(asked, 1)), "us-cpu/poll")
				b.ReportMetric(at.p99(time.Duration.Abs).Seconds()*1000, "ms-late-p99")
				b.ReportMetric(p.memory("VmHWM")/mib, "MiB-peak")
				p.stop()
				b.ReportMetric(float64(barePolls(b, api.URL, asked).Microseconds())/float64(max(asked, 1)), "us-cpu/request")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkProcessOfIdleSources starts with very many sources whose time has not come.
func BenchmarkProcessOfIdleSources(b *testing.B) {
	for _, sources := range []int{10, benchSize(b, "DELTAHOOK_BENCH_IDLE_SOURCES", 100_000)} {
		b.Run(fmt.Sprintf("sources-%d", sources), func(b *testing.B) {
			w := newBench(b)
			for b.Loop() {
				p := w.run(manySources(sources, "http://127.0.0.1:1", "24h", "on_start = \"schedule\"\n") + nowhere)
				for p.client.Healthy(b.Context()) != nil {
					if time.Since(p.started) > 5*time.Minute {
						b.Fatalf("not ready:\n%s", p.log.String())
					}
					p.tick()
				}
				b.ReportMetric(time.Since(p.started).Seconds(), "s-until-ready")
				time.Sleep(5 * time.Second)
				b.ReportMetric(p.memory("VmRSS")/mib, "MiB")
				b.ReportMetric(p.memory("VmHWM")/mib, "MiB-peak")
				p.stop()
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func manySources(n int, url, every, more string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[source.s%d]\nurl = \"%s/s%d\"\nevery = %q\nrecords = \"items\"\nkey = \"id\"\n%s", i, url, i, every, more)
	}
	return b.String()
}

// arrivals answers small lists, and sees by how much the time between two requests of a source differs from its period.
type arrivals struct {
	mu     sync.Mutex
	last   map[string]time.Time
	off    []time.Duration // from the period
	number int
}

func (a *arrivals) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	now := time.Now()
	a.mu.Lock()
	if before, ok := a.last[q.URL.Path]; ok {
		a.off = append(a.off, now.Sub(before)-period)
	}
	a.last[q.URL.Path] = now
	a.number++
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"items":[{"id":1,"name":"one"},{"id":2,"name":"two"}]}`))
}

func (a *arrivals) all(b *testing.B, sources int) {
	b.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		a.mu.Lock()
		n := len(a.last)
		a.mu.Unlock()
		if n == sources {
			return
		}
	}
	b.Fatal("not all sources are polled")
}

func (a *arrivals) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.last)
	a.off, a.number = nil, 0
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.number
}

// overdue is by how much somebody was later than the period: between the first poll, at the start, and the second, in the source's own
// turn, there may be less.
func overdue(off time.Duration) time.Duration { return max(off, 0) }

func (a *arrivals) p99(of func(time.Duration) time.Duration) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.off) == 0 {
		return 0
	}
	late := make([]time.Duration, len(a.off))
	for i, off := range a.off {
		late[i] = of(off)
	}
	slices.Sort(late)
	return late[len(late)*99/100]
}

// BenchmarkChangesReachTheReceiver changes 1,000 of 10,000 records, and measures from the end of the answer that has them until the
// receiver has got all events. The bound is the poll that finds nothing, and a plain POST of each.
func BenchmarkChangesReachTheReceiver(b *testing.B) {
	const records, changes = 10_000, 1000
	w := newBench(b)
	api := &listed{}
	var digits []int
	api.body, digits = smallRecords(records)
	server := httptest.NewServer(api)
	defer server.Close()
	var received, last atomic.Int64
	hooks := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		last.Store(time.Now().UnixNano())
		received.Add(1)
	}))
	defer hooks.Close()
	p := w.run(fmt.Sprintf("[source.things]\nurl = %q\nevery = \"1s\"\nrecords = \"items\"\nkey = \"id\"\nguard = { max_events = 100000 }\n"+
		"[webhook.app]\nurl = %q\nsecret = \"whsec_ZGVsdGFob29rIGRlbW8gc2VjcmV0LCBub3QgeW91cnM=\"\nmax_in_flight = 32\n", server.URL, hooks.URL))
	p.polled("things", time.Minute)
	var took []time.Duration
	for round := 1; b.Loop(); round++ {
		received.Store(0)
		api.mu.Lock()
		for i := range changes {
			api.body[digits[i*records/changes]] = byte('0' + round%10)
		}
		before := api.served.Load()
		api.mu.Unlock()
		for api.served.Load() == before {
			p.tick()
		}
		served := api.served.Load()
		for received.Load() < changes {
			p.tick()
		}
		took = append(took, time.Duration(last.Load()-served))
	}
	p.stop()
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[len(took)/2].Seconds()*1000, "ms-median")
	b.ReportMetric(took[len(took)-1].Seconds()*1000, "ms-max")
	b.ReportMetric(plainPosts(b, hooks.URL, changes).Seconds()*1000, "ms-posts-alone")
}

// plainPosts is the bound of delivery: as many posts of the size of an event, eight at a time.
func plainPosts(b *testing.B, url string, n int) time.Duration {
	b.Helper()
	body := bytes.Repeat([]byte("x"), 500)
	return inTurns(b, n, func(client *http.Client) (*http.Response, error) {
		return client.Post(url, "application/json", bytes.NewReader(body))
	})
}

// barePolls gives the processor time of this process, the server included, for as many requests as there were.
func barePolls(b *testing.B, url string, n int) time.Duration {
	b.Helper()
	before := ownCPU(b)
	inTurns(b, n, func(client *http.Client) (*http.Response, error) { return client.Get(url + "/bare") })
	return ownCPU(b) - before
}

func inTurns(b *testing.B, n int, ask func(*http.Client) (*http.Response, error)) time.Duration {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer client.CloseIdleConnections()
	start := time.Now()
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				resp, err := ask(client)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

func ownCPU(b *testing.B) time.Duration {
	b.Helper()
	self := &program{TB: b, cmd: &exec.Cmd{Process: &os.Process{Pid: os.Getpid()}}}
	return self.cpu()
}
