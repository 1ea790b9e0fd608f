package sqlite

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

// codec packs the bodies of records. Unpacking is safe for concurrent use; packing belongs to the writer.
type codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
	packed  []byte // reused by pack
}

func newCodec() (*codec, error) {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithSingleSegment(true))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return &codec{encoder: e, decoder: d}, nil
}

func (c *codec) close() { c.decoder.Close() }

// pack gives the stored form of a body: compressed when that is smaller. It is valid until the next call. A nil body is
// packed to nil: nothing is stored.
func (c *codec) pack(body []byte) []byte {
	if body == nil {
		return nil
	}
	if len(body) >= smallestCompressed {
		c.packed = c.encoder.EncodeAll(body, append(c.packed[:0], zstdBody))
		if len(c.packed) <= len(body) {
			return c.packed
		}
	}
	c.packed = append(append(c.packed[:0], plainBody), body...)
	return c.packed
}

var errBody = errors.New("a stored body is damaged")

// unpack appends the body to dst. The result is nil only with an error.
func (c *codec) unpack(dst, stored []byte) ([]byte, error) {
	if len(stored) == 0 {
		return nil, errBody
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
			return nil, fmt.Errorf("%w: %w", errBody, err)
		}
		return body, nil
	}
	return nil, errBody
}
