package metrics

import (
	"bytes"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
)

// writeProcess writes what the process uses, under the names that exporters share. What the system does not tell is left out.
func writeProcess(p *page) {
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	for i, f := range []struct{ name, help string }{
		{"go_goroutines", "Number of goroutines."},
		{"go_memstats_heap_alloc_bytes", "Bytes of objects on the heap."},
		{"go_memstats_sys_bytes", "Bytes of memory that the Go runtime has from the system."},
	} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			p.family(f.name, gauge, f.help)
			p.sample(float64(samples[i].Value.Uint64()))
		}
	}
	if runtime.GOOS == "linux" {
		writeProc(p)
	}
}

// writeProc reads /proc/self, which is there with ProcSubset=pid too.
func writeProc(p *page) {
	if pages, ok := fieldOf("/proc/self/statm", 1); ok {
		p.family("process_resident_memory_bytes", gauge, "Resident memory in bytes.")
		p.sample(pages * float64(os.Getpagesize()))
	}
	const hertz = 100 // USER_HZ, which is the same on every Linux that Go runs on
	const utime, stime = 11, 12
	user, ok := fieldOf("/proc/self/stat", utime)
	system, too := fieldOf("/proc/self/stat", stime)
	if ok && too {
		p.family("process_cpu_seconds_total", counter, "User and system time in seconds.")
		p.sample((user + system) / hertz)
	}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		p.family("process_open_fds", gauge, "Number of open file descriptors.")
		p.sample(float64(len(files)))
	}
}

// fieldOf gives a number in a line of fields, see proc(5), counted from 0; of a line that begins with a number and a name in brackets,
// counted behind those.
func fieldOf(path string, i int) (float64, bool) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	if name := bytes.LastIndexByte(raw, ')'); name >= 0 {
		raw = raw[name+1:]
	}
	fields := bytes.Fields(raw)
	if i >= len(fields) {
		return 0, false
	}
	v, err := strconv.ParseFloat(string(fields[i]), 64)
	return v, err == nil
}
