package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/emitter"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/poller"
)

// The long benchmarks take their size from the environment: DELTAHOOK_BENCH_BACKLOG=1000000.
func backlog(b *testing.B) int {
	b.Helper()
	n, err := strconv.Atoi(os.Getenv("DELTAHOOK_BENCH_BACKLOG"))
	if err != nil {
		return 100_000
	}
	return n
}

// fsyncBound is what no durable commit can be faster than on this disk, now: the median time to append a page to a file
// and sync it.
func fsyncBound(b *testing.B) time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "bound"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	page := make([]byte, 4096)
	times := make([]time.Duration, 201)
	for i := range times {
		start := time.Now()
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		times[i] = time.Since(start)
	}
	return median(times)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// bench is an open store with its only member.
type bench struct {
	*testing.B
	st *sqlite.Store
	m  store.Member

	state poller.State
}

func newBench(b *testing.B) *bench {
	b.Helper()
	st, err := sqlite.Open(b.Context(), sqlite.Options{Path: filepath.Join(b.TempDir(), "deltahook.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	m, err := st.Join(b.Context(), "bench", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := m.Acquire(b.Context(), store.AllShards()); err != nil {
		b.Fatal(err)
	}
	return &bench{B: b, st: st, m: m}
}

const kilobyte = 1000

// changes makes n changes of 1 KB with an event each, for one webhook.
func (b *bench) changes(n int) poller.Commit {
	hasher := differ.NewHasher(b.st.Seed())
	writes := make([]poller.Write, n)
	for i := range writes {
		sequence := b.state.Sequence + 1 + int64(i)
		body := fmt.Appendf(nil, `{"id":%d,"text":"%0*d"}`, sequence, kilobyte-30, sequence*7919)
		key := fmt.Sprintf("key-%d", sequence)
		writes[i] = poller.Write{Known: poller.Known{Hash: hasher.Key([]byte(key)), Print: differ.Print{Raw: uint64(i)}}, Key: key, Body: body}
		writes[i].Event = &poller.Event{
			ID: fmt.Sprintf("evt_%026d", sequence), Source: "bench", Sequence: sequence, Type: "bench.created",
			Change: differ.Created, Key: key, At: time.Now(), Body: body, To: []poller.Copy{{Webhook: "app"}},
		}
	}
	c := poller.Commit{Source: "bench", Expect: b.state.Version, State: b.state}
	c.State.Sequence += int64(n)
	c.Writes = func(yield func(poller.Write, error) bool) {
		for _, w := range writes {
			if !yield(w, nil) {
				return
			}
		}
	}
	return c
}

// commit commits changes and says how long that took.
func (b *bench) commit(n int) time.Duration {
	b.Helper()
	c := b.changes(n)
	start := time.Now()
	done, err := b.m.Commit(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	b.state.Version, b.state.Sequence = done.Version, c.State.Sequence
	return took
}

func (b *bench) fill(n int) {
	b.Helper()
	for left := n; left > 0; left -= 20_000 {
		b.commit(min(left, 20_000))
	}
}

func (b *bench) report(times []time.Duration, n int, bound time.Duration) {
	var total time.Duration
	for _, t := range times {
		total += t
	}
	p50 := median(times)
	b.ReportMetric(float64(p50.Nanoseconds())/float64(bound.Nanoseconds()), "x/fsync")
	b.ReportMetric(float64(p50.Microseconds()), "p50-us")
	b.ReportMetric(float64(n*len(times))/total.Seconds(), "events/s")
}

// BenchmarkDurable commits and acknowledges, with nothing and with a backlog waiting. The bound is measured beside each.
func BenchmarkDurable(b *testing.B) {
	for _, waiting := range []int{0, backlog(b)} {
		b.Run(fmt.Sprintf("backlog=%d", waiting), func(b *testing.B) {
			s := newBench(b)
			s.fill(waiting)
			for _, n := range []int{1, 10, 100, 1000} {
				b.Run(fmt.Sprintf("commit=%d", n), func(b *testing.B) { measure(b, s, n, s.commit) })
				b.Run(fmt.Sprintf("acknowledge=%d", n), func(b *testing.B) { measure(b, s, n, s.acknowledge) })
			}
		})
	}
}

// measure runs one step with n events again and again.
func measure(b *testing.B, s *bench, n int, step func(n int) time.Duration) {
	b.Helper()
	parent := s.B
	s.B = b
	defer func() { s.B = parent }()
	bound := fsyncBound(b)
	var times []time.Duration
	for b.Loop() {
		times = append(times, step(n))
	}
	s.report(times, n, bound)
}

// acknowledge commits n changes, acknowledges the n oldest that wait and says how long the latter took.
func (b *bench) acknowledge(n int) time.Duration {
	b.Helper()
	b.commit(n)
	list, err := b.m.Pending(b.Context(), emitter.Lane{Shard: store.ShardOf("bench"), Webhook: "app"}, 0, n)
	if err != nil || len(list) != n {
		b.Fatal(len(list), err)
	}
	receipts := make([]emitter.Receipt, n)
	for i, d := range list {
		receipts[i] = emitter.Receipt{Ref: d.Ref, Attempt: emitter.Attempt{Number: 1, At: time.Now(), Status: 204, Trigger: "initial"}}
	}
	start := time.Now()
	if err := b.m.Ack(b.Context(), receipts); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// BenchmarkBacklog commits and acknowledges single events in a store with a backlog and in an empty one, in turns.
func BenchmarkBacklog(b *testing.B) {
	full, empty := newBench(b), newBench(b)
	full.fill(backlog(b))
	stores := [2]*bench{full, empty}
	var commits, acks [2][]time.Duration
	for b.Loop() {
		for i, s := range stores {
			commits[i] = append(commits[i], s.commit(1))
			acks[i] = append(acks[i], s.acknowledge(1))
		}
	}
	micro := func(list []time.Duration) float64 { return float64(median(list).Nanoseconds()) / 1000 }
	b.ReportMetric(micro(commits[0]), "us-commit")
	b.ReportMetric(micro(commits[1]), "us-commit-empty")
	b.ReportMetric(micro(commits[0])/micro(commits[1]), "x/commit")
	b.ReportMetric(micro(acks[0]), "us-ack")
	b.ReportMetric(micro(acks[1]), "us-ack-empty")
	b.ReportMetric(micro(acks[0])/micro(acks[1]), "x/ack")
	b.ReportMetric(0, "ns/op")
}

// baseline commits n records of 255 bytes without events.
func (b *bench) baseline(n int) {
	b.Helper()
	hasher := differ.NewHasher(b.st.Seed())
	c := poller.Commit{Source: "bench", Expect: b.state.Version, State: b.state}
	c.Writes = func(yield func(poller.Write, error) bool) {
		for i := range n {
			key := strconv.Itoa(i)
			body := fmt.Appendf(nil, `{"id":%d,"name":"customer %d","status":"active","mail":"c%d@example.com","street":"%x","n":%d,"note":"%060d"}`, i, i*31, i, i*104729, i%17, i)
			w := poller.Write{Known: poller.Known{Hash: hasher.Key([]byte(key)), Print: differ.Print{Raw: uint64(i), Canon: uint64(i)}}, Key: key, Body: body}
			if !yield(w, nil) {
				return
			}
		}
	}
	if _, err := b.m.Commit(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	b.state.Version++
}

func BenchmarkBaseline(b *testing.B) {
	n := backlog(b)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		s := newBench(b)
		b.StartTimer()
		s.baseline(n)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N*n)*1e6, "s/million")
}

func BenchmarkPrints(b *testing.B) {
	n := backlog(b)
	s := newBench(b)
	s.baseline(n)
	b.ReportAllocs()
	for b.Loop() {
		seen := 0
		err := s.m.Prints(b.Context(), "bench", func(poller.Known) bool { seen++; return true })
		if err != nil || seen != n {
			b.Fatal(seen, err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N*n)*1e6, "s/million")
}

func BenchmarkBodies(b *testing.B) {
	n := backlog(b)
	s := newBench(b)
	s.baseline(n)
	var hashes []differ.Hash
	if err := s.m.Prints(b.Context(), "bench", func(k poller.Known) bool { hashes = append(hashes, k.Hash); return true }); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		err := s.m.Bodies(b.Context(), "bench", hashes, func(differ.Hash, string, []byte) error { return nil })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N*n)*1e6, "s/million")
}

func BenchmarkDrain(b *testing.B) {
	n := backlog(b)
	s := newBench(b)
	s.fill(n)
	lane := emitter.Lane{Shard: store.ShardOf("bench"), Webhook: "app"}
	b.ReportAllocs()
	for b.Loop() {
		seen := 0
		for after := int64(0); ; {
			list, err := s.m.Pending(b.Context(), lane, after, 500)
			if err != nil {
				b.Fatal(err)
			}
			if len(list) == 0 {
				break
			}
			seen, after = seen+len(list), list[len(list)-1].Seq
		}
		if seen != n {
			b.Fatal(seen)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N*n)*1e6, "s/million")
}

func BenchmarkQueues(b *testing.B) {
	s := newBench(b)
	s.fill(backlog(b))
	start := time.Now()
	s.queues()
	first := time.Since(start)
	for b.Loop() {
		s.queues()
	}
	b.ReportMetric(float64(first.Microseconds()), "first-us")
}

func (b *bench) queues() {
	b.Helper()
	if list, err := b.st.Queues(b.Context()); err != nil || len(list) != 1 {
		b.Fatal(list, err)
	}
}

// BenchmarkHousekeep deletes a backlog that was acknowledged; each step holds up writing.
func BenchmarkHousekeep(b *testing.B) {
	s := newBench(b)
	for range backlog(b) / 1000 {
		s.acknowledge(1000)
	}
	var times []time.Duration
	b.ResetTimer()
	for more := true; more; {
		start := time.Now()
		swept, err := s.st.Housekeep(b.Context(), store.Retention{EventsBefore: time.Now()})
		if err != nil {
			b.Fatal(err)
		}
		more = swept.More
		times = append(times, time.Since(start))
	}
	b.ReportMetric(float64(median(times).Microseconds()), "p50-us")
	b.ReportMetric(float64(times[len(times)-1].Microseconds()), "max-us")
	b.ReportMetric(float64(len(times)), "steps")
}
