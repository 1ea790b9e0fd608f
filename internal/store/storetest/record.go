package storetest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// recorder is a T that only remembers what failed, so that a suite that must fail can be run inside a test that passes.
type recorder struct {
	t *testing.T

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.t.Context() }
func (r *recorder) TempDir() string          { return r.t.TempDir() }

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// record runs one test against a fresh place and gives what failed. A panic and a test that hangs are failures too.
func record(t *testing.T, fresh Fresh, one test) []string {
	t.Helper()
	r := &recorder{t: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.clean()
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		one.body(newWorld(r, fresh(r)))
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		r.Errorf("still running after a minute")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures
}

func (r *recorder) clean() {
	for _, f := range slices.Backward(r.cleanups) {
		f()
	}
}

// RunMutants runs each mutant of the backend against the tests of the promise that it breaks. At least one of them must
// fail; and all of them must pass, run in the same way, with the backend as it is.
func RunMutants(t *testing.T, fresh Fresh) {
	t.Helper()
	tests := map[Promise][]test{}
	for _, p := range promises() {
		tests[p.Promise] = p.tests
	}
	for _, p := range promises() {
		t.Run("sound/"+string(p.Promise), func(t *testing.T) {
			for _, one := range p.tests {
				for _, failure := range record(t, fresh, one) {
					t.Errorf("%s: %s", one.name, failure)
				}
			}
		})
	}
	for _, m := range Mutants() {
		t.Run(string(m.Promise)+"/"+m.Name, func(t *testing.T) {
			for _, one := range tests[m.Promise] {
				if m.by != "" && m.by != one.name {
					continue
				}
				if failures := record(t, m.of(fresh), one); len(failures) > 0 {
					t.Logf("noticed by %q: %.300s", one.name, failures[0])
					return
				}
			}
			t.Errorf("the suite did not notice")
		})
	}
}
