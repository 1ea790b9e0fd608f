package differ

import (
	"encoding/binary"
	"math/bits"
)

// slots is the hash table of an Index: open addressing with linear probing, filled up to seven eighths. A slot has a tag of
// the hash, so that a probe seldom goes to an entry in vain, and the entry's position. The number of slots is not a power of
// two: growing by a quarter costs little, and less than doubling at the peak.
type slots struct {
	tags []uint8 // 0: the slot is free
	poss []uint32
}

// make sizes the table for n entries and empties it.
func (t *slots) make(n int) {
	const least = 8
	size := max(n+n/7+1, least)
	*t = slots{} // the old table may go before the new one comes
	*t = slots{tags: make([]uint8, size), poss: make([]uint32, size)}
}

// room is how many entries the table may have.
func (t *slots) room() int { return len(t.tags) - len(t.tags)/8 }

func (t *slots) bytes() int { return cap(t.tags) + 4*cap(t.poss) }

func (t *slots) pos(slot int) int { return int(t.poss[slot]) }

func (t *slots) set(slot int, hash Hash, pos int) {
	t.tags[slot], t.poss[slot] = tagOf(hash), uint32(pos) //nolint:gosec // four thousand million records do not fit into memory
}

// home is where the search for a hash begins.
func (t *slots) home(hash Hash) int {
	hi, _ := bits.Mul64(binary.BigEndian.Uint64(hash[:]), uint64(len(t.tags)))
	return int(hi) //nolint:gosec // below len(t.tags)
}

func (t *slots) after(slot int) int {
	if slot++; slot == len(t.tags) {
		return 0
	}
	return slot
}

// tagOf takes a part of the hash that home does not depend on.
func tagOf(hash Hash) uint8 { return max(hash[len(hash)-1], 1) }

// find gives the position of a record, or -1.
func (x *Index) find(hash Hash) int {
	if slot := x.slot(hash); slot >= 0 {
		return x.table.pos(slot)
	}
	return -1
}

// slot gives the slot of a record, or -1.
func (x *Index) slot(hash Hash) int {
	t, tag := &x.table, tagOf(hash)
	for slot := t.home(hash); t.tags[slot] != 0; slot = t.after(slot) {
		if t.tags[slot] == tag && x.entry(t.pos(slot)).hash == hash {
			return slot
		}
	}
	return -1
}

// vacancy gives the free slot for a record that is not in the table.
func (x *Index) vacancy(hash Hash) int {
	slot := x.table.home(hash)
	for x.table.tags[slot] != 0 {
		slot = x.table.after(slot)
	}
	return slot
}

// vacate frees a slot and closes the gap: whatever was put behind it because it was taken moves up.
func (x *Index) vacate(gap int) {
	t := &x.table
	size := len(t.tags)
	for slot := t.after(gap); t.tags[slot] != 0; slot = t.after(slot) {
		home := t.home(x.entry(t.pos(slot)).hash)
		if (slot-home+size)%size >= (slot-gap+size)%size {
			t.tags[gap], t.poss[gap] = t.tags[slot], t.poss[slot]
			gap = slot
		}
	}
	t.tags[gap] = 0
}

// rebuild makes the table anew, for n entries.
func (x *Index) rebuild(n int) {
	x.table.make(n)
	for pos := range x.n {
		hash := x.entry(pos).hash
		x.table.set(x.vacancy(hash), hash, pos)
	}
}
