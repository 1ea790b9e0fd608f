//go:build race

package simtest

import "runtime"

// All timers of a bubble share one context of the race detector, so that it crashes ("ThreadSanitizer: CHECK failed") when two
// goroutines receive at once from timers that had already expired; see https://go.dev/issue/78156. On one processor they take
// turns. Races are still found, though in fewer interleavings: what counts is what happens before what, not what happens at once.
var _ = runtime.GOMAXPROCS(1)
