package simtest

import (
	"flag"
	"fmt"
	"testing"

	"github.com/deltahook/deltahook/internal/bubble"
)

var (
	oneSeed   = flag.Int64("seed", -1, "simulate the world of this seed alone")
	firstSeed = flag.Int64("first", 0, "the first seed of -seeds")
	seeds     = flag.Int64("seeds", 24, "how many worlds to simulate")
	steps     = flag.Int64("steps", 400, "how many steps each world lives before it comes to rest")
	kind      = flag.String("kind", "", "the kind of all lists but the first (see pageKinds); empty: any")
	verbose   = flag.Bool("journal", false, "show what the process said")
)

// simulate lives through one world in virtual time.
func simulate(t *testing.T, seed uint64, steps int64, p plant) (broken *violation, lived int64, journal string) {
	t.Helper()
	w := newWorld(t, seed, p)
	defer w.disk.Close()
	for more := true; more; {
		bubble.Test(t, func(t *testing.T) { more = w.age(t, steps) })
	}
	return w.violation(), w.step.Load(), w.journal.text()
}

// P1 to P12 hold in every world.
func TestEveryPromiseHoldsInEveryWorld(t *testing.T) {
	t.Parallel()
	first, n := *firstSeed, *seeds
	if *oneSeed >= 0 {
		first, n = *oneSeed, 1
	} else if testing.Short() {
		n = min(n, 3)
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			broken, lived, journal := simulate(t, uint64(seed), *steps, plant{kind: *kind})
			if *verbose {
				t.Log(journal)
			}
			if broken == nil {
				t.Logf("%d steps", lived)
				return
			}
			least, said := shrink(t, uint64(seed), *steps, broken)
			t.Errorf("%v\n\nagain with: go test ./internal/simtest -run TestEveryPromiseHoldsInEveryWorld -seed %d -steps %d -journal\n%s", broken, seed, least, tail(journal, said))
		})
	}
}

// shrink looks for the shortest life in which the same promise is broken.
func shrink(t *testing.T, seed uint64, life int64, broken *violation) (steps int64, journal string) {
	t.Helper()
	steps = min(broken.step, life) // what comes after them is rest
	for tried, least := 0, steps/8; tried < 4 && least < steps; tried++ {
		again, _, said := simulate(t, seed, least, plant{kind: *kind})
		if again != nil && again.promise == broken.promise {
			steps, journal, least = least, said, least/2
			continue
		}
		least *= 2
	}
	return steps, journal
}

func tail(first, last string) string {
	if last == "" {
		last = first
	}
	const most = 6000
	return last[max(len(last)-most, 0):]
}
