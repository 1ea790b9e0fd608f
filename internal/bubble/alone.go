//go:build !race || go1.27

package bubble

// alone is there for the race detector of Go 1.26.
func alone() (end func()) { return func() {} }
