package differ

// order makes an Index follow the order of the listing. Entries that stand in that order are found by the hint, one after the
// other, which is several times faster than by the table: each look-up there goes to places that no cache has. An index that
// was filled from a store has some other order at first.
//
// A scan in which the hint often fails is followed by one that notes the order of its sightings, and Begin then takes that order over. The
// first scan notes it at once. When the order of a listing is never the same, the scans between two such attempts become more.
type order struct {
	noted   []uint32 // positions in the order of their sightings; nil when the scan does not note it
	misses  int      // sightings of the scan that the hint did not find
	scanned bool     // there was a scan
	pause   int      // scans between two attempts
	wait    int      // scans until the next attempt
}

const (
	leastOrdered = 1 << 10 // records; fewer are in the caches anyway
	mostPause    = 64
)

// note keeps the position of a sighting.
func (o *order) note(pos int) {
	if o.noted != nil {
		o.noted = append(o.noted, uint32(pos)) //nolint:gosec // as in slots.set
	}
}

// forget ends the noting of a scan whose positions do not hold any more.
func (o *order) forget() { o.noted = nil }

// arrange ends a scan: it takes its order over, or says that the next one is to be noted.
func (x *Index) arrange() {
	o := &x.order
	const often = 4
	lost := o.misses > x.n/often
	switch {
	case !lost:
		o.pause, o.wait = 0, 0
	case o.noted != nil:
		x.reorder(o.noted)
		o.pause = min(2*o.pause+1, mostPause)
		o.wait = o.pause
	}
	again := (lost || !o.scanned) && x.n >= leastOrdered
	o.noted, o.misses, o.scanned = nil, 0, true
	switch {
	case again && o.wait == 0:
		o.noted = make([]uint32, 0, x.n)
	case again:
		o.wait--
	}
}

// reorder moves the entries at the given positions to the front, in that order.
func (x *Index) reorder(front []uint32) {
	from := make([]uint32, 0, x.n) // of the entry that belongs to each position
	taken := make([]bool, x.n)
	take := func(pos int) {
		if !taken[pos] {
			taken[pos] = true
			from = append(from, uint32(pos)) //nolint:gosec // as in slots.set
		}
	}
	for _, pos := range front {
		take(int(pos))
	}
	for pos := range x.n {
		take(pos)
	}
	for pos := range from {
		x.cycle(from, pos)
	}
	x.rebuild(x.n + x.n/16)
}

// cycle moves all entries whose moves hang together with the one to start.
func (x *Index) cycle(from []uint32, start int) {
	first, mark := *x.entry(start), *x.mark(start)
	pos := start
	for {
		next := int(from[pos])
		from[pos] = uint32(pos) //nolint:gosec // as in slots.set
		if next == start {
			break
		}
		*x.entry(pos), *x.mark(pos) = *x.entry(next), *x.mark(next)
		pos = next
	}
	*x.entry(pos), *x.mark(pos) = first, mark
}
