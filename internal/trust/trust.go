// Package trust says until when a process may act as the owner of what it works on without asking anybody.
package trust

import (
	"sync/atomic"
	"time"
)

// Pause is how long to wait before a closed window is looked at again.
const Pause = 200 * time.Millisecond

// Window ends before somebody else can be the owner. It saves work that would be refused: what must not happen is refused by the
// store, whatever a clock says. Nil, and the zero value, are open for ever. It is safe for concurrent use.
type Window struct{ until atomic.Pointer[time.Time] }

// Extend sets the end.
func (w *Window) Extend(until time.Time) { w.until.Store(&until) }

// Open says whether the window is open at a time that time.Now has given. A machine that slept may not have counted that time: the
// clock on the wall has to agree.
func (w *Window) Open(now time.Time) bool {
	if w == nil || blind {
		return true
	}
	until := w.until.Load()
	return until == nil || now.Before(*until) && now.Round(0).Before(until.Round(0))
}
