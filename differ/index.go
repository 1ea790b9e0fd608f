package differ

// Index is what is known of one source's records, in memory: about 40 bytes per record, without pointers. NewIndex makes one. It
// is not safe for concurrent use.
//
// A scan goes: Begin; See for each record of the listing; then Unseen and Returned. What a scan finds is applied with Set,
// SetRaw, SetMissing and Remove once it is committed. A record that is not known stays Unknown, however often it is seen: who
// adds records must look for repeats among them.
type Index struct {
	slabs []slab
	table slots
	n     int
	hint  int // where the next record is when the listing has the order of the entries
	order order
}

// slab holds entries that stand side by side; all but the last are full.
type slab struct {
	entries []entry
	marks   []uint8 // seenMark and the missing count
}

type entry struct {
	hash  Hash
	print Print
}

const (
	slabBits = 12
	slabSize = 1 << slabBits

	seenMark   = 0x80
	maxMissing = 0x7f
)

// Sighting is what Index.See says of a record.
type Sighting uint8

// The sightings.
const (
	Unknown Sighting = iota // there is no such record
	Same                    // the record is known and its bytes are as they were
	Differs                 // the record is known, its bytes differ: compare the canonical hash
	Again                   // the record was already seen in this scan
)

// NewIndex makes an index that has room for the expected number of records.
func NewIndex(expected int) *Index {
	x := &Index{}
	x.table.make(expected)
	return x
}

// Len is the number of records.
func (x *Index) Len() int { return x.n }

// Bytes is the memory that the index holds.
func (x *Index) Bytes() int {
	const entrySize, markSize = 32, 1
	bytes := x.table.bytes() + cap(x.order.noted)*4
	for i := range x.slabs {
		bytes += cap(x.slabs[i].entries)*entrySize + cap(x.slabs[i].marks)*markSize
	}
	return bytes
}

// Put adds or replaces what is known of a record; it does not count as seen. Missing is the number of complete scans in a
// row that lacked it, kept up to 127.
func (x *Index) Put(hash Hash, p Print, missing int) { x.put(hash, p, missingMark(missing)) }

// Set adds a record or replaces its fingerprint, marks it as seen in this scan and clears its missing count.
func (x *Index) Set(hash Hash, p Print) { x.put(hash, p, seenMark) }

// SetRaw replaces the raw hash of a known record, whose bytes changed but not what they mean.
func (x *Index) SetRaw(hash Hash, raw uint64) {
	if pos := x.find(hash); pos >= 0 {
		x.entry(pos).print.Raw = raw
	}
}

// SetMissing sets the missing count of a known record, up to 127.
func (x *Index) SetMissing(hash Hash, missing int) {
	if pos := x.find(hash); pos >= 0 {
		mark := x.mark(pos)
		*mark = *mark&seenMark | missingMark(missing)
	}
}

// Get gives what is known of a record.
func (x *Index) Get(hash Hash) (p Print, missing int, ok bool) {
	pos := x.find(hash)
	if pos < 0 {
		return Print{}, 0, false
	}
	return x.entry(pos).print, int(*x.mark(pos) & maxMissing), true
}

// Begin starts a scan: no record is seen any more. At times it also brings the entries into the order of the listing.
func (x *Index) Begin() {
	x.arrange()
	x.hint = 0
	for i := range x.slabs {
		marks := x.slabs[i].marks
		for k := range marks {
			marks[k] &^= seenMark
		}
	}
}

// See marks a record as seen in this scan and compares its raw hash with what is known. Unless the record is unknown, it
// gives the canonical hash that is known. It does not allocate.
func (x *Index) See(hash Hash, raw uint64) (s Sighting, canon uint64) {
	pos := x.hint
	if pos >= x.n || x.entry(pos).hash != hash {
		if pos = x.find(hash); pos < 0 {
			return Unknown, 0
		}
		x.order.misses++
	}
	x.hint = pos + 1
	e, mark := x.entry(pos), x.mark(pos)
	switch {
	case *mark&seenMark != 0:
		return Again, e.print.Canon
	case e.print.Raw == raw:
		s = Same
	default:
		s = Differs
	}
	*mark |= seenMark
	x.order.note(pos)
	return s, e.print.Canon
}

