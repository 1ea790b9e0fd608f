package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	modernc "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// placedError is an error that an operator can do something about: it names the file and the next step.
type placedError struct {
	path, hint string
	err        error
}

func (e *placedError) Error() string {
	if e.hint == "" {
		return fmt.Sprintf("store: %s: %v", e.path, e.err)
	}
	return fmt.Sprintf("store: %s: %v: %s", e.path, e.err, e.hint)
}

func (e *placedError) Unwrap() error { return e.err }

// place names the file in an error that does not name it yet.
func (s *Store) place(err error) error {
	var placed *placedError
	var locked *LockedError
	if err == nil || errors.As(err, &placed) || errors.As(err, &locked) {
		return err
	}
	return &placedError{path: s.path, err: err}
}

// explain adds place and next step to an error of SQLite that an operator can do something about. Other errors pass.
func (s *Store) explain(err error) error {
	var e *modernc.Error
	if !errors.As(err, &e) {
		return err
	}
	if hotJournal(err) {
		return &placedError{path: s.path, err: err, hint: "the first start was cut short; start deltahook run once"}
	}
	if hint := hintFor(e.Code() & 0xff); hint != "" {
		return &placedError{path: s.path, err: err, hint: hint}
	}
	return err
}

// hotJournal says that a crash left a transaction half written, which only a writer can take back.
func hotJournal(err error) bool {
	var e *modernc.Error
	return errors.As(err, &e) && e.Code() == codes.SQLITE_READONLY_ROLLBACK
}

const damagedHint = "the file is damaged; put a backup in its place (deltahook backup makes them), or move it away and start anew with a baseline " +
	"(sqlite3 FILE .recover may save its content)"

func hintFor(code int) string {
	switch code {
	case codes.SQLITE_NOTADB:
		return "point store.url at another file, or move this one away"
	case codes.SQLITE_CORRUPT:
		return damagedHint
	case codes.SQLITE_FULL:
		return "nothing is lost; free some space; a running deltahook goes on by itself"
	case codes.SQLITE_IOERR:
		return "the disk failed or is full; see the system log"
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return "another program holds the database; end its transaction (sqlite3, a backup tool?)"
	case codes.SQLITE_CANTOPEN, codes.SQLITE_PERM, codes.SQLITE_READONLY, codes.SQLITE_AUTH:
		return "run deltahook as a user who may read and write the file and its folder, or use a different store.url"
	}
	return ""
}

// pathError says what is wrong with the folder of a path and what to do.
func pathError(path string, err error) error {
	dir := filepath.Dir(path)
	e := &placedError{path: path, err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.hint = fmt.Sprintf("create the folder %s, or use a different store.url", dir)
	case errors.Is(err, syscall.ENOTDIR):
		e.hint = dir + " is not a folder; use a different store.url"
	case errors.Is(err, syscall.EROFS):
		e.hint = fmt.Sprintf("mount %s writable, or use a different store.url", dir)
	case errors.Is(err, fs.ErrPermission):
		e.hint = fmt.Sprintf("run deltahook as the owner of %s, or use a different store.url", dir)
	case errors.Is(err, syscall.EISDIR):
		e.hint = "this is a folder; name a file in store.url"
	}
	return e
}
