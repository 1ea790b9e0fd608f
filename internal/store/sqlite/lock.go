package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// LockedError says that another process has the store open for writing.
type LockedError struct {
	Path  string
	PID   int       // 0 when the other process did not say
	Since time.Time // zero when it did not say
}

// Error names the other process and the next step.
func (e *LockedError) Error() string {
	return fmt.Sprintf("store: %s is locked by another deltahook (%s): "+
		"two instances would send everything twice; stop the other one or use a different store.url", e.Path, e.holder())
}

// Holder says who has the store at path open for writing, with its process and since when; empty when nobody has, or nobody can tell.
func Holder(path string) string {
	path, err := behindLinks(path)
	if err != nil {
		return ""
	}
	f, err := os.Open(path + ".lock")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	if err := lockExclusively(f); !errors.Is(err, errLocked) {
		return ""
	}
	return heldBy(path, f).holder()
}

func (e *LockedError) holder() string {
	if e.PID == 0 {
		return "pid unknown"
	}
	layout := "15:04"
	if !sameDay(e.Since, time.Now()) {
		layout = "2006-01-02 15:04"
	}
	return fmt.Sprintf("pid %d, since %s", e.PID, e.Since.Local().Format(layout))
}

func sameDay(a, b time.Time) bool {
	return a.Local().Format(time.DateOnly) == b.Local().Format(time.DateOnly)
}

// lockFile is held by the one process that writes. The file stays when it is released: removing it would let two
// processes lock two files of one name.
type lockFile struct{ file *os.File }

var errLocked = errors.New("locked")

// acquireLock takes the lock of the database at path, or fails at once.
func acquireLock(path string, now time.Time) (*lockFile, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, pathError(path, err)
	}
	if err := lockExclusively(f); err != nil {
		if errors.Is(err, errLocked) {
			err = heldBy(path, f)
		} else {
			err = fmt.Errorf("store: %s.lock: %w", path, err)
		}
		return nil, errors.Join(err, f.Close())
	}
	l := &lockFile{f}
	if err := l.sign(now); err != nil {
		return nil, errors.Join(pathError(path, err), l.release())
	}
	return l, nil
}

// sign writes who holds the lock, for people and for the next one who wants it.
func (l *lockFile) sign(now time.Time) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt(fmt.Appendf(nil, "%d %s\n", os.Getpid(), now.UTC().Format(time.RFC3339)), 0)
	return err
}

func (l *lockFile) release() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

func heldBy(path string, f io.Reader) *LockedError {
	e := &LockedError{Path: path}
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return e
	}
	pid, since, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	number, err := strconv.Atoi(pid)
	if err != nil {
		return e
	}
	at, err := time.Parse(time.RFC3339, since)
	if err != nil {
		return e
	}
	e.PID, e.Since = number, at
	return e
}
