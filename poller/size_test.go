package poller

import (
	"testing"
	"unsafe"
)

// There may be 100,000 sources. These are the sizes that memory comes in; one byte more takes the next.
func TestWhatIsKeptOfEachSourceIsSmall(t *testing.T) {
	for name, c := range map[string]struct{ is, most uintptr }{
		"configuration": {unsafe.Sizeof(Source{}), 1792},
		"poller":        {unsafe.Sizeof(Poller{}), 384},
		"task":          {unsafe.Sizeof(task{}), 384},
		"memory":        {unsafe.Sizeof(memory{}), 576},
		"last poll":     {unsafe.Sizeof(recent{}), 352},
	} {
		if c.is > c.most {
			t.Errorf("%s: %d bytes, at most %d", name, c.is, c.most)
		}
	}
}
