package budget

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Bucket is a token bucket. It remembers until when all that flows into it is sold; a token may be used when its time has come, or
// before that by as much as a burst is ahead. The zero value is a full one.
type Bucket struct{ sold time.Time }

// Sell sells tokens, all or none.
func (b *Bucket) Sell(now time.Time, o Order) Grant {
	from := b.sold
	if from.Before(now) {
		from = now
	}
	wait := from.Sub(now) - o.Slack()
	if wait > o.Patience {
		return Grant{Wait: wait}
	}
	b.sold = from.Add(o.Lasts(o.Want, 1))
	return Grant{Tokens: o.Want, Wait: wait}
}

// Return takes a token back that is not used.
func (b *Bucket) Return(o Order) { b.sold = b.sold.Add(-o.step()) }

// Till is a bank in memory, for the members of one process. The zero value is ready.
type Till struct {
	mu      sync.Mutex
	buckets map[string]*Bucket
	places  map[string]map[string]int // by key and member
	holds   map[string]Hold
}

// Tokens sells tokens of a bucket.
func (t *Till) Tokens(now time.Time, o Order) Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buckets == nil {
		t.buckets = map[string]*Bucket{}
	}
	b := t.buckets[o.Key]
	if b == nil {
		b = &Bucket{}
		t.buckets[o.Key] = b
	}
	return b.Sell(now, o)
}

// Places divides places; alive says who may have some.
func (t *Till) Places(key, member string, most, want int, alive []string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.places == nil {
		t.places = map[string]map[string]int{}
	}
	if t.places[key] == nil {
		t.places[key] = map[string]int{}
	}
	left := most
	for other, n := range t.places[key] {
		switch {
		case !slices.Contains(alive, other):
			delete(t.places[key], other)
		case other != member:
			left -= n
		}
	}
	held := max(0, min(want, left))
	t.places[key][member] = held
	return held
}

// Hold lets nobody use a key until a time.
func (t *Till) Hold(key string, h Hold) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holds == nil {
		t.holds = map[string]Hold{}
	}
	if h.Until.After(t.holds[key].Until) {
		t.holds[key] = h
	}
}

// Holds gives those that are not over.
func (t *Till) Holds(now time.Time) map[string]Hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.holds, func(_ string, h Hold) bool { return !h.Until.After(now) })
	return maps.Clone(t.holds)
}

// Sweep forgets buckets that are full again, and those who died.
func (t *Till) Sweep(now time.Time, alive []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.DeleteFunc(t.buckets, func(_ string, b *Bucket) bool { return b.sold.Before(now) })
	for key, by := range t.places {
		maps.DeleteFunc(by, func(member string, _ int) bool { return !slices.Contains(alive, member) })
		if len(by) == 0 {
			delete(t.places, key)
		}
	}
}
