package emitter

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// crockford is Crockford's base 32: no I, L, O or U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewID makes "evt_" and 26 characters in the layout of a ULID: 48 bits of milliseconds and 80 bits of the SHA-256 of the
// parts. It holds no dot, which would break the signed content of Standard Webhooks. Ids sort by at.
func NewID(at time.Time, parts ...[]byte) string {
	sum := digest(parts)
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], uint64(at.UnixMilli())<<16)
	copy(raw[6:], sum[:10])
	return "evt_" + string(encodeID(raw))
}

// digest hashes the parts with their lengths, so that moving a byte from one part to the next makes another id.
func digest(parts [][]byte) [sha256.Size]byte {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		_, _ = h.Write(n[:])
		_, _ = h.Write(p)
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// encodeID writes 128 bits as 26 characters of 5 bits, the first of which carries 3.
func encodeID(raw [16]byte) []byte {
	hi, lo := binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
	out := make([]byte, 26)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return out
}
