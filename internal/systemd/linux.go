//go:build linux

package systemd

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// monotonicMicros is CLOCK_MONOTONIC, by which the manager tells the answer to its request to reload from an older one.
func monotonicMicros() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano() / 1000
}

// identity gives device and inode.
func identity(info fs.FileInfo) (device, inode uint64, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return uint64(s.Dev), s.Ino, true //nolint:unconvert // it is smaller on some machines
}
