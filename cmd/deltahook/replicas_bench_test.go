package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/store/postgres/pgtest"
)

// rounds is an API whose records all change with every poll, and a receiver. Nothing changes while more than a while's events are still on
// their way: there is always something to deliver, and no backlog grows.
type rounds struct {
	revisions        []atomic.Int64
	served, received atomic.Int64 // events
}

const (
	roundSources = 400
	roundRecords = 25
	roundAhead   = 4000
)

// ServeHTTP answers /N with the list of a source, and takes what is posted.
func (r *rounds) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Method == http.MethodPost {
		_, _ = io.Copy(io.Discard, q.Body)
		r.received.Add(1)
		return
	}
	i, err := strconv.Atoi(q.URL.Path[1:])
	if err != nil {
		http.NotFound(w, q)
		return
	}
	revision := r.revisions[i].Load()
	if r.served.Load()-r.received.Load() < roundAhead {
		if revision = r.revisions[i].Add(1); revision > 1 { // the first is the baseline
			r.served.Add(roundRecords)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	body := []byte{'['}
	for n := range roundRecords {
		body = fmt.Appendf(body, `{"id":%d,"revision":%d,"note":"%0200d"},`, n, revision, n*7919)
	}
	body[len(body)-1] = ']'
	_, _ = w.Write(body)
}

func (r *rounds) baselined() bool {
	for i := range r.revisions {
		if r.revisions[i].Load() == 0 {
			return false
		}
	}
	return true
}

func roundsConfig(url string) string {
	var s strings.Builder
	s.WriteString("[defaults]\nevery = \"1s\"\nrecords = \"@this\"\nkey = \"id\"\n")
	for i := range roundSources {
		fmt.Fprintf(&s, "[source.%s]\nurl = \"%s/%d\"\n", sourceName(i), url, i)
	}
	fmt.Fprintf(&s, "[webhook.app]\nurl = %q\nsecret = \"whsec_ZGVsdGFob29rIGRlbW8gc2VjcmV0LCBub3QgeW91cnM=\"\nmax_in_flight = 64\n", url)
	return s.String()
}

// BenchmarkReplicasEndToEnd is the whole of it, from the API to the receiver, with everything on this machine: four replicas on a
// PostgreSQL that writes to the disk as a real one does, and the same load on one process with its file.
func BenchmarkReplicasEndToEnd(b *testing.B) {
	b.Run("sqlite-1", func(b *testing.B) {
		w := newBench(b)
		w.endToEnd(1, "sqlite:"+w.database(), func() (time.Duration, error) { return 0, nil })
	})
	b.Run("postgres-4", func(b *testing.B) {
		w := newBench(b)
		server, err := pgtest.Start(b.Context(), pgtest.Options{Durable: true, Settings: []string{"shared_buffers=256MB", "max_wal_size=4GB"}})
		if errors.Is(err, pgtest.ErrNotInstalled) {
			b.Skip(err)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = server.Stop() })
		w.endToEnd(4, server.URL("postgres"), server.CPU)
	})
}

// endToEnd lets the processes work for a while on one store; cpu gives the processor time of its server.
func (b *bench) endToEnd(processes int, store string, cpu func() (time.Duration, error)) {
	b.Helper()
	r := &rounds{revisions: make([]atomic.Int64, roundSources)}
	server := httptest.NewServer(r)
	defer server.Close()
	running := make([]*program, processes)
	for i := range running {
		running[i] = b.start(fmt.Sprintf("replica-%d.toml", i), store, roundsConfig(server.URL))
	}
	for !r.baselined() || r.received.Load() < 2*roundAhead {
		if running[0].tick(); time.Since(running[0].started) > 5*time.Minute {
			b.Fatalf("%d deliveries in five minutes:\n%s", r.received.Load(), running[0].log.String())
		}
	}
	of := func() time.Duration {
		var sum time.Duration
		for _, p := range running {
			sum += p.cpu()
		}
		return sum
	}
	serverCPU := func() time.Duration {
		used, err := cpu()
		if err != nil {
			b.Fatal(err)
		}
		return used
	}
	for b.Loop() {
		r.served.Store(r.received.Load()) // what interrupted polls found never comes
		began, events, replicas, database, ours := time.Now(), r.received.Load(), of(), serverCPU(), ownCPU(b.B)
		time.Sleep(15 * time.Second)
		took, n := time.Since(began), float64(r.received.Load()-events)
		b.ReportMetric(n/took.Seconds(), "deliveries/s")
		b.ReportMetric(float64((of()-replicas).Microseconds())/n, "us-cpu/event")
		b.ReportMetric(float64((serverCPU()-database).Microseconds())/n, "pg-us/event")
		b.ReportMetric(100*(serverCPU()-database).Seconds()/took.Seconds(), "pg-%core")
		b.ReportMetric(float64((ownCPU(b.B)-ours).Microseconds())/n, "us-cpu-receiver/event")
	}
	b.ReportMetric(0, "ns/op")
	for _, p := range running {
		p.stop()
	}
}
