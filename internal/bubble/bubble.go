// Package bubble runs tests in virtual time, see testing/synctest.
package bubble

import (
	"testing"
	"testing/synctest"
)

// Test is synctest.Test. Under the race detector the bubble may have one processor only, see alone.
func Test(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer alone()()
	synctest.Test(t, f)
}
