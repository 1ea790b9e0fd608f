//go:build race && !go1.27

package bubble

import (
	"runtime"
	"sync"
)

var bubbles struct {
	mu    sync.Mutex
	n     int // that run now
	procs int // that there are without them
}

// alone lets goroutines take turns on one processor until all bubbles have ended. In Go 1.26 all timers of a bubble share one context of the
// race detector, which crashes ("ThreadSanitizer: CHECK failed", SIGSEGV) when two goroutines receive at once from timers that had
// already expired; Go 1.27 does not, see https://go.dev/issue/78156. Races are still found, though in fewer interleavings: what counts
// is what happens before what, not what happens at once.
func alone() (end func()) {
	bubbles.mu.Lock()
	defer bubbles.mu.Unlock()
	if bubbles.n++; bubbles.n == 1 {
		bubbles.procs = runtime.GOMAXPROCS(1)
	}
	return func() {
		bubbles.mu.Lock()
		defer bubbles.mu.Unlock()
		if bubbles.n--; bubbles.n == 0 {
			runtime.GOMAXPROCS(bubbles.procs)
		}
	}
}
