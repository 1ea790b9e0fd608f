package daemon

import (
	"context"
	"time"

	"github.com/deltahook/deltahook/internal/cluster"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/internal/trust"
)

// memberTTL is how long the member of an embedded store lives, which is as long as its process: the lock on the file, not time, keeps
// a second one out.
const memberTTL = 100 * 365 * 24 * time.Hour

// join makes the daemon a member of the store, and claims its first shards.
func (d *Daemon) join(ctx context.Context) (err error) {
	ttl, name := memberTTL, d.opts.Name
	if name == "" {
		name = "deltahook"
	}
	if d.opts.Store.Shared() {
		ttl = d.opts.Config.Store.Lease.Std()
	}
	if d.member, err = store.Enter(ctx, d.opts.Store, name, ttl); err != nil {
		return err
	}
	d.trust = &trust.Window{}
	d.shards = &shards{d: d, owned: map[int]bool{}}
	d.keeper = cluster.New(cluster.Options{
		Member: d.member, Sight: d.opts.Store.Sight, Shared: d.opts.Store.Shared(), TTL: ttl, Work: d.shards, Log: d.opts.Log, Trust: d.trust, Beat: d.pulse.beat,
	})
	d.peers = newPeers(d.opts.Store, d.member, d.keeper)
	d.onStop("store membership", d.keeper.Leave)
	return d.shards.open(ctx)
}
