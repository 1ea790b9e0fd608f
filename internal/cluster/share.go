package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/trust"
	"github.com/deltahook/deltahook/poller"
)

// batch is how many shards change hands at the same time, so that nobody looks after a source only for as long as it takes to begin
// with a few.
const batch = 16

// stuck is how long a shard that is handed over may wait for deliveries that are under way before others go on.
const stuck = 2 * time.Second

// look finds out what is ours now and goes by it: it ends the work on what is not ours any more, hands over what is not to be, and
// takes what is ours and free.
func (k *Keeper) look(ctx context.Context) error {
	sight, err := k.see(ctx)
	if err != nil {
		return err
	}
	me := k.opts.Member.ID()
	k.lose(ctx, k.lost(sight, me))
	k.stir(sight)
	give, take := k.share(sight, me)
	k.yield(give[:min(len(give), k.room(sight))])
	gained := 0
	for some := range slices.Chunk(take, batch) {
		leases, err := k.acquire(ctx, some, sight)
		if err != nil || len(leases) == 0 {
			return err
		}
		if err := k.opts.Work.Begin(ctx, leases); err != nil {
			k.giveUp(ctx, leases)
			return err
		}
		gained += len(leases)
	}
	if gained > 0 {
		k.opts.Log.InfoContext(ctx, "this replica looks after more of the sources now", "replicas", len(sight.Working()), "gained", gained, "shards", len(k.all()))
	}
	return nil
}

// room says how many more shards may change hands now.
func (k *Keeper) room(sight *store.Sight) int {
	room := batch
	for _, owner := range sight.Owners {
		if owner == "" {
			room--
		}
	}
	for _, h := range k.all() {
		if !h.yielding.IsZero() && time.Since(h.yielding) < stuck {
			room--
		}
	}
	return max(room, 0)
}

func (k *Keeper) acquire(ctx context.Context, shards []int, sight *store.Sight) ([]store.Lease, error) {
	if len(shards) == 0 {
		return nil, nil
	}
	leases, err := k.opts.Member.Acquire(ctx, shards)
	k.keep(leases, sight)
	return leases, err
}

// see gives who is there, ourselves included: one that was taken for dead has lost all and joins again.
func (k *Keeper) see(ctx context.Context) (*store.Sight, error) {
	sight, err := k.opts.Sight(ctx)
	if err != nil {
		return nil, err
	}
	if !sight.Alive(k.opts.Member.ID()) {
		without := sight
		k.note(&without) // which stays so if the store lets nobody join
		wait(ctx, trust.Late)
		if err := k.rejoin(ctx); err != nil {
			return nil, err
		}
		if sight, err = k.opts.Sight(ctx); err != nil {
			return nil, err
		}
	}
	k.note(&sight)
	return &sight, nil
}

