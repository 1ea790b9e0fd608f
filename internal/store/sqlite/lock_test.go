package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/store/sqlite"
)

func TestALinkToAStoreIsNoOtherStore(t *testing.T) {
	path := newPath(t)
	other := t.TempDir()
	up, err := filepath.Rel(other, path)
	if err != nil {
		t.Fatal(err)
	}
	links := map[string]string{"absolute": path, "relative": up, "twice": filepath.Join(other, "relative")}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(other, name)); err != nil {
			t.Skip("no links here:", err)
		}
	}
	mustOpen(t, sqlite.Options{Path: filepath.Join(other, "twice")}) // the file is made behind the link
	for name := range links {
		_, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(other, name)})
		if _, locked := errors.AsType[*sqlite.LockedError](err); !locked {
			t.Errorf("%s: a second instance: %v", name, err)
		}
		mustOpen(t, sqlite.Options{Path: filepath.Join(other, name), ReadOnly: true})
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: path}); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Errorf("under its own name: %v", err)
	}
	if err := os.Symlink("round", filepath.Join(other, "round")); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(other, "round")}); err == nil || !strings.Contains(err.Error(), "too many symbolic links: name the file itself") {
		t.Errorf("a link to itself: %v", err)
	}
}

func TestWhoHasTheStoreIsTold(t *testing.T) {
	path := newPath(t)
	if who := sqlite.Holder(path); who != "" {
		t.Errorf("of no store: %q", who)
	}
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if who := sqlite.Holder(path); !strings.Contains(who, "pid "+strconv.Itoa(os.Getpid())) {
		t.Errorf("while it is open: %q", who)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if who := sqlite.Holder(path); who != "" {
		t.Errorf("when it is closed: %q", who)
	}
}

func TestASecondInstanceIsTurnedAway(t *testing.T) {
	path := newPath(t)
	started := time.Now()
	s := mustOpen(t, sqlite.Options{Path: path, Now: func() time.Time { return started }})
	_, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
	var locked *sqlite.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("a second instance: %v", err)
	}
	if locked.PID != os.Getpid() || !locked.Since.Equal(started.Truncate(time.Second)) || locked.Path != path {
		t.Errorf("%+v", locked)
	}
	want := "store: " + path + " is locked by another deltahook (pid " + strconv.Itoa(os.Getpid()) + ", since " + started.Format("15:04") + "): " +
		"two instances would send everything twice; stop the other one or use a different store.url"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, sqlite.Options{Path: path})
}

func TestALockOfAnotherDayShowsTheDay(t *testing.T) {
	e := &sqlite.LockedError{Path: "/x.db", PID: 812, Since: time.Date(2026, 1, 2, 9, 0, 0, 0, time.Local)}
	if !strings.Contains(e.Error(), "(pid 812, since 2026-01-02 09:00)") {
		t.Error(e)
	}
	if e := (&sqlite.LockedError{Path: "/x.db"}); !strings.Contains(e.Error(), "(pid unknown)") {
		t.Error(e)
	}
}

func TestALockFileThatWasLeftBehindDoesNotLock(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path+".lock", []byte("1 2026-01-02T09:00:00Z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, sqlite.Options{Path: path})
}

func TestAFailedOpenReleasesTheLock(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := sqlite.Open(t.Context(), sqlite.Options{Path: path})
		var locked *sqlite.LockedError
		if err == nil || errors.As(err, &locked) {
			t.Fatalf("got %v", err)
		}
	}
}
