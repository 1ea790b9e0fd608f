//go:build !linux

package pgtest

import (
	"errors"
	"time"
)

// CPU is known on Linux only.
func (*Server) CPU() (time.Duration, error) { return 0, errors.ErrUnsupported }
