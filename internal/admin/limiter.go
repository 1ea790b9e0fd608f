package admin

import (
	"net/netip"
	"sync"
	"time"
)

// How often a token can be tried: by one address, and by all that are not on loopback. Those on loopback cannot be locked out from
// elsewhere.
const (
	triesOfOne  = 10
	triesOfAll  = 60
	secondsPer  = 6 // seconds until an address may try once more; all together try six times as often
	maxLimited  = 4096
	fullAgainIn = triesOfOne * secondsPer * time.Second
)

// limiter bounds tries by token buckets. The zero value is ready.
type limiter struct {
	mu  sync.Mutex
	one map[netip.Prefix]*bucket
	all bucket
}

// bucket counts tries; each goes away after a while.
type bucket struct {
	tries float64
	at    time.Time
}

// take counts a try, unless there were too many: then it says how long to wait. What it returns takes the try back.
func (l *limiter) take(addr string) (undo func(), wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, from := time.Now(), network(addr)
	b := l.bucket(from, now)
	if wait := b.wait(now, triesOfOne, secondsPer*time.Second); wait > 0 {
		return nil, wait
	}
	buckets := []*bucket{b}
	if !from.Addr().IsLoopback() {
		if wait := l.all.wait(now, triesOfAll, time.Second); wait > 0 {
			return nil, wait
		}
		buckets = append(buckets, &l.all)
	}
	for _, b := range buckets {
		b.tries++
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, b := range buckets {
			b.tries = max(b.tries-1, 0)
		}
	}, 0
}

// wait lets time pass, and says how long it takes until there is room for a try.
func (b *bucket) wait(now time.Time, most float64, each time.Duration) time.Duration {
	b.tries = max(b.tries-now.Sub(b.at).Seconds()/each.Seconds(), 0)
	b.at = now
	return max(time.Duration((b.tries+1-most)*float64(each)), 0)
}

// bucket gives that of a network. When there are too many, those that are full again go; when none is, strangers share one.
func (l *limiter) bucket(from netip.Prefix, now time.Time) *bucket {
	if b := l.one[from]; b != nil {
		return b
	}
	if l.one == nil {
		l.one = map[netip.Prefix]*bucket{}
	}
	if len(l.one) >= maxLimited {
		for other, b := range l.one {
			if now.Sub(b.at) > fullAgainIn {
				delete(l.one, other)
			}
		}
	}
	if len(l.one) >= maxLimited {
		from = netip.Prefix{}
		if b := l.one[from]; b != nil {
			return b
		}
	}
	b := &bucket{at: now}
	l.one[from] = b
	return b
}

// network is what counts as one address: of IPv6 it is what one customer has.
func network(addr string) netip.Prefix {
	const customer = 64
	parsed, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.Prefix{}
	}
	ip := parsed.Addr().Unmap()
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() {
		bits = customer
	}
	prefix, err := ip.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}
