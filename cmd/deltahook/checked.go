package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// checked remembers that something could not be written. A command whose output is lost, on a full disk say, has failed, also when
// it did not look.
type checked struct {
	w io.Writer

	mu  sync.Mutex
	err error // the first one
}

func (c *checked) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.err == nil {
			c.err = err
		}
	}
	return n, err
}

// lost gives what a command ends with: err, unless all that went wrong is its output.
func (c *checked) lost(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil || err != nil && !errors.Is(err, c.err) {
		return err
	}
	return failure(fmt.Errorf("the output cannot be written: %w", c.err))
}
