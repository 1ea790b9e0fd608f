package due_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/deltahook/deltahook/internal/due"
)

type job struct {
	at    time.Time
	place int
}

type byTime struct{}

func (byTime) Due(j *job) time.Time { return j.at }

func (byTime) Place(j *job) *int { return &j.place }

func TestAQueueHoldsEachElementOnceInTheOrderOfTheirTimes(t *testing.T) {
	const seeds, steps, jobs = 50, 300, 20
	for seed := range uint64(seeds) {
		random := rand.New(rand.NewPCG(seed, 0))
		var (
			q   due.Queue[*job, byTime]
			all [jobs]job
			in  = map[*job]bool{}
		)
		for step := range steps {
			j := &all[random.IntN(jobs)]
			if random.IntN(3) > 0 {
				j.at = time.Unix(random.Int64N(jobs), 0)
				q.Set(j)
				in[j] = true
			} else {
				q.Drop(j)
				delete(in, j)
			}
			first, ok := q.First()
			if ok != (len(in) > 0) {
				t.Fatalf("seed %d, step %d: there is a first: %t, of %d", seed, step, ok, len(in))
			}
			for j := range in {
				if j.place == 0 || j.at.Before(first.at) {
					t.Fatalf("seed %d, step %d: %+v is in, the first is %+v", seed, step, j, first)
				}
			}
		}
		var times []time.Time
		for first, ok := q.First(); ok; first, ok = q.First() {
			times = append(times, first.at)
			if q.Drop(first); first.place != 0 {
				t.Fatalf("seed %d: %+v was taken out", seed, first)
			}
		}
		if len(times) != len(in) || !slices.IsSortedFunc(times, time.Time.Compare) {
			t.Errorf("seed %d: %d came out of %d, as %v", seed, len(times), len(in), times)
		}
	}
}
