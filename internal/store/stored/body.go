// Package stored is how both stores write down what is not a column: bodies of records, states of sources, fingerprints.
package stored

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// A stored body starts with one byte that says how the rest is written.
const (
	plainBody = 0 // as it is
	zstdBody  = 1 // one zstd frame
)

// Below this size a frame saves too little for the time it takes.
const smallestCompressed = 512

// Codec packs the bodies of records. It is safe for concurrent use.
type Codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// NewCodec makes a codec.
func NewCodec() (*Codec, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &Codec{encoder: e, decoder: d}, nil
}

// Close ends its goroutines.
func (c *Codec) Close() { c.decoder.Close() }

// Pack appends the stored form of a body to dst: compressed when that is smaller. A nil body is packed to nil: nothing is
// stored.
func (c *Codec) Pack(dst, body []byte) []byte {
	if body == nil {
		return nil
	}
	start := len(dst)
	if len(body) >= smallestCompressed {
		packed := c.encoder.EncodeAll(body, append(dst, zstdBody))
		if len(packed)-start <= len(body) {
			return packed
		}
		dst = packed[:start]
	}
	return append(append(dst, plainBody), body...)
}

// ErrBody says that what is stored is no body.
var ErrBody = errors.New("a stored body is damaged")

// Unpack appends the body to dst. The result is nil only with an error.
func (c *Codec) Unpack(dst, stored []byte) ([]byte, error) {
	if len(stored) == 0 {
		return nil, ErrBody
	}
	if dst == nil {
		dst = []byte{}
	}
	switch stored[0] {
	case plainBody:
		return append(dst, stored[1:]...), nil
	case zstdBody:
		body, err := c.decoder.DecodeAll(stored[1:], dst)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrBody, err)
		}
		return body, nil
	}
	return nil, ErrBody
}
