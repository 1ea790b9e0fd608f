package store_test

import (
	"slices"
	"testing"

	"github.com/deltahook/deltahook/internal/store"
)

// The shard is stored with every delivery: another hash would leave them to nobody.
func TestTheShardOfASourceNeverChanges(t *testing.T) {
	for source, want := range map[string]int{"": 197, "contacts": 240, "orders": 236, "a": 44} {
		if got := store.ShardOf(source); got != want {
			t.Errorf("shard of %q is %d, was %d", source, got, want)
		}
	}
}

func TestAllShardsAreListed(t *testing.T) {
	shards := store.AllShards()
	if len(shards) != store.Shards || !slices.IsSorted(shards) || shards[0] != 0 || shards[store.Shards-1] != store.Shards-1 {
		t.Errorf("%v", shards)
	}
}
