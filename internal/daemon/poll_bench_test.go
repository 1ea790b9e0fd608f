package daemon_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// BenchmarkPoll goes from HTTP to the verdict, and to the committed events where records changed, over a real store. Its x/bound compares
// with what any program has to do that follows a list: read the answer, validate it, take the id of each record; x/unchanged with a poll
// that finds nothing, by the clock and, with that of the server, by processor time. They take turns, and medians count. DELTAHOOK_BENCH_RECORDS=1000000 adds a list of that length.
func BenchmarkPoll(b *testing.B) {
	sizes := []int{10_000, 100_000}
	if n, err := strconv.Atoi(os.Getenv("DELTAHOOK_BENCH_RECORDS")); err == nil {
		sizes = append(sizes, n)
	}
	for _, n := range sizes {
		benchPolls(b, fmt.Sprintf("small-%d", n), n, 0, []float64{0, 0.001, 0.01, 1})
	}
	benchPolls(b, "large-10000", 10_000, 3750, []float64{0})
}

func benchPolls(b *testing.B, name string, records, more int, shares []float64) {
	b.Helper()
	var w *watched // made by the first that runs
	dir := b.TempDir()
	each := func(kind string, edit func(*watched)) {
		b.Run(name+"/"+kind, func(b *testing.B) {
			if w == nil {
				w = newWatched(b, dir, records, more)
			}
			w.measure(b, edit)
		})
	}
	for _, share := range shares {
		each(fmt.Sprintf("changed-%g%%", 100*share), func(w *watched) { w.change(int(share * float64(records))) })
	}
	each("rewritten", (*watched).rewrite)
	if w != nil {
		w.close()
	}
}

// watched is a list, and a poller that knows it.
type watched struct {
	records int
	body    []byte
	spare   []byte // body with the members of each record in another order, and white space between them
	digits  []int  // where in body the digit of each record stands that a change changes
	others  []int  // where in spare
	api     *httptest.Server
	store   *load
	poller  *poller.Poller
	rounds  int
	buffer  []byte // of the bound
}

func newWatched(b *testing.B, dir string, records, more int) *watched {
	b.Helper()
	w := &watched{records: records, digits: make([]int, records), others: make([]int, records)}
	pad := strings.Repeat("Please deliver to the back door. ", more/33)
	w.body, w.spare = []byte(`{"items":[`), []byte(`{"items":[`)
	for i := range records {
		if i > 0 {
			w.body, w.spare = append(w.body, ','), append(w.spare, ',')
		}
		w.body = fmt.Appendf(w.body, `{"id":%d,"state":"0`, i)
		w.digits[i] = len(w.body) - 1
		rest := []string{
			`"name":"Customer ` + strconv.Itoa(i) + `"`, `"street":"` + strconv.Itoa(i) + ` Main Street"`, `"city":"Springfield"`, `"tags":["a","b"]`,
			fmt.Sprintf(`"note":"%0130d"`, i), `"text":"` + pad + `"`,
		}
		w.body = append(append(w.body, `",`...), strings.Join(rest, ",")+"}"...)
		slices.Reverse(rest)
		w.spare = append(append(append(w.spare, "{ "...), strings.Join(rest, ", ")...), `, "state": "0`...)
		w.others[i] = len(w.spare) - 1
		w.spare = fmt.Appendf(w.spare, `", "id": %d }`, i)
	}
	w.body, w.spare = append(w.body, `]}`...), append(w.spare, `]}`...)
	w.api = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(w.body)
	}))
	w.store = &load{TB: b, path: filepath.Join(dir, "poll.db"), events: map[string]int64{}}
	w.store.open()
	w.poller = w.newPoller(b, dir)
	w.poll(b)
	return w
}

