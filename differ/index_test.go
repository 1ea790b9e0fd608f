package differ

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

func hashOf(n int) Hash {
	var h Hash
	binary.LittleEndian.PutUint64(h[:], mix(uint64(n)))
	binary.LittleEndian.PutUint64(h[8:], mix(^uint64(n)))
	return h
}

// mix is the finisher of splitmix64.
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func printOf(n int) Print { return Print{Raw: uint64(n), Canon: uint64(n) << 1} }

func TestAScanTellsKnownFromUnknown(t *testing.T) {
	x := NewIndex(0)
	x.Put(hashOf(1), printOf(1), 0)
	x.Put(hashOf(2), printOf(2), 1)
	x.Put(hashOf(3), printOf(3), 1)
	x.Begin()
	for _, c := range []struct {
		n     int
		raw   uint64
		want  Sighting
		canon uint64
	}{{1, 1, Same, 2}, {2, 99, Differs, 4}, {4, 4, Unknown, 0}, {4, 4, Unknown, 0}, {1, 1, Again, 2}, {2, 2, Again, 4}} {
		if s, canon := x.See(hashOf(c.n), c.raw); s != c.want || canon != c.canon {
			t.Errorf("record %d is %v with %d, want %v with %d", c.n, s, canon, c.want, c.canon)
		}
	}
	if got := collect(x.Unseen); len(got) != 1 || got[hashOf(3)] != 1 {
		t.Errorf("unseen: %v", got)
	}
	if got := collect(x.Returned); len(got) != 1 || got[hashOf(2)] != 1 {
		t.Errorf("returned: %v", got)
	}
	x.SetMissing(hashOf(2), 0)
	x.SetMissing(hashOf(3), 2)
	x.SetRaw(hashOf(2), 99)
	x.Set(hashOf(4), printOf(4))
	x.SetRaw(hashOf(9), 1)
	x.SetMissing(hashOf(9), 1)
	if s, _ := x.See(hashOf(4), 4); s != Again {
		t.Errorf("a record that was set in the scan is %v", s)
	}
	x.Begin()
	if got := collect(x.Unseen); len(got) != 4 || got[hashOf(2)] != 0 || got[hashOf(3)] != 2 {
		t.Errorf("unseen after Begin: %v", got)
	}
	if s, _ := x.See(hashOf(2), 99); s != Same {
		t.Errorf("after SetRaw: %v", s)
	}
	x.Set(hashOf(3), printOf(33))
	if p, missing, ok := x.Get(hashOf(3)); !ok || missing != 0 || p != printOf(33) {
		t.Errorf("after Set: %v, %d, %v", p, missing, ok)
	}
	if _, _, ok := x.Get(hashOf(9)); ok || x.Len() != 4 {
		t.Errorf("an unknown record was added")
	}
}

func collect(each func(func(Hash, Print, int) bool)) map[Hash]int {
	got := map[Hash]int{}
	each(func(h Hash, _ Print, missing int) bool {
		got[h] = missing
		return true
	})
	return got
}

func TestASweepCanBeLeft(t *testing.T) {
	x := NewIndex(10)
	for n := range 10 {
		x.Put(hashOf(n), printOf(n), 0)
	}
	calls := 0
	x.Unseen(func(Hash, Print, int) bool {
		calls++
		return calls < 3
	})
	if calls != 3 {
		t.Errorf("%d calls", calls)
	}
}

func TestTheMissingCountIsLimited(t *testing.T) {
	x := NewIndex(1)
	for given, want := range map[int]int{-1: 0, 0: 0, 127: 127, 128: 127, 1000: 127} {
		x.Put(hashOf(1), printOf(1), given)
		if _, missing, _ := x.Get(hashOf(1)); missing != want {
			t.Errorf("%d is kept as %d", given, missing)
		}
		x.Set(hashOf(1), printOf(1))
		x.SetMissing(hashOf(1), given)
		if s, _ := x.See(hashOf(1), 1); s != Again {
			t.Errorf("a missing count of %d makes a record %v", given, s)
		}
	}
}

// model is what an Index does, done simply.
type model struct {
	known map[Hash]known
}

type known struct {
	print   Print
	missing int
	seen    bool
}