// Unseen calls yield for each record that was not seen since Begin, until it returns false. Meanwhile the index must not be
// changed, except by SetMissing and SetRaw.
func (x *Index) Unseen(yield func(hash Hash, p Print, missing int) bool) {
	x.each(yield, func(mark uint8) bool { return mark&seenMark == 0 })
}

// All calls yield for each record; the same rules as for Unseen hold.
func (x *Index) All(yield func(hash Hash, p Print, missing int) bool) {
	x.each(yield, func(uint8) bool { return true })
}

// Returned calls yield for each record that was seen since Begin although its missing count is not zero; the same rules as
// for Unseen hold.
func (x *Index) Returned(yield func(hash Hash, p Print, missing int) bool) {
	x.each(yield, func(mark uint8) bool { return mark > seenMark })
}

func (x *Index) each(yield func(Hash, Print, int) bool, wanted func(mark uint8) bool) {
	for _, s := range x.slabs {
		for k, mark := range s.marks {
			if wanted(mark) && !yield(s.entries[k].hash, s.entries[k].print, int(mark&maxMissing)) {
				return
			}
		}
	}
}

// Remove forgets a record and says whether it was known.
func (x *Index) Remove(hash Hash) bool {
	slot := x.slot(hash)
	if slot < 0 {
		return false
	}
	pos, last := x.table.pos(slot), x.n-1
	x.vacate(slot)
	x.order.forget()
	if pos != last {
		moved := x.entry(last)
		x.table.set(x.slot(moved.hash), moved.hash, pos)
		*x.entry(pos), *x.mark(pos) = *moved, *x.mark(last)
	}
	x.shrink()
	return true
}

func missingMark(missing int) uint8 { return uint8(min(max(missing, 0), maxMissing)) }

func (x *Index) entry(pos int) *entry { return &x.slabs[pos>>slabBits].entries[pos&(slabSize-1)] }

func (x *Index) mark(pos int) *uint8 { return &x.slabs[pos>>slabBits].marks[pos&(slabSize-1)] }

func (x *Index) put(hash Hash, p Print, mark uint8) {
	if pos := x.find(hash); pos >= 0 {
		x.entry(pos).print, *x.mark(pos) = p, mark
		return
	}
	if mark == seenMark {
		x.order.note(x.n)
	}
	x.append(entry{hash: hash, print: p}, mark)
	if x.n > x.table.room() {
		x.rebuild(x.n + x.n/4)
		return
	}
	x.table.set(x.vacancy(hash), hash, x.n-1)
}

// append adds an entry at the end. The first slab grows as it needs, for there are many small sources.
func (x *Index) append(e entry, mark uint8) {
	if x.n == len(x.slabs)<<slabBits {
		s := slab{}
		if x.n > 0 {
			s = slab{make([]entry, 0, slabSize), make([]uint8, 0, slabSize)}
		}
		x.slabs = append(x.slabs, s)
	}
	s := &x.slabs[len(x.slabs)-1]
	s.entries, s.marks = append(s.entries, e), append(s.marks, mark)
	x.n++
}

// shrink takes the last entry off.
func (x *Index) shrink() {
	x.n--
	s := &x.slabs[len(x.slabs)-1]
	s.entries, s.marks = s.entries[:len(s.entries)-1], s.marks[:len(s.marks)-1]
	if len(s.entries) == 0 {
		*s = slab{}
		x.slabs = x.slabs[:len(x.slabs)-1]
	}
	const sparse = 4
	if x.n < x.table.room()/sparse {
		x.rebuild(x.n + x.n/4)
	}
}
