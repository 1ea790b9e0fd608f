//go:build !linux

package systemd

import "io/fs"

// monotonicMicros is for systemd, which is on Linux only.
func monotonicMicros() int64 { return 0 }

func identity(fs.FileInfo) (device, inode uint64, ok bool) { return 0, 0, false }
