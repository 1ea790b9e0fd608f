package poller

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
)

// smallRecords gives a list of n records of about 255 bytes.
func smallRecords(n int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"number":"C-%08d","name":"Company %d Ltd","status":"open","owner":{"name":"Ann Example","mail":"ann@example.com"},`+
			`"amount":"%d.10","currency":"EUR","tags":["a","b"],"created":"2026-01-01T00:00:00Z","modified":"2026-11-23T12:00:00Z","active":true}`, i, i, i, i%1000)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func serveBytes(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}
}

func TestAnUnchangedRecordCostsNoAllocation(t *testing.T) {
	const records = 5000
	body := smallRecords(records)
	r := newRig(t, serveBytes(body), nil)
	r.want(Complete)
	p := r.poller
	p.tools = p.net.borrow()
	s := &scan{p: p, ctx: t.Context(), index: p.known.index, spool: newSpool(t.TempDir())}
	reader := differ.NewReader(bytes.NewReader(body), differ.Options{Spec: p.spec})
	allocs := testing.AllocsPerRun(5, func() {
		reader.Reset(bytes.NewReader(body))
		p.known.index.Begin()
		s.beginPage()
		for {
			rec, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := s.record(rec); err != nil {
				t.Fatal(err)
			}
		}
	})
	if s.spool.count != 0 || s.counts.Created+s.counts.Updated != 0 {
		t.Fatalf("the records are not unchanged: %+v", s.counts)
	}
	if allocs > records/1000 {
		t.Errorf("%.0f allocations for %d unchanged records", allocs, records)
	}
}

// BenchmarkUnchangedPoll goes from HTTP to the verdict for 100,000 small records, and compares with what any program must do
// that follows such a list: read the stream, cut it into valid records and take the id of each.
func BenchmarkUnchangedPoll(b *testing.B) {
	const records = 100_000
	body := smallRecords(records)
	r := newRig(b, serveBytes(body), nil)
	r.source.Response.MaxBody = 1 << 30
	r.restart()
	r.want(Complete)
	r.want(Unchanged)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	var polling, streaming time.Duration
	for b.Loop() {
		began := time.Now()
		if got := r.poll(); got.Verdict != Unchanged {
			b.Fatal(got.Message)
		}
		polling += time.Since(began)
		b.StopTimer()
		began = time.Now()
		streamIDs(b, r.source.URL, records)
		streaming += time.Since(began)
		b.StartTimer()
	}
	b.ReportMetric(float64(polling)/float64(streaming), "x-stream+id")
	b.ReportMetric(float64(polling.Nanoseconds())/float64(b.N)/records, "ns/record")
}

func streamIDs(b *testing.B, address string, want int) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	id, n := differ.MustPath("id"), 0
	reader := differ.NewReader(resp.Body, differ.Options{Spec: differ.Spec{Records: differ.MustPath("@this")}})
	for {
		rec, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		if id.Get(rec.Raw).Exists() {
			n++
		}
	}
	if n != want {
		b.Fatalf("%d records, want %d", n, want)
	}
}

// BenchmarkScheduler measures what a poll costs beyond its requests.
func BenchmarkScheduler(b *testing.B) {
	d := newDesk()
	s := d.scheduler(0)
	for i := range 10_000 {
		if err := s.Add(new(plainSource(fmt.Sprint("s", i), time.Hour))); err != nil {
			b.Fatal(err)
		}
	}
	s.Start(b.Context())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.PollNow(fmt.Sprint("s", i%10_000)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Stop(b.Context()); err != nil {
		b.Fatal(err)
	}
}
