package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deltahook/deltahook/internal/bubble"
	"github.com/deltahook/deltahook/internal/store/sqlite"
)

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Whoever commits a long poll wants to send its events: the log is moved into the database file when that is done, and not meanwhile.
func TestALongCommitDoesNotWaitUntilItsLogIsMovedIntoTheDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deltahook.db")
	bubble.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		m := mustOwn(t, s)
		for round := range 4 { // the log begins anew, or it would not fit under its limit
			before := sizeOf(t, path)
			mustCommit(t, s, m, 3000)
			synctest.Wait()
			if is := sizeOf(t, path); is != before {
				t.Fatalf("round %d: the commit has waited: the database grew from %d to %d bytes", round, before, is)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if is := sizeOf(t, path); is <= before {
				t.Fatalf("round %d: the log was never moved: the database still has %d bytes", round, is)
			}
		}
		const most = 8 << 20
		if wal := sizeOf(t, path+"-wal"); wal > most {
			t.Errorf("the log has %d bytes", wal)
		}
		mustCommit(t, s, m, 3000) // so that one is due
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	})
}