// note keeps what was seen.
func (k *Keeper) note(sight *store.Sight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if sight.Owners != k.sight.Owners || !slices.Equal(sight.Working(), k.sight.Working()) {
		k.moved = time.Now()
	}
	k.sight = sight
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// rejoin begins a new incarnation, which owns nothing.
func (k *Keeper) rejoin(ctx context.Context) error {
	if !k.lapsed {
		k.opts.Log.WarnContext(ctx, "the lease of this replica has run out, and others may have taken over its sources; it joins again", "shards", len(k.all()))
	}
	k.lapsed = true
	k.lose(ctx, slices.Collect(maps.Keys(k.all())))
	begun := time.Now()
	if err := k.opts.Member.Rejoin(ctx); err != nil {
		return err
	}
	k.lapsed = false
	k.extend(ctx, begun)
	return nil
}

// lost lists what somebody else owns, or nobody.
func (k *Keeper) lost(sight *store.Sight, me string) (list []int) {
	for shard, h := range k.all() {
		if sight.Owners[shard] != me && h.yielding.IsZero() {
			list = append(list, shard)
		}
	}
	return list
}

func (k *Keeper) lose(ctx context.Context, shards []int) {
	if len(shards) == 0 {
		return
	}
	k.forget(shards)
	k.opts.Work.End(ctx, shards)
}

// stir passes on that others have changed deliveries.
func (k *Keeper) stir(sight *store.Sight) {
	var list []int
	k.mu.Lock()
	for shard, h := range k.held {
		if n := sight.Stirred[shard]; n != h.stirred {
			h.stirred = n
			list = append(list, shard)
		}
	}
	k.mu.Unlock()
	if len(list) > 0 {
		k.opts.Work.Stir(list)
	}
}

// share says which shards to hand over, and which to take.
func (k *Keeper) share(sight *store.Sight, me string) (give, take []int) {
	mine, held := k.assigned(sight), k.all()
	for shard, owner := range sight.Owners {
		h, ours := held[shard]
		switch {
		case ours && h.yielding.IsZero() && mine[shard] != me:
			give = append(give, shard)
		case !ours && mine[shard] == me && (owner == "" || owner == me):
			take = append(take, shard)
		}
	}
	return give, take
}

// assigned gives who is to own what. The answer for the same members is the same.
func (k *Keeper) assigned(sight *store.Sight) *[store.Shards]string {
	working := sight.Working()
	if !slices.Equal(working, k.working) {
		k.working, k.owners = working, Assign(working)
	}
	return &k.owners
}

// yield hands shards over, in the background: each is given back when nothing of it is under way any more.
func (k *Keeper) yield(shards []int) {
	if len(shards) == 0 {
		return
	}
	now := time.Now()
	k.mu.Lock()
	holds := map[int]*hold{}
	for _, shard := range shards {
		h := k.held[shard]
		h.yielding, h.since = now, now
		holds[shard] = h
	}
	k.mu.Unlock()
	k.yields.Go(func() { k.handOver(k.life, holds) })
}

func (k *Keeper) handOver(ctx context.Context, holds map[int]*hold) {
	const pause = 10 * time.Millisecond
	k.owe(holds, k.opts.Work.Yield(ctx, slices.Collect(maps.Keys(holds))))
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for len(holds) > 0 && ctx.Err() == nil {
		k.handed(ctx, holds)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// owe notes what else the next owner has to make up for.
func (k *Keeper) owe(holds map[int]*hold, owed map[int]time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for shard, at := range owed {
		if h := holds[shard]; h != nil && at.Before(h.since) {
			h.since = at
		}
	}
}

// handed gives those back of which nothing is under way any more, all at once, and leaves the others.
func (k *Keeper) handed(ctx context.Context, holds map[int]*hold) {
	var free []store.Freed
	var shards []int
	for shard, h := range holds {
		switch {
		case !k.has(shard, h):
			delete(holds, shard) // it was lost meanwhile
		case k.opts.Work.Settled(shard):
			free, shards = append(free, store.Freed{Shard: shard, Since: h.since}), append(shards, shard)
		}
	}
	if len(free) == 0 {
		return
	}
	if err := k.opts.Member.Release(ctx, free...); err != nil && !errors.Is(err, poller.ErrFenced) {
		return // the store does not answer
	}
	k.lose(ctx, shards)
	for _, shard := range shards {
		delete(holds, shard)
	}
}

// giveUp gives back what could not be begun. What cannot be given back either is taken for forgotten and claimed again.
func (k *Keeper) giveUp(ctx context.Context, leases []store.Lease) {
	free := make([]store.Freed, len(leases))
	for i, l := range leases {
		free[i] = store.Freed{Shard: l.Shard, Since: l.Since}
	}
	k.forget(shardsOf(leases))
	_ = k.opts.Member.Release(ctx, free...)
}

func shardsOf(leases []store.Lease) []int {
	list := make([]int, len(leases))
	for i, l := range leases {
		list[i] = l.Shard
	}
	return list
}

// HandOver gives back all that is held, shard by shard, until ctx is done. Run must have ended.
func (k *Keeper) HandOver(ctx context.Context) error {
	if !k.opts.Shared {
		return nil
	}
	err := k.retire(ctx)
	k.yieldAll(ctx)
	handed := make(chan struct{})
	go func() {
		defer close(handed)
		k.yields.Wait()
	}()
	select {
	case <-handed:
	case <-ctx.Done():
	}
	return err
}

// yieldAll hands over what is left, a batch after the other as long as others take them.
func (k *Keeper) yieldAll(ctx context.Context) {
	pause, cancel := context.WithTimeout(ctx, k.opts.TTL)
	defer cancel()
	for {
		var rest []int
		for shard, h := range k.all() {
			if h.yielding.IsZero() {
				rest = append(rest, shard)
			}
		}
		if len(rest) == 0 {
			return
		}
		sight, err := k.opts.Sight(pause)
		if err != nil || pause.Err() != nil || len(sight.Working()) == 0 {
			k.yield(rest)
			return
		}
		k.yield(rest[:min(len(rest), k.room(&sight))])
		wait(pause, k.lookPeriod()/5)
	}
}

// keep notes that shards are ours.
func (k *Keeper) keep(leases []store.Lease, sight *store.Sight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range leases {
		k.held[l.Shard] = &hold{stirred: sight.Stirred[l.Shard]}
	}
}

func (k *Keeper) forget(shards []int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, shard := range shards {
		delete(k.held, shard)
	}
}

// has says that a shard is still held as it was.
func (k *Keeper) has(shard int, h *hold) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[shard] == h
}

// all gives what is held.
func (k *Keeper) all() map[int]hold {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make(map[int]hold, len(k.held))
	for shard, h := range k.held {
		out[shard] = *h
	}
	return out
}

// Owner gives the ID of the member that owned a shard when that was last looked at; empty: nobody did.
func (k *Keeper) Owner(shard int) string { return k.last().Owners[shard] }

// Seen gives who is alive and who owns what, as of the last look. It is not to be changed.
func (k *Keeper) Seen() *store.Sight { return k.last() }

// Replicas lists who works here, as of the last look.
func (k *Keeper) Replicas() []store.Peer {
	sight := k.last()
	return slices.DeleteFunc(slices.Clone(sight.Peers), func(p store.Peer) bool { return !p.Info.Works })
}

func (k *Keeper) last() *store.Sight {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.sight
}
