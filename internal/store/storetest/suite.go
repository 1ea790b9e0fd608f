// Package storetest is the promise of a store as an executable suite. Every backend runs it; a promise that a test here
// does not hold is not one that the daemon may rely on.
//
// Mutants are stores that break one promise each. RunMutants shows that the suite notices.
package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/store"
)

// T is what the suite needs of a *testing.T.
type T interface {
	Helper()
	Context() context.Context
	TempDir() string
	Cleanup(f func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Backend is a place for one store, empty at first.
type Backend interface {
	// Open opens the store. Called again after Close it finds what was there.
	Open(t T) store.Store
	// Pass lets the store's clock go on by d.
	Pass(t T, d time.Duration)
}

// Fresh makes an empty place for one test.
type Fresh func(t T) Backend

// Promise is a group of tests that hold one promise of the contract.
type Promise string

// The promises that a store has a part in.
const (
	Atomic      Promise = "P1 atomic"
	AtLeastOnce Promise = "P2 at least once"
	Identity    Promise = "P3 stable identity and fixed bytes"
	Order       Promise = "P4 order per record"
	Memory      Promise = "P8 exact data"
	Secrecy     Promise = "P11 secrets stay home"
	Retention   Promise = "P10 edits keep state"
	Ownership   Promise = "ownership"
	Merge       Promise = "merging what waits"
	Batches     Promise = "batches"
	Limits      Promise = "shared limits"
)

// test is one sentence of a promise.
type test struct {
	name string
	body func(w *world)
}

// promises lists the tests, in the order in which they are worth reading.
func promises() []struct {
	Promise
	tests []test
} {
	return []struct {
		Promise
		tests []test
	}{
		{Atomic, atomicTests()},
		{AtLeastOnce, atLeastOnceTests()},
		{Identity, identityTests()},
		{Order, orderTests()},
		{Memory, memoryTests()},
		{Secrecy, vaultTests()},
		{Retention, slices.Concat(retentionTests(), forgetTests())},
		{Ownership, ownershipTests()},
		{Merge, mergeTests()},
		{Batches, batchTests()},
		{Limits, limitTests()},
	}
}

// Run runs the whole suite.
func Run(t *testing.T, fresh Fresh) {
	t.Helper()
	RunOnly(t, fresh)
}

// RunOnly runs the tests of some promises; none: all.
func RunOnly(t *testing.T, fresh Fresh, only ...Promise) {
	t.Helper()
	for _, p := range promises() {
		if len(only) > 0 && !slices.Contains(only, p.Promise) {
			continue
		}
		t.Run(string(p.Promise), func(t *testing.T) {
			for _, one := range p.tests {
				t.Run(one.name, func(t *testing.T) { one.body(newWorld(t, fresh(t))) })
			}
		})
	}
}
