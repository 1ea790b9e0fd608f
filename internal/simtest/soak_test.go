package simtest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/config"
	"github.com/deltahook/deltahook/internal/daemon"
	"github.com/deltahook/deltahook/internal/hooktest"
	"github.com/deltahook/deltahook/internal/store/sqlite"
)

var soak = flag.Duration("soak", 3*time.Second, "how long the daemon is kept at load; whether what it takes is flat is judged from two minutes on")

// usage is what a process takes at one moment.
type usage struct {
	goroutines, descriptors int
	heap, file              int64
}

func measure(path string) usage {
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	u := usage{goroutines: runtime.NumGoroutine(), heap: int64(mem.HeapAlloc)}
	open, _ := os.ReadDir("/proc/self/fd") // 0 where there is none
	u.descriptors = len(open)
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			u.file += info.Size()
		}
	}
	return u
}

func (u usage) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, heap %.1f MiB, store %.1f MiB",
		u.goroutines, u.descriptors, float64(u.heap)/(1<<20), float64(u.file)/(1<<20))
}

// At load over real sockets, with a receiver that fails now and then, what the daemon takes stays flat; and when it has stopped,
// nothing of it is left.
func TestAtLoadNothingGrowsAndAfterTheStopNothingIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deltahook.db")
	httptest.NewServer(nil).Close() // the runtime keeps what it needs for sockets
	before := measure(path)
	samples, events := soaked(t, path)
	t.Logf("%s: %d events; first %v; last %v", *soak, events, samples[0], samples[len(samples)-1])
	if events == 0 {
		t.Error("nothing was delivered")
	}
	after := measure(path)
	for end := time.Now().Add(10 * time.Second); (after.goroutines > before.goroutines || after.descriptors > before.descriptors) && time.Now().Before(end); {
		pause(t.Context().Done(), 50*time.Millisecond)
		after = measure(path)
	}
	if after.goroutines > before.goroutines || after.descriptors > before.descriptors {
		buf := make([]byte, 1<<20)
		t.Errorf("before %v, after the stop %v\n%s", before, after, buf[:runtime.Stack(buf, true)])
	}
	if *soak < 2*time.Minute {
		return
	}
	// The file keeps up to 8 MiB of pages for what comes next, and as much of a log.
	const slack = 16 << 20
	early, late := worst(samples[len(samples)/4:len(samples)/2]), worst(samples[len(samples)*3/4:])
	t.Logf("the most in the second quarter %v, in the last %v", early, late)
	if late.goroutines > early.goroutines*5/4+10 || late.descriptors > early.descriptors*5/4+10 ||
		late.heap > early.heap*5/4+4<<20 || late.file > early.file*5/4+slack {
		t.Error("it grows")
	}
}

func worst(samples []usage) usage {
	var w usage
	for _, s := range samples {
		w.goroutines, w.descriptors = max(w.goroutines, s.goroutines), max(w.descriptors, s.descriptors)
		w.heap, w.file = max(w.heap, s.heap), max(w.file, s.file)
	}
	return w
}

// soaked keeps a daemon at load and measures now and then. A receiver fails so seldom that the slow start behind each failure leaves no
// queue, which would be a store that grows. All servers are closed when it returns.
func soaked(t *testing.T, path string) (samples []usage, events int64) {
	t.Helper()
	w := &world{t: t, seed: 1, net: newNetwork()}
	var count atomic.Int64
	var text strings.Builder
	for n := range 12 {
		u := newUpstream(w, n+1, pageKinds()[n%len(pageKinds())])
		api := httptest.NewServer(u)
		defer api.Close()
		s := sourceSettings{upstream: u, every: time.Second, confirm: 2, initial: "emit", key: "id", whole: time.Minute}
		s.compared.ignore = s.ignoring("seen")
		u.address = strings.TrimPrefix(api.URL, "http://")
		s.write(&text)
		w.upstreams = append(w.upstreams, u)
	}
	for n := range 2 {
		r := &hooktest.Receiver{Secrets: []string{secretOf(n + 1)}, Keep: -1, NoReplica: true}
		r.Set(func(rw http.ResponseWriter, q *http.Request, i int) bool {
			count.Add(1)
			return n == 1 && i%500 == 10 && hooktest.Status(http.StatusServiceUnavailable)(rw, q, i)
		})
		hooks := httptest.NewServer(r)
		defer hooks.Close()
		h := hookSettings{receiver: &receiver{name: fmt.Sprintf("w%d", n+1)}, order: "key", inFlight: 8, timeout: 5 * time.Second, maxQueue: 100_000}
		h.address = strings.TrimPrefix(hooks.URL, "http://")
		h.write(&text, n+1)
	}
	fmt.Fprintf(&text, "[store]\nurl = \"sqlite:%s\"\nkeep_events = \"1m\"\nkeep_attempts = \"1m\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = %q\n", filepath.ToSlash(path), adminToken)
	stop := startSoak(t, path, text.String())
	for end := time.Now().Add(*soak); time.Now().Before(end); {
		for i := range w.upstreams {
			w.upstreams[i].change(3)
			w.upstreams[i].forget()
		}
		pause(t.Context().Done(), min(*soak/20, time.Second))
		if period := max(*soak/200, 100*time.Millisecond); len(samples) == 0 || time.Since(end.Add(-*soak)) > time.Duration(len(samples))*period {
			samples = append(samples, measure(path))
		}
	}
	stop()
	return samples, count.Load()
}

func startSoak(t *testing.T, path, text string) (stop func()) {
	t.Helper()
	cfg, report := config.Parse([]config.File{{Path: "soak.toml", Text: []byte(text)}}, secrets())
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	d, err := daemon.New(t.Context(), daemon.Options{
		Config: cfg, Secrets: secrets(), Store: st, Version: "soak", Token: adminToken, Log: slog.New(slog.DiscardHandler),
	})
	if err == nil {
		err = d.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
		defer cancel()
		if err := d.Stop(ctx); err != nil {
			t.Error(err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}
