package postgres_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/internal/store/storetest"
)

// file is a place for an embedded store.
type file string

func embedded(t storetest.T) storetest.Backend {
	return file(filepath.Join(t.TempDir(), "deltahook.db"))
}

func (f file) Open(t storetest.T) store.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: string(f)})
	if err != nil {
		t.Fatalf("%v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (file) Pass(storetest.T, time.Duration) {}

func TestEverythingGoesFromTheEmbeddedStoreToPostgreSQLAndBack(t *testing.T) {
	needServer(t)
	t.Run("there", func(t *testing.T) { storetest.RunCopy(t, embedded, fresh) })
	t.Run("back", func(t *testing.T) { storetest.RunCopy(t, fresh, embedded) })
	t.Run("to another database", func(t *testing.T) { storetest.RunCopy(t, fresh, fresh) })
}
