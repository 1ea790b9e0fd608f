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

// RunMutants runs each mutant of the backend against the test that must notice it, and that test against the backend as it
// is, in the same way.
func RunMutants(t *testing.T, fresh Fresh) {
	t.Helper()
	tests, held := map[string]test{}, map[string]Promise{}
	for _, p := range promises() {
		for _, one := range p.tests {
			tests[one.name], held[one.name] = one, p.Promise
		}
	}
	sound := map[string]bool{}
	for _, m := range Mutants() {
		t.Run(string(held[m.By])+"/"+m.Name, func(t *testing.T) {
			one, ok := tests[m.By]
			if !ok {
				t.Fatalf("there is no test %q", m.By)
			}
			if !sound[one.name] {
				for _, failure := range record(t, fresh, one) {
					t.Errorf("without the mutation: %s: %s", one.name, failure)
				}
				sound[one.name] = true
			}
			failures := record(t, m.of(fresh), one)
			if len(failures) == 0 {
				t.Fatalf("%q did not notice", one.name)
			}
			t.Logf("noticed by %q: %.300s", one.name, failures[0])
		})
	}
}
