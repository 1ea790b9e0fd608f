package differ

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Hasher computes the keyed hashes of one store. Hashers of the same seed agree, on every machine and for ever: the hashes are
// stored. A Hasher has scratch memory of its own: it is not safe for concurrent use, each worker has one.
//
// The hash is the tag of AES-GCM over the bytes as additional data (GMAC, NIST SP 800-38D), with a key that HKDF derives
// from the seed. It is used as a universal hash, which is why one nonce is enough: somebody who does not know the seed cannot
// make two texts collide with a better chance than 2^-64 times the text's length in blocks. The hashes prove nothing to
// anybody else and must not be published.
type Hasher struct {
	gmac  cipher.AEAD
	nonce [12]byte
	tag   [16]byte
	tree  tree
	canon []byte
}

// NewHasher makes a Hasher.
func NewHasher(seed Seed) *Hasher {
	const keySize = 16
	key, err := hkdf.Key(sha256.New, seed[:], nil, "deltahook record hashes 1", keySize)
	if err != nil {
		panic(fmt.Sprintf("hkdf refuses %d bytes: %v", keySize, err))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(fmt.Sprintf("aes refuses a key of %d bytes: %v", keySize, err))
	}
	gmac, err := cipher.NewGCM(block)
	if err != nil {
		panic(fmt.Sprintf("gcm refuses aes: %v", err))
	}
	return &Hasher{gmac: gmac}
}

func (h *Hasher) sum(b []byte) Hash {
	return Hash(h.gmac.Seal(h.tag[:0], h.nonce[:], nil, b))
}

func (h *Hasher) sum64(b []byte) uint64 {
	return binary.BigEndian.Uint64(h.gmac.Seal(h.tag[:0], h.nonce[:], nil, b))
}

// Key hashes the text of a key.
func (h *Hasher) Key(key []byte) Hash { return h.sum(key) }

// Raw hashes a record as it came.
func (h *Hasher) Raw(record []byte) uint64 { return h.sum64(record) }

// Canon hashes the canonical form of a record, a valid JSON text; see Shape.AppendCanonical.
func (h *Hasher) Canon(s *Shape, record []byte) uint64 {
	h.tree.parse(s, record)
	h.canon = h.tree.append(h.canon[:0], h.tree.root())
	sum := h.sum64(h.canon)
	h.tree.trim()
	if cap(h.canon) > scratchLimit {
		h.canon = nil
	}
	return sum
}

// scratchLimit is the size up to which scratch memory is kept for the next record.
const scratchLimit = 1 << 20