func TestAnIndexDoesWhatAMapDoes(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		x, m := NewIndex(r.IntN(100)), model{known: map[Hash]known{}}
		keys := 1 << r.IntN(14)
		for range 20_000 {
			step(t, r, x, &m, hashOf(r.IntN(keys)))
		}
		m.compare(t, x)
		for n := range keys {
			h := hashOf(n)
			_, want := m.known[h]
			delete(m.known, h)
			if x.Remove(h) != want {
				t.Fatalf("removing record %d is not %v", n, want)
			}
		}
		m.compare(t, x)
	}
}

func step(t *testing.T, r *rand.Rand, x *Index, m *model, h Hash) {
	t.Helper()
	k, ok := m.known[h]
	p := Print{Raw: r.Uint64N(3), Canon: r.Uint64()}
	switch op := r.IntN(100); {
	case op == 0:
		x.Begin()
		for h, k := range m.known {
			k.seen = false
			m.known[h] = k
		}
	case op < 20:
		x.Put(h, p, int(p.Raw))
		m.known[h] = known{print: p, missing: int(p.Raw)}
	case op < 40:
		x.Set(h, p)
		m.known[h] = known{print: p, seen: true}
	case op < 60:
		delete(m.known, h)
		if x.Remove(h) != ok {
			t.Fatalf("Remove is not %v", ok)
		}
	case op < 65 && ok:
		x.SetRaw(h, p.Raw)
		k.print.Raw = p.Raw
		m.known[h] = k
	default:
		want := Unknown
		switch {
		case ok && k.seen:
			want = Again
		case ok && k.print.Raw == p.Raw:
			want = Same
		case ok:
			want = Differs
		}
		if got, canon := x.See(h, p.Raw); got != want || canon != k.print.Canon {
			t.Fatalf("See gives %v with %d, want %v with %d", got, canon, want, k.print.Canon)
		}
		if ok {
			k.seen = true
			m.known[h] = k
		}
	}
}

func (m *model) compare(t *testing.T, x *Index) {
	t.Helper()
	if x.Len() != len(m.known) {
		t.Fatalf("%d records, want %d", x.Len(), len(m.known))
	}
	unseen, returned := collect(x.Unseen), collect(x.Returned)
	for h, k := range m.known {
		if p, missing, ok := x.Get(h); !ok || p != k.print || missing != k.missing {
			t.Fatalf("known as %v, %d, %v, want %+v", p, missing, ok, k)
		}
		if _, ok := unseen[h]; ok == k.seen {
			t.Fatal("Unseen is wrong")
		}
		if _, ok := returned[h]; ok != (k.seen && k.missing > 0) {
			t.Fatal("Returned is wrong")
		}
	}
	if len(unseen) > len(m.known) {
		t.Fatal("Unseen gives what is not known")
	}
}

func TestAnIndexIsCompact(t *testing.T) {
	for _, n := range []int{100, 5000, 100_000, 1_000_000} {
		if testing.Short() && n > 100_000 {
			continue
		}
		grown, sized := NewIndex(0), NewIndex(n)
		for i := range n {
			h := hashOf(i)
			grown.Put(h, printOf(i), 0)
			sized.Put(h, printOf(i), 0)
		}
		slab := 0.0
		if n < 10_000 {
			slab = 30 // a slab that is not full
		}
		for name, x := range map[string]*Index{"grown": grown, "sized": sized} {
			if per := float64(x.Bytes()) / float64(n); per > 41+slab {
				t.Errorf("%s, %d records: %.1f bytes each", name, n, per)
			}
		}
	}
	if small := NewIndex(0); small.Bytes() > 100 {
		t.Errorf("an empty index has %d bytes", small.Bytes())
	}
	x := NewIndex(0)
	for n := range 50_000 {
		x.Put(hashOf(n), printOf(n), 0)
	}
	for n := range 50_000 {
		x.Remove(hashOf(n))
	}
	if x.Bytes() > 100 {
		t.Errorf("an index that was emptied has %d bytes", x.Bytes())
	}
}

