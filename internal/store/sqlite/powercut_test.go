package sqlite_test

import (
	"flag"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/deltahook/deltahook/internal/store/sqlite"
	"github.com/deltahook/deltahook/internal/store/sqlite/faultdisk"
)

var everyCut = flag.Int("every-cut", 23, "cut the power after every so many operations of the disk")

// confirmed is what somebody was told is durable.
type confirmed struct {
	version int64
	settled map[int64]bool
}

// recorded commits and acknowledges through some openings of a store, checkpoints included, and gives all that was done to the disk,
// and what was confirmed at which length of it.
func recorded(t *testing.T) (*faultdisk.Recording, map[int]confirmed) {
	t.Helper()
	dir := t.TempDir()
	disk, err := faultdisk.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	log := disk.Record()
	told, now := map[int]confirmed{}, confirmed{settled: map[int64]bool{}}
	for range 3 {
		s, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(dir, "deltahook.db")})
		if err != nil {
			t.Fatal(err)
		}
		m := mustOwn(t, s)
		for range 5 {
			st, err := m.Load(t.Context(), "contacts")
			if err != nil {
				t.Fatal(err)
			}
			mustCommit(t, s, m, eventsOf(st.Version+1))
			now.version++
			told[log.Len()] = confirmed{now.version, maps.Clone(now.settled)}
			acked, err := ackSome(t.Context(), m, st.Version)
			if err != nil {
				t.Fatal(err)
			}
			for _, seq := range acked {
				now.settled[seq] = true
			}
			told[log.Len()] = confirmed{now.version, maps.Clone(now.settled)}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return log, told
}

// P1, P2: whenever the power goes, and whatever the disk makes of what was not synced, each commit is there as a whole or not at
// all, and what was confirmed is there.
func TestP1P2APowerCutBetweenAnyTwoOperationsLosesNothingThatWasConfirmed(t *testing.T) {
	log, told := recorded(t)
	step := *everyCut
	if testing.Short() {
		step *= 5
	}
	chance := rand.New(rand.NewPCG(1, 2))
	fates := map[string]func() faultdisk.Fate{
		"lost":  func() faultdisk.Fate { return faultdisk.Lost },
		"kept":  func() faultdisk.Fate { return faultdisk.Kept },
		"mixed": func() faultdisk.Fate { return faultdisk.Fate(chance.IntN(3)) },
	}
	last, cuts := confirmed{settled: map[int64]bool{}}, 0
	err := log.Replay(func(n int, state *faultdisk.State) error {
		if at, ok := told[n]; ok {
			last = at
		}
		if n%step != 0 && n != log.Len() {
			return nil
		}
		for name, fate := range fates {
			if name == "mixed" && state.Unsynced() < 2 {
				continue
			}
			cuts++
			checkPowerCut(t, last, func(dir string) error { return state.WriteTo(dir, fate, chance) })
			if t.Failed() {
				t.Fatalf("after operation %d (%s), what was not synced is %s", n, log.At(n-1).Kind, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d operations of the disk, %d power cuts", log.Len(), cuts)
}

// checkPowerCut opens what a power cut left, on a disk that need not sync.
func checkPowerCut(t *testing.T, told confirmed, left func(dir string) error) {
	t.Helper()
	dir := t.TempDir()
	disk, err := faultdisk.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if err := left(dir); err != nil {
		t.Fatal(err)
	}
	checkAfterCrash(t, filepath.Join(dir, "deltahook.db"), told.version, maps.Clone(told.settled))
}
