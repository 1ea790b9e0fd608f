package pgtest

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is what /proc counts in, on every machine that Linux runs on today.
const tick = 10 * time.Millisecond

// CPU gives the processor time, user and system, that all processes of the server have used, those that have ended included.
func (s *Server) CPU() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	head, _, _ := bytes.Cut(text, []byte("\n"))
	postmaster := string(head)
	total := ticks(postmaster, true)
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range stats {
		pid := filepath.Base(filepath.Dir(path))
		if fields := statOf(pid); len(fields) > 1 && fields[1] == postmaster {
			total += ticks(pid, false)
		}
	}
	return time.Duration(total) * tick, nil
}

// statOf gives the fields of a process from its state on; see proc(5).
func statOf(pid string) []string {
	text, err := os.ReadFile("/proc/" + pid + "/stat") //nolint:gosec // numbers
	if err != nil {
		return nil // it has ended
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.Fields(rest)
}

// ticks gives the time of a process, with that of its children that have ended if asked for.
func ticks(pid string, children bool) int64 {
	fields := statOf(pid)
	const utime = 11 // and stime, cutime, cstime
	n := utime + 2
	if children {
		n += 2
	}
	var sum int64
	for i := utime; i < n && i < len(fields); i++ {
		v, _ := strconv.ParseInt(fields[i], 10, 64)
		sum += v
	}
	return sum
}
