package metrics

import (
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// total is how often something happened and how long it took together: a summary without quantiles. Of it there may be one for each
// source; a histogram of each of 10,000 sources would be more than a scrape can bear.
type total struct {
	count atomic.Int64
	nanos atomic.Int64
}

func (t *total) observe(d time.Duration) {
	t.count.Add(1)
	t.nanos.Add(int64(d))
}

func (t *total) write(p *page, labels ...string) {
	if n := t.count.Load(); n > 0 {
		p.part("_sum", time.Duration(t.nanos.Load()).Seconds(), labels...)
		p.part("_count", float64(n), labels...)
	}
}

// distribution is a histogram.
type distribution struct {
	bounds []time.Duration // upper ones, ascending
	counts []atomic.Int64  // one more than bounds
	nanos  atomic.Int64
}

func newDistribution(bounds []time.Duration) *distribution {
	return &distribution{bounds: bounds, counts: make([]atomic.Int64, len(bounds)+1)}
}

// times are for what takes as long as an HTTP request or some of them.
func times() []time.Duration {
	const ms = time.Millisecond
	return []time.Duration{5 * ms, 10 * ms, 25 * ms, 50 * ms, 100 * ms, 250 * ms, 500 * ms, time.Second, 2500 * ms, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute}
}

// lags are for what takes as long as the time between two polls.
func lags() []time.Duration {
	const m = time.Minute
	return []time.Duration{time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, m, 2 * m, 5 * m, 15 * m, 30 * m, time.Hour, 6 * time.Hour, 24 * time.Hour}
}

func (d *distribution) observe(took time.Duration) {
	i, _ := slices.BinarySearch(d.bounds, took)
	d.counts[i].Add(1)
	d.nanos.Add(int64(took))
}

// write writes the buckets, cumulated; the count is theirs, so that a scrape in the middle of an observation is consistent.
func (d *distribution) write(p *page, labels ...string) {
	with := append(slices.Clone(labels), "le", "")
	var below int64
	for i, bound := range d.bounds {
		below += d.counts[i].Load()
		with[len(with)-1] = strconv.FormatFloat(bound.Seconds(), 'g', -1, 64)
		p.part("_bucket", float64(below), with...)
	}
	below += d.counts[len(d.bounds)].Load()
	with[len(with)-1] = "+Inf"
	p.part("_bucket", float64(below), with...)
	p.part("_sum", time.Duration(d.nanos.Load()).Seconds(), labels...)
	p.part("_count", float64(below), labels...)
}
