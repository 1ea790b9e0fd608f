// Package cluster lets the members of a shared store share its shards out among themselves, without a leader: each looks who is
// there and who owns what, finds out what is its share, claims what of that is free, and hands over what is not its own any more.
//
// It makes sure that every shard has an owner before long. That there is never more than one whose writes are taken is the store's
// business alone.
package cluster

import (
	"cmp"
	"hash/fnv"
	"slices"

	"github.com/deltahook/deltahook/internal/store"
)

// Limit is how many shards one of so many members owns at most.
func Limit(members int) int {
	if members == 0 {
		return 0
	}
	return min((store.Shards+members-1)/members+1, store.Shards)
}

// bid is how much a member wants a shard.
type bid struct {
	rank          uint64
	member, shard int
}

// Assign says who is to own each shard, by the IDs of the members that want some. It is the same for everybody who sees the same
// members, whatever their order and incarnations. The highest bid that is left gets its shard, until a member is at its limit; so
// one that comes or goes changes little between the others. Replicas of two versions must agree: it cannot be changed without a
// new schema of the store.
func Assign(ids []string) (owners [store.Shards]string) {
	bids := make([]bid, 0, len(ids)*store.Shards)
	for member, id := range ids {
		h := fnv.New64a()
		_, _ = h.Write([]byte(store.Name(id)))
		for shard := range store.Shards {
			bids = append(bids, bid{rank: mix(h.Sum64() ^ mix(uint64(shard)+1)), member: member, shard: shard})
		}
	}
	slices.SortFunc(bids, func(a, b bid) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.shard, b.shard), cmp.Compare(ids[a.member], ids[b.member]))
	})
	counts, limit := make([]int, len(ids)), Limit(len(ids))
	for _, b := range bids {
		if owners[b.shard] == "" && counts[b.member] < limit {
			owners[b.shard] = ids[b.member]
			counts[b.member]++
		}
	}
	return owners
}

// mix spreads the bits of a number over all of it.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
