package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// fleet is many listings that never stop changing. A key that has gone never comes back.
type fleet struct {
	mu      sync.Mutex
	sources []map[string]string // bodies by key
	polled  []time.Time         // when each was asked last
	gap     []time.Duration     // the longest between two polls
	next    int
	rand    *rand.Rand
}

func newFleet(n int) *fleet {
	f := &fleet{sources: make([]map[string]string, n), polled: make([]time.Time, n), gap: make([]time.Duration, n), rand: rand.New(rand.NewPCG(11, 12))}
	for i := range f.sources {
		f.sources[i] = map[string]string{}
		for range 3 {
			f.create(i)
		}
	}
	return f
}

func (f *fleet) create(i int) {
	f.next++
	key := strconv.Itoa(f.next)
	f.sources[i][key] = f.body(key)
}

func (f *fleet) body(key string) string {
	return fmt.Sprintf(`{"id":%s, "n":9007199254740993,"price":%d.10}`, key, f.rand.IntN(1_000_000))
}

// run changes so many records a second.
func (f *fleet) run(ctx context.Context, perSecond int) {
	const step = 20 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.mu.Lock()
			for range max(1, perSecond*int(step)/int(time.Second)) {
				f.change(f.rand.IntN(len(f.sources)))
			}
			f.mu.Unlock()
		}
	}
}

func (f *fleet) change(i int) {
	keys := slices.Sorted(maps.Keys(f.sources[i]))
	switch dice := f.rand.IntN(10); {
	case dice < 2 || len(keys) < 2:
		f.create(i)
	case dice < 4:
		delete(f.sources[i], keys[f.rand.IntN(len(keys))])
	default:
		key := keys[f.rand.IntN(len(keys))]
		f.sources[i][key] = f.body(key)
	}
}

// ServeHTTP answers /N with the listing of a source.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(r.URL.Path[1:])
	if err != nil || i >= len(f.sources) {
		http.NotFound(w, r)
		return
	}
	f.mu.Lock()
	now := time.Now()
	if last := f.polled[i]; !last.IsZero() {
		f.gap[i] = max(f.gap[i], now.Sub(last))
	}
	f.polled[i] = now
	var b bytes.Buffer
	b.WriteByte('[')
	for n, key := range slices.Sorted(maps.Keys(f.sources[i])) {
		if n > 0 {
			b.WriteByte(',')
		}
		b.WriteString(f.sources[i][key])
	}
	b.WriteByte(']')
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b.Bytes())
}

// has says whether a record is there now.
func (f *fleet) has(i int, key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.sources[i][key]
	return ok
}

func (f *fleet) equals(i int, replica map[string]json.RawMessage) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(replica) != len(f.sources[i]) {
		return false
	}
	for key, body := range f.sources[i] {
		if string(replica[key]) != body {
			return false
		}
	}
	return true
}

// forget begins to measure anew how long sources were left alone.
func (f *fleet) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.gap)
}

// late gives by how much the source that was left alone longest was polled too late, one that still waits included, and how many
// were asked since a time.
func (f *fleet) late(every time.Duration, since time.Time) (longest time.Duration, asked int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, last := range f.polled {
		longest = max(longest, f.gap[i]-every, time.Since(last)-every)
		if last.After(since) {
			asked++
		}
	}
	return longest, asked
}
