package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/internal/store/sqlite/faultdisk"
)

// faultyDisk is an empty folder on a disk that can fail.
func faultyDisk(t *testing.T) (path string, disk *faultdisk.Disk) {
	t.Helper()
	dir := t.TempDir()
	disk, err := faultdisk.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(disk.Close)
	return filepath.Join(dir, "deltahook.db"), disk
}

func faultNames() map[faultdisk.Fault]string {
	return map[faultdisk.Fault]string{faultdisk.Full: "full", faultdisk.Broken: "broken", faultdisk.ReadOnly: "mounted read-only", faultdisk.Torn: "torn write"}
}

// from lets all that changes something fail, beginning with the nth operation.
func from(n int64, fault faultdisk.Fault) func(faultdisk.Op) faultdisk.Fault {
	var count atomic.Int64
	return func(op faultdisk.Op) faultdisk.Fault {
		if !op.Kind.Changes() && op.Kind != faultdisk.Sync || count.Add(1) < n {
			return faultdisk.None
		}
		return fault
	}
}

// P1, P2: wherever in a commit the disk begins to fail, and in whatever way, the commit is there as a whole or not at all; and once
// the disk is well the same store, without a restart, goes on as if nothing had been.
func TestP1P2ADiskThatFailsAnywhereInACommitStopsNothingForEver(t *testing.T) {
	for fault, name := range faultNames() {
		t.Run(name, func(t *testing.T) {
			path, disk := faultyDisk(t)
			s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			m := mustOwn(t, s)
			settled, version, refused := map[int64]bool{}, int64(0), 0
			for n := int64(1); n <= 25; n++ {
				mustCommit(t, s, m, eventsOf(version+1))
				version++
				disk.Fail(from(n, fault))
				if _, err := m.Commit(t.Context(), change(s, mustLoad(t, m), eventsOf(version+1), `{"id":1}`)); err != nil {
					refused++
				}
				acked, err := ackSome(t.Context(), m, version)
				disk.Fail(nil)
				for _, seq := range acked {
					settled[seq] = err == nil
				}
				if is := mustLoad(t, m).Version; is != version && is != version+1 {
					t.Fatalf("version %d follows %d", is, version)
				} else {
					version = is
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			checkAfterCrash(t, path, version, settled)
			if refused < 3 {
				t.Errorf("only %d commits met the fault", refused)
			}
		})
	}
}

func TestAFullDiskSaysWhatToDoAndIsOpenedWhenThereIsSpace(t *testing.T) {
	path, disk := faultyDisk(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	m := mustOwn(t, s)
	mustCommit(t, s, m, 3)
	disk.Fail(from(1, faultdisk.Full))
	_, err := m.Commit(t.Context(), change(s, mustLoad(t, m), 3, `{"id":1}`))
	if err == nil || !strings.Contains(err.Error(), "free some space; a running deltahook goes on by itself") || !strings.Contains(err.Error(), path) {
		t.Errorf("a full disk: %v", err)
	}
	if list, err := m.Pending(t.Context(), crashLane(), 0, 10); err != nil || len(list) != 3 {
		t.Errorf("what is there cannot be read: %d, %v", len(list), err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close on a full disk: %v", err)
	}
	if again, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil {
		t.Errorf("opened on a full disk: %v", again.Close())
	} else if !strings.Contains(err.Error(), "free some space") {
		t.Error(err)
	}
	disk.Fail(nil)
	checkQueue(t, mustOpen(t, sqlite.Options{Path: path}), 3)
}

// A page of the file that is lost is found when the store is opened, and a backup takes its place.
func TestALostPageIsFoundAndABackupTakesItsPlace(t *testing.T) {
	path, _ := faultyDisk(t)
	s := mustOpen(t, sqlite.Options{Path: path})
	mustCommit(t, s, mustOwn(t, s), 400)
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := s.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole := mustRead(t, path)
	const page = 4096
	found := 0
	for at := page; at+page <= len(whole); at += page {
		damaged := append([]byte(nil), whole...)
		for i := range page {
			damaged[at+i] = 0xA5
		}
		mustWrite(t, path, damaged)
		again, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
		if err == nil {
			_ = again.Close() // a page that is free
			continue
		}
		if found++; !strings.Contains(err.Error(), "deltahook backup") || !strings.Contains(err.Error(), path) {
			t.Fatalf("page %d: %v", at/page+1, err)
		}
	}
	if pages := len(whole) / page; found < pages*3/4 {
		t.Errorf("of %d lost pages %d were found", pages, found)
	}
	mustWrite(t, path, mustRead(t, copied))
	checkQueue(t, mustOpen(t, sqlite.Options{Path: path}), 400)
}

// checkQueue wants so many deliveries to wait.
func checkQueue(t *testing.T, s store.Reader, want int64) {
	t.Helper()
	if queues, err := s.Queues(t.Context()); err != nil || len(queues) != 1 || queues[0].Pending != want {
		t.Errorf("queues %+v, %v; want %d", queues, err, want)
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mustWrite(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
