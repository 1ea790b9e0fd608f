package daemon

import (
	"context"
	"sync"
	"time"

	"github.com/deltahook/deltahook/internal/setting"
	"github.com/deltahook/deltahook/poller"
)

// backfills carries out the backfills that the store knows of, each for itself, until it is done or somebody ends it.
type backfills struct {
	d   *Daemon
	ctx context.Context //nolint:containedctx // of all of them

	mu    sync.Mutex
	notes map[string]string // by source that has one under way: why it does not go on
}

// begin carries out the backfill of a source, unless somebody does.
func (b *backfills) begin(source string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.notes[source]; ok {
		return
	}
	b.notes[source] = ""
	b.d.background.Go(func() { b.run(source) })
}

func (b *backfills) note(source string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.notes[source]
}

func (b *backfills) setNote(source, note string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes[source] = note
}

// run makes one step after the other. A backfill that cannot go on is tried again for as long as the daemon runs.
func (b *backfills) run(source string) {
	log := b.d.opts.Log.With("source", source)
	log.Info("backfill goes on")
	failed := false
	for b.ctx.Err() == nil {
		if !b.d.shards.owns(source) { // another replica goes on with it
			b.drop(source)
			return
		}
		job, pause, err := b.step(source)
		switch {
		case err != nil && b.ctx.Err() == nil:
			if pause = 10 * time.Second; !failed {
				log.Warn("backfill cannot go on; it is tried again", "err", err)
			}
			b.setNote(source, err.Error())
		case err == nil && !job.Active():
			if b.over(source) {
				log.Info("backfill has ended", "snapshots", job.Told, "records", job.Looked, "stopped", job.Stopped)
				return
			}
		}
		failed = err != nil
		sleep(b.ctx, pause)
	}
}

func (b *backfills) drop(source string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.notes, source)
}

// over forgets a backfill that has ended, unless another one was begun meanwhile.
func (b *backfills) over(source string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	f, err := b.d.scheduler.Backfiller(source)
	if err == nil {
		if state, err := f.Stored(b.ctx); err == nil && state.Backfill.Active() {
			return false
		}
	}
	delete(b.notes, source)
	return true
}

const (
	backfillStep  = 200
	backfillPause = 500 * time.Millisecond // until a queue is looked at again
)

// step tells of some records, unless a webhook has to take those before first, and says how long to wait until the next.
func (b *backfills) step(source string) (job poller.Backfill, pause time.Duration, err error) {
	f, err := b.d.scheduler.Backfiller(source)
	if err != nil {
		return job, 0, err
	}
	state, err := f.Stored(b.ctx)
	if err != nil || !state.Backfill.Active() {
		if state.Backfill != nil {
			job = *state.Backfill
		} else {
			job.Finished = time.Now() // it was forgotten with the records
		}
		return job, 0, err
	}
	conf, ok := b.d.current().config.Source(source)
	if !ok {
		return job, 0, poller.ErrUnknownSource
	}
	note, err := b.d.congested(b.ctx, conf, state.Backfill.To)
	b.setNote(source, note)
	if err != nil || note != "" {
		return *state.Backfill, backfillPause, err
	}
	limit, pause := pacing(state.Backfill.Rate)
	job, err = f.StepBackfill(b.ctx, limit)
	return job, pause, err
}

// pacing spreads a rate over steps: at most one second of it at once.
func pacing(text string) (limit int, pause time.Duration) {
	var rate setting.Rate
	if text == "" || rate.UnmarshalText([]byte(text)) != nil {
		return backfillStep, 0
	}
	limit = max(1, min(backfillStep, int(rate.PerSecond())))
	return limit, time.Duration(float64(limit) / rate.PerSecond() * float64(time.Second))
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
