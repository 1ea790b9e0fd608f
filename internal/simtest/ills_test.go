package simtest

import (
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/store/sqlite/faultdisk"
)

// ills is what is wrong with the disk at the moment, and when the process dies of it.
type ills struct {
	mu    sync.Mutex
	fault faultdisk.Fault
	until time.Time // of the fault
	left  int       // operations of the disk until the process dies; 0: it does not
	died  bool
	ended time.Time // of the last fault
	die   func()
}

// judge is asked before each operation.
func (i *ills) judge(op faultdisk.Op) faultdisk.Fault {
	i.mu.Lock()
	defer i.mu.Unlock()
	changes := op.Kind.Changes() || op.Kind == faultdisk.Sync
	if changes && i.left > 0 {
		if i.left--; i.left == 0 {
			i.died = true
			i.die()
			return faultdisk.Broken
		}
	}
	if i.fault == faultdisk.None || !changes {
		return faultdisk.None
	}
	if time.Now().After(i.until) {
		i.fault, i.ended = faultdisk.None, time.Now()
		return faultdisk.None
	}
	if i.fault == faultdisk.Full && op.Kind != faultdisk.Write {
		return faultdisk.None
	}
	return i.fault
}

// harm lets the disk fail for a while.
func (i *ills) harm(f faultdisk.Fault, d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fault, i.until = f, time.Now().Add(d)
}

// heal ends it.
func (i *ills) heal() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fault != faultdisk.None {
		i.ended = time.Now()
	}
	i.fault = faultdisk.None
}

// restarted forgets when anything was: the clock has jumped.
func (i *ills) restarted() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fault, i.until, i.ended = faultdisk.None, time.Time{}, time.Time{}
}

// any says whether the disk fails.
func (i *ills) any() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.fault != faultdisk.None && time.Now().Before(i.until)
}

// since gives when the disk failed last; now, if it does.
func (i *ills) since() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.fault != faultdisk.None {
		return time.Now()
	}
	return i.ended
}

// dieAt lets the process die at an operation of the disk, so many from now.
func (i *ills) dieAt(n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.left = n
}

// dying says whether that has happened.
func (i *ills) dying() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.died
}

// born is for the next process.
func (i *ills) born() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.left, i.died = 0, false
}
