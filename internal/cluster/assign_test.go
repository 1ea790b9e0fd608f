package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/deltahook/deltahook/internal/cluster"
	"github.com/deltahook/deltahook/internal/store"
)

func members(n int, r *rand.Rand) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("node-%d-%08x#%d", i, r.Uint32(), r.IntN(5))
	}
	return ids
}

func TestEveryShardHasOneOwnerAndNobodyMoreThanTheLimit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 4, 5, 7, 10, 16, 33, 64} {
		ids := members(n, r)
		counts := map[string]int{}
		for shard, owner := range cluster.Assign(ids) {
			if !slices.Contains(ids, owner) {
				t.Fatalf("%d members: shard %d is assigned to %q", n, shard, owner)
			}
			counts[owner]++
		}
		for id, c := range counts {
			if c > cluster.Limit(n) {
				t.Errorf("%d members: %s has %d shards, the limit is %d", n, id, c, cluster.Limit(n))
			}
		}
	}
	for _, owner := range cluster.Assign(nil) {
		if owner != "" {
			t.Fatal("without members somebody owns a shard")
		}
	}
}

func TestAllWhoSeeTheSameMembersAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	ids := members(7, r)
	want := cluster.Assign(ids)
	for range 20 {
		r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		if cluster.Assign(ids) != want {
			t.Fatal("another order of the same members is another assignment")
		}
	}
	for i := range ids { // each was lost and joined again
		ids[i] = store.Name(ids[i]) + "#99"
	}
	for shard, owner := range cluster.Assign(ids) {
		if store.Name(owner) != store.Name(want[shard]) {
			t.Fatalf("a new incarnation of %s lost shard %d to %s", want[shard], shard, owner)
		}
	}
}

// The assignment is part of what replicas of two versions have to agree on.
func TestTheAssignmentIsWhatItWas(t *testing.T) {
	owners := cluster.Assign([]string{"a#1", "b#1", "c#1"})
	sum := 0
	for shard, owner := range owners {
		sum += (shard + 1) * int(owner[0]-'a')
	}
	if want := 32038; sum != want {
		t.Errorf("the sum is %d, it was %d", sum, want)
	}
}

// moved counts the shards whose owner is another one, without those whose owner has gone.
func moved(was, is [store.Shards]string, gone string) (n int) {
	for shard := range was {
		if was[shard] != is[shard] && was[shard] != gone {
			n++
		}
	}
	return n
}

func TestOneThatComesOrGoesMovesLittle(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{2, 3, 4, 5, 8, 12} {
		ids := members(n, r)
		was := cluster.Assign(ids)
		gone := ids[r.IntN(n)]
		left := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == gone })
		// Those of the one that has gone have to move. What else moves does because somebody is at a limit.
		if m := moved(was, cluster.Assign(left), gone); m > store.Shards/4 {
			t.Errorf("of %d members one goes, and %d shards of others move", n, m)
		}
		grown := cluster.Assign(append(slices.Clone(ids), "new#1"))
		if m := moved(was, grown, ""); m > cluster.Limit(n+1)+store.Shards/4 {
			t.Errorf("to %d members one comes, and %d shards move", n, m)
		}
	}
}
