package sqlite_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/deltahook/deltahook/internal/store/sqlite"
)

// needsRemoval skips a test where open files can neither be removed nor renamed.
func needsRemoval(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("nobody can remove an open file")
	}
}

func mustRename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsCommittedToAFileThatWasRemovedOrReplaced(t *testing.T) {
	needsRemoval(t)
	for _, suffix := range []string{"", "-wal"} {
		t.Run("file"+suffix, func(t *testing.T) {
			path := newPath(t)
			s := mustOpen(t, sqlite.Options{Path: path})
			m := mustOwn(t, s)
			mustCommit(t, s, m, 1)
			mustRename(t, path+suffix, path+".away")
			if err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "store: "+path+suffix+": the file was removed") {
				t.Errorf("it was removed: %v", err)
			}
			if err := os.WriteFile(path+suffix, []byte("of somebody else"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := m.Commit(t.Context(), change(s, mustLoad(t, m), 2, `{"id":2}`)); err == nil || !strings.Contains(err.Error(), "was replaced") {
				t.Errorf("it was replaced: %v", err)
			}
			mustRename(t, path+".away", path+suffix)
			mustCommit(t, s, m, 2)
		})
	}
}

func TestALogThatWasRemovedIsSavedByAStopInGoodOrder(t *testing.T) {
	needsRemoval(t)
	path := newPath(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	mustCommit(t, s, mustOwn(t, s), 3)
	if err := os.Remove(path + "-wal"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, sqlite.Options{Path: path})
	if n := mustLoad(t, mustOwn(t, s)).Records; n != 3 {
		t.Errorf("%d records of 3 are left", n)
	}
}

func TestALockThatWasRemovedIsTakenAgainUnlessAnotherHasIt(t *testing.T) {
	needsRemoval(t)
	path := newPath(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	m := mustOwn(t, s)
	remove := func() {
		if err := os.Remove(path + ".lock"); err != nil {
			t.Fatal(err)
		}
	}
	remove()
	mustCommit(t, s, m, 1)
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil {
		t.Fatal("two have the store")
	}
	remove()
	other := mustOpen(t, sqlite.Options{Path: path})
	if err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "locked by another deltahook") {
		t.Errorf("another one has the lock: %v", err)
	}
	if err := other.Probe(t.Context()); err != nil {
		t.Errorf("the one that has the lock: %v", err)
	}
}

func TestTheLogOfAFileThatIsMissingIsNotThrownAway(t *testing.T) {
	needsRemoval(t)
	path := newPath(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	mustCommit(t, s, mustOwn(t, s), 1)
	mustRename(t, path, path+".away")
	_ = s.Close()
	before, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil || !strings.Contains(err.Error(), "the file is missing, and what was committed last stands in ") {
		t.Errorf("it is opened: %v", err)
	}
	if after, err := os.Stat(path + "-wal"); err != nil || after.Size() != before.Size() {
		t.Errorf("the log is gone: %v", err)
	}
	mustRename(t, path+".away", path)
	s = mustOpen(t, sqlite.Options{Path: path})
	if n := mustLoad(t, mustOwn(t, s)).Records; n != 1 {
		t.Errorf("%d records of 1 are left", n)
	}
}

func TestABackupIsNotMixedWithTheLogOfTheStoreBefore(t *testing.T) {
	needsRemoval(t)
	path := newPath(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	m := mustOwn(t, s)
	mustCommit(t, s, m, 1)
	if err := s.Backup(t.Context(), path+".backup"); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, s, m, 2)
	mustRename(t, path, path+".away")
	_ = s.Close()
	mustRename(t, path+".backup", path)
	for _, readOnly := range []bool{false, true} {
		_, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, ReadOnly: readOnly})
		if err == nil || !strings.Contains(err.Error(), "deltahook.db-wal beside it is the log of the store that was here before") {
			t.Errorf("read only %t: %v", readOnly, err)
		}
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + end); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // its own log is none of another
		s = mustOpen(t, sqlite.Options{Path: path})
		m = mustOwn(t, s)
		if n := mustLoad(t, m).Records; n != 1 {
			t.Errorf("%d records, the backup had one", n)
		}
		mustRename(t, path, path+".away")
		_ = s.Close()
		mustRename(t, path+".away", path)
	}
}
