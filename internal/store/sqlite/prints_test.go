package sqlite

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/deltahook/deltahook/differ"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// Fingerprints are handed over many in a row; none may be lost at the ends of rows, and the few that were missing must be told from the
// others.
func TestAllFingerprintsAreReadHoweverManyRowsTheyMake(t *testing.T) {
	const records = 2*printsStep + 100
	s := openTest(t, filepath.Join(t.TempDir(), "x.db"))
	m, err := store.Own(t.Context(), s, "test", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	hasher, want := differ.NewHasher(s.Seed()), map[differ.Hash]poller.Known{}
	c := poller.Commit{Source: "things", Writes: func(yield func(poller.Write, error) bool) {
		for i := range records {
			key := strconv.Itoa(i)
			known := poller.Known{Hash: hasher.Key([]byte(key)), Print: differ.Print{Raw: uint64(i), Canon: ^uint64(i)}}
			if i%1000 == 0 {
				known.Missing = i/1000 + 1
			}
			if want[known.Hash] = known; !yield(poller.Write{Known: known, Key: key, Body: []byte("{}")}, nil) {
				return
			}
		}
	}}
	if _, err := m.Commit(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	err = m.Prints(t.Context(), "things", func(k poller.Known) bool {
		if want[k.Hash] != k {
			t.Fatalf("%+v instead of %+v, or for the second time", k, want[k.Hash])
		}
		delete(want, k.Hash)
		return true
	})
	if err != nil || len(want) > 0 {
		t.Errorf("%d of %d are lacking: %v", len(want), records, err)
	}
}

func TestThePartsOfAllHashesLeaveNoneOut(t *testing.T) {
	for _, parts := range []uint64{1, 2, 3, 245, 1 << 20} {
		if first := hashesFrom(0, parts); string(first) > string(make([]byte, len(differ.Hash{}))) {
			t.Errorf("the first of %d parts begins with %x", parts, first)
		}
		last := differ.Hash{}
		for i := range last {
			last[i] = 0xff
		}
		if end := hashesFrom(parts, parts); string(end) <= string(last[:]) {
			t.Errorf("the last of %d parts ends with %x", parts, end)
		}
		for part := range min(parts, 1000) {
			if string(hashesFrom(part, parts)) >= string(hashesFrom(part+1, parts)) {
				t.Errorf("part %d of %d is empty", part, parts)
			}
		}
	}
}
