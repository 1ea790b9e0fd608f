//go:build unix

package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockExclusively locks the open file until it is closed; the kernel does that when the process dies.
func lockExclusively(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLocked
	}
	return err
}

// adopt gives a file that root has made to the owner of another one, so that a command run by root does not shut the
// daemon's user out. A root that may not do that leaves it.
func adopt(name, like string) {
	var st unix.Stat_t
	if os.Geteuid() == 0 && unix.Stat(like, &st) == nil {
		_ = os.Lchown(name, int(st.Uid), int(st.Gid))
	}
}
