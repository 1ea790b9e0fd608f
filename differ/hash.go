package differ

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hasher computes the keyed hashes of one store. It is not safe for concurrent use: each worker has its own. Hashers of
// the same seed agree.
type Hasher struct{ seed Seed }

// NewHasher makes a Hasher.
func NewHasher(seed Seed) *Hasher { return &Hasher{seed: seed} }

func (h *Hasher) sum(b []byte) Hash {
	s := sha256.Sum256(append(h.seed[:], b...))
	return Hash(s[:16])
}

// Key hashes the text of a key.
func (h *Hasher) Key(key []byte) Hash { return h.sum(key) }

// Raw hashes a record as it came.
func (h *Hasher) Raw(record []byte) uint64 {
	s := h.sum(record)
	return binary.LittleEndian.Uint64(s[:])
}

// Canon hashes the canonical form of a record, a valid JSON text.
func (h *Hasher) Canon(s *Shape, record []byte) uint64 { return h.Raw(s.AppendCanonical(nil, record)) }
