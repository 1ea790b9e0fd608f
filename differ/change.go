// Package differ turns bytes into changes: it cuts records out of an answer, identifies them by their key, compares them
// canonically with what is known, and says what was created, updated or deleted and which paths changed.
//
// It is pure: no network, no files, no clock.
package differ

// Kind says what happened to a record.
type Kind uint8

// The kinds of change. Snapshot is a current record that is not news (a backfill).
const (
	Created Kind = iota + 1
	Updated
	Deleted
	Snapshot
)

// String gives the word that stands in an event: "created", "updated", "deleted", "snapshot".
func (k Kind) String() string {
	switch k {
	case Created:
		return "created"
	case Updated:
		return "updated"
	case Deleted:
		return "deleted"
	case Snapshot:
		return "snapshot"
	}
	return "unknown"
}

// Change is one difference between what is known and what upstream shows.
type Change struct {
	Kind   Kind
	Key    string // as in the event: text of the key, or the JSON array of the parts of a composite key
	Record []byte // the record as upstream sent it (after fields); for Deleted the last known one
	// Delta is set for Updated only.
	Delta Delta
}

// Delta tells how a record changed.
type Delta struct {
	Previous []byte   // JSON object: old value at each changed path that existed before, in the order of the old record
	Changed  []string // all changed paths, sorted; gjson paths, arrays change as a whole
}

// Hash identifies a key inside a store: a keyed 128-bit hash of the key's text.
type Hash [16]byte

// Print is the fingerprint of a record. Raw is over the bytes as they came, Canon over the canonical form; both are keyed
// hashes, so that upstream cannot provoke a collision.
type Print struct {
	Raw   uint64
	Canon uint64
}

// Seed is the secret that keys all hashes of one store. It is made once, when the store is.
type Seed [32]byte
