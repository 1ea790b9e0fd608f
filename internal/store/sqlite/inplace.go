package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// opened are the files that this process works on. Once others stand under their names, or none, whatever is written to them is
// gone with the process, and nobody would notice before.
type opened struct{ file, wal, lock os.FileInfo }

// remember notes the files as they are now. From then on inPlace looks whether they are where they were.
func (s *Store) remember() (err error) {
	var o opened
	if o.file, err = os.Stat(s.path); err != nil {
		return pathError(s.path, err)
	}
	if o.wal, err = os.Stat(s.path + "-wal"); err != nil {
		return pathError(s.path+"-wal", err)
	}
	if o.lock, err = s.lock.file.Stat(); err != nil {
		return pathError(s.path+".lock", err)
	}
	s.opened = &o
	return nil
}

// inPlace refuses a write to files that are not where they were. It is called by whoever has the writer.
func (s *Store) inPlace() error {
	if s.opened == nil {
		return nil
	}
	if err := moved(s.path, s.opened.file); err != nil {
		return &placedError{path: s.path, err: err, hint: "nothing is written or sent any more; stop deltahook, put the file back, or a backup without -wal and -shm, and start"}
	}
	if err := moved(s.path+"-wal", s.opened.wal); err != nil {
		return &placedError{
			path: s.path + "-wal", err: err,
			hint: "nothing is written or sent any more; stop deltahook in good order (SIGTERM), which saves what it holds in the file, and start it",
		}
	}
	if moved(s.path+".lock", s.opened.lock) == nil {
		return nil
	}
	return s.lockAgain()
}

// moved says whether a name does not lead to an opened file any more.
func moved(path string, was os.FileInfo) error {
	switch is, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("the file was removed while deltahook works on it")
	case err != nil:
		return fmt.Errorf("the file cannot be found any more: %w", err)
	case !os.SameFile(is, was):
		return errors.New("the file was replaced while deltahook works on it")
	}
	return nil
}

// lockAgain takes the lock under its name when somebody has removed it, unless another deltahook has it now.
func (s *Store) lockAgain() error {
	l, err := acquireLock(s.path, s.now())
	if err != nil {
		return err
	}
	info, err := l.file.Stat()
	if err != nil {
		return errors.Join(err, l.release())
	}
	err = s.lock.file.Close()
	s.lock, s.opened.lock = l, info
	return err
}
