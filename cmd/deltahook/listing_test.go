package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/admin"
)

var listing = flag.Int("listing", 30_000, "records of the long listing, in pages of 100")

// endless serves a listing in pages of 100 records of about 255 bytes, and counts how often its first page was asked for.
type endless struct {
	records int
	walks   atomic.Int64
}

func (e *endless) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	const size = 100
	page, err := strconv.Atoi(q.URL.Query().Get("page"))
	if err != nil || page < 1 {
		http.Error(w, "page is missing", http.StatusBadRequest)
		return
	}
	if page == 1 {
		e.walks.Add(1)
	}
	b := fmt.Appendf(nil, `{"total":%d,"items":[`, e.records)
	for id := (page - 1) * size; id < min(page*size, e.records); id++ {
		if id%size > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `{"id":%d,"name":"Customer %d","street":"%d Main Street","city":"Springfield","tags":["a","b"],"note":%q}`, id, id, id, strings.Repeat("x", 140))
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, "]}"...))
}

// The index of a million records takes 40 MB; nothing else may grow with the number of pages.
func TestALongListingIsFollowedInBoundedMemory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("reads the peak memory of a process from /proc")
	}
	api := &endless{records: *listing}
	server := httptest.NewServer(api)
	defer server.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "deltahook.toml")
	writeFile(t, config, fmt.Sprintf(`
[source.things]
url = %q
every = "1s"
records = "items"
key = "id"
pages = { kind = "page", total = "total", max = 100000 }
deletes = { detect = "scan" }
[webhook.app]
url = "http://127.0.0.1:1/"
secret = "whsec_ZGVsdGFob29rIGRlbW8gc2VjcmV0LCBub3QgeW91cnM="
[store]
url = "sqlite:%s"
[admin]
listen = "127.0.0.1:%s"
`, server.URL, filepath.Join(dir, "deltahook.db"), freePort(t)))

	binary := buildBinary(t)
	var log bytes.Buffer
	daemon := exec.CommandContext(t.Context(), binary, "run", "--config", config)
	daemon.Stderr = &log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	for api.walks.Load() < 3 { // until the baseline and an unchanged poll are over
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	peak := peakMiB(t, daemon.Process.Pid)
	_ = daemon.Process.Signal(os.Interrupt)
	if err := <-ended; err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}

	status, err := exec.CommandContext(t.Context(), binary, "status", "--json", "--config", config).Output()
	var source admin.Source
	if err != nil || json.Unmarshal(bytes.SplitN(status, []byte("\n"), 2)[0], &source) != nil || source.Records != int64(*listing) {
		t.Fatalf("%v: %s\n%s", err, status, log.String())
	}
	t.Logf("%d records in %d pages: peak %d MiB", *listing, *listing/100, peak)
	if most := 110 + *listing*60/1_000_000; peak > most {
		t.Errorf("peak memory %d MiB, want at most %d MiB", peak, most)
	}
}

// peakMiB gives the largest resident size that a process has had.
func peakMiB(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(raw), "VmHWM:")
	kib, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib >> 10
}
