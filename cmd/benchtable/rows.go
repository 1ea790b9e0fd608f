package main

// row is one line of the table: the units of a benchmark that are its figure, its bound and the ratio of both.
type row struct {
	what, bench          string
	figure, bound, ratio string
	target               target
}

// target is what a value has to reach; the zero value is none.
type target struct {
	unit  string
	limit float64
	least bool // the value is to be at least the limit, not at most
}

const (
	inMemory = "validate, cut, id"
	wholeGet = "ms-bound"
	perBound = "x/bound"
)

// rows lists all figures, in the order in which an event passes them.
func rows() []row {
	return []row{
		{"cut a list into small records", "BenchmarkPoll/small/extract", "MB/s", inMemory, perBound, target{}},
		{"  and take their keys", "BenchmarkPoll/small/key", "MB/s", inMemory, perBound, target{}},
		{"  and hash them", "BenchmarkPoll/small/hash", "MB/s", inMemory, perBound, target{}},
		{"  and compare, usual order", "BenchmarkPoll/small/compare-next", "MB/s", inMemory, perBound, target{perBound, 1.3, false}},
		{"  and compare, another order", "BenchmarkPoll/small/compare-in-another-order", "MB/s", inMemory, perBound, target{}},
		{"cut a list into large records", "BenchmarkPoll/large/extract", "MB/s", inMemory, perBound, target{}},
		{"  and compare, usual order", "BenchmarkPoll/large/compare-next", "MB/s", inMemory, perBound, target{perBound, 1.3, false}},
		{"poll 10,000, nothing changed", "BenchmarkPoll/small-10000/changed-0%", "ms/poll", wholeGet, perBound, target{perBound, 1.3, false}},
		{"poll 10,000, 0.1 % changed", "BenchmarkPoll/small-10000/changed-0.1%", "ms/poll", "unchanged poll", "x/unchanged", target{}},
		{"poll 10,000, 1 % changed", "BenchmarkPoll/small-10000/changed-1%", "ms/poll", "unchanged poll", "x/unchanged", target{}},
		{"poll 10,000, all changed", "BenchmarkPoll/small-10000/changed-100%", "ms/poll", "unchanged poll", "x/unchanged", target{}},
		{"poll 10,000, all rewritten", "BenchmarkPoll/small-10000/rewritten", "ms/poll", wholeGet, perBound, target{perBound, 3, false}},
		{"poll 100,000, nothing changed", "BenchmarkPoll/small-100000/changed-0%", "ms/poll", wholeGet, perBound, target{perBound, 1.3, false}},
		{"poll 100,000, 0.1 % changed", "BenchmarkPoll/small-100000/changed-0.1%", "ms/poll", "unchanged poll", "x/unchanged", target{}},
		{"poll 100,000, 1 % changed", "BenchmarkPoll/small-100000/changed-1%", "ms/poll", "unchanged poll", "x/unchanged", target{}},
		{"poll 100,000, all changed", "BenchmarkPoll/small-100000/changed-100%", "ms/poll", "unchanged poll", "x/unchanged", target{}},
		{"poll 100,000, all rewritten", "BenchmarkPoll/small-100000/rewritten", "ms/poll", wholeGet, perBound, target{perBound, 3, false}},
		{"poll 1,000,000, nothing changed", "BenchmarkPoll/small-1000000/changed-0%", "ms/poll", wholeGet, perBound, target{perBound, 1.3, false}},
		{"poll 1,000,000, 0.1 % changed", "BenchmarkPoll/small-1000000/changed-0.1%", "ms/poll", "unchanged poll", "x/unchanged", target{"x/unchanged", 1.2, false}},
		{"poll 1,000,000, 1 % changed", "BenchmarkPoll/small-1000000/changed-1%", "ms/poll", "unchanged poll", "x/unchanged", target{}},
		{"poll 1,000,000, all changed", "BenchmarkPoll/small-1000000/changed-100%", "ms/poll", "unchanged poll", "x/unchanged", target{}},
		{"poll 1,000,000, all rewritten", "BenchmarkPoll/small-1000000/rewritten", "ms/poll", wholeGet, perBound, target{perBound, 3, false}},
		{"poll 10,000 of 4 KB, nothing changed", "BenchmarkPoll/large-10000/changed-0%", "ms/poll", wholeGet, perBound, target{perBound, 1.3, false}},
		{"poll 10,000 of 4 KB, all rewritten", "BenchmarkPoll/large-10000/rewritten", "ms/poll", wholeGet, perBound, target{perBound, 3, false}},

		{"commit 1 event", "BenchmarkDurable/backlog=0/commit=1", "p50-us", "fsync", "x/fsync", target{}},
		{"commit 1,000 events", "BenchmarkDurable/backlog=0/commit=1000", "p50-us", "fsync", "x/fsync", target{}},
		{"acknowledge 1 event", "BenchmarkDurable/backlog=0/acknowledge=1", "p50-us", "fsync", "x/fsync", target{}},
		{"acknowledge 1,000 events", "BenchmarkDurable/backlog=0/acknowledge=1000", "p50-us", "fsync", "x/fsync", target{}},
		{"commit beside a backlog", "BenchmarkBacklog", "us-commit", "us-commit-empty", "x/commit", target{"x/commit", 1.5, false}},
		{"acknowledge beside a backlog", "BenchmarkBacklog", "us-ack", "us-ack-empty", "x/ack", target{"x/ack", 1.5, false}},

		{"an attempt beside its request", "BenchmarkAttempt", "ns/op", "", "", target{}},
		{"deliver, 8 at a time", "BenchmarkDelivery/concurrency-8", "events/s", "plain POST loop", perBound, target{}},
		{"deliver, 64 at a time", "BenchmarkDelivery/concurrency-64", "events/s", "plain POST loop", perBound, target{perBound, 0.6, true}},
		{"  by processor time", "BenchmarkDelivery/concurrency-64", "events/s", "plain POST loop", "x/cpu", target{"x/cpu", 0.6, true}},
		{"1,000 of 10,000 changes arrive", "BenchmarkChangesReachTheReceiver", "ms-median", "ms-posts-alone", "", target{"ms-median", 150, false}},

		{"10 sources, every 10 s", "BenchmarkProcessOfManySources/sources-10", "us-cpu/poll", "us-cpu/request", "", target{}},
		{"100 sources, every 10 s", "BenchmarkProcessOfManySources/sources-100", "us-cpu/poll", "us-cpu/request", "", target{}},
		{"1,000 sources, every 10 s", "BenchmarkProcessOfManySources/sources-1000", "us-cpu/poll", "us-cpu/request", "", target{}},
		{"10,000 sources, every 10 s", "BenchmarkProcessOfManySources/sources-10000", "us-cpu/poll", "us-cpu/request", "", target{}},
		{"  p99 lateness", "BenchmarkProcessOfManySources/sources-10000", "ms-late-p99", "", "", target{"ms-late-p99", 50, false}},
		{"  memory", "BenchmarkProcessOfManySources/sources-10000", "MiB-peak", "", "", target{"MiB-peak", 150, false}},
		{"  scheduling alone", "BenchmarkTenThousandSources/deltahook", "%core", "", "", target{"%core", 5, false}},
		{"idle with 10 sources", "BenchmarkProcessOfIdleSources/sources-10", "MiB", "", "", target{"MiB", 40, false}},
		{"100,000 sources that wait", "BenchmarkProcessOfIdleSources/sources-100000", "MiB", "", "", target{}},
		{"  until ready", "BenchmarkProcessOfIdleSources/sources-100000", "s-until-ready", "", "", target{}},

		{"start to first verdict", "BenchmarkProcessOfOneSource", "s-start-beyond-poll", "bare poll", "", target{"s-start-beyond-poll", 2, false}},
		{"memory, one large source", "BenchmarkProcessOfOneSource", "MiB-peak", "", "", target{"MiB-peak", 160, false}},
		{"  per record", "BenchmarkProcessOfOneSource", "B-memory/record", "", "", target{}},
		{"disk per record", "BenchmarkProcessOfOneSource", "B-disk/record", "B-json/record", "", target{}},
	}
}
