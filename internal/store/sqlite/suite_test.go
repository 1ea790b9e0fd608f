package sqlite_test

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/internal/store/storetest"
)

// file is a place for one database, with a clock that stands still unless a test turns it.
type file struct {
	path  string
	start time.Time
	ahead atomic.Int64
}

func fresh(t storetest.T) storetest.Backend {
	return &file{path: filepath.Join(t.TempDir(), "deltahook.db"), start: time.Now()}
}

func (f *file) Open(t storetest.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: f.path, Now: f.now})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

func (f *file) now() time.Time { return f.start.Add(time.Duration(f.ahead.Load())) }

func (f *file) Pass(_ storetest.T, d time.Duration) { f.ahead.Add(int64(d)) }

func TestTheStoreKeepsItsPromises(t *testing.T) { storetest.Run(t, fresh) }

func TestTheSuiteNoticesBrokenStores(t *testing.T) { storetest.RunMutants(t, fresh) }

func TestEverythingGoesToAnotherFile(t *testing.T) { storetest.RunCopy(t, fresh, fresh) }
