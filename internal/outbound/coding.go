package outbound

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// acceptedCodings is what is asked for, the best first.
const acceptedCodings = "zstd, br, gzip, deflate"

// decompress undoes the codings of a Content-Encoding header (RFC 9110, 8.4). At most most bytes come out; 0 is no limit. A coding
// that is not known fails the first Read: the status of such an answer can be used all the same.
func decompress(r io.Reader, header string, most int64) io.Reader {
	var codings []*coding
	for name := range strings.SplitSeq(header, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		open, err := opener(name)
		if err != nil {
			return failing{&encodingError{coding: name, cause: err}}
		}
		if open != nil {
			codings = append(codings, &coding{name: name, open: open})
		}
	}
	const deepest = 4
	if len(codings) > deepest {
		return failing{&encodingError{coding: header, cause: errManyCodings}}
	}
	for i, c := range slices.Backward(codings) {
		c.src.src = r
		if r = c; i > 0 && most > 0 {
			const slack = 32 << 10
			r = limit(r, 2*most+slack) // what is still coded may be larger than its content, but not by much
		}
	}
	return limit(r, most)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// encodingError says that a content coding cannot be undone.
type encodingError struct {
	coding    string // as in the header
	truncated bool   // the compressed data end too early
	cause     error
}

var (
	errUnknownCoding = errors.New("it is none of gzip, deflate, br and zstd")
	errManyCodings   = errors.New("that is one over the other too often")
	errTrailing      = errors.New("there are more data after its end")
)

// Error names the coding and what is wrong.
func (e *encodingError) Error() string {
	if e.truncated {
		return fmt.Sprintf("the answer was cut off: its %s data have no end", e.coding)
	}
	return fmt.Sprintf("the answer with content-encoding %q cannot be read: %s", e.coding, e.cause)
}

// Unwrap gives the reason; io.ErrUnexpectedEOF when the data are truncated.
func (e *encodingError) Unwrap() error {
	if e.truncated {
		return io.ErrUnexpectedEOF
	}
	return e.cause
}

// opener gives the decompressor of a coding, nil when there is nothing to undo.
func opener(name string) (func(*bufio.Reader) (io.Reader, error), error) {
	switch name {
	case "", "identity", "none", "binary", "8bit", "utf-8", "utf8": // the latter are no codings, but servers send them
		return nil, nil //nolint:nilnil // nothing to undo
	case "gzip", "x-gzip":
		return func(r *bufio.Reader) (io.Reader, error) { return gzip.NewReader(r) }, nil
	case "deflate":
		return inflate, nil
	case "br":
		return func(r *bufio.Reader) (io.Reader, error) { return brotli.NewReader(r), nil }, nil
	case "zstd":
		return unzstd, nil
	}
	return nil, errUnknownCoding
}

// inflate reads zlib data, which is what deflate means, or the raw ones that some servers send instead.
func inflate(r *bufio.Reader) (io.Reader, error) {
	const (
		headSize   = 2
		methodMask = 0x0f
		method     = 8
		checkBase  = 31
	)
	head, err := r.Peek(headSize)
	if err != nil {
		return nil, err
	}
	if head[0]&methodMask == method && (int(head[0])<<8|int(head[1]))%checkBase == 0 { // RFC 1950, 2.2
		return zlib.NewReader(r)
	}
	return flate.NewReader(r), nil
}

// unzstd holds a window of at most 8 MiB, the most that RFC 9659 allows to ask for.
func unzstd(r *bufio.Reader) (io.Reader, error) {
	const window = 8 << 20
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(window))
}

// coding undoes one coding.
type coding struct {
	name string
	open func(*bufio.Reader) (io.Reader, error)
	src  source
	in   *bufio.Reader // reads src; nil until the first Read
	r    io.Reader
	err  error
}

func (c *coding) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.in == nil {
		if c.err = c.begin(); c.err != nil {
			return 0, c.err
		}
	}
	n, err := c.r.Read(p)
	switch {
	case err == io.EOF: //nolint:errorlint // the contract of io.Reader
		err = c.finish()
	case err != nil:
		err = c.failure(err)
	}
	c.err = err
	return n, err
}

func (c *coding) begin() error {
	c.in = bufio.NewReader(&c.src)
	_, err := c.in.Peek(1) // not every decompressor takes no data at all for an error
	if err == nil {
		c.r, err = c.open(c.in)
	}
	if err != nil {
		return c.failure(err)
	}
	return nil
}

// finish looks for data after the end, which would be a part of the answer that nobody reads.
func (c *coding) finish() error {
	switch _, err := c.in.Peek(1); {
	case err == nil:
		return &encodingError{coding: c.name, cause: errTrailing}
	case c.src.err != nil:
		return c.src.err
	}
	return io.EOF
}

// failure tells an error of the source from one of the decompressor.
func (c *coding) failure(err error) error {
	switch {
	case c.src.err != nil:
		return c.src.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &encodingError{coding: c.name, truncated: true}
	}
	return &encodingError{coding: c.name, cause: err}
}

// source remembers how what it reads has failed.
type source struct {
	src io.Reader
	err error // not io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.src.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
