package bubble_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
)

// This is what the race detector of Go 1.26 dies of on two processors.
func TestManyGoroutinesReceiveAtOnceFromTimersThatHadExpired(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	for range 50 {
		bubble.Test(t, func(*testing.T) {
			var receivers sync.WaitGroup
			for range 200 {
				receivers.Go(func() {
					for range 20 {
						<-time.NewTimer(0).C
					}
				})
			}
			receivers.Wait()
		})
	}
	if after := runtime.GOMAXPROCS(0); after != before {
		t.Errorf("there were %d processors, and are %d", before, after)
	}
}