func TestSeeingDoesNotAllocate(t *testing.T) {
	x := NewIndex(1000)
	hashes := make([]Hash, 1000)
	for n := range hashes {
		hashes[n] = hashOf(n)
		x.Put(hashes[n], printOf(n), 0)
	}
	unknown := hashOf(-1)
	if n := testing.AllocsPerRun(10, func() {
		x.Begin()
		for n, h := range hashes {
			x.See(h, uint64(n))
			x.SetRaw(h, uint64(n))
		}
		x.See(unknown, 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// scan sees the records and gives how many of them the hint did not find.
func scan(t *testing.T, x *Index, records []int) (misses int) {
	t.Helper()
	x.Begin()
	for _, n := range records {
		if hash, same := x.SeeNext(uint64(n)); same && hash == hashOf(n) {
			continue
		}
		if s, canon := x.See(hashOf(n), uint64(n)); s != Same || canon != printOf(n).Canon {
			t.Fatalf("record %d is %v with %d", n, s, canon)
		}
	}
	return x.order.misses
}

func TestAnIndexTakesOverTheOrderOfTheListing(t *testing.T) {
	const records = 20_000
	r := rand.New(rand.NewPCG(1, 1))
	x := NewIndex(records)
	for _, n := range r.Perm(records + 100) {
		x.Put(hashOf(n), printOf(n), n%3)
	}
	listing := make([]int, records) // some records are missing in it
	for n := range listing {
		listing[n] = n
	}
	if misses := scan(t, x, listing); misses < records*9/10 {
		t.Fatalf("only %d misses at first", misses)
	}
	for round := range 3 {
		if misses := scan(t, x, listing); misses > 0 {
			t.Errorf("round %d: %d misses", round, misses)
		}
	}
	r.Shuffle(records, func(i, j int) { listing[i], listing[j] = listing[j], listing[i] })
	for range 3 {
		scan(t, x, listing)
	}
	if misses := scan(t, x, listing); misses > 0 {
		t.Errorf("%d misses in another order", misses)
	}
	if unseen := collect(x.Unseen); len(unseen) != 100 || x.Len() != records+100 {
		t.Errorf("%d unseen of %d", len(unseen), x.Len())
	}
	for n := range records + 100 {
		if p, missing, ok := x.Get(hashOf(n)); !ok || p != printOf(n) || missing != n%3 {
			t.Fatalf("record %d is known as %v, %d, %v", n, p, missing, ok)
		}
	}
}

func TestAnIndexGivesUpOnAListingWithoutOrder(t *testing.T) {
	const records, scans = 2000, 100
	r := rand.New(rand.NewPCG(1, 1))
	x := NewIndex(records)
	for n := range records {
		x.Put(hashOf(n), printOf(n), 0)
	}
	noted := 0
	for range scans {
		scan(t, x, r.Perm(records))
		if x.order.noted != nil {
			noted++
		}
	}
	if noted < 2 || noted > 10 {
		t.Errorf("the order was noted in %d of %d scans", noted, scans)
	}
}

func TestChangesWhileTheOrderIsNoted(t *testing.T) {
	const records = 5000
	x := NewIndex(0)
	for n := range records {
		x.Put(hashOf(records-n), printOf(records-n), 0)
	}
	x.Begin()
	for n := 1; n <= records; n++ {
		x.See(hashOf(n), uint64(n))
		if n%10 == 0 {
			x.Set(hashOf(-n), printOf(-n))
			x.Put(hashOf(n), printOf(n), 0)
			x.See(hashOf(n), uint64(n))
		}
	}
	x.Begin()
	if e := x.entry(10); e.hash != hashOf(-10) {
		t.Error("a record that was set in the scan does not stand where it was seen")
	}
	for n := 1; n <= records; n++ {
		if s, _ := x.See(hashOf(n), uint64(n)); s != Same {
			t.Fatalf("record %d is %v", n, s)
		}
	}
	if misses := x.order.misses; misses > records/5 {
		t.Errorf("%d misses", misses)
	}
}

func TestRemovingEndsTheNotingOfTheOrder(t *testing.T) {
	const records = 3000
	x := NewIndex(records)
	for n := range records {
		x.Put(hashOf(records-n), printOf(records-n), 0)
	}
	x.Begin()
	for n := 1; n <= records; n++ {
		x.See(hashOf(n), uint64(n))
	}
	for n := 1; n <= records; n += 3 {
		x.Remove(hashOf(n))
	}
	x.Begin()
	for n := 1; n <= records; n++ {
		want := Same
		if n%3 == 1 {
			want = Unknown
		}
		if s, _ := x.See(hashOf(n), uint64(n)); s != want {
			t.Fatalf("record %d is %v, want %v", n, s, want)
		}
	}
}
