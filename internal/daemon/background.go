package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/internal/store"
	"github.com/deltahook/deltahook/poller"
)

// recall lets the journal count what was written down of the last day's polls before this process began. With many sources it takes
// its time, so that the store is free for those that have begun to poll.
func (d *Daemon) recall(ctx context.Context) {
	const most = 200
	rows, err := d.opts.Store.Sources(ctx)
	for i := range rows {
		if err != nil || ctx.Err() != nil {
			break
		}
		if !rows[i].Removed.IsZero() || d.started.Sub(rows[i].Committed) > 24*time.Hour {
			continue
		}
		begun := time.Now()
		var polls []poller.Poll
		if polls, err = d.opts.Store.Polls(ctx, rows[i].Name, most); err == nil {
			d.journal.Recall(rows[i].Name, slices.DeleteFunc(polls, func(p poller.Poll) bool { return !p.At.Before(d.started) }))
		}
		sleep(ctx, 9*time.Since(begun))
	}
	if err != nil && ctx.Err() == nil {
		d.opts.Log.WarnContext(ctx, "the changes of the last day are not known, only those from now on", "err", err)
	}
}

const housekeeping = "housekeeping"

// housekeep removes what the configuration does not keep, in small steps.
func (d *Daemon) housekeep(ctx context.Context) {
	full := false // as was said
	d.pulse.every(ctx, housekeeping, time.Minute, func(ctx context.Context) {
		d.journal.Keep(d.polled())
		if !d.peers.mine(houseShard) {
			return
		}
		swept, err := d.sweep(ctx)
		if swept.Used > 0 {
			d.used.Store(swept.Used)
		}
		if err != nil {
			if ctx.Err() == nil {
				d.opts.Log.ErrorContext(ctx, "retention failed; it is tried again in a minute", "err", err)
			}
			return
		}
		if swept.Stuck && !full {
			d.opts.Log.WarnContext(ctx, "the store is larger than store.max_size, and no event may go: what is left waits for a webhook or for a person, or is the records themselves",
				"used", setting.Size(swept.Used).String(), "max_size", d.current().config.Store.MaxSize.String(), "hint", "deltahook status")
		}
		full = swept.Stuck
	})
}

// configured names the sources that there are now.
func (d *Daemon) configured() []string {
	sources := d.current().config.Sources
	names := make([]string, len(sources))
	for i, s := range sources {
		names[i] = s.Name
	}
	return names
}

// polled names the sources that this process polls: what the journal has of others is of the past.
func (d *Daemon) polled() []string {
	all := d.scheduler.Statuses()
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].Source
	}
	return names
}

// sweep calls the store's housekeeping until there is no more to do. Between two steps others write.
func (d *Daemon) sweep(ctx context.Context) (store.Swept, error) {
	keep := &d.current().config.Store
	for {
		d.pulse.beat(housekeeping, time.Minute)
		now := time.Now()
		r := store.Retention{
			EventsBefore: now.Add(-keep.KeepEvents.Std()), AttemptsBefore: now.Add(-keep.KeepAttempts.Std()),
			RemovedBefore: now.Add(-keep.KeepRemoved.Std()), MaxSize: int64(keep.MaxSize),
		}
		if !d.settled() { // somebody may have what seems to have left
			r.RemovedBefore = time.Time{}
		}
		swept, err := d.opts.Store.Housekeep(ctx, r)
		if err != nil || !swept.More || ctx.Err() != nil {
			return swept, err
		}
	}
}
