package systemd

import "golang.org/x/sys/unix"

// monotonicMicros is CLOCK_MONOTONIC, by which the manager tells the answer to its request to reload from an older one.
func monotonicMicros() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano() / 1000
}
