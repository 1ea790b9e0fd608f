package cluster

import (
	"context"

	"github.com/deltahook/deltahook/internal/store"
)

// Say lets the others know something of this member, with its first look if that is still to come: one that works is given shards.
// It must not be called once shards are handed over.
func (k *Keeper) Say(ctx context.Context, i store.Info) error {
	k.saying.Lock()
	defer k.saying.Unlock()
	works := k.info.Works
	k.info = i
	k.info.Works = works
	if !k.told {
		return nil
	}
	return k.opts.Member.Tell(ctx, k.info)
}

// tellFirst lets the others know that this member works, unless they do.
func (k *Keeper) tellFirst(ctx context.Context) error {
	k.saying.Lock()
	defer k.saying.Unlock()
	if k.told {
		return nil
	}
	k.info.Works = true
	err := k.opts.Member.Tell(ctx, k.info)
	k.told = err == nil
	return err
}

// retire lets the others know that this member works no longer, so that they take over what becomes free.
func (k *Keeper) retire(ctx context.Context) error {
	k.saying.Lock()
	defer k.saying.Unlock()
	k.info.Works = false
	return k.opts.Member.Tell(ctx, k.info)
}
