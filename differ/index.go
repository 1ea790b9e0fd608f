package differ

// Index is what is known of one source's records, in memory: about 40 bytes per record, no pointers. It is not safe for
// concurrent use.
type Index struct {
	m    map[Hash]*indexEntry
	scan uint64
}

type indexEntry struct {
	print   Print
	missing int
	scan    uint64
}

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
func NewIndex(expected int) *Index { return &Index{m: make(map[Hash]*indexEntry, expected)} }

// Put adds or replaces what is known of a record; it does not count as seen. Missing is the number of complete scans in a
// row that lacked it, kept up to 127.
func (x *Index) Put(hash Hash, p Print, missing int) {
	x.m[hash] = &indexEntry{print: p, missing: missing}
}

// Begin starts a scan: no record is seen any more.
func (x *Index) Begin() { x.scan++ }

// See marks a record as seen in this scan and compares its raw hash with what is known. The canonical hash that is known
// is returned with Differs and Again.
func (x *Index) See(hash Hash, raw uint64) (s Sighting, canon uint64) {
	e := x.m[hash]
	switch {
	case e == nil:
		return Unknown, 0
	case e.scan == x.scan:
		return Again, e.print.Canon
	}
	e.scan = x.scan
	if e.print.Raw == raw {
		return Same, e.print.Canon
	}
	return Differs, e.print.Canon
}

// Get gives what is known of a record.
func (x *Index) Get(hash Hash) (p Print, missing int, ok bool) {
	if e := x.m[hash]; e != nil {
		return e.print, e.missing, true
	}
	return Print{}, 0, false
}

// SetRaw replaces the raw hash of a known record, whose bytes changed but not what they mean.
func (x *Index) SetRaw(hash Hash, raw uint64) {
	if e := x.m[hash]; e != nil {
		e.print.Raw = raw
	}
}

// Set adds a record or replaces its fingerprint, marks it as seen in this scan and clears its missing count.
func (x *Index) Set(hash Hash, p Print) {
	x.m[hash] = &indexEntry{print: p, scan: x.scan}
}

// SetMissing sets the missing count of a known record.
func (x *Index) SetMissing(hash Hash, missing int) {
	if e := x.m[hash]; e != nil {
		e.missing = missing
	}
}

// Remove forgets a record and says whether it was known.
func (x *Index) Remove(hash Hash) bool {
	_, ok := x.m[hash]
	delete(x.m, hash)
	return ok
}

// Unseen calls yield for each record that was not seen since Begin, until it returns false. The index must not be changed
// meanwhile, except by SetMissing and SetRaw.
func (x *Index) Unseen(yield func(hash Hash, p Print, missing int) bool) {
	for h, e := range x.m {
		if e.scan != x.scan && !yield(h, e.print, e.missing) {
			return
		}
	}
}

// Returned calls yield for each record that was seen since Begin although its missing count is not zero; the same rules as
// for Unseen hold.
func (x *Index) Returned(yield func(hash Hash, p Print, missing int) bool) {
	for h, e := range x.m {
		if e.scan == x.scan && e.missing > 0 && !yield(h, e.print, e.missing) {
			return
		}
	}
}

// Len is the number of records.
func (x *Index) Len() int { return len(x.m) }

// Bytes is the memory that the index holds.
func (x *Index) Bytes() int { return 40 * len(x.m) }
