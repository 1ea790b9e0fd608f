package differ

import (
	"errors"
	"io"
)

// Options says what a Reader looks for.
type Options struct {
	Spec        Spec // Records, Key (for "@key") and Single are looked at
	MaxRecord   int  // bytes of the largest record; 0: 16 MiB
	MaxEnvelope int  // bytes of all that is not the list, and of a document that must be read whole; 0: 16 MiB
}

// Record is one record of an answer. Its slices are valid until the next call of Next.
type Record struct {
	Raw    []byte // the exact bytes
	Member []byte // the member's name, unescaped, when the list is an object of objects
}

// Reader cuts the records out of a JSON document while it passes. It validates the whole document (RFC 8259).
type Reader struct {
	src  io.Reader
	opts Options
}

// NewReader makes a Reader of one document.
func NewReader(src io.Reader, o Options) *Reader { return &Reader{src: src, opts: o} }

// Next gives the next record. It returns io.EOF after the last record once the whole document was read and is valid.
func (r *Reader) Next() (Record, error) { return Record{}, errors.ErrUnsupported }

// Envelope gives, once Next has returned io.EOF, *NotFoundError or *NotListError, the document with the list replaced by [].
func (r *Reader) Envelope() []byte { return nil }