func (w *watched) newPoller(b *testing.B, dir string) *poller.Poller {
	b.Helper()
	text := fmt.Sprintf("[source.things]\nurl = %q\nevery = \"1h\"\nrecords = \"items\"\nkey = \"id\"\ndeadline = \"1h\"\ntimeout = \"10m\"\n"+
		"response = { max_body = \"4GiB\" }\n[webhook.app]\nurl = \"http://127.0.0.1:1/\"\nsecret = %q\n", w.api.URL, secret)
	secrets := &setting.Secrets{}
	cfg, report := config.Parse([]config.File{{Path: "bench.toml", Text: []byte(text)}}, secrets)
	if err := report.Err(); err != nil {
		b.Fatal(err)
	}
	seed := w.store.st.Seed()
	p, err := poller.New(*cfg.Sources[0], poller.Options{
		Ledger: w.store.member, Outlet: daemon.TrialOutlet(cfg, seed), Secrets: secrets, Seed: seed, TempDir: dir,
	})
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func (w *watched) close() {
	w.api.Close()
	_ = w.store.st.Close()
}

// change changes the first n of equal parts of the list.
func (w *watched) change(n int) {
	w.rounds++
	for i := range n {
		w.body[w.digits[i*w.records/n]] = byte('0' + w.rounds%10)
	}
}

// rewrite has the server write the same records in another way.
func (w *watched) rewrite() {
	for i := range w.records {
		w.spare[w.others[i]] = w.body[w.digits[i]]
	}
	w.body, w.spare, w.digits, w.others = w.spare, w.body, w.others, w.digits
}

func (w *watched) poll(b *testing.B) (took time.Duration, r poller.Result) {
	b.Helper()
	start := time.Now()
	r = w.poller.Poll(b.Context(), poller.Occasion{})
	took = time.Since(start)
	if r.Records != w.records {
		b.Fatalf("%s: %d records: %s", r.Verdict, r.Records, r.Message)
	}
	return took, r
}

func (w *watched) measure(b *testing.B, edit func(*watched)) {
	b.Helper()
	var polls, unchanged, bound, used, usedIdle []time.Duration
	var before, after runtime.MemStats
	var allocations uint64
	for b.Loop() {
		bound = append(bound, w.bound(b))
		began := cpu(b)
		none, _ := w.poll(b)
		unchanged, usedIdle = append(unchanged, none), append(usedIdle, cpu(b)-began)
		edit(w)
		runtime.ReadMemStats(&before)
		began = cpu(b)
		took, _ := w.poll(b)
		used = append(used, cpu(b)-began)
		runtime.ReadMemStats(&after)
		polls, allocations = append(polls, took), allocations+after.Mallocs-before.Mallocs
	}
	middle := share(polls, 0.5).Seconds()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(middle*1000, "ms/poll")
	b.ReportMetric(share(bound, 0.5).Seconds()*1000, "ms-bound")
	b.ReportMetric(middle/share(bound, 0.5).Seconds(), "x/bound")
	b.ReportMetric(middle/share(unchanged, 0.5).Seconds(), "x/unchanged")
	b.ReportMetric(share(used, 0.5).Seconds()/share(usedIdle, 0.5).Seconds(), "x/unchanged-cpu")
	b.ReportMetric(float64(allocations)/float64(b.N*w.records), "allocs/record")
}

// bound reads the list and takes the ids.
func (w *watched) bound(b *testing.B) time.Duration {
	b.Helper()
	start := time.Now()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, w.api.URL, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if w.buffer == nil {
		w.buffer = make([]byte, max(len(w.body), len(w.spare)))
	}
	length, err := io.ReadFull(resp.Body, w.buffer)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	body := w.buffer[:length]
	if err != nil || !gjson.ValidBytes(body) {
		b.Fatal("not valid", err)
	}
	n := 0
	gjson.GetBytes(body, "items").ForEach(func(_, record gjson.Result) bool {
		if record.Get("id").Exists() {
			n++
		}
		return true
	})
	if n != w.records {
		b.Fatal(n)
	}
	return time.Since(start)
}
