package poller

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// aside is the body of a page that can be set aside: what is left of it is read at once and kept, in memory or in a file without a name.
// While the details of its records are asked for, its own time limit and its turn at the host would run on.
type aside struct {
	io.Reader

	dir  string
	done bool
	file *os.File
}

// setAside reads what is left. An error of reading comes where it came, when the page is read on.
func (a *aside) setAside() error {
	if a == nil || a.done {
		return nil
	}
	a.done = true
	const inMemory = 1 << 20
	var head bytes.Buffer
	_, err := io.CopyN(&head, a.Reader, inMemory)
	rest := io.MultiReader(&head, broken{err})
	if err == nil {
		if rest, err = a.spill(); err != nil {
			return err
		}
		rest = io.MultiReader(&head, rest)
	}
	a.Reader = rest
	return nil
}

func (a *aside) spill() (io.Reader, error) {
	f, err := os.CreateTemp(a.dir, "deltahook-page-*")
	if err != nil {
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	// On systems that cannot remove an open file, close does.
	_ = os.Remove(f.Name())
	a.file = f
	from := &failed{Reader: a.Reader}
	_, err = io.Copy(f, from)
	if err != nil && from.err == nil {
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("temporary file: %w", err)
	}
	return io.MultiReader(f, broken{from.err}), nil
}

func (a *aside) close() {
	if a.file != nil {
		_ = a.file.Close()
		_ = os.Remove(a.file.Name())
	}
}

// failed remembers how what it reads has failed.
type failed struct {
	io.Reader

	err error
}

func (f *failed) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// broken fails, or ends when there is no error.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) {
	if b.err == nil {
		return 0, io.EOF
	}
	return 0, b.err
}
