package daemon

import (
	"context"
	"errors"
	"time"
)

const (
	sharing     = "shared limits"
	sharePeriod = time.Second
	shareRound  = 15 * time.Second // how long one round may take while the store hardly answers
)

// share keeps what all members have in common of receivers and hosts up to date: who is alive, which gates have moved, who is to be
// left alone, and how much of each limit is this member's.
func (d *Daemon) share(ctx context.Context) {
	if !d.pool.Shared() {
		return
	}
	failing := false
	tick := time.NewTicker(sharePeriod)
	defer tick.Stop()
	for {
		d.pulse.beat(sharing, shareRound)
		err := errors.Join(d.pool.Refresh(ctx), d.dispatcher.Refresh(ctx))
		d.scheduler.Refresh(ctx)
		if failing = d.toldOfSharing(ctx, err, failing); ctx.Err() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-d.pool.Wake():
		case <-ctx.Done():
			return
		}
	}
}

// toldOfSharing says once that nobody knows what others do, and once that it is known again.
func (d *Daemon) toldOfSharing(ctx context.Context, err error, before bool) (failing bool) {
	switch {
	case ctx.Err() != nil:
	case err != nil && !before:
		d.opts.Log.WarnContext(ctx, "the store does not tell what other members do; nothing is sent or asked beyond what is this one's by right", "err", err)
	case err == nil && before:
		d.opts.Log.InfoContext(ctx, "the store tells again what other members do")
	}
	return err != nil
}

// replicas lists the IDs of those who share the work.
func (d *Daemon) replicas() []string {
	peers := d.keeper.Replicas()
	ids := make([]string, len(peers))
	for i := range peers {
		ids[i] = peers[i].ID
	}
	return ids
}
