package daemon

import (
	"context"
	"time"
)

// every calls do at once and then every period until ctx ends.
func every(ctx context.Context, period time.Duration, do func(ctx context.Context)) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// housekeep removes what is older than the configuration keeps, in small steps.
func (d *Daemon) housekeep(ctx context.Context) {
	every(ctx, time.Minute, func(ctx context.Context) {
		keep := d.opts.Config.Store
		for more := true; more && ctx.Err() == nil; {
			now := time.Now()
			var err error
			more, err = d.opts.Store.Housekeep(ctx, now.Add(-keep.KeepEvents.Std()), now.Add(-keep.KeepRemoved.Std()))
			if err != nil && ctx.Err() == nil {
				d.opts.Log.ErrorContext(ctx, "retention failed; it is tried again in a minute", "err", err)
				return
			}
		}
	})
}
